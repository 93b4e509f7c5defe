"""Who may speak as whom, over real sockets: digest, replays, forged senders, trusted peers (abuse.md 1 and 2)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import parse_http_list, parse_keqv_list

import pytest

from conformance.agent.client import SipClient
from imc.sip.message import Request, Response
from tests.e2e.stage import Stage, settings, stage

ROOM = "sip:chat-x@example.com"
ACCOUNTS = {"alice": "wonder", "bob": "geheim", "mallory": "evil"}
PLAIN = ("Content-Type", "text/plain")
_HASHES: dict[str, Callable[[bytes], Any]] = {
    "MD5": hashlib.md5,
    "SHA-256": hashlib.sha256,
    "SHA-512-256": lambda data: hashlib.new("sha512_256", data),
}


def challenges(response: Response) -> dict[str, dict[str, str]]:
    """The challenges of a 401, by algorithm."""
    assert response.status == 401
    found = {}
    for value in response.headers.all("WWW-Authenticate"):
        scheme, _, rest = value.partition(" ")
        assert scheme == "Digest"
        params = parse_keqv_list(parse_http_list(rest))
        found[params["algorithm"]] = params
    return found


def credentials(
    challenge: dict[str, str], request: Request, user: str, password: str, *, qop: str = "auth", count: int = 1
) -> str:
    """The Authorization value of RFC 7616 §3.4, worked out here: nothing of imc is used."""

    def digest(text: bytes | str) -> str:
        data = text if isinstance(text, bytes) else text.encode()
        return str(_HASHES[challenge["algorithm"]](data).hexdigest())

    realm, nonce, nc, cnonce = challenge["realm"], challenge["nonce"], f"{count:08x}", "f2/wE4q7"
    a2 = f"{request.method}:{request.uri}" + (f":{digest(request.body)}" if qop == "auth-int" else "")
    given = digest(f"{digest(f'{user}:{realm}:{password}')}:{nonce}:{nc}:{cnonce}:{qop}:{digest(a2)}")
    return (
        f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{request.uri}", response="{given}", '
        f'algorithm={challenge["algorithm"]}, cnonce="{cnonce}", qop={qop}, nc={nc}'
    )


def message(client: SipClient, text: str, to: str = ROOM, **more: Any) -> Request:
    return client.build("MESSAGE", to, headers=[PLAIN, *more.pop("headers", ())], body=text.encode(), **more)


async def challenge_of(client: SipClient, algorithm: str = "MD5") -> dict[str, str]:
    return challenges(await client.transact(message(client, "who is there?")))[algorithm]


async def room_of_two(on: Stage) -> tuple[SipClient, SipClient]:
    """Alice's room, with bob in it; both log in by themselves."""
    alice = await on.client("alice", password="wonder")
    bob = await on.client("bob", password="geheim")
    for client in (alice, bob):
        assert (await client.message(ROOM, "#join")).status == 200
    await settle(on)
    return alice, bob


async def settle(on: Stage) -> dict[str, list[tuple[str | None, str]]]:
    """What alice and bob got, as event and text. The barrier is each one's message to themselves."""
    found = {}
    for user in ("alice", "bob"):
        client = on.clients[user]
        assert (await client.message(client.address, "barrier")).status == 200
        await client.wait_message(text="barrier", sender=client.address)
        found[user] = [(one.event, one.text) for one in client.take_unread()]
    return found


NOTHING: dict[str, list[tuple[str | None, str]]] = {"alice": [], "bob": []}


# --- digest -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("qop", ["auth", "auth-int"])
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-512-256"])
async def test_each_algorithm_and_qop(tmp_path: Path, algorithm: str, qop: str) -> None:
    async with stage(settings(tmp_path, mode="digest"), ACCOUNTS) as on:
        alice = await on.client("alice", is_registered=False)
        register = alice.build(
            "REGISTER", "sip:example.com", to=alice.address, headers=[("Contact", f"<{alice.contact}>")]
        )
        challenge = challenges(await alice.transact(register))[algorithm]
        assert challenge["realm"] == "example.com"
        assert qop in challenge["qop"].split(",")
        register = alice.build(
            "REGISTER", "sip:example.com", to=alice.address, headers=[("Contact", f"<{alice.contact}>")]
        )
        register.headers.add("Authorization", credentials(challenge, register, "alice", "wonder", qop=qop))
        assert (await alice.transact(register)).status == 200
        create = message(alice, "#create")
        create.headers.add("Authorization", credentials(challenge, create, "alice", "wonder", qop=qop, count=2))
        assert (await alice.transact(create)).status == 200
        await alice.wait_message(event="room-created")


