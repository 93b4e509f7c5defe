"""What travels: over UDP, TCP and IPv6, large and small, again and again, to several contacts, in order."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from conformance.agent.client import NoMessage, Received, SipClient
from imc.sip.message import Headers, Request, Response
from imc.sip.uas import build_response
from tests.e2e.stage import Stage, settings, stage

ROOM = "sip:chat-x@example.com"


def texts(messages: list[Received]) -> list[str]:
    return [one.text for one in messages]


async def join(on: Stage, *clients: SipClient) -> None:
    """They join the room, the first makes it, and what they were told is out of the way."""
    for client in clients:
        assert (await client.message(ROOM, "#join")).status == 200
    await on.settle({client.user for client in clients})


def answer(client: SipClient, request: Request, status: int = 200) -> None:
    """Answer what the client has been silent about."""
    client.send_raw(build_response(request, status, to_tag=client.tag).render())


def changed(request: Request, **headers: str) -> Request:
    """A copy with other headers; ``_`` stands for a hyphen."""
    fields = Headers(request.headers.items())
    for name, value in headers.items():
        fields.set(name.replace("_", "-"), value)
    return Request(request.method, request.uri, fields, request.body)


# --- transports -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ip", ["127.0.0.1", "[::1]"])
async def test_udp_and_tcp_clients_talk(tmp_path: Path, ip: str) -> None:
    """Answers come on the connection of the request, copies on the one that registered: none is opened."""
    async with stage(settings(tmp_path, f"sip.listen=udp:{ip}:0,tcp:{ip}:0")) as on:
        alice, bob = await on.client("alice"), await on.client("bob", transport="tcp")
        await join(on, alice, bob)
        assert (await alice.message(ROOM, "over UDP")).status == 202
        heard = await bob.wait_message(text="[alice]: over UDP")
        assert (await bob.message(ROOM, "over TCP")).status == 202
        said = await alice.wait_message(text="[bob]: over TCP")
        assert (heard.source, said.source) == ("tcp", "udp")
        assert (heard.request.via.transport, said.request.via.transport) == ("TCP", "UDP")
        host = ip.strip("[]")
        assert said.request.via.sent_by in (f"{ip}:{on.addresses['udp'][1]}",)
        assert on.addresses["udp"][0] == host
        statistics = on.daemon.statistics()
        assert (statistics["tcp_accepted"], statistics["tcp_opened"]) == (1, 0)


async def test_tcp_client_comes_again(tmp_path: Path) -> None:
    """Its connection is gone: nothing can be sent until it registers on another one, then all goes there."""
    async with stage(settings(tmp_path)) as on:
        alice, bob = await on.client("alice"), await on.client("bob", transport="tcp")
        await join(on, alice, bob)
        bob.close()
        with trio.fail_after(5):
            while on.daemon.statistics()["tcp_connections"]:
                await trio.lowlevel.checkpoint()
        assert (await alice.message(bob.address, "to nobody")).status == 503
        again = await on.client("bob", transport="tcp")
        assert (await alice.message(ROOM, "back")).status == 202
        assert (await again.wait_message(text="[alice]: back")).source == "tcp"


async def test_streams_in_pieces_and_together(tmp_path: Path) -> None:
    """Requests in one segment, one byte at a time, after keep-alives; each gets its answer."""
    async with stage(settings(tmp_path)) as on:
        alice = await on.client("alice")
        stream = await trio.open_tcp_stream(*on.addresses["tcp"])
        async with stream:
            one, two, three = (
                alice.build("OPTIONS", "sip:example.com", headers=[("X-Number", str(number))]) for number in range(3)
            )
            for request in (one, two, three):
                request.headers.set("Via", request.headers.all("Via")[0].replace("/UDP", "/TCP"))
            await stream.send_all(b"\r\n\r\n" + one.render() + two.render())
            for byte in three.render():
                await stream.send_all(bytes([byte]))
            got = b""
            with trio.fail_after(5):
                while got.count(b"SIP/2.0 200 OK") < 3:
                    got += await stream.receive_some()
            assert got.startswith(b"\r\n")  # RFC 5626 §3.5.1: the pong
            assert [got.count(str(each.call_id).encode()) for each in (one, two, three)] == [1, 1, 1]


# --- sizes ------------------------------------------------------------------------------------------------------------


async def test_large_text_goes_by_tcp(tmp_path: Path) -> None:
    """RFC 3261 §18.1.1: over 1,300 bytes, to whom it is possible, and in its place among the others."""
    async with stage(settings(tmp_path)) as on:
        alice = await on.client("alice")
        bob = await on.client("bob", takes_tcp=True)
        carol = await on.client("carol", transport="tcp")
        await join(on, alice, bob, carol)
        large = "x" * 2_000
        for text in ("before", large, "after"):
            assert (await alice.message(ROOM, text)).status == 202
        for client in (bob, carol):
            got = [await client.wait_message(text=f"[alice]: {text}") for text in ("before", large, "after")]
            assert got == sorted(got, key=lambda one: one.at)
            assert [one.source for one in got] == (["udp", "tcp", "udp"] if client is bob else ["tcp"] * 3)
        assert (await alice.message(bob.address, large)).status == 200  # between two people as well
        assert (await bob.wait_message(text=large)).source == "tcp"


async def test_large_text_is_refused_where_someone_takes_no_tcp(tmp_path: Path) -> None:
    """abuse.md: the sender gets 413, not 202, and nobody gets anything."""
    async with stage(settings(tmp_path)) as on:
        alice = await on.client("alice")
        bob = await on.client("bob", takes_tcp=True)
        carol = await on.client("carol")
        await join(on, alice, bob, carol)
        refused = await alice.message(ROOM, "x" * 2_000)
        assert (refused.status, refused.headers.get("IMC-Event")) == (413, "text-too-long")
        assert (await alice.message(carol.address, "x" * 2_000)).status in (413, 513)
        assert await on.settle(("bob", "carol")) == {"bob": [], "carol": []}
        assert (await carol.message(ROOM, "#leave")).status == 200
        await on.settle(("bob",))
        assert (await alice.message(ROOM, "y" * 2_000)).status == 202
        assert (await bob.wait_message(event="message")).source == "tcp"


async def test_600_bytes_always_arrive(tmp_path: Path) -> None:
    """By datagram, whatever the names are: as long as the tables hold, and with all that a copy may carry."""
    user = "a" * 52
    room = f"sip:chat-{'r' * 43}@example.com"
    async with stage(settings(tmp_path, f"imc.extra_hdrs=X-Extra: {'e' * 60}\r\n")) as on:
        alice, bob = await on.client(user), await on.client("b" * 52)
        carol = await on.client("c" * 52, takes_tcp=True)
        for client in (alice, bob, carol):
            assert (await client.message(room, "#join")).status == 200
        await on.settle()
        text = "x" * 600
        headers = [("Subject", "s" * 40), ("Priority", "urgent")]
        assert (await alice.message(room, text, headers=headers)).status == 202
        got = await bob.wait_message(text=f"[{user}]: {text}")
        assert got.source == "udp"
        assert 1_300 < len(got.request.render()) < 1_500  # TCP was tried, and refused (RFC 3261 §18.1.1)
        assert (await carol.wait_message(text=f"[{user}]: {text}")).source == "tcp"
        assert (await alice.message(bob.address, text, headers=headers)).status == 200


async def test_too_long_for_the_server(tmp_path: Path) -> None:
    async with stage(settings(tmp_path, "limits.max_text=1000", "sip.max_body=3000")) as on:
        alice = await on.client("alice", transport="tcp")
        bob = await on.client("bob", transport="tcp")
        await join(on, alice, bob)
        assert (await alice.message(ROOM, "x" * 1_000)).status == 202
        await bob.wait_message(event="message")
        assert (await alice.message(ROOM, "x" * 1_001)).status == 413
        assert (await alice.message(ROOM, "x" * 3_001)).status == 413
        assert await on.settle(("bob",)) == {"bob": []}


async def test_long_lists_come_in_pages(tmp_path: Path) -> None:
    async with stage(settings(tmp_path, "limits.enabled=false")) as on:
        alice = await on.client("alice")
        rooms = [f"sip:chat-{'x' * 30}{number:02}@example.com" for number in range(40)]
        for room in rooms:
            assert (await alice.message(room, "#create")).status == 200
        await on.settle()
        assert (await alice.message("sip:chat-manager@example.com", "#rooms")).status == 200
        pages = (await on.settle())["alice"]
        assert len(pages) > 1
        assert {one.event for one in pages} == {"room-list"}
        assert all(one.source == "udp" and len(one.request.render()) <= 1_300 for one in pages)
        shown = "\n".join(texts(pages))
        assert [room for room in rooms if room.removeprefix("sip:") not in shown] == []


# --- the same request again -------------------------------------------------------------------------------------------


async def test_repeated_request_is_answered_alike_and_done_once(tmp_path: Path) -> None:
    """R-ORDER-3, RFC 3261 §17.2.2."""
    async with stage(settings(tmp_path)) as on:
        alice, bob = await on.client("alice"), await on.client("bob")
        await join(on, alice, bob)
        for body, status in ((b"hello", 202), (b"#invite carol", 200), (b"#nonsense", 400)):
            request = alice.build("MESSAGE", ROOM, headers=[("Content-Type", "text/plain")], body=body)
            first = await alice.transact(request)
            again = [await alice.transact(request) for _ in range(3)]
            assert first.status == status
            assert {one.render() for one in again} == {first.render()}
        received = await on.settle(("alice", "bob"))
        assert {user: [one.event for one in messages] for user, messages in received.items()} == {
            "alice": ["invitation-sent", "invitation-waiting", "unknown-command"],
            "bob": ["message"],
        }
        causes = [one.request.headers.get("In-Reply-To") for one in received["alice"]]
        assert causes[0] == causes[1] is not None  # R-ANSWER-6: what waits is this very invitation


async def test_repeated_before_the_answer_is_done_once(tmp_path: Path) -> None:
    async with stage(settings(tmp_path)) as on:
        alice, bob = await on.client("alice"), await on.client("bob")
        await join(on, alice, bob)
        request = alice.build("MESSAGE", ROOM, headers=[("Content-Type", "text/plain")], body=b"hello")
        for _ in range(5):
            alice.send_raw(request.render())
        assert (await alice.transact(request)).status == 202
        assert texts((await on.settle(("bob",)))["bob"]) == ["[alice]: hello"]


async def test_same_request_by_another_way_is_a_loop(tmp_path: Path) -> None:
    """RFC 3261 §8.2.2.2: same Call-ID, CSeq and From tag, another branch."""
    async with stage(settings(tmp_path)) as on:
        alice, bob = await on.client("alice"), await on.client("bob")
        await join(on, alice, bob)
        request = alice.build("MESSAGE", ROOM, headers=[("Content-Type", "text/plain")], body=b"hello")
        assert (await alice.transact(request)).status == 202
        via = request.headers.all("Via")[0]
        merged = changed(request, Via=via.replace("z9hG4bK", "z9hG4bKother"))
        assert (await alice.transact(merged)).status == 482
        assert texts((await on.settle(("bob",)))["bob"]) == ["[alice]: hello"]


async def test_copy_that_comes_back_is_a_loop(tmp_path: Path) -> None:
    """abuse.md 16: a member whose program sends back what it gets."""
    async with stage(settings(tmp_path)) as on:
        alice, bob = await on.client("alice"), await on.client("bob")
        await join(on, alice, bob)
        assert (await alice.message(ROOM, "hello")).status == 202
        copy = await bob.wait_message(event="message")
        kept = ("Content-Type", "IMC-Event", "IMC-Hop")
        headers = [(name, copy.request.headers.get(name) or "") for name in kept]
        back = bob.build("MESSAGE", ROOM, headers=headers, body=copy.request.body)
        assert (await bob.transact(back)).status == 482
        assert await on.settle() == {"alice": [], "bob": []}


# --- what is understood -----------------------------------------------------------------------------------------------


async def test_options(tmp_path: Path) -> None:
    async with stage(settings(tmp_path)) as on:
        alice = await on.client("alice")
        ip, port = on.addresses["udp"]
        for uri in ("sip:example.com", f"sip:{ip}:{port}", ROOM, "sip:nobody@example.com"):
            response = await alice.request("OPTIONS", uri)
            assert response.status == 200, uri
            assert set(response.headers.values("Allow")) == {"MESSAGE", "OPTIONS", "REGISTER", "SUBSCRIBE"}
            assert response.headers.get("Accept") == "*/*"
            assert "path" in response.headers.values("Supported")
        assert (await alice.request("OPTIONS", "sip:elsewhere.example")).status == 404


async def test_what_is_not_understood(tmp_path: Path) -> None:
    async with stage(settings(tmp_path)) as on:
        alice = await on.client("alice")
        plain = [("Content-Type", "text/plain")]

        async def ask(method: str, uri: str, *headers: tuple[str, str]) -> Response:
            return await alice.request(method, uri, headers=[*plain, *headers], body=b"#help", to=ROOM)

        for method in ("INVITE", "NOTIFY", "NONSENSE"):
            response = await ask(method, ROOM)
            assert response.status == 405
            assert set(response.headers.values("Allow")) == {"MESSAGE", "OPTIONS", "REGISTER", "SUBSCRIBE"}
        assert (await ask("MESSAGE", "mailto:chat-x@example.com")).status == 416
        response = await ask("MESSAGE", ROOM, ("Require", "path, nonsense"))
        assert (response.status, response.headers.get("Unsupported")) == (420, "nonsense")
        response = await ask("MESSAGE", ROOM, ("Content-Encoding", "gzip"))
        assert (response.status, response.headers.get("Accept-Encoding")) == (415, "identity")
        last = alice.build("MESSAGE", ROOM, headers=[*plain, ("Proxy-Require", "nonsense")], body=b"#help")
        assert (await alice.transact(changed(last, Max_Forwards="0"))).status == 200
        assert (await ask("MESSAGE", "sip:chat-x@elsewhere.example")).status == 200  # To names the room
        received = await on.settle()
        assert {one.event for one in received["alice"]} == {"help"}
        assert len({one.request.headers.get("In-Reply-To") for one in received["alice"]}) == 2


# --- several contacts, and silence ------------------------------------------------------------------------------------


async def test_contacts_in_order_of_q(tmp_path: Path) -> None:
    """The highest q alone; a lower one when those above have failed; two of one q both."""
    async with stage(settings(tmp_path)) as on:
        alice = await on.client("alice")
        desk = await on.client("bob", is_registered=False)
        phone = await on.client("bob", is_registered=False)
        assert (await desk.register(contact=f"<{desk.contact}>;q=0.9")).status == 200
        assert (await phone.register(contact=f"<{phone.contact}>;q=0.2")).status == 200
        assert (await alice.message(desk.address, "one")).status == 200
        assert (texts(desk.take_unread()), texts(phone.take_unread())) == (["one"], [])
        desk.answer = 480
        assert (await alice.message(desk.address, "two")).status == 200
        assert (texts(desk.take_unread()), texts(phone.take_unread())) == (["two"], ["two"])
        desk.answer = 603  # RFC 3261 §16.7 item 5: a 6xx ends the search
        assert (await alice.message(desk.address, "three")).status == 603
        assert (texts(desk.take_unread()), texts(phone.take_unread())) == (["three"], [])
        desk.answer = phone.answer = 480
        assert (await alice.message(desk.address, "four")).status == 480
        assert (texts(desk.take_unread()), texts(phone.take_unread())) == (["four"], ["four"])
        desk.answer = phone.answer = 200
        assert (await phone.register(contact=f"<{phone.contact}>;q=0.9")).status == 200
        assert (await alice.message(desk.address, "five")).status == 200
        await desk.wait_message(text="five")
        await phone.wait_message(text="five")


async def test_silent_contact_delays_nobody(tmp_path: Path) -> None:
    """R-ORDER-2: neither another member nor the same person's other device; and a late one gets all, in order."""
    async with stage(settings(tmp_path)) as on:
        alice, carol = await on.client("alice"), await on.client("carol")
        silent = await on.client("bob")
        awake = await on.client("bob")
        await join(on, alice, carol, awake)
        silent.take_unread()
        silent.answer = None
        said = [f"text {number}" for number in range(10)]
        for text in said:
            assert (await alice.message(ROOM, text)).status == 202
        for client in (carol, awake):
            got = [await client.wait_message(event="message") for _ in said]
            assert texts(got) == [f"[alice]: {text}" for text in said]
        (stuck,) = silent.take_unread()
        assert stuck.text == "[alice]: text 0"
        silent.answer = 200
        answer(silent, stuck.request)
        got = [await silent.wait_message(event="message") for _ in said[1:]]
        assert texts(got) == [f"[alice]: {text}" for text in said[1:]]


