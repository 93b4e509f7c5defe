"""Rows 3, 4, 5: what a forged source, a third party's contact and a room make of the attacker's bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from imc.sip.sources import SourceOptions
from tests.attacks.attacker import Attacker, Gain, request
from tests.e2e.stage import Stage, settings, stage

ACCOUNTS = {"alice": "wonder", "mallory": "evil", "victim": "asleep"}
ROOM = "sip:chat-x@example.com"
DEFAULTS = SourceOptions()


def credentials(user: str) -> str:
    return (
        f'Authorization: Digest username="{user}",realm="example.com",nonce="x",uri="{ROOM}",response="0",'
        'qop=auth,nc=00000001,cnonce="x"'
    )


SHAPES = {
    "MESSAGE": lambda: request("MESSAGE", ROOM),
    "REGISTER": lambda: request("REGISTER", "sip:example.com", "m:<sip:x@127.0.0.1>"),
    "wrong password": lambda: request("MESSAGE", ROOM, credentials("alice"), user="alice"),
    "no such user": lambda: request("MESSAGE", ROOM, credentials("nobody"), user="nobody"),
    "OPTIONS": lambda: request("OPTIONS", "sip:example.com"),
    "OPTIONS elsewhere": lambda: request("OPTIONS", "sip:example.org"),
    "INVITE": lambda: request("INVITE", ROOM),
    "unknown extension": lambda: request("MESSAGE", ROOM, "Require:" + ",".join("abcdefgh")),
    "malformed": lambda: request("MESSAGE", ROOM).replace(b"CSeq:1", b"CSeq:x"),
    "not for here": lambda: request("REGISTER", "sip:example.org"),
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_forged_source(tmp_path: Path, shape: str) -> None:
    """Row 3, spec S-SRC-1. One answer for a request at the most, and in the long run no byte more than came in."""
    async with stage(settings(tmp_path, mode="digest"), ACCOUNTS) as on, Attacker.open(on, "127.0.0.66") as victim:
        once = Gain(3, f"{shape}, once")
        await victim.ask(once, SHAPES[shape]())
        began = trio.current_time()
        gain = Gain(3, f"{shape}, forged source")
        await victim.attack(gain, [SHAPES[shape]() for _ in range(1_200)])
        allowed = DEFAULTS.byte_burst + DEFAULTS.byte_rate * (trio.current_time() - began)
        assert gain.gone <= gain.came + allowed
        assert sum(gain.statuses.values()) <= gain.requests
        assert on.daemon.statistics()["server_transactions"] == 0


async def test_keep_alives_with_a_forged_source(tmp_path: Path) -> None:
    """Row 3, spec S-SRC-1. A STUN request is answered with twice its bytes; they come out of the same allowance."""
    config = settings(tmp_path, "limits.unproven_byte_burst=8192", "limits.unproven_byte_rate=1.0", mode="digest")
    async with stage(config, ACCOUNTS) as on, Attacker.open(on, "127.0.0.66") as victim:
        began = trio.current_time()
        gain = Gain(3, "STUN, forged source")
        await victim.attack(gain, [bytes.fromhex("000100002112a442") + n.to_bytes(12, "big") for n in range(1_000)])
        assert 0 < gain.gone <= gain.came + 8_192 + trio.current_time() - began
        assert on.daemon.statistics()["answers_withheld"] > 0
        assert (await (await on.client("alice", password="wonder")).message(ROOM, "#create")).status == 200


async def test_a_flood_with_a_forged_source(tmp_path: Path) -> None:
    """Row 3, spec S-SRC-2. Bytes out are fewer than bytes in, and another address is served as if nothing was."""
    async with (
        stage(settings(tmp_path, "limits.unproven_rate=1.0", mode="digest"), ACCOUNTS) as on,
        Attacker.open(on, "127.0.0.66") as victim,
    ):
        gain = Gain(3, "5,000 MESSAGEs, forged source")
        await victim.attack(gain, [SHAPES["MESSAGE"]() for _ in range(5_000)])
        assert gain.factor < 1
        assert set(gain.statuses) == {"401"}
        statistics = on.daemon.statistics()
        assert statistics["messages_muted"] + statistics["udp_held"] > 2_000
        alice = await on.client("alice", password="wonder")
        assert (await alice.message(ROOM, "#create")).status == 200


async def test_who_shares_the_address_and_has_shown_a_password_goes_on(tmp_path: Path) -> None:
    """Row 3: the victim of a forged flood is itself a user of ours, and keeps talking."""
    async with stage(settings(tmp_path, "limits.unproven_burst=50", mode="digest"), ACCOUNTS) as on:
        alice = await on.client("alice", password="wonder", ip="127.0.0.66")
        gain = Gain(3, "flood in the name of a user's address")
        async with Attacker.open(on, "127.0.0.66") as attacker:
            await attacker.attack(gain, [SHAPES["MESSAGE"]() for _ in range(400)])
        statistics = on.daemon.statistics()
        assert statistics["messages_muted"] + statistics["udp_held"] > 0
        assert (await alice.message(ROOM, "#create")).status == 200
        await alice.wait_message(event="room-created")


async def test_a_contact_that_is_somebody_else(tmp_path: Path) -> None:
    """Row 4. Mallory registers the victim's socket ten times over and asks for all that is long: one copy in flight for
    each contact, so ten datagrams, until the victim answers; the rest is dropped or waits on our disk."""
    async with stage(settings(tmp_path, "limits.enabled=false")) as on, Attacker.open(on, "127.0.0.66") as victim:
        mallory = await on.client("mallory", is_registered=False)
        ip, port = victim.local
        for number in range(12):
            answer = await mallory.register(contact=f"<sip:v{number}@{ip}:{port}>")
            assert answer.status == (200 if number < 10 else 403), number
        gain = Gain(4, "commands with long answers, contacts of a third party")
        for number in range(100):
            response = await mallory.message(ROOM, ("#help", "#rooms", "#create", "x" * 600)[number % 4])
            gain.requests += 1
            gain.came += len(mallory.last.render() if mallory.last else b"")
            assert response.status in (200, 202, 403, 404, 409, 503), response.status
        await victim.barrier()
        found = victim.drain(gain)
        print(gain)
        assert len(set(found)) <= 10
        assert gain.factor < 1


async def room_of(on: Stage, *members: str) -> None:
    for name in members:
        client = await on.client(name)
        assert (await client.message(ROOM, "#join")).status == 200
    await on.settle(members)


async def test_only_who_consented_gets_what_is_said(tmp_path: Path) -> None:
    """Row 4: a room multiplies by its members, and nobody else; `add` of a stranger is an invitation."""
    async with stage(settings(tmp_path)) as on:
        await room_of(on, "mallory")
        victim = await on.client("victim")
        mallory = on.clients["mallory"]
        gain = Gain(4, "room messages to somebody who was added")
        assert (await mallory.message(ROOM, "#add victim")).status == 200
        for number in range(100):
            assert (await mallory.message(ROOM, f"number {number}")).status == 202
            gain.requests += 1
            gain.came += len(mallory.last.render() if mallory.last else b"")
        for one in (await on.settle(("victim",)))["victim"]:
            gain.note(one.request.render())
            assert one.event == "invitation"
        print(gain)
        assert gain.statuses == {"MESSAGE": 1}
        assert victim.retransmissions == 0


async def test_a_request_sent_again_is_fanned_out_once(tmp_path: Path) -> None:
    """Row 5: 200 copies of one MESSAGE; 200 times the same answer, and each member hears it once."""
    async with stage(settings(tmp_path)) as on:
        await room_of(on, "mallory", "alice")
        gain = Gain(5, "one room message sent 200 times")
        one = request("MESSAGE", ROOM, "c:text/plain", body=b"hello")
        async with Attacker.open(on, "127.0.0.66") as attacker:
            await attacker.ask(gain, one)
            answers = await attacker.attack(gain, [one] * 199)
        heard = await on.settle(("alice",))
        assert [each.text for each in heard["alice"]] == ["[mallory]: hello"]
        assert len(set(answers)) == 1
        assert gain.statuses.keys() == {"202"}
