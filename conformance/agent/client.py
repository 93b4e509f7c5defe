"""A small SIP user agent on trio, for tests that talk to a real server over UDP, TCP, TLS or WebSocket.

::

    alice = await SipClient.open(nursery, "sip:alice@example.com", server, password="secret")
    assert (await alice.register()).status == 200
    assert (await alice.message("sip:chat-a@example.com", "#create")).status == 200
    notice = await alice.wait_message(event="room-created")

It behaves as RFC 3261 has it where a test could notice: it retransmits over UDP (§17.1.2.2), answers a retransmission
of the server's with the answer it gave (§17.2.2), and answers challenges (§22.2), later ones before they come. All
times are seconds of trio's clock.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import trio

from conformance.agent.wire import Send, Wire
from imc.sip.digest import authorize, choose_challenge
from imc.sip.message import Headers, Request, Response, parse_message
from imc.sip.uas import build_response
from imc.sip.uri import SipUri, parse_uri

T1, T2 = 0.5, 4.0  # RFC 3261 §17.1.2.1
TIMER_F = 64 * T1
_CHALLENGES = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}
WITHIN = 5.0  # how long a MESSAGE is waited for

Answer = int | Callable[[Request], int | None] | None
Tap = Callable[[bool, bytes], None]
"""Sees each message that passes: whether it is sent (or came), and its bytes."""


class NoAnswer(Exception):
    """No final response came in time, or the connection was lost."""


class NoMessage(AssertionError):
    """A MESSAGE that was awaited did not come; the text says which did."""


@dataclass(frozen=True, slots=True)
class Received:
    """A MESSAGE that the server sent. ``at`` is when it came, ``source`` what it came over: "tcp" for TLS as well."""

    request: Request
    at: float
    source: str

    @property
    def text(self) -> str:
        return self.request.body.decode("utf-8", "replace")

    @property
    def sender(self) -> str:
        """The URI of From."""
        return str(self.request.from_.uri)

    @property
    def display(self) -> str | None:
        """The display name of From."""
        return self.request.from_.display

    @property
    def event(self) -> str | None:
        """The header IMC-Event."""
        return self.request.headers.get("IMC-Event")

    def __str__(self) -> str:
        return f"{self.sender} {self.event or '-'} {self.text!r}"


class _Pending:
    """A client transaction: the responses that came, and whether there is one to look at."""

    def __init__(self) -> None:
        self.responses: list[Response] = []
        self.heard = trio.Event()


@dataclass(slots=True)
class _Challenge:
    """``count`` requests have been sent with its nonce."""

    text: str
    count: int = 0


class SipClient:
    """One user with one socket, made by `open`. It ends with the nursery, or by `close`.

    ``answer`` is the status for each MESSAGE that comes, or a function of the request, or None for silence;
    ``answer_headers`` go into each answer.
    ``messages`` are all MESSAGEs that came; a retransmission is none, but counted in ``retransmissions``.
    ``notify_answer`` and ``notifications`` are the same for NOTIFY.
    ``responses`` are all responses, ``is_connected`` turns False when the server ends a TCP connection. ``last`` is the
    last request that it sent, ``tap`` sees all that it sends and gets.
    """

    def __init__(
        self, address: str, server: tuple[str, int], *, password: str | None, transport: str, **more: Any
    ) -> None:
        uri = parse_uri(address)
        assert isinstance(uri, SipUri)
        assert uri.user is not None
        self.address = address
        self.user = uri.user
        self.domain = uri.host
        self.password = password
        self.transport = transport
        self.answer: Answer = 200
        self.notify_answer: Answer = 405
        self.answer_headers: tuple[tuple[str, str], ...] = ()
        self.messages: list[Received] = []
        self.notifications: list[Request] = []
        self.responses: list[Response] = []
        self.retransmissions = 0
        self.last: Request | None = None
        self.tap: Tap | None = None
        self.tag = _token()
        self._wire = Wire(server, transport, self._take, self._lost, **more)
        self._web_host = f"{_token()}.invalid"  # RFC 7118 §5: where a browser is, it does not know itself
        self._unread: list[Received] = []
        self._arrived = trio.lowlevel.ParkingLot()
        self._pending: dict[str, _Pending] = {}
        self._answered: dict[tuple[str, str, str], bytes | None] = {}
        self._old_answers = 0
        self._challenges: dict[str, _Challenge] = {}
        self._register_id = _token()
        self._cseq = 0

    # Life

    @classmethod
    async def open(
        cls,
        nursery: trio.Nursery,
        address: str,
        server: tuple[str, int],
        *,
        password: str | None = None,
        transport: str = "udp",
        takes_tcp: bool = False,
        ip: str | None = None,
        **more: Any,
    ) -> SipClient:
        """A client of ``server`` (ip, port), with its socket on ``ip``, by default the server's: loopback.

        A client over UDP that ``takes_tcp`` listens on the same port of TCP, for requests too large for a datagram.
        ``more`` are keywords of `Wire`.
        """
        client = cls(address, server, password=password, transport=transport, **more)
        await nursery.start(client._wire.serve, server[0] if ip is None else ip, takes_tcp)
        return client

    def close(self) -> None:
        """End it: the socket is closed without a word to the server."""
        self._wire.close()

    def turn_to(self, server: tuple[str, int]) -> None:
        """Over UDP: the server is there now. What it sends to the contact still arrives."""
        self._wire.turn_to(server)

    @property
    def local(self) -> tuple[str, int]:
        return self._wire.local

    @property
    def is_connected(self) -> bool:
        return self._wire.is_connected

    def _lost(self) -> None:
        for pending in self._pending.values():
            pending.heard.set()

    # What comes in

    def _take(self, data: bytes, reply: Send, source: str) -> None:
        if len(data) <= 4:  # a keep-alive
            return
        if self.tap is not None:
            self.tap(False, data)
        message = parse_message(data, is_datagram=source != "tcp")
        if isinstance(message, Response):
            self.responses.append(message)
            pending = self._pending.get(message.via.branch or "")
            if pending is not None:
                pending.responses.append(message)
                pending.heard.set()
        elif message.method != "ACK":
            self._take_request(message, reply, source)

    def _take_request(self, request: Request, reply: Send, source: str) -> None:
        via = request.via
        key = via.branch or "", via.sent_by, request.method
        if key in self._answered:
            self.retransmissions += 1
        else:
            status = self._status(request)
            answer = None
            if status is not None:
                headers = [("Allow", "MESSAGE, OPTIONS"), *self.answer_headers]
                answer = build_response(request, status, to_tag=self.tag, headers=headers)
            self._answered[key] = answer.render() if answer is not None else None
            if request.method == "MESSAGE":
                received = Received(request, trio.current_time(), source)
                self.messages.append(received)
                self._unread.append(received)
                self._arrived.unpark_all()
            elif request.method == "NOTIFY":
                self.notifications.append(request)
                self._arrived.unpark_all()
        data = self._answered[key]
        if data is not None:
            if self.tap is not None:
                self.tap(True, data)
            reply(data)

    def _status(self, request: Request) -> int | None:
        if request.method == "MESSAGE":
            return self.answer(request) if callable(self.answer) else self.answer
        if request.method == "NOTIFY":
            return self.notify_answer(request) if callable(self.notify_answer) else self.notify_answer
        return 200 if request.method == "OPTIONS" else 405

    def has_answered(self, request: Request) -> bool:
        """Whether a request that came was answered, by whatever status."""
        via = request.via
        return self._answered.get((via.branch or "", via.sent_by, request.method)) is not None

    async def wait_message(
        self,
        *,
        event: str | None = None,
        text: str | None = None,
        sender: str | None = None,
        matches: Callable[[Received], bool] | None = None,
        within: float = WITHIN,
    ) -> Received:
        """The first MESSAGE that no call has returned yet and that is as asked for; others stay. NoMessage.

        ``event`` is its IMC-Event, ``text`` its whole body, ``sender`` the URI of From.
        """
        with trio.move_on_after(within):
            while True:
                for received in self._unread:
                    if (
                        event in (None, received.event)
                        and text in (None, received.text)
                        and sender in (None, received.sender)
                        and (matches is None or matches(received))
                    ):
                        self._unread.remove(received)
                        return received
                await self._arrived.park()
        wanted = f"event={event} text={text!r} sender={sender}"
        raise NoMessage(f"{self.user} waited for {wanted}; unread: {[str(each) for each in self._unread]}")

    async def wait_notification(self, within: float = WITHIN) -> Request:
        """The first NOTIFY that no call has returned yet. NoMessage."""
        with trio.move_on_after(within):
            while not self.notifications:
                await self._arrived.park()
            return self.notifications.pop(0)
        raise NoMessage(f"{self.user} waited for NOTIFY")

    def take_unread(self) -> list[Received]:
        """All MESSAGEs that no call has returned yet."""
        unread, self._unread = self._unread, []
        return unread

    def is_waiting(self, request: Request) -> bool:
        """Whether a request that it sent has no final response yet, and may still get one."""
        return request.via.branch in self._pending

    def forget(self) -> None:
        """For a client that lives long: drop all messages and responses, and the answers from before the last call.

        Called every 64*T1 or more rarely, it leaves each answer as long as its request may come again.
        """
        self.messages.clear()
        self._unread.clear()
        self.responses.clear()
        for key in list(islice(self._answered, self._old_answers)):
            del self._answered[key]
        self._old_answers = len(self._answered)

    # What goes out

    @property
    def contact(self) -> str:
        """The URI where the server reaches it."""
        name = {"tcp": ";transport=tcp", "tls": ";transport=tls", "ws": ";transport=ws", "wss": ";transport=ws"}
        return f"sip:{self.user}@{self._sent_by}{name.get(self.transport, '')}"

    @property
    def _sent_by(self) -> str:
        if self.transport in ("ws", "wss"):
            return self._web_host
        host = f"[{self.local[0]}]" if ":" in self.local[0] else self.local[0]
        return f"{host}:{self.local[1]}"

    async def register(
        self, *, expires: int = 3600, contact: str | None = None, headers: Iterable[tuple[str, str]] = ()
    ) -> Response:
        """REGISTER its contact, or ``contact``, a whole Contact value; with ``expires`` 0 the binding goes."""
        return await self.request(
            "REGISTER",
            f"sip:{self.domain}",
            to=self.address,
            call_id=self._register_id,
            headers=[("Contact", contact or f"<{self.contact}>"), ("Expires", str(expires)), *headers],
        )

    async def message(
        self,
        to: str,
        text: str | bytes,
        *,
        content_type: str = "text/plain;charset=UTF-8",
        headers: Iterable[tuple[str, str]] = (),
        from_: str | None = None,
    ) -> Response:
        """MESSAGE to a user or a room. ``from_`` is the URI to claim to be, by default its own."""
        body = text if isinstance(text, bytes) else text.encode()
        return await self.request(
            "MESSAGE", to, from_=from_, headers=[("Content-Type", content_type), *headers], body=body
        )

    async def request(
        self,
        method: str,
        uri: str,
        *,
        to: str | None = None,
        from_: str | None = None,
        call_id: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Response:
        """The final response; a challenge is answered once, where there is a password. NoAnswer."""
        call_id = call_id or _token()
        extra = list(headers)

        def build() -> Request:
            return self.build(method, uri, to=to, from_=from_, call_id=call_id, headers=extra, body=body)

        response = await self.transact(build())
        if self.password is None or not self._learn(response):
            return response
        return await self.transact(build())

    def _learn(self, response: Response) -> bool:
        """Keep the challenge of a response, if it has one that can be answered."""
        if response.status not in _CHALLENGES:
            return False
        asks, answers = _CHALLENGES[response.status]
        text = choose_challenge(response.headers.all(asks))
        if text is None:
            return False
        self._challenges[answers] = _Challenge(text)
        return True

    def build(
        self,
        method: str,
        uri: str,
        *,
        to: str | None = None,
        from_: str | None = None,
        call_id: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Request:
        """A request with a branch of its own, with credentials where a challenge is known. Change it as you like."""
        self._cseq += 1
        fields = [
            ("Via", f"SIP/2.0/{self.transport.upper()} {self._sent_by};branch=z9hG4bK{_token()};rport"),
            ("Max-Forwards", "70"),
            ("From", f"<{from_ or self.address}>;tag={self.tag}"),
            ("To", f"<{to or uri}>"),
            ("Call-ID", call_id or _token()),
            ("CSeq", f"{self._cseq} {method}"),
            *headers,
        ]
        for name, challenge in self._challenges.items() if self.password is not None else ():
            challenge.count += 1
            value = authorize(
                challenge.text,
                method,
                uri,
                self.user,
                self.password or "",
                body=body,
                nc=challenge.count,
                cnonce=_token(),
            )
            fields.append((name, value))
        return Request(method, uri, Headers(fields), body)

    async def transact(self, request: Request, within: float = TIMER_F) -> Response:
        """Send ``request`` as it is, again over UDP while nothing is heard, and return the final response. NoAnswer."""
        branch = request.via.branch
        assert branch is not None
        if not self.is_connected:
            raise NoAnswer(f"{self.user} is not connected")
        pending = self._pending[branch] = _Pending()
        data = request.render()
        self.last = request
        interval = T1 if self.transport == "udp" else math.inf
        try:
            with trio.move_on_after(within):
                self.send_raw(data)
                while self.is_connected:
                    with trio.move_on_after(interval):
                        await pending.heard.wait()
                    final = next((each for each in pending.responses if each.is_final), None)
                    if final is not None:
                        return final
                    if pending.heard.is_set():  # a provisional response
                        pending.heard = trio.Event()
                        interval = max(interval, T2)
                    else:
                        self.send_raw(data)
                        interval = min(2 * interval, T2)
        finally:
            del self._pending[branch]
        raise NoAnswer(f"{self.user}: {request.method} {request.uri}: no final response")

    def send_raw(self, data: bytes) -> None:
        """Bytes as they are, to the server."""
        if self.tap is not None:
            self.tap(True, data)
        self._wire.send(data)


def _token() -> str:
    return secrets.token_hex(8)