async def test_one_in_flight_for_each_recipient(tmp_path: Path) -> None:
    """RFC 3428 §8, under overlapping messages of several senders and rooms: the next leaves when one is answered."""
    async with stage(settings(tmp_path)) as on:
        alice, carol, bob = [await on.client(name) for name in ("alice", "carol", "bob")]
        await join(on, alice, carol, bob)
        other = "sip:chat-y@example.com"
        for client in (carol, bob):
            assert (await client.message(other, "#join")).status == 200
        await on.settle()
        bob.answer = None
        statuses: list[int] = []

        async def say(client: SipClient, room: str, text: str) -> None:
            statuses.append((await client.message(room, text)).status)

        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(say, alice, ROOM, f"a {number}")
                nursery.start_soon(say, carol, other, f"c {number}")
        assert statuses == [202] * 20
        seen = []
        for _ in range(20):
            received = await bob.wait_message(event="message")
            seen.append(received.text)
            assert bob.take_unread() == []
            answer(bob, received.request)
        wanted = {f"[alice]: a {number}" for number in range(10)} | {f"[carol]: c {number}" for number in range(10)}
        assert set(seen) == wanted
        with pytest.raises(NoMessage):
            await bob.wait_message(within=0)


# --- between two people -----------------------------------------------------------------------------------------------