async def test_challenges_offer_what_is_configured(tmp_path: Path) -> None:
    async with stage(settings(tmp_path, "auth.algorithms=SHA-256,MD5", mode="digest"), ACCOUNTS) as on:
        alice = await on.client("alice", is_registered=False)
        response = await alice.transact(message(alice, "#create"))
        assert list(challenges(response)) == ["SHA-256", "MD5"]


async def test_wrong_password_and_unknown_user_look_alike(tmp_path: Path) -> None:
    async with stage(settings(tmp_path, mode="digest"), ACCOUNTS) as on:
        await room_of_two(on)
        answers = []
        for user in ("alice", "nobody"):
            client = await SipClient.open(on.nursery, f"sip:{user}@example.com", on.addresses["udp"], password="wrong")
            response = await client.message(ROOM, "#destroy")
            assert response.status == 401
            answers.append([name for name, _ in response.headers.items()])
        assert answers[0] == answers[1]
        assert await settle(on) == NOTHING


async def test_replay(tmp_path: Path) -> None:
    """The same credentials in another request: 401 with a new nonce, and nothing is done."""
    async with stage(settings(tmp_path, mode="digest"), ACCOUNTS) as on:
        await room_of_two(on)
        sender = await SipClient.open(on.nursery, "sip:alice@example.com", on.addresses["udp"])
        challenge = await challenge_of(sender)
        first = message(sender, "hello")
        value = credentials(challenge, first, "alice", "wonder")
        first.headers.add("Authorization", value)
        assert (await sender.transact(first)).status == 202
        assert await settle(on) == {"alice": [], "bob": [("message", "[alice]: hello")]}
        again = message(sender, "hello")
        again.headers.add("Authorization", value)
        response = await sender.transact(again)
        fresh = challenges(response)["MD5"]
        assert fresh["nonce"] != challenge["nonce"]
        assert fresh["stale"].lower() == "true"  # RFC 7616 §3.3: the password was right
        later = message(sender, "hello")  # counts may leave gaps, but never go back
        for count, status in ((9, 202), (9, 401), (5, 202), (5, 401)):
            later = message(sender, f"number {count}")
            later.headers.add("Authorization", credentials(fresh, later, "alice", "wonder", count=count))
            assert (await sender.transact(later)).status == status, count
        heard = (await settle(on))["bob"]
        assert [text for _, text in heard] == ["[alice]: number 9", "[alice]: number 5"]


async def test_credentials_are_for_one_request(tmp_path: Path) -> None:
    """Of another method, for another address, with another body (auth-int), by another name: 401, and nobody hears."""
    async with stage(settings(tmp_path, mode="digest"), ACCOUNTS) as on:
        await room_of_two(on)
        sender = await SipClient.open(on.nursery, "sip:alice@example.com", on.addresses["udp"])
        challenge = await challenge_of(sender)
        options = sender.build("REGISTER", ROOM)
        elsewhere = message(sender, "hello", "sip:chat-y@example.com")
        other = message(sender, "#help")
        for number, (signed_for, qop) in enumerate(((options, "auth"), (elsewhere, "auth"), (other, "auth-int")), 1):
            forged = message(sender, "#destroy")
            value = credentials(challenge, signed_for, "alice", "wonder", qop=qop, count=number)
            forged.headers.add("Authorization", value)
            assert (await sender.transact(forged)).status == 401
        tampered = message(sender, "#destroy")
        value = credentials(challenge, tampered, "alice", "wonder", count=10)
        for old, new in (
            ("nc=0000000a", "nc=0000000b"),
            ('username="alice"', 'username="bob"'),
            ("qop=auth", "qop=auth-int"),
        ):
            one = message(sender, "#destroy")
            one.headers.add("Authorization", value.replace(old, new))
            assert (await sender.transact(one)).status == 401, new
        assert await settle(on) == NOTHING


