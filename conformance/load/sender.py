"""One socket that sends requests of many users, so many unanswered at a time.

Invariants: a request without an answer is sent again after 0.5 s, 1 s, 2 s, 4 s, every 4 s (RFC 3261 §17.1.2.2) and
given up after 32 s; every wait has an end. A challenge is answered where there is a password; the answer that counts is
the one after it.
"""

from __future__ import annotations

import re
import secrets
import select
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from conformance.load import message
from conformance.load.message import Outgoing
from conformance.load.sinks import bind
from conformance.load.works import TEXT_SIZE, Ask
from imc.errors import BadMessage
from imc.sip.digest import authorize, choose_challenge
from imc.sip.message import Response, parse_message

T1, T2, TIMER_F = 0.5, 4.0, 32.0
_MAX_CHALLENGES = 2  # the second is for a nonce that has become stale meanwhile
_CHALLENGES = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}
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
    """A request: monotonic seconds, its final status (0: none came), and how often it was sent again.

    ``challenges``: how often it was answered with one, and asked anew with credentials.
    """

    request: Outgoing
    cseq: int
    data: bytes
    at: float
    due: float
    interval: float = T1
    answered: float = 0.0
    status: int = 0
    again: int = 0
    challenges: int = 0

    @property
    def number(self) -> int:
        return self.request.number


@dataclass(slots=True)
class _Challenge:
    """What a user was asked, and how often it was answered (nc of RFC 7616 §3.4)."""

    text: str
    count: int = 0


class Sender:
    """Speaks to ``server``, an (ip, port), from ``ip``. ``password`` is everybody's."""

    def __init__(
        self, server: tuple[str, int], names: Names, *, ip: str = "127.0.0.1", password: str | None = None
    ) -> None:
        self.server = server
        self.names = names
        self.password = password
        self.socket = bind(ip)
        self.run_id = secrets.token_hex(4)
        port = self.socket.getsockname()[1]
        self.via = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
        self.last_answer = 0.0
        self._serial = 0
        self._challenges: dict[int, dict[str, _Challenge]] = {}

    def close(self) -> None:
        self.socket.close()

    # What is sent

    def ask(self, ask: Ask) -> Outgoing:
        """A MESSAGE to a room."""
        number = self.next()
        if ask.command is None:
            body = message.text(number, TEXT_SIZE)
        else:
            other = "" if ask.other is None else " " + self.names.user_uri(ask.other)
            body = (ask.command + other).encode()
        room = self.names.room_uri(ask.room)
        return self._outgoing(number, "MESSAGE", room, ask.sender, to=room, headers=_PLAIN, body=body)

    def register(self, user: int, contact: str) -> Outgoing:
        """A REGISTER; ``contact`` is the HOST:PORT of the user's sink."""
        headers = f"Contact: <sip:{self.names.user}{user}@{contact}>\r\nExpires: 3600\r\n"
        uri, address = f"sip:{self.names.domain}", self.names.user_uri(user)
        return self._outgoing(self.next(), "REGISTER", uri, user, to=address, headers=headers)

    def options(self) -> Outgoing:
        ip, port = self.server
        uri = f"sip:[{ip}]:{port}" if ":" in ip else f"sip:{ip}:{port}"
        return self._outgoing(self.next(), "OPTIONS", uri, 0, to=uri)

    def next(self) -> int:
        """A number that was not used yet."""
        self._serial += 1
        return self._serial

    def _outgoing(
        self, number: int, method: str, uri: str, user: int, *, to: str, headers: str = "", body: bytes = b""
    ) -> Outgoing:
        return Outgoing(
            number=number,
            method=method,
            uri=uri,
            user=user,
            sender=self.names.user_uri(user),
            to=to,
            headers=headers,
            body=body,
        )

    def render(self, request: Outgoing, cseq: int) -> bytes:
        """Its bytes, with credentials where the sender was asked for them before."""
        return request.render(cseq=cseq, run=self.run_id, via=self.via, credentials=self._credentials(request))

    def _credentials(self, request: Outgoing) -> str:
        lines = ""
        for name, challenge in self._challenges.get(request.user, {}).items():
            challenge.count += 1
            value = authorize(
                challenge.text,
                request.method,
                request.uri,
                f"{self.names.user}{request.user}",
                self.password or "",
                body=request.body,
                nc=challenge.count,
                cnonce=self.run_id,
            )
            lines += f"{name}: {value}\r\n"
        return lines

    def learn(self, request: Outgoing, data: bytes) -> bool:
        """Whether this answer is a challenge that can be met from now on."""
        if self.password is None:
            return False
        try:
            answer = parse_message(data, is_datagram=True)
        except BadMessage:
            return False
        if not isinstance(answer, Response) or answer.status not in _CHALLENGES:
            return False
        asks, answers = _CHALLENGES[answer.status]
        text = choose_challenge(answer.headers.all(asks))
        if text is None:
            return False
        self._challenges.setdefault(request.user, {})[answers] = _Challenge(text)
        return True

    # Sending

    def run(
        self,
        requests: Iterable[Outgoing],
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
    requests: Iterable[Outgoing]
    outstanding: int
    sent: list[Sent] = field(default_factory=list)
    pending: dict[int, Sent] = field(default_factory=dict)
    is_exhausted: bool = False
    _source: Iterator[Outgoing] = field(init=False)
    _ticked: float = 0.0

    def __post_init__(self) -> None:
        self._source = iter(self.requests)

    @property
    def is_finished(self) -> bool:
        return self.is_exhausted and not self.pending

    def fill(self) -> None:
        while not self.is_exhausted and len(self.pending) < self.outstanding:
            request = next(self._source, None)
            if request is None:
                self.is_exhausted = True
                return
            now = time.monotonic()
            data = self.sender.render(request, request.number)
            each = Sent(request, request.number, data, now, now + T1)
            self.sent.append(each)
            self.pending[each.cseq] = each
            self._send(each)

    def tick(self, now: float) -> None:
        if now - self._ticked < T1 / 10:
            return
        self._ticked = now
        for each in [each for each in self.pending.values() if each.due <= now]:
            if now - each.at >= TIMER_F:
                del self.pending[each.cseq]
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
            if each is None or self._is_asked_anew(each, data):
                continue
            each.answered = self.sender.last_answer = time.monotonic()
            each.status = int(status[1])

    def _is_asked_anew(self, each: Sent, data: bytes) -> bool:
        """Whether the answer is a challenge; then the request goes out again with credentials, RFC 3261 §22.1."""
        if each.challenges >= _MAX_CHALLENGES or not self.sender.learn(each.request, data):
            return False
        each.challenges += 1
        each.cseq = self.sender.next()
        each.data = self.sender.render(each.request, each.cseq)
        each.interval, each.due = T1, time.monotonic() + T1
        self.pending[each.cseq] = each
        self._send(each)
        return True

    def _send(self, each: Sent) -> None:
        try:
            self.sender.socket.sendto(each.data, self.sender.server)
        except OSError:  # ICMP of an earlier one, or no room: it is sent again when its time has come
            return