async def test_relay(tmp_path: Path) -> None:
    """Headers and body as they came, From the sender's; the status is the recipient's."""
    async with stage(settings(tmp_path)) as on:
        alice, bob = await on.client("alice"), await on.client("bob")
        assert (await alice.message("sip:nobody@example.com", "hello")).status == 404
        for status in (200, 202, 415, 486, 600):
            bob.answer = status
            response = await alice.message(
                bob.address,
                "[x]: ü\r\n#join",
                headers=[("Subject", "s"), ("IMC-Event", "forged"), ("In-Reply-To", "x")],
            )
            assert response.status == status
            got = await bob.wait_message()
            assert (got.text, got.sender, got.request.uri) == ("[x]: ü\r\n#join", alice.address, bob.contact)
            assert got.request.headers.get("Subject") == "s"
            assert got.request.headers.get("Content-Type") == "text/plain;charset=UTF-8"
            assert got.event is None
            assert "In-Reply-To" not in got.request.headers
        bob.answer = 200
        assert (await alice.message(alice.address, "to myself")).status == 200
        assert (await bob.register(expires=0)).status == 200
        assert (await alice.message(bob.address, "gone")).status == 404


# --- contents ---------------------------------------------------------------------------------------------------------


async def test_automatic_messages_are_not_answered(tmp_path: Path) -> None:
    """R-ANSWER-4. What they do to others is told as ever."""
    composing = "application/im-iscomposing+xml"
    async with stage(settings(tmp_path)) as on:
        alice, bob = await on.client("alice"), await on.client("bob")
        await join(on, alice, bob)
        automatic = [("Auto-Submitted", "auto-generated")]
        for to, body, status in (
            (ROOM, "#help", 200),
            (ROOM, "#nonsense", 400),
            (ROOM, "#destroy", 403),
            ("sip:chat-manager@example.com", "hello", 404),
            (ROOM, "#leave", 200),
        ):
            assert (await bob.message(to, body, headers=automatic)).status == status
        assert (await bob.message("sip:chat-manager@example.com", "<x/>", content_type=composing)).status == 404
        received = await on.settle()
        assert received["bob"] == []
        assert [one.event for one in received["alice"]] == ["member-left"]
        assert (await bob.message(ROOM, "#help", headers=[("Auto-Submitted", "no")])).status == 200
        await bob.wait_message(event="help")