async def test_nonce_does_not_outlive_a_restart(tmp_path: Path) -> None:
    config = settings(tmp_path, mode="digest")
    async with stage(config, ACCOUNTS) as on:
        alice = await on.client("alice", is_registered=False)
        challenge = await challenge_of(alice)
    async with stage(config) as on:
        alice = await on.client("alice", is_registered=False)
        late = message(alice, "#create")
        late.headers.add("Authorization", credentials(challenge, late, "alice", "wonder"))
        assert challenges(await alice.transact(late))["MD5"]["nonce"] != challenge["nonce"]


async def test_user_name_with_domain(tmp_path: Path) -> None:
    """As some clients write it: Kamailio's ha1b is there for them."""
    async with stage(settings(tmp_path, mode="digest"), ACCOUNTS) as on:
        alice = await on.client("alice", is_registered=False)
        challenge = await challenge_of(alice)
        create = message(alice, "#create")
        create.headers.add("Authorization", credentials(challenge, create, "alice@example.com", "wonder"))
        assert (await alice.transact(create)).status == 200


# --- forged senders ---------------------------------------------------------------------------------------------------


async def test_forged_from(tmp_path: Path) -> None:
    """K: another address destroyed the owner's room. Here 403, and nobody hears anything."""
    async with stage(settings(tmp_path, mode="digest"), ACCOUNTS) as on:
        alice, bob = await room_of_two(on)
        mallory = await on.client("mallory", password="evil")
        for text in ("#destroy", "#remove bob", "hello"):
            response = await mallory.message(ROOM, text, from_="sip:alice@example.com")
            assert response.status == 403
            assert response.headers.get("Warning") is not None
        assert (await mallory.message(bob.address, "hello", from_="sip:alice@example.com")).status == 403
        # nor can the bindings of somebody else be changed
        theft = await mallory.request(
            "REGISTER", "sip:example.com", to=alice.address, headers=[("Contact", f"<{mallory.contact}>")]
        )
        assert theft.status == 403
        both = await mallory.request(
            "REGISTER",
            "sip:example.com",
            to=alice.address,
            from_=alice.address,
            headers=[("Contact", "*"), ("Expires", "0")],
        )
        assert both.status == 403
        assert mallory.take_unread() == []
        assert await settle(on) == NOTHING
        assert (await alice.message(ROOM, "#members")).status == 200


async def test_without_credentials_nothing_is_heard(tmp_path: Path) -> None:
    """Not even by one user of another; and no state is left behind."""
    async with stage(settings(tmp_path, mode="digest"), ACCOUNTS) as on:
        _, bob = await room_of_two(on)
        stranger = await SipClient.open(on.nursery, "sip:alice@example.com", on.addresses["udp"])
        before = on.daemon.statistics()["requests_accepted"]
        for to in (ROOM, bob.address, "sip:chat-manager@example.com", "sip:nobody@example.com"):
            assert (await stranger.transact(message(stranger, "#destroy", to))).status == 401
        assert (await stranger.register()).status == 401
        assert on.daemon.statistics()["requests_accepted"] == before
        assert await settle(on) == NOTHING


async def test_asserted_identity_of_a_stranger_is_ignored(tmp_path: Path) -> None:
    async with stage(settings(tmp_path, mode="digest"), ACCOUNTS) as on:
        await room_of_two(on)
        mallory = await on.client("mallory", password="evil")
        for name in ("P-Asserted-Identity", "P-Preferred-Identity"):
            headers = [(name, "<sip:alice@example.com>")]
            assert (await mallory.message(ROOM, "#destroy", headers=headers)).status == 403  # an outsider's
            unsigned = await SipClient.open(on.nursery, "sip:mallory@example.com", on.addresses["udp"])
            assert (await unsigned.message(ROOM, "#destroy", headers=headers)).status == 401
        assert await settle(on) == NOTHING
        assert [one.event for one in mallory.take_unread()] == ["not-a-member"] * 2


