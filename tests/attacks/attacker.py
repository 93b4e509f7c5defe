"""What an attacker has: sockets on addresses of loopback, text, and patience.

A forged source is a socket bound to the victim's address: what the daemon sees and sends is the same, and the victim's
bytes can be counted. The barrier is an OPTIONS from an address of nobody: datagrams are handled in the order in which
they came, so when it is answered, all that was sent before it has been handled.
"""

from __future__ import annotations

import itertools
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from tests.e2e.stage import Stage

BYSTANDER = "127.0.0.200"
_CHUNK = 40  # datagrams sent between barriers: no socket buffer is as small
_numbers = itertools.count(1)


def request(method: str, to: str, *lines: str, user: str = "mallory", body: bytes = b"", number: int = 0) -> bytes:
    """As short as a request can be, so that the answer looks large beside it; ``lines`` are further headers."""
    number = number or next(_numbers)
    head = [
        f"{method} {to} SIP/2.0",
        f"v:SIP/2.0/UDP a;branch=z9hG4bK{number};rport",
        f"f:<sip:{user}@example.com>;tag=1",
        f"t:<{to}>",
        f"i:{number}",
        f"CSeq:1 {method}",
        *lines,
        f"l:{len(body)}",
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


@dataclass
class Gain:
    """What came of an attack. ``requests`` and ``came`` (bytes) are what the attacker paid."""

    row: int
    what: str
    requests: int = 0
    came: int = 0
    gone: int = 0
    statuses: Counter[str] = field(default_factory=Counter)

    @property
    def factor(self) -> float:
        """Bytes out for each byte in."""
        return self.gone / max(1, self.came)

    def note(self, data: bytes) -> None:
        self.gone += len(data)
        words = data.split(b" ", 2)
        self.statuses[(words[1] if data.startswith(b"SIP/2.0 ") else words[0]).decode("latin-1")] += 1

    def __str__(self) -> str:
        found = ", ".join(f"{count} x {status}" for status, count in sorted(self.statuses.items())) or "nothing"
        return (
            f"row {self.row}, {self.what}: {self.requests} requests, {self.came} bytes in, {self.gone} out "
            f"(factor {self.factor:.2f}); answers: {found}"
        )


class Attacker:
    """One UDP socket on an address of its own."""

    def __init__(self, on: Stage, sock: trio.socket.SocketType, bystander: trio.socket.SocketType) -> None:
        self._on = on
        self._raw: socket.socket = sock._sock  # type: ignore[attr-defined]
        self.sock = sock
        self._bystander = bystander

    @classmethod
    @asynccontextmanager
    async def open(cls, on: Stage, ip: str) -> AsyncIterator[Attacker]:
        with trio.socket.socket(type=socket.SOCK_DGRAM) as sock, trio.socket.socket(type=socket.SOCK_DGRAM) as other:
            await sock.bind((ip, 0))
            await other.bind((BYSTANDER, 0))
            yield cls(on, sock, other)

    @property
    def local(self) -> tuple[str, int]:
        ip, port = self.sock.getsockname()
        return ip, port

    async def ask(self, gain: Gain, data: bytes) -> bytes:
        """One request, and its answer, for which something may have to be read first."""
        gain.requests += 1
        gain.came += len(data)
        await self.sock.sendto(data, self._on.addresses["udp"])
        with trio.fail_after(30):
            answer = await self.sock.recv(65_535)
        gain.note(answer)
        print(gain)
        return answer

    async def barrier(self) -> None:
        """Until the daemon has handled all that was sent."""
        number = next(_numbers)
        data = request("OPTIONS", "sip:example.com", number=number)
        with trio.fail_after(30):
            await self._bystander.sendto(data, self._on.addresses["udp"])
            while f"Call-ID: {number}\r\n".encode() not in await self._bystander.recv(65_535):
                pass

    def drain(self, gain: Gain) -> list[bytes]:
        """What has arrived."""
        found: list[bytes] = []
        while True:
            try:
                data = self._raw.recv(65_535)
            except BlockingIOError:
                return found
            gain.note(data)
            found.append(data)

    async def attack(self, gain: Gain, requests: list[bytes]) -> list[bytes]:
        """Send all; what came back."""
        found: list[bytes] = []
        for start in range(0, len(requests), _CHUNK):
            for data in requests[start : start + _CHUNK]:
                gain.requests += 1
                gain.came += len(data)
                await self.sock.sendto(data, self._on.addresses["udp"])
            await self.barrier()
            found += self.drain(gain)
        print(gain)
        return found
