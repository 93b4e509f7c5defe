"""Many users behind one UDP socket: registers them, answers every MESSAGE with 200 at once, counts. No parsing."""

from __future__ import annotations

import re
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable

_COPIED = re.compile(rb"^(?:Via|From|To|Call-ID|CSeq):[^\r]*\r\n", re.MULTILINE)
_STATUS = re.compile(rb"SIP/2\.0 (\d\d\d)")
_CSEQ = re.compile(rb"^CSeq: (\d+)", re.MULTILINE)
_CALL_ID = re.compile(rb"^Call-ID: ([^\r]*)", re.MULTILINE)


Item = tuple[str, str, str, bytes, tuple[str, ...]]


class Sink:
    """``server`` is (host, port). Requests are told apart by their CSeq number."""

    def __init__(self, server: tuple[str, int], domain: str = "example.com") -> None:
        self.server = server
        self.domain = domain
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        self.serial = 0
        self.deliveries = 0
        self.repeated = 0
        self.last_delivery = 0.0
        self.seen: set[bytes] = set()

    def request(self, method: str, sender: str, target: str, body: bytes = b"", *extra: str) -> tuple[int, bytes]:
        """CSeq number, and the bytes of a request."""
        self.serial += 1
        number = self.serial
        to = f"sip:{sender}@{self.domain}" if method == "REGISTER" else target
        head = (
            f"{method} {target} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};rport;branch=z9hG4bKb{number}.{self.port}\r\n"
            f"From: <sip:{sender}@{self.domain}>;tag=t{number}\r\nTo: <{to}>\r\nCall-ID: {number}.{self.port}\r\n"
            f"CSeq: {number} {method}\r\nMax-Forwards: 70\r\n" + "".join(f"{line}\r\n" for line in extra)
        )
        return number, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def run(
        self,
        requests: Iterable[Item],
        *,
        outstanding: int = 16,
        is_done: Callable[[], bool] = lambda: True,
        limit: float = 120.0,
    ) -> tuple[Counter[int], list[float]]:
        """Send the requests, so many unanswered at a time, until all are answered and ``is_done``.

        Statuses counted, and the seconds each took. RuntimeError after ``limit`` seconds.
        """
        pending: dict[int, tuple[float, bytes]] = {}
        statuses: Counter[int] = Counter()
        times: list[float] = []
        source = iter(requests)
        is_exhausted = False
        ends = time.monotonic() + limit
        while True:
            while not is_exhausted and len(pending) < outstanding:
                item = next(source, None)
                if item is None:
                    is_exhausted = True
                    break
                method, sender, target, body, extra = item
                number, data = self.request(method, sender, target, body, *extra)
                pending[number] = (time.monotonic(), data)
                self.socket.sendto(data, self.server)
            if is_exhausted and not pending and is_done():
                return statuses, times
            if time.monotonic() > ends:
                raise RuntimeError(f"{len(pending)} unanswered, {self.deliveries} delivered: {statuses}")
            select.select([self.socket], [], [], 0.5)
            self._read(pending, statuses, times)

    def _read(self, pending: dict[int, tuple[float, bytes]], statuses: Counter[int], times: list[float]) -> None:
        while True:
            try:
                data, source = self.socket.recvfrom(65_535)
            except BlockingIOError:
                return
            if data[:8] == b"MESSAGE ":
                head = data.partition(b"\r\n\r\n")[0] + b"\r\n"
                fields = b"".join(_COPIED.findall(head))
                self.socket.sendto(b"SIP/2.0 200 OK\r\n" + fields + b"Content-Length: 0\r\n\r\n", source)
                call_id = _CALL_ID.search(head)
                key = call_id[1] if call_id else b""
                if key in self.seen:
                    self.repeated += 1
                else:
                    self.seen.add(key)
                    self.deliveries += 1
                    self.last_delivery = time.monotonic()
                continue
            status, number = _STATUS.match(data), _CSEQ.search(data)
            if status and number and (known := pending.pop(int(number[1]), None)) is not None:
                statuses[int(status[1])] += 1
                times.append(time.monotonic() - known[0])

    def register(self, users: Iterable[str]) -> None:
        items = (
            (
                "REGISTER",
                user,
                f"sip:{self.domain}",
                b"",
                (f"Contact: <sip:{user}@127.0.0.1:{self.port}>", "Expires: 3600"),
            )
            for user in users
        )
        statuses, _ = self.run(items, outstanding=64)
        if set(statuses) != {200}:
            raise RuntimeError(f"not registered: {statuses}")