# --- trusted peers ----------------------------------------------------------------------------------------------------

PEER, STRANGER = "127.0.0.2", "127.0.0.3"


async def from_(on: Stage, ip: str, user: str) -> SipClient:
    return await SipClient.open(on.nursery, f"sip:{user}@example.com", on.addresses["udp"], ip=ip)


def asserting(user: str, *more: tuple[str, str]) -> list[tuple[str, str]]:
    return [("P-Asserted-Identity", f'"{user}" <sip:{user}@example.com>'), *more]


async def test_mode_trusted(tmp_path: Path) -> None:
    """Peers are believed: what they assert, else From. Nobody else is heard."""
    async with stage(settings(tmp_path, f"auth.trusted_peers={PEER}/32", mode="trusted")) as on:
        alice, proxy, stranger = [
            await from_(on, ip, user) for ip, user in ((PEER, "alice"), (PEER, "proxy"), (STRANGER, "alice"))
        ]
        bob = await from_(on, PEER, "bob")
        for client in (alice, bob):
            assert (await client.register()).status == 200
            assert (await client.message(ROOM, "#join")).status == 200
        # asserted: bob speaks, whatever From says
        assert (await proxy.message(ROOM, "hello", headers=asserting("bob"))).status == 202
        assert (await alice.wait_message(event="message")).text == "[bob]: hello"
        for headers in ([], asserting("alice")):
            assert (await stranger.message(ROOM, "#destroy", headers=headers)).status == 403
        assert (await stranger.register()).status == 403
        # RFC 3325 §9.3: who does not want to be shown cannot be shown
        assert (await proxy.message(ROOM, "secret", headers=asserting("bob", ("Privacy", "id")))).status == 403
        two = [("P-Asserted-Identity", "<sip:bob@example.com>, <sip:alice@example.com>")]
        assert (await proxy.message(ROOM, "who?", headers=two)).status == 400
        assert (await alice.message(ROOM, "#members")).status == 200
        events = [one.event for one in alice.take_unread()]
        assert "message" not in events
        assert "room-destroyed" not in events


async def test_peers_beside_digest(tmp_path: Path) -> None:
    """A peer that asserts is believed; one that does not is challenged like everyone else."""
    flags = (f"auth.trusted_peers={PEER}/32", "limits.enabled=false")
    async with stage(settings(tmp_path, *flags, mode="digest"), ACCOUNTS) as on:
        await room_of_two(on)
        proxy = await from_(on, PEER, "proxy")
        assert (await proxy.message(ROOM, "by proxy", headers=asserting("alice"))).status == 202
        assert (await proxy.message(ROOM, "#destroy")).status == 401
        unsigned = await from_(on, PEER, "alice")
        assert (await unsigned.message(ROOM, "#destroy")).status == 401
        stranger = await from_(on, STRANGER, "alice")
        assert (await stranger.message(ROOM, "#destroy", headers=asserting("alice"))).status == 401
        assert await settle(on) == {"alice": [], "bob": [("message", "[alice]: by proxy")]}


async def test_rooms_and_the_manager_do_not_speak(tmp_path: Path) -> None:
    """abuse.md 16, in mode none: 4xx, never answered by a MESSAGE, never registered."""
    async with stage(settings(tmp_path)) as on:
        alice = await on.client("alice")
        assert (await alice.message(ROOM, "#create")).status == 200
        for name in ("chat-x", "chat-other", "chat-manager"):
            forged = await SipClient.open(on.nursery, f"sip:{name}@example.com", on.addresses["udp"])
            for text in ("#join", "hello"):
                assert 400 <= (await forged.message(ROOM, text)).status < 500
            assert 400 <= (await forged.register()).status < 500
            assert (await alice.message(ROOM, f"#invite {name}")).status == 403
            assert forged.messages == []
        assert {one.event for one in (await on.settle(("alice",)))["alice"]} == {"room-created", "address-is-a-room"}
