"""Clauses of spec/sip.md that only the whole shows: what a daemon on real sockets answers, and where it sends."""

from __future__ import annotations

import struct
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET

import pytest
import trio

from imc.aor import Aor
from imc.delivery.hops import Contact
from imc.registrar.bindings import Binding, Bindings
from imc.service.location import Location
from imc.sip.message import Response, parse_message
from imc.sip.uas import build_response
from tests.e2e.stage import settings, stage

ROOM = "sip:chat-a@example.com"
BOB = Aor("bob", "example.com")


# -- answers ----------------------------------------------------------------------------------------------------------


async def test_options_are_for_the_server_and_its_domains(tmp_path: Path) -> None:
    # spec S-UAS-5
    async with stage(settings(tmp_path, mode="digest")) as on:
        alice = await on.client("alice", is_registered=False)
        for uri in ("sip:example.com", "sip:127.0.0.1", "sip:anyone@example.com"):
            response = await alice.request("OPTIONS", uri)
            assert response.status == 200
            assert response.headers.get("Allow") == "MESSAGE, OPTIONS, REGISTER, SUBSCRIBE"
            assert {"Accept", "Accept-Encoding", "Accept-Language", "Supported"} <= {
                name for name, _ in response.headers.items()
            }
        assert (await alice.request("OPTIONS", "sip:other.example")).status == 404
        assert on.daemon.statistics()["server_transactions"] == 0


async def test_who_is_not_known_leaves_nothing_behind(tmp_path: Path) -> None:
    # spec S-TXS-9, S-UAS-1: what is not understood is refused before anyone is asked for a password
    async with stage(settings(tmp_path, mode="digest"), {"alice": "secret"}) as on:
        alice = await on.client("alice", is_registered=False)
        assert (await alice.message(ROOM, "#create")).status == 401
        assert (await alice.request("INVITE", ROOM)).status == 405
        assert (await alice.request("MESSAGE", ROOM, headers=[("Require", "magic")])).status == 420
        assert on.daemon.statistics()["server_transactions"] == 0
        known = await on.client("alice", password="secret")
        assert (await known.message(ROOM, "#create")).status == 200
        assert on.daemon.statistics()["server_transactions"] == 2  # REGISTER and MESSAGE


async def test_the_answer_to_a_message_has_no_body_and_no_contact(tmp_path: Path) -> None:
    # spec S-UAS-7
    async with stage(settings(tmp_path)) as on:
        alice = await on.client("alice")
        for text, status in (("#create", 200), ("hello", 202), ("#accept", 403)):
            response = await alice.message(ROOM, text)
            assert (response.status, response.body, response.headers.get("Contact")) == (status, b"", None)
            assert ("Warning" in response.headers) == (status == 403)


async def test_an_answer_takes_a_new_connection_where_the_old_one_is_gone(tmp_path: Path) -> None:
    # spec S-VIA-4
    async with stage(settings(tmp_path)) as on:
        bob = await on.client("bob")
        bob.answer = None
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        sent_by = "{}:{}".format(*listener.socket.getsockname())
        stream = await trio.open_tcp_stream(*on.addresses["tcp"])
        await stream.send_all(
            f"MESSAGE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/TCP {sent_by};branch=z9hG4bKx\r\n"
            "From: <sip:alice@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: c\r\nCSeq: 1 MESSAGE\r\n"
            "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi".encode()
        )
        received = await bob.wait_message(text="hi")
        stream.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))  # closed by a reset: it is gone at once
        await stream.aclose()
        while on.daemon.statistics()["tcp_connections"]:
            await trio.lowlevel.checkpoint()
        bob.send_raw(build_response(received.request, 200, to_tag=bob.tag).render())
        again = await listener.accept()
        answer = parse_message(bytes(await again.receive_some()), is_datagram=False)
        assert isinstance(answer, Response)
        assert (answer.status, answer.via.branch) == (200, "z9hG4bKx")
        await again.aclose()
        await listener.aclose()


# -- from user to user ------------------------------------------------------------------------------------------------


async def test_a_message_to_a_user_is_answered_as_the_user_answers(tmp_path: Path) -> None:
    # spec S-RELAY-1
    async with stage(settings(tmp_path)) as on:
        alice, bob = await on.client("alice"), await on.client("bob")
        response = await alice.message("sip:bob@example.com", b"\x00\xff", content_type="application/octet-stream")
        assert response.status == 200
        (received,) = bob.take_unread()
        assert (received.request.body, received.request.headers.get("Content-Type")) == (
            b"\x00\xff",
            "application/octet-stream",
        )
        assert received.sender == "sip:alice@example.com"
        bob.answer = 486
        assert (await alice.message("sip:bob@example.com", "busy?")).status == 486
        await on.settle(["alice"])
        assert await trio.to_thread.run_sync(lambda: list(on.daemon._store.load_outbox(10, 0))) == []


async def test_who_is_not_there_and_who_are_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # spec S-RELAY-3
    async with stage(settings(tmp_path)) as on:
        alice = await on.client("alice")
        assert (await alice.message("sip:bob@example.com", "hi")).status == 404
        await on.client("bob")
        monkeypatch.setattr("imc.service.relay._MAX_WAITING", 0)
        response = await alice.message("sip:bob@example.com", "hi")
        assert (response.status, response.headers.get("Retry-After")) == (503, "5")


# -- the way to a recipient -------------------------------------------------------------------------------------------


def location(outbound_proxy: str | None = None, *bindings: Binding) -> Location:
    table = Bindings()
    table.load(bindings, 0.0)
    return Location(
        table,
        domains=lambda: ("example.com",),
        outbound_proxy=outbound_proxy,
        wall=lambda: 0.0,
        is_open=lambda _flow: True,
    )


def bound(contact: str) -> Binding:
    return Binding(aor=BOB, contact=contact, expires_wall=60.0, call_id="c", cseq=1, registered_wall=0.0)


def test_everything_goes_to_the_outbound_proxy() -> None:
    # spec S-HOP-1
    loose, strict = "sip:192.0.2.7:5070;lr", "sip:192.0.2.7:5070"
    here = bound("sip:bob@192.0.2.9")
    assert location(loose, here).contacts(BOB) == [
        Contact("sip:bob@example.com", next_hop=loose, routes=("<sip:192.0.2.7:5070;lr>",))
    ]
    assert location(strict, here).contacts(BOB) == [Contact("sip:bob@example.com", next_hop=strict)]


def test_contacts_else_where_the_address_leads_else_nowhere() -> None:
    # spec S-HOP-2
    (found,) = location(None, bound("sip:bob@192.0.2.9")).contacts(BOB)
    assert found.uri == "sip:bob@192.0.2.9"
    assert location().contacts(BOB) == []
    assert location().contacts(Aor("bob", "other.example")) == [
        Contact("sip:bob@other.example", next_hop="sip:bob@other.example")
    ]
