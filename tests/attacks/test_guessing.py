"""Row 2: many addresses guess the password of one account."""

from __future__ import annotations

from pathlib import Path

from conformance.agent.client import SipClient
from tests.e2e.stage import Stage, settings, stage

ROOM = "sip:chat-x@example.com"
BOUND = ("limits.guess_burst=10", "limits.guess_rate=0.001")
ACCOUNTS = {"alice": "wonder", "bob": "builder"}


async def guess(on: Stage, user: str, password: str, address: int) -> int:
    """The status that one REGISTER gets in the end, challenge answered."""
    ip = f"127.0.0.{address}"
    client = await SipClient.open(on.nursery, f"sip:{user}@example.com", on.addresses["udp"], password=password, ip=ip)
    try:
        response = await client.register()
        if response.status == 503:
            assert int(response.headers.get("Retry-After") or "0") > 0
        return response.status
    finally:
        client.close()


async def test_many_addresses_guess_one_password(tmp_path: Path) -> None:
    """Row 2, spec S-AUTH-14. 30 addresses try as many passwords as one may; then the right one gets what a wrong one
    gets, and so does a name that nobody has. Who was there goes on where they were, and others log in anywhere."""
    async with stage(settings(tmp_path, *BOUND, mode="digest"), ACCOUNTS) as on:
        alice = await on.client("alice", password="wonder")
        found = {
            user: [await guess(on, user, f"guess{number}", 10 + number) for number in range(30)]
            for user in ("alice", "nobody")
        }
        print(f"row 2, 30 addresses: {found['alice'].count(401)} passwords looked at, {found['alice'].count(503)} not")
        assert found["alice"] == found["nobody"] == [401] * 10 + [503] * 20
        assert await guess(on, "alice", "wonder", 60) == 503
        assert (await alice.message(ROOM, "#create")).status == 200
        assert (await alice.register()).status == 200
        assert await guess(on, "bob", "builder", 61) == 200
        statistics = on.daemon.statistics()
        assert statistics["auth_unheard"] == 41
        assert statistics["accounts_guessed"] == 2
        assert on.daemon.measures.limits["guess_rate",] == 41


async def test_where_a_user_was_registered_before_a_restart(tmp_path: Path) -> None:
    """Row 2, spec S-AUTH-14. A daemon that has just been started knows by what is registered where its users are."""
    config = settings(tmp_path, *BOUND, mode="digest")
    async with stage(config, ACCOUNTS) as on:
        assert await guess(on, "alice", "wonder", 70) == 200
    async with stage(config) as on:
        assert [await guess(on, "alice", "x", 10 + number) for number in range(12)] == [401] * 10 + [503] * 2
        assert await guess(on, "alice", "wonder", 70) == 200
        assert await guess(on, "alice", "wonder", 71) == 503
