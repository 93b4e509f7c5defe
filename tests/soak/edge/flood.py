"""Another process that sends all it can: from few addresses and from ever new ones, of every kind, over UDP and TCP."""

from __future__ import annotations

import multiprocessing
import random
import socket
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import trio

from imc.sip.digest import authorize, choose_challenge
from imc.sip.message import parse_message
from tests.attacks.attacker import request
from tests.attacks.flood import malformed, stray, unauthenticated
from tests.soak.edge.attack import Tally, address
from tests.soak.edge.site import MALLORIES, PASSWORD, Site

COUNTS = (
    "datagrams", "bytes in", "answers", "bytes out", "new addresses", "STUN bytes in", "STUN bytes out",
    "with a password", "answered with a password", "TCP bytes in", "TCP bytes out",
)  # fmt: skip
FEW = tuple(f"127.0.0.{number}" for number in range(60, 68))
_TURN = 0.1  # seconds for each kind
_NEW = 128  # sockets on new addresses that are open at a time
_EACH = 4  # datagrams from each new address
_CONNECTIONS = 100
_ASKED = 100
_TRIES = 5
_ENDS_WITHIN = 20.0
ROOM = "sip:chat-flood@example.com"


def stun(number: int) -> bytes:
    """A Binding request."""
    return bytes.fromhex("000100002112a442") + number.to_bytes(12, "big")


class _Flooder:
    """``counts`` is shared memory, one number for each of `COUNTS`."""

    def __init__(self, udp: tuple[str, int], tcp: tuple[str, int], seed: str, counts: Any) -> None:
        self.udp, self.tcp = udp, tcp
        self.chance = random.Random(seed)
        self.counts = counts
        self.few = [self._socket(ip) for ip in FEW]
        self.new: deque[socket.socket] = deque()
        self.streams: list[tuple[socket.socket, bytes]] = []
        self.number = self.chance.getrandbits(60)
        self.rightful = self._socket("127.0.0.70")
        self.challenge = ""
        self.nc = 0
        self._log_in()

    def _socket(self, ip: str) -> socket.socket:
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.bind((ip, 0))
        sock.connect(self.udp)
        sock.setblocking(False)
        return sock

    def count(self, name: str, more: int) -> None:
        self.counts[COUNTS.index(name)] += more

    def make(self, kind: str) -> bytes:
        self.number += 1
        if kind == "garbage":
            return self.chance.randbytes(self.chance.randrange(5, 1_400))
        makers = {"no password": unauthenticated, "malformed": malformed, "stray": stray, "STUN": stun}
        return makers[kind](self.number)

    def send(self, sock: socket.socket, datagrams: Iterable[bytes], prefix: str) -> None:
        sent = size = 0
        for data in datagrams:
            with suppress(OSError):  # the queue of the loopback is full
                sock.send(data)
                sent += 1
                size += len(data)
        self.count("datagrams", sent)
        self.count(f"{prefix}bytes in", size)

    def drain(self, sock: socket.socket) -> list[bytes]:
        found: list[bytes] = []
        while True:
            try:
                found.append(sock.recv(65_535))
            except OSError:
                break
        for data in found:
            self.count("bytes out" if data.startswith(b"SIP") else "STUN bytes out", len(data))
        self.count("answers", len(found))
        return found

    # Kinds of turns

    def from_few(self, kind: str, until: float) -> None:
        datagrams = [self.make(kind) for _ in range(500)]
        prefix = "STUN " if kind == "STUN" else ""
        while time.monotonic() < until:
            for sock in self.few:
                self.send(sock, datagrams, prefix)
                self.drain(sock)

    def from_new(self, kind: str, until: float) -> None:
        while time.monotonic() < until:
            try:
                sock = self._socket(address(self.chance))
            except OSError:
                continue
            self.send(sock, [self.make(kind) for _ in range(_EACH)], "STUN " if kind == "STUN" else "")
            self.count("new addresses", 1)
            self.new.append(sock)
            if len(self.new) > _NEW:
                oldest = self.new.popleft()
                self.drain(oldest)
                oldest.close()

    def _log_in(self) -> None:
        """Before the flood: a newcomer has to get past it, and this one shall not."""
        for _ in range(_TRIES):
            self.send(self.rightful, [self._signed()], "")
            self.rightful.settimeout(1.0)
            with suppress(TimeoutError):
                self._take(self.rightful.recv(65_535))
            self.rightful.setblocking(False)
            if self.counts[COUNTS.index("answered with a password")]:
                return

    def _signed(self) -> bytes:
        self.number += 1
        lines = ["c:text/plain"]
        if self.challenge:
            self.nc += 1
            value = authorize(
                self.challenge, "MESSAGE", ROOM, MALLORIES[1], PASSWORD, nc=self.nc, cnonce=f"{self.number:x}"
            )
            lines.append(f"Authorization:{value}")
        return request("MESSAGE", ROOM, *lines, user=MALLORIES[1], body=b"#create", number=self.number)

    def _take(self, answer: bytes) -> None:
        if answer.startswith(b"SIP/2.0 401"):
            response = parse_message(answer, is_datagram=True)
            self.challenge = choose_challenge(response.headers.all("WWW-Authenticate")) or ""
            self.nc = 0
        elif answer.startswith(b"SIP/2.0 "):
            self.count("answered with a password", 1)

    def with_password(self, until: float) -> None:
        """A user beyond their rate."""
        while time.monotonic() < until:
            data = [self._signed() for _ in range(_ASKED)]
            self.count("with a password", len(data))
            self.send(self.rightful, data, "")
            for answer in self.drain(self.rightful):
                self._take(answer)

    def over_streams(self, kind: str, until: float) -> None:
        data = b"".join(self.make(kind).replace(b"/UDP", b"/TCP") for _ in range(50))
        while time.monotonic() < until:
            if len(self.streams) < _CONNECTIONS:
                with suppress(OSError):
                    sock = socket.create_connection(self.tcp, 1.0, source_address=(self.chance.choice(FEW), 0))
                    sock.setblocking(False)
                    self.streams.append((sock, b""))
            self.streams = [each for each in self.streams if self._write(each, data)]

    def _write(self, each: tuple[socket.socket, bytes], data: bytes) -> bool:
        sock, _ = each
        try:
            with suppress(BlockingIOError):
                self.count("TCP bytes in", sock.send(data))
            with suppress(BlockingIOError):
                found = sock.recv(1 << 20)
                self.count("TCP bytes out", len(found))
                if not found:
                    raise ConnectionError
        except OSError:
            sock.close()
            return False
        return True

    def turn(self) -> None:
        kinds = ("no password", "malformed", "stray", "garbage", "STUN")
        way = self.chance.choice(("few", "few", "new", "new", "streams", "password"))
        until = time.monotonic() + _TURN
        if way == "few":
            self.from_few(self.chance.choice(kinds), until)
        elif way == "new":
            self.from_new(self.chance.choice(kinds), until)
        elif way == "streams":
            self.over_streams(self.chance.choice(kinds[:4]), until)
        else:
            self.with_password(until)


