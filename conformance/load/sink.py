"""One process of recipients: `python -m conformance.load.sink`, started by `conformance.load.sinks`.

Every MESSAGE is answered with 200 at once; when, for whom and of which request it was is kept until it is asked for.
Its counters are in memory that the parent reads while it works.

Invariant: a wake-up reads what is there, up to ``BATCH`` datagrams; no datagram ends the process.
"""

from __future__ import annotations

import mmap
import select
import socket
import sys
import time
from array import array
from multiprocessing.connection import Connection
from typing import NamedTuple

from conformance.load.message import take

BATCH = 256
COUNTERS = 2  # deliveries, datagrams that were none
WORD = 8


class Seen(NamedTuple):
    """Deliveries in the order of their arrival: monotonic seconds, users, numbers of requests, hashes of the Via."""

    times: array[float]
    users: array[int]
    numbers: array[int]
    vias: array[int]

    @classmethod
    def none(cls) -> Seen:
        return cls(array("d"), array("q"), array("q"), array("q"))


class Sink:
    """Recipients behind ``sock``. ``counters`` is written only here."""

    def __init__(self, sock: socket.socket, counters: memoryview, prefix: int) -> None:
        self.sock = sock
        self.counters = counters
        self.prefix = prefix
        self.seen = Seen.none()

    def read(self) -> None:
        """Answer what has come."""
        sock, prefix, seen, clock = self.sock, self.prefix, self.seen, time.monotonic
        for _ in range(BATCH):
            try:
                data, source = sock.recvfrom(65_535)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error of an earlier answer
                continue
            incoming = take(data, prefix)
            if incoming is None:
                self.counters[1] += 1
                continue
            try:
                sock.sendto(incoming.answer, source)
            except OSError:  # the server repeats the request, and is answered then
                continue
            seen.times.append(clock())
            seen.users.append(incoming.user)
            seen.numbers.append(incoming.number)
            seen.vias.append(hash(incoming.via))
            self.counters[0] += 1

    def collect(self) -> Seen:
        """What was seen since the last call."""
        seen, self.seen = self.seen, Seen.none()
        return seen


def main(control: int, udp: int, memory: int, number: int, prefix: int) -> None:
    """Serve until the parent's end of ``control`` is closed; the first four are file descriptors and our number."""
    requests = Connection(control)
    counters = memoryview(mmap.mmap(memory, 0)).cast("Q")
    sock = socket.socket(fileno=udp)
    sink = Sink(sock, counters[number * COUNTERS : (number + 1) * COUNTERS], prefix)
    poll = select.epoll()
    poll.register(udp, select.EPOLLIN | select.EPOLLEXCLUSIVE)
    poll.register(control, select.EPOLLIN)
    requests.send(tuple(Seen.none()))
    while True:
        for fd, _ in poll.poll():
            if fd == udp:
                sink.read()
                continue
            try:
                requests.recv()
            except (EOFError, OSError):
                return
            requests.send(tuple(sink.collect()))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