async def test_headers_of_the_sender(tmp_path: Path) -> None:
    """R-MSG-11: what speaks for imc is never relayed; what describes the text is."""
    async with stage(settings(tmp_path)) as on:
        alice, bob = await on.client("alice"), await on.client("bob")
        await join(on, alice, bob)
        forged = [("IMC-Event", "you-were-removed"), ("In-Reply-To", "x"), ("Subject", "lunch"), ("X-Other", "y")]
        forged += [("Reply-To", "<sip:mallory@example.com>"), ("P-Asserted-Identity", "<sip:mallory@example.com>")]
        assert (await alice.message(ROOM, "hello", headers=forged)).status == 202
        got = await bob.wait_message(text="[alice]: hello")
        assert got.event == "message"
        assert got.display == "alice"
        assert got.request.headers.get("Subject") == "lunch"
        for name in ("In-Reply-To", "X-Other", "Reply-To", "P-Asserted-Identity"):
            assert name not in got.request.headers


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"a": "[x]"}\n'),
        (
            "message/cpim",
            b"From: <sip:alice@example.com>\r\nTo: <sip:chat-x@example.com>\r\nDateTime: 2026-01-01T00:00:00Z\r\n\r\n"
            b"Content-Type: text/plain\r\n\r\nhi",
        ),
        (
            'multipart/mixed; boundary="b 1"',
            b"preamble\r\n--b 1\r\nContent-Type: text/plain\r\n\r\n#destroy\r\n"
            b"--b 1\r\nContent-Type: image/png\r\n\r\n\x89PNG\x00\r\n--b 1--",
        ),
        ("application/octet-stream", bytes(range(256))),
        ('text/html; charset="iso-8859-1"; x=y', b"<p>\xfc</p>"),
        ("application/im-iscomposing+xml", b"<isComposing/>"),
        ("text/plain-not", b"#destroy"),
    ],
)
async def test_other_types_keep_their_bytes(tmp_path: Path, content_type: str, body: bytes) -> None:
    async with stage(settings(tmp_path)) as on:
        alice, bob = await on.client("alice"), await on.client("bob")
        await join(on, alice, bob)
        assert (await alice.message(ROOM, body, content_type=content_type)).status == 202
        got = await bob.wait_message(event="message")
        assert (got.request.headers.get("Content-Type"), got.request.body) == (content_type, body)


