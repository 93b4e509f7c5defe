"""`conformance.load.sink` and `.sinks`: processes that answer, count, and share a socket or not."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator

import pytest

from conformance.load.sink import COUNTERS, Sink
from conformance.load.sinks import SinkDied, Sinks, bind
from tests.conformance.load.test_message import PREFIX, TEXT


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """Where MESSAGEs come from; it waits at most ten seconds for an answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)
        yield sock


def copy(number: int, user: int = 12) -> bytes:
    return (
        TEXT.replace(b"~00000042", b"~%08d" % number)
        .replace(b"bKfirst", b"bK%d.%d" % (number, user))
        .replace(b"user12@", b"user%d@" % user)
    )


def test_a_sink_answers_and_remembers(server: socket.socket) -> None:
    with bind("127.0.0.1") as sock:
        counters = memoryview(bytearray(8 * COUNTERS)).cast("Q")
        sink = Sink(sock, counters, PREFIX)
        for data in (copy(1), copy(2), b"nothing", copy(1)):
            server.sendto(data, sock.getsockname())
        sink.read()
        answers = [server.recv(4096) for _ in range(3)]
        assert all(answer.startswith(b"SIP/2.0 200 OK\r\n") for answer in answers)
        seen = sink.collect()
        assert (list(seen.users), list(seen.numbers)) == ([12, 12, 12], [1, 2, 1])
        assert seen.vias[0] == seen.vias[2] != seen.vias[1]
        assert list(counters) == [3, 1]
        assert len(sink.collect().times) == 0


@pytest.mark.parametrize("is_shared", [True, False])
def test_processes_count_together(server: socket.socket, is_shared: bool) -> None:
    with Sinks(2, is_shared=is_shared, prefix=PREFIX) as sinks:
        assert len({sinks.port(user) for user in range(10)}) == (1 if is_shared else 2)
        for number in range(40):
            server.sendto(copy(number, number % 10), ("127.0.0.1", sinks.port(number % 10)))
            assert server.recv(4096).startswith(b"SIP/2.0 200 OK\r\n")
        found = sinks.collect()
        assert sorted(number for seen in found for number in seen.numbers) == list(range(40))
        assert sinks.deliveries == 40
        assert sinks.others == 0
        assert sinks.dropped() == 0
        assert len(sinks.cpu_seconds()) == 2
        assert all(seconds > 0 for seconds in sinks.cpu_seconds())
        assert all(not list(seen.numbers) for seen in sinks.collect())


def test_a_retransmission_is_known_whichever_process_reads_it(server: socket.socket) -> None:
    with Sinks(2, is_shared=False, prefix=PREFIX) as sinks:
        for user in (0, 1):
            server.sendto(copy(1), ("127.0.0.1", sinks.port(user)))
            server.recv(4096)
        first, second = sinks.collect()
        assert list(first.vias) == list(second.vias)


def test_a_sink_that_ended_is_an_error() -> None:
    with Sinks(2, is_shared=True, prefix=PREFIX) as sinks:
        os.kill(sinks.pids[1], signal.SIGKILL)
        with pytest.raises(SinkDied):
            sinks.collect()


def test_a_port_that_is_taken_is_an_error(server: socket.socket) -> None:
    with pytest.raises(OSError, match="in use"):
        Sinks(1, port=server.getsockname()[1], is_shared=True, prefix=PREFIX)
