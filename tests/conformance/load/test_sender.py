"""`conformance.load.sender`: how many at a time, repetition, giving up."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from conformance.load import sender as module
from conformance.load.message import Outgoing
from conformance.load.sender import Names, Sender
from conformance.load.works import Ask
from imc.sip.digest import authorize
from imc.sip.message import Request, parse_message

Answering = Callable[[Request, int], int | None]
"""From a request, and how often it came before, to a status; None: silence."""
CHALLENGE = 'WWW-Authenticate: Digest realm="r", nonce="{}", qop="auth"\r\n'


@contextmanager
def served(
    answering: Answering, password: str | None = None, nonce: str = "one"
) -> Iterator[tuple[Sender, list[Request]]]:
    """A sender, and what its server got."""
    got: list[Request] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def serve() -> None:
            seen: dict[int, int] = {}
            while True:
                data, source = sock.recvfrom(65_535)
                if data == b"end":
                    return
                request = parse_message(data, is_datagram=True)
                assert isinstance(request, Request)
                number = request.cseq.number
                status = answering(request, seen.get(number, 0))
                seen[number] = seen.get(number, 0) + 1
                got.append(request)
                if status is not None:
                    fields = "".join(
                        f"{name}: {request.headers.get(name)}\r\n" for name in ("Via", "From", "To", "Call-ID", "CSeq")
                    )
                    asks = CHALLENGE.format(nonce) if status == 401 else ""
                    answer = f"SIP/2.0 {status} Any\r\n{fields}{asks}Content-Length: 0\r\n\r\n"
                    sock.sendto(answer.encode(), source)

        thread = threading.Thread(target=serve)
        thread.start()
        sender = Sender(sock.getsockname(), Names(), password=password)
        try:
            yield sender, got
        finally:
            sender.socket.sendto(b"end", sender.server)
            thread.join()
            sender.close()


def test_requests_are_answered() -> None:
    with served(lambda request, before: 202 if request.method == "MESSAGE" else 200) as (sender, got):
        asks = [sender.ask(Ask(3, 7)), sender.ask(Ask(3, 7, "#invite", other=5)), sender.register(4, "127.0.0.1:9")]
        sent = sender.run([*asks, sender.options()], outstanding=2, seconds=10)
    assert [each.status for each in sent] == [202, 202, 200, 200]
    assert [each.again for each in sent] == [0, 0, 0, 0]
    assert all(each.answered >= each.at for each in sent)
    text, invite, register, options = sorted(got, key=lambda request: request.cseq.number)
    assert text.uri == "sip:chat-load7@example.com"
    assert text.body.endswith(b"~00000001")
    assert invite.body == b"#invite sip:user5@example.com"
    assert register.headers.get("Contact") == "<sip:user4@127.0.0.1:9>"
    assert options.method == "OPTIONS"


def test_what_is_not_answered_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "T1", 0.01)
    with served(lambda _, before: 200 if before == 2 else None) as (sender, got):
        sent = sender.run([sender.ask(Ask(0, 0, "#create"))], outstanding=1, seconds=10)
    assert (sent[0].status, sent[0].again, len(got)) == (200, 2, 3)
    assert len({request.via.branch for request in got}) == 1


def test_silence_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "T1", 0.01)
    monkeypatch.setattr(module, "TIMER_F", 0.05)
    with served(lambda *_: None) as (sender, got):
        sent = sender.run([sender.options()], outstanding=1, seconds=10)
    assert sent[0].status == 0
    assert len(got) == sent[0].again + 1 > 1


def test_never_more_than_so_many_unanswered() -> None:
    flying: list[int] = []
    with served(lambda *_: 200) as (sender, _):
        numbers = iter(range(50))

        def requests() -> Iterator[Outgoing]:
            for _ in numbers:
                flying.append(1)
                yield sender.ask(Ask(0, 0))

        sent = sender.run(requests(), outstanding=4, seconds=10)
    assert len(sent) == 50
    ends = sorted(each.answered for each in sent)
    for place, each in enumerate(sent[4:]):
        assert ends[place] <= each.at


def test_it_waits_until_all_is_done_or_nothing_changes() -> None:
    with served(lambda *_: 200) as (sender, _):
        counts = iter(range(100))
        looked: list[int] = []

        def is_done() -> bool:
            looked.append(1)
            return len(looked) == 5

        sender.run([sender.options()], outstanding=1, seconds=10, progress=lambda: next(counts), is_done=is_done)
        assert len(looked) == 5
        sender.run([sender.options()], outstanding=1, seconds=10, quiet=0.01, is_done=lambda: False)


def credentials(request: Request) -> str:
    return request.headers.get("Authorization") or ""


def test_a_challenge_is_met_and_then_remembered() -> None:
    with served(lambda request, _: 200 if credentials(request) else 401, "secret") as (sender, got):
        asks = [sender.ask(Ask(3, 0)), sender.ask(Ask(3, 0)), sender.ask(Ask(4, 0))]
        sent = sender.run(asks, outstanding=1, seconds=10)
    assert [(each.status, each.challenges, each.again) for each in sent] == [(200, 1, 0), (200, 0, 0), (200, 1, 0)]
    first, second, third = got[:3]
    assert (first.call_id, first.body) == (second.call_id, second.body)
    assert first.cseq.number != second.cseq.number
    assert first.via.branch != second.via.branch
    expected = authorize(
        'Digest realm="r", nonce="one", qop="auth"', "MESSAGE", first.uri, "user3", "secret", cnonce=sender.run_id
    )
    assert credentials(second) == expected
    assert "nc=00000002" in credentials(third)


def test_a_wrong_password_is_a_refusal() -> None:
    with served(lambda *_: 401, "wrong") as (sender, got):
        sent = sender.run([sender.ask(Ask(3, 0))], outstanding=1, seconds=10)
    assert (sent[0].status, sent[0].challenges, len(got)) == (401, 2, 3)


def test_without_a_password_a_challenge_is_a_refusal() -> None:
    with served(lambda *_: 401) as (sender, got):
        sent = sender.run([sender.ask(Ask(3, 0))], outstanding=1, seconds=10)
    assert (sent[0].status, len(got)) == (401, 1)


def test_what_cannot_be_answered_is_a_refusal() -> None:
    with served(lambda *_: 401, "secret", nonce='", algorithm="unheard-of') as (sender, got):
        sent = sender.run([sender.ask(Ask(3, 0))], outstanding=1, seconds=10)
    assert (sent[0].status, len(got)) == (401, 1)