async def test_charsets_and_nul(tmp_path: Path) -> None:
    """R-MSG-8, R-MSG-9: in UTF-8 whatever it was, whole, or refused."""
    async with stage(settings(tmp_path)) as on:
        alice, bob = await on.client("alice"), await on.client("bob")
        await join(on, alice, bob)
        for content_type, body, text in (
            ("text/plain", "grüße".encode(), "grüße"),
            ("text/plain;charset=ISO-8859-1", "grüße".encode("latin-1"), "grüße"),
            ('text/plain; charset="windows-1251"', "привет".encode("cp1251"), "привет"),
            ("text/plain;charset=utf-16", "日本".encode("utf-16"), "日本"),
            ("text/plain;charset=UTF-16LE", "a\r\nb".encode("utf-16-le"), "a\r\n| b"),
            ("text/plain", b"a\0b", "a\0b"),
            ("text/plain", b"\0", "\0"),
        ):
            assert (await alice.message(ROOM, body, content_type=content_type)).status == 202, content_type
            got = await bob.wait_message(event="message")
            assert got.request.body == f"[alice]: {text}".encode()
            assert got.request.headers.get("Content-Type") == "text/plain;charset=utf-8"
        for content_type, body, status in (
            ("text/plain;charset=x-none", b"hello", 415),
            ("text/plain;charset=rot13", b"hello", 415),
            ("text/plain;charset=us-ascii;charset", b"\xff", 400),
            ("text/plain", b"\xff\xfe", 400),
        ):
            response = await alice.message(ROOM, body, content_type=content_type)
            accept = "text/plain;charset=utf-8" if status == 415 else None  # RFC 3261 §21.4.13
            assert (response.status, response.headers.get("Accept")) == (status, accept), content_type
        # a command in another charset is a command
        utf16 = "#help".encode("utf-16-le")
        assert (await alice.message(ROOM, utf16, content_type="text/plain;charset=utf-16le")).status == 200
        await alice.wait_message(event="help")
        assert await on.settle(("bob",)) == {"bob": []}
