"""The player, against servers that behave in one way each: what is right passes, and each fault is seen."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from conformance.suite.features import FEATURES
from conformance.suite.verdict import CaseVerdict
from conformance.suite.wire_case import WireCase
from conformance.suite.wire_player import WirePlace, play_wire
from conformance.suite.wire_reply import read

PATIENCE = 0.3
Behave = Callable[[bytes], list[bytes] | None]
"""What a server answers to a message that is no barrier; None: it closes the connection."""


def reply(data: bytes, status: str = "200 OK", *more: str) -> bytes:
    request = read(data)
    lines = [f"SIP/2.0 {status}", *(f"Via: {each}" for each in request.all("Via")), f"To: {request.all('To')[0]};tag=1"]
    lines += [f"{name}: {request.all(name)[0]}" for name in ("From", "Call-ID", "CSeq")]
    return ("\r\n".join([*lines, *more, "Content-Length: 0"]) + "\r\n\r\n").encode()


class Fake:
    """Answers barriers, unless it is deaf; everything else is left to ``behave``. Over TCP a ping gets a pong."""

    def __init__(self, behave: Behave, *, is_deaf: bool = False) -> None:
        self.behave = behave
        self.is_deaf = is_deaf
        self.pieces = 0
        self.messages: list[bytes] = []

    def answer(self, data: bytes) -> list[bytes] | None:
        if b"barrier-" in data:
            return [] if self.is_deaf else [reply(data)]
        self.messages.append(data)
        return self.behave(data)

    async def datagrams(self, sock: trio.socket.SocketType) -> None:
        while True:
            data, source = await sock.recvfrom(65535)
            for each in self.answer(data) or []:
                await sock.sendto(each, source)

    async def stream(self, stream: trio.SocketStream) -> None:
        buffer = b""
        async for data in stream:
            self.pieces += 1
            buffer += data
            while found := re.match(rb"\r\n\r\n|[^\r].*?\r\n\r\n", buffer, re.DOTALL):
                buffer = buffer[found.end() :]
                answers = [b"\r\n"] if found[0] == b"\r\n\r\n" else self.answer(found[0])
                if answers is None:
                    return
                for each in answers:
                    await stream.send_all(each)


@asynccontextmanager
async def serving(fake: Fake) -> AsyncIterator[WirePlace]:
    async with trio.open_nursery() as nursery:
        sock = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        await sock.bind(("127.0.0.1", 0))
        nursery.start_soon(fake.datagrams, sock)

        async def accept(stream: trio.SocketStream) -> None:
            async with stream:
                await fake.stream(stream)

        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, accept, [listener])
        addresses = {"udp": sock.getsockname()[:2], "tcp": listener.socket.getsockname()[:2]}
        features = frozenset(FEATURES) - {"ws"}
        yield WirePlace(domain="example.com", addresses=addresses, features=features)
        nursery.cancel_scope.cancel()
        sock.close()


def make(expect: dict[str, Any], *more: dict[str, Any], **case: Any) -> WireCase:
    message = "WIGGLE sip:{domain} SIP/2.0\n{usual}\nCSeq: 1 WIGGLE\nContent-Length: 0\n\n"
    steps = [{"message": message, "expect": expect}, *more]
    return WireCase.model_validate(
        {"id": "some/thing", "rfc": 3261, "section": "7", "title": "t", "says": "s", "step": steps, **case}
    )


async def play(case: WireCase, behave: Behave, *, is_deaf: bool = False) -> tuple[CaseVerdict, Fake]:
    fake = Fake(behave, is_deaf=is_deaf)
    async with serving(fake) as place:
        return await play_wire(case, place, patience=PATIENCE), fake


async def test_an_answer() -> None:
    verdict, fake = await play(make({"status": 200, "copied": True, "to_tag": True}), lambda data: [reply(data)])
    assert (verdict.outcome, verdict.why) == ("passed", "")
    assert [(step.expected, step.seen, step.status) for step in verdict.steps] == [("200", "200 OK", 200)] * 2
    assert [step.words.partition(":")[0] for step in verdict.steps] == ["udp", "tcp, whole"]
    assert [(arrow.source, arrow.target, arrow.summary) for arrow in verdict.ladder] == [
        ("first", "server", "WIGGLE sip:example.com SIP/2.0"),
        ("server", "first", "SIP/2.0 200 OK"),
    ] * 2
    assert verdict.ladder[0].data == fake.messages[0]


async def test_provisional_answers_are_not_looked_at() -> None:
    verdict, _ = await play(make({"status": 200}), lambda data: [reply(data, "100 Trying"), reply(data)])
    assert verdict.outcome == "passed"
    case = make({"status": 200, "provisional": 0})
    verdict, _ = await play(case, lambda data: [reply(data, "100 Trying"), reply(data)])
    assert verdict.why == "udp step 1: 1 provisional answers came, not 0"


async def test_another_answer_and_a_second_one() -> None:
    verdict, _ = await play(make({"status": 200}), lambda data: [reply(data, "404 Not Found")])
    assert (verdict.outcome, verdict.why) == ("failed", "udp step 1: 404 in place of 200")
    assert len(verdict.steps) == 1  # the variants behind it are not played
    verdict, _ = await play(make({"status": 200}, transport=["udp"]), lambda data: [reply(data), reply(data)])
    assert verdict.why == "udp step 1: answered 2 times"


async def test_silence() -> None:
    verdict, _ = await play(make({"status": "silence"}), lambda data: [])
    assert verdict.outcome == "passed"
    assert verdict.seconds < PATIENCE
    verdict, _ = await play(make({"status": [200, 400]}), lambda data: [])
    assert verdict.why == "udp step 1: silence in place of 200 or 400"
    verdict, _ = await play(make({"status": "silence"}), lambda data: [reply(data)])
    assert verdict.why == "udp step 1: 200 in place of silence"


async def test_a_server_that_is_dead_afterwards() -> None:
    verdict, _ = await play(make({"status": "silence"}, transport=["udp"]), lambda data: [], is_deaf=True)
    assert verdict.outcome == "failed"
    assert "the server answers nobody any more" in verdict.why


async def test_a_connection_that_ends() -> None:
    verdict, _ = await play(make({"status": "silence", "tcp": "closed"}), lambda data: None)
    assert verdict.outcome == "passed"
    verdict, _ = await play(make({"status": "silence"}), lambda data: None)
    assert verdict.why == "tcp, whole step 1: closed in place of silence"
    verdict, _ = await play(make({"status": "closed"}, transport=["tcp"]), lambda data: [])
    assert verdict.why == "tcp, whole step 1: silence in place of closed"


async def test_pings() -> None:
    ping = {"message": "\n\n", "expect": {"status": "silence", "pongs": 1}}
    case = make({"status": 200}, ping, transport=["tcp"], split=["whole", "bytes", "joined"])
    verdict, _ = await play(case, lambda data: [reply(data)])
    assert (verdict.outcome, verdict.why) == ("passed", "")
    assert len(verdict.steps) == 6


async def test_what_is_not_whole() -> None:
    rest = {"message": "Subject: more\n\n", "expect": {"status": 200}}
    head = {
        "message": "WIGGLE sip:x SIP/2.0\n{usual}\nCSeq: 1 WIGGLE\n",
        "is_whole": False,
        "expect": {"status": "silence"},
    }
    case = WireCase.model_validate({**make({"status": 200}).model_dump(), "step": [head, rest], "transport": ["tcp"]})
    verdict, fake = await play(case, lambda data: [reply(data)])
    assert (verdict.outcome, verdict.why, len(fake.messages)) == ("passed", "", 1)


async def test_cut_octet_by_octet() -> None:
    case = make({"status": 200}, transport=["tcp"], split=["bytes"])
    verdict, fake = await play(case, lambda data: [reply(data)])
    assert verdict.outcome == "passed"
    assert fake.pieces > 2


async def test_the_same_octets_again() -> None:
    again = {"again": 1, "expect": {"status": 200, "same_as": 1}}
    verdict, fake = await play(make({"status": 200}, again, transport=["udp"]), lambda data: [reply(data)])
    assert verdict.outcome == "passed"
    assert fake.messages[0] == fake.messages[1]
    serial = iter("123")
    verdict, _ = await play(
        make({"status": 200}, again, transport=["udp"]), lambda data: [reply(data, "200 OK", f"X: {next(serial)}")]
    )
    assert verdict.why == "udp step 2: the answer is not that of step 1, to the octet"


async def test_an_invite_is_answered_until_there_is_an_ack() -> None:
    invite = {"message": "INVITE sip:x SIP/2.0\n{usual}\nCSeq: 1 INVITE\n\n", "expect": {"status": 404}}
    case = WireCase.model_validate({**make({"status": 200}).model_dump(), "step": [invite], "transport": ["udp"]})
    verdict, _ = await play(case, lambda data: [reply(data, "404 Not Found")] * 2)
    assert verdict.outcome == "passed"


async def test_what_is_skipped() -> None:
    verdict, _ = await play(make({"status": 200}, requires=["ws"], transport=["ws"]), lambda data: [])
    assert (verdict.outcome, verdict.why) == ("skipped", "needs: ws")
    async with serving(Fake(lambda data: [])) as place:
        udp_only = WirePlace(domain=place.domain, addresses={"udp": place.addresses["udp"]}, features=place.features)
        verdict = await play_wire(make({"status": 200}, transport=["tcp"]), udp_only)
    assert (verdict.outcome, verdict.why) == ("skipped", "needs: tcp")


async def test_an_error_is_none_of_the_servers_faults() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        place = WirePlace(domain="example.com", addresses={"tcp": taken.getsockname()[:2]})
        verdict = await play_wire(make({"status": 200}), place)
    assert verdict.outcome == "error"
    assert "refused" in verdict.why


async def test_credentials_without_a_challenge() -> None:
    step = {"message": "A sip:x SIP/2.0\n{authorization}\n\n", "credentials": {}, "expect": {"status": 200}}
    case = WireCase.model_validate({**make({"status": 200}).model_dump(), "step": [step]})
    verdict, _ = await play(case, lambda data: [])
    assert (verdict.outcome, "no challenge" in verdict.why) == ("failed", True)


async def test_credentials_answer_the_challenge() -> None:
    step = {
        "message": "WIGGLE sip:x SIP/2.0\n{usual}\n{authorization}\nCSeq: 2 WIGGLE\n\n",
        "credentials": {},
        "expect": {"status": 200},
    }
    asks = 'Proxy-Authenticate: Digest realm="r", nonce="n", qop="auth"'

    def behave(data: bytes) -> list[bytes]:
        has = b'\r\nProxy-Authorization: Digest username="alice-' in data
        return [reply(data) if has else reply(data, "407 Proxy Authentication Required", asks)]

    verdict, _ = await play(make({"status": [401, 407], "challenge": ["qop", "no-basic"]}, step), behave)
    assert (verdict.outcome, verdict.why) == ("passed", "")


async def delivered(times: int, more: bytes = b"", expect: dict[str, Any] | None = None) -> CaseVerdict:
    """The verdict on a server that sends a message so often to its recipient, with ``more`` at its end."""
    text = {"message": "MESSAGE sip:{mate}@{domain} SIP/2.0\n{usual}\nCSeq: 1 MESSAGE\n\nhi {token}"}
    step = {**text, "expect": {"status": 200, "delivered": 1, "is_intact": True, **(expect or {})}}
    case = WireCase.model_validate({**make({"status": 200}).model_dump(), "step": [step], "transport": ["udp"]})
    contact: list[bytes] = []
    sock = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    await sock.bind(("127.0.0.1", 0))

    async def run() -> None:
        serial = 0
        while True:
            data, source = await sock.recvfrom(65535)
            if data.startswith(b"SIP/2.0"):
                continue
            found = re.search(rb"\r\nContact: <sip:[^@]+@127\.0\.0\.1:([0-9]+)", data)
            if found is not None:
                contact[:] = [found[1]]
            await sock.sendto(reply(data), source)
            if data.startswith(b"MESSAGE"):
                sent = data.partition(b"\r\n\r\n")[2]
                is_barrier = sent.startswith(b"sentinel")
                for _ in range(1 if is_barrier else times):
                    serial += 1
                    head = re.sub(rb"branch=[^;\r]*", b"branch=z9hG4bK%d" % serial, data.partition(b"\r\n\r\n")[0])
                    head = re.sub(rb"\r\nContent-Length: [0-9]+", b"", head)
                    copy = head + b"\r\n\r\n" + sent + (b"" if is_barrier else more)
                    await sock.sendto(copy, ("127.0.0.1", int(contact[0])))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        place = WirePlace(
            domain="example.com", addresses={"udp": sock.getsockname()[:2]}, features=frozenset({"relay"})
        )
        verdict = await play_wire(case, place, patience=2)
        nursery.cancel_scope.cancel()
    sock.close()
    return verdict


async def test_what_is_delivered() -> None:
    verdict = await delivered(1)
    assert (verdict.outcome, verdict.why) == ("passed", "")
    assert (await delivered(0)).why == "udp step 1: delivered 0 times, not 1"
    assert (await delivered(2)).why == "udp step 1: delivered 2 times, not 1"
    wrong = "udp step 1: delivered with Subject: missing; not as x; udp step 1: delivered with Max-Forwards"
    expect = {"carries": {"To": "^<sip:mary"}, "carries_no": ["Contact"]}
    assert (await delivered(1, expect=expect)).outcome == "passed"
    assert (await delivered(1, expect={"carries": {"Subject": "x"}, "carries_no": ["Max-Forwards"]})).why == wrong
    assert (await delivered(1, b"!")).why == "udp step 1: the body was delivered, but not as sent"
