"""What passes between actors and server, written down as arrows while it passes."""

from __future__ import annotations

from collections.abc import Callable

import trio

from conformance.suite.conversation import Arrow

SERVER = "server"
_LONGEST = 48


class Ladder:
    """``began`` is trio's time of its first moment; what ``is_left_out`` is not written down."""

    def __init__(self, began: float, is_left_out: Callable[[bytes], bool]) -> None:
        self.arrows: list[Arrow] = []
        self._began = began
        self._is_left_out = is_left_out

    def tap(self, actor: str) -> Callable[[bool, bytes], None]:
        """What an actor's user agent tells of each message: whether it is sent, and its bytes."""

        def note(is_sent: bool, data: bytes) -> None:
            if not self._is_left_out(data):
                ends = (actor, SERVER) if is_sent else (SERVER, actor)
                at = trio.current_time() - self._began
                self.arrows.append(Arrow(at=at, source=ends[0], target=ends[1], summary=summary(data), data=data))

        return note


def summary(data: bytes) -> str:
    """A message in a line: ``200 OK``, ``MESSAGE #join``."""
    head, _, body = data.decode("utf-8", "backslashreplace").partition("\r\n\r\n")
    first = head.partition("\r\n")[0]
    if first.startswith("SIP/2.0 "):
        return first.removeprefix("SIP/2.0 ")
    words = " ".join(body.split())
    return f"{first.partition(' ')[0]} {words if len(words) <= _LONGEST else words[: _LONGEST - 1] + '…'}".rstrip()