def run(udp: tuple[str, int], tcp: tuple[str, int], seed: str, counts: Any, stop: Any) -> None:
    """In a process of its own, until ``stop`` is set."""
    flooder = _Flooder(udp, tcp, seed, counts)
    while not stop.is_set():
        flooder.turn()


async def flood(on: Site, chance: random.Random, tally: Tally) -> None:
    """See `tests.soak.edge.attack.Attack`."""
    context = multiprocessing.get_context("spawn")
    counts, stop = context.Array("q", len(COUNTS), lock=False), context.Event()
    process = context.Process(
        target=run, args=(on.addresses["udp"], on.addresses["tcp"], str(chance.random()), counts, stop), daemon=True
    )
    process.start()
    began = trio.current_time()
    try:
        while process.is_alive():  # noqa: ASYNC110 - it tells no event loop
            await trio.sleep(0.5)
        tally.blame("the flood ended by itself")
    finally:
        seconds = trio.current_time() - began
        stop.set()
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(process.join, _ENDS_WITHIN)
        if process.is_alive():
            process.kill()
            process.join()
        found = dict(zip(COUNTS, counts, strict=True))
        tally.counts.update(found)
        sip = found["bytes out"] / max(1, found["bytes in"])
        own = found["STUN bytes out"] / max(1, found["STUN bytes in"])
        tally.notes.append(
            f"{found['datagrams'] / seconds:,.0f} datagrams a second given to the kernel, "
            f"from {found['new addresses']:,} new addresses and {len(FEW)} others; "
            f"bytes out a byte in: {sip:.3f}, of STUN {own:.3f}"
        )
