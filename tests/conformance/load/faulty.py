"""A chat server that does what it is told to do wrong: everything the load counts can be made to happen."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from imc.sip.message import Request, Response, parse_message

Fault = Callable[[int, str, str], list[str]]
"""From which copy it is (counted from 1), the recipient and the text, to what is done: "send", "lose", "repeat" (the
same bytes again), "double" (in another transaction), "stray" (to a user who is not in the room)."""


@dataclass(slots=True)
class FaultyServer:
    """Registrar and rooms, without a password. ``refuses``: texts that get 403."""

    sock: socket.socket
    fault: Fault
    refuses: Callable[[str], bool]
    names_its_cause: bool = True
    contacts: dict[str, tuple[str, int]] = field(default_factory=dict)
    rooms: dict[str, list[str]] = field(default_factory=dict)
    copies: int = 0
    serial: int = 0
    answers: int = 0

    def serve(self) -> None:
        """Until it gets ``end``."""
        while True:
            data, source = self.sock.recvfrom(65_535)
            if data == b"end":
                return
            message = parse_message(data, is_datagram=True)
            if isinstance(message, Response):
                self.answers += 1
                continue
            self._answer(message, source, self._take(message))

    def _take(self, request: Request) -> int:
        sender = str(request.from_.uri).partition(":")[2].partition("@")[0]
        if request.method == "REGISTER":
            contact = (request.headers.get("Contact") or "").partition("@")[2].rstrip(">")
            host, _, port = contact.partition(":")
            self.contacts[sender] = (host, int(port))
        if request.method != "MESSAGE":
            return 200
        room, text = request.uri, request.body.decode()
        if self.refuses(text):
            return 403
        if text in ("#create", "#join"):
            members = self.rooms.setdefault(room, [])
            members.append(sender)
            self._tell(request, members, "somebody joined")
            return 200
        if text == "#destroy":
            self.rooms.pop(room, None)
            return 200
        self._tell(request, [user for user in self.rooms[room] if user != sender], text)
        return 202

    def _tell(self, request: Request, recipients: list[str], text: str) -> None:
        for recipient in list(recipients):
            self.copies += 1
            for what in self.fault(self.copies, recipient, text):
                to = "user0" if what == "stray" else recipient
                data = self._copy(request, to, text)
                if what != "lose":
                    self.sock.sendto(data, self.contacts[to])
                if what == "repeat":
                    self.sock.sendto(data, self.contacts[to])
                if what == "double":
                    self.sock.sendto(self._copy(request, to, text), self.contacts[to])

    def _copy(self, request: Request, to: str, text: str) -> bytes:
        self.serial += 1
        host, port = self.contacts[to]
        lines = [
            f"MESSAGE sip:{to}@{host}:{port} SIP/2.0",
            f"v: SIP/2.0/UDP 127.0.0.1:{self.sock.getsockname()[1]};branch=z9hG4bK{self.serial}",
            f"f: <{request.uri}>;tag=1",
            f"t: <sip:{to}@example.com>",
            f"i: {self.serial}",
            "CSeq: 1 MESSAGE",
            *([f"In-Reply-To: {request.call_id}"] if self.names_its_cause else []),
            f"l: {len(text)}",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n" + text).encode()

    def _answer(self, request: Request, source: tuple[str, int], status: int) -> None:
        names = ("Via", "From", "To", "Call-ID", "CSeq")
        lines = [f"{name}: {value}" for name in names for value in request.headers.all(name)]
        self.sock.sendto("\r\n".join([f"SIP/2.0 {status} Any", *lines, "", ""]).encode(), source)


@contextmanager
def faulty_server(
    fault: Fault = lambda *_: ["send"],
    *,
    refuses: Callable[[str], bool] = lambda _: False,
    names_its_cause: bool = True,
) -> Iterator[FaultyServer]:
    """Until the end of the block."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        server = FaultyServer(sock, fault, refuses, names_its_cause)
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield server
        finally:
            sock.sendto(b"end", sock.getsockname())
            thread.join()
