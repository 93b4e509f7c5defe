"""One socket that sends requests of many users, so many unanswered at a time.

Invariants: a request without an answer is sent again after 0.5 s, 1 s, 2 s, 4 s, every 4 s (RFC 3261 §17.1.2.2) and
given up after 32 s; every wait has an end.
"""

from __future__ import annotations

import re
import secrets
import select
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from conformance.load import message
from conformance.load.sinks import bind
from conformance.load.works import TEXT_SIZE, Ask

T1, T2, TIMER_F = 0.5, 4.0, 32.0
_LOOK = 0.02  # between two looks at what the sinks counted
_PLAIN = "Content-Type: text/plain\r\n"
_FINAL = re.compile(rb"SIP/2\.0 ([2-6]\d\d) ")
_CSEQ = re.compile(rb"^CSeq[ \t]*:[ \t]*(\d+)", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Names:
    """The addresses of users and rooms."""

    domain: str = "example.com"
    user: str = "user"
    room: str = "chat-load"

    def user_uri(self, number: int) -> str:
        return f"sip:{self.user}{number}@{self.domain}"

    def room_uri(self, number: int) -> str:
        return f"sip:{self.room}{number}@{self.domain}"


@dataclass(slots=True)
class Sent:
    """A request: monotonic seconds, its final status (0: none came), and how often it was sent again."""

    number: int
    data: bytes
    at: float
    due: float
    interval: float = T1
    answered: float = 0.0
    status: int = 0
    again: int = 0


Prepared = tuple[int, bytes]


class Sender:
    """Speaks to ``server``, an (ip, port), from ``ip``."""

    def __init__(self, server: tuple[str, int], names: Names, *, ip: str = "127.0.0.1") -> None:
        self.server = server
        self.names = names
        self.socket = bind(ip)
        self.run_id = secrets.token_hex(4)
        port = self.socket.getsockname()[1]
        self.via = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
        self.last_answer = 0.0
        self._serial = 0

    def close(self) -> None:
        self.socket.close()

    # What is sent

    def ask(self, ask: Ask) -> Prepared:
        """A MESSAGE to a room."""
        number = self._next()
        if ask.command is None:
            body = message.text(number, TEXT_SIZE)
        else:
            other = "" if ask.other is None else " " + self.names.user_uri(ask.other)
            body = (ask.command + other).encode()
        room = self.names.room_uri(ask.room)
        return number, self._build("MESSAGE", room, number, ask.sender, to=room, headers=_PLAIN, body=body)

    def register(self, user: int, contact: str) -> Prepared:
        """A REGISTER; ``contact`` is the HOST:PORT of the user's sink."""
        number = self._next()
        headers = f"Contact: <sip:{self.names.user}{user}@{contact}>\r\nExpires: 3600\r\n"
        return number, self._build(
            "REGISTER", f"sip:{self.names.domain}", number, user, to=self.names.user_uri(user), headers=headers
        )

    def options(self) -> Prepared:
        number = self._next()
        ip, port = self.server
        uri = f"sip:[{ip}]:{port}" if ":" in ip else f"sip:{ip}:{port}"
        return number, self._build("OPTIONS", uri, number, 0, to=uri, headers="")

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    def _build(
        self, method: str, uri: str, number: int, user: int, *, to: str, headers: str, body: bytes = b""
    ) -> bytes:
        return message.request(
            method,
            uri,
            number=number,
            run=self.run_id,
            sender=self.names.user_uri(user),
            to=to,
            via=self.via,
            headers=headers,
            body=body,
        )

    # Sending

    def run(
        self,
        requests: Iterable[Prepared],
        *,
        outstanding: int,
        seconds: float,
        quiet: float = TIMER_F,
        progress: Callable[[], int] = lambda: 0,
        is_done: Callable[[], bool] = lambda: True,
    ) -> list[Sent]:
        """Send them all; until all are answered or given up, and ``is_done``.

        Ends early after ``seconds`` in all, and, once all are answered, where ``progress`` did not change for ``quiet``
        seconds.
        """
        flight = _Flight(self, requests, outstanding)
        began = changed = time.monotonic()
        before = progress()
        while True:
            flight.fill()
            flight.read(_LOOK)
            now = time.monotonic()
            flight.tick(now)
            if (count := progress()) != before or flight.pending:
                before, changed = count, now
            is_over = now - began > seconds or now - changed > quiet
            if is_over or (flight.is_finished and is_done()):
                return flight.sent


@dataclass(slots=True)
class _Flight:
    """Requests on their way."""

    sender: Sender
    requests: Iterable[Prepared]
    outstanding: int
    sent: list[Sent] = field(default_factory=list)
    pending: dict[int, Sent] = field(default_factory=dict)
    is_exhausted: bool = False
    _source: Iterator[Prepared] = field(init=False)
    _ticked: float = 0.0

    def __post_init__(self) -> None:
        self._source = iter(self.requests)

    @property
    def is_finished(self) -> bool:
        return self.is_exhausted and not self.pending

    def fill(self) -> None:
        while not self.is_exhausted and len(self.pending) < self.outstanding:
            prepared = next(self._source, None)
            if prepared is None:
                self.is_exhausted = True
                return
            now = time.monotonic()
            each = Sent(prepared[0], prepared[1], now, now + T1)
            self.sent.append(each)
            self.pending[each.number] = each
            self._send(each)

    def tick(self, now: float) -> None:
        if now - self._ticked < T1 / 10:
            return
        self._ticked = now
        for each in [each for each in self.pending.values() if each.due <= now]:
            if now - each.at >= TIMER_F:
                del self.pending[each.number]
                continue
            each.interval = min(2 * each.interval, T2)
            each.due = now + each.interval
            each.again += 1
            self._send(each)

    def read(self, wait: float) -> None:
        sock = self.sender.socket
        if not select.select([sock], [], [], wait)[0]:
            return
        while True:
            try:
                data = sock.recv(65_535)
            except BlockingIOError:
                return
            except OSError:  # ICMP: nobody listens there yet, or any more
                continue
            status, cseq = _FINAL.match(data), _CSEQ.search(data)
            if status is None or cseq is None:
                continue
            each = self.pending.pop(int(cseq[1]), None)
            if each is not None:
                each.answered = self.sender.last_answer = time.monotonic()
                each.status = int(status[1])

    def _send(self, each: Sent) -> None:
        try:
            self.sender.socket.sendto(each.data, self.sender.server)
        except OSError:  # ICMP of an earlier one, or no room: it is sent again when its time has come
            return
