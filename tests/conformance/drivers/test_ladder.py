from __future__ import annotations

import pytest
import trio

from conformance.drivers.ladder import Ladder, summary

REQUEST = b"MESSAGE sip:chat-1@example.com SIP/2.0\r\nTo: <sip:chat-1@example.com>\r\n\r\n#invite  rita\r\nnow"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (REQUEST, "MESSAGE #invite rita now"),
        (b"SIP/2.0 404 Not Found\r\n\r\nx", "404 Not Found"),
        (b"REGISTER sip:example.com SIP/2.0\r\n\r\n", "REGISTER"),
        (b"MESSAGE x SIP/2.0\r\n\r\n" + b"x" * 60, "MESSAGE " + "x" * 47 + "…"),
        (b"\xff\x00", "\\xff\x00"),
    ],
)
def test_a_message_in_a_line(data: bytes, words: str) -> None:
    assert summary(data) == words


async def test_arrows_are_written_down_as_they_pass() -> None:
    ladder = Ladder(trio.current_time(), lambda data: data.startswith(b"OPTIONS"))
    alice = ladder.tap("alice")
    alice(True, REQUEST)
    alice(True, b"OPTIONS x SIP/2.0\r\n\r\n")
    alice(False, b"SIP/2.0 200 OK\r\n\r\n")
    assert [(each.source, each.target, each.summary) for each in ladder.arrows] == [
        ("alice", "server", "MESSAGE #invite rita now"),
        ("server", "alice", "200 OK"),
    ]
    assert ladder.arrows[0].data == REQUEST
    assert 0 <= ladder.arrows[0].at <= ladder.arrows[1].at
