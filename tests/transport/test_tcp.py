"""Connections on real sockets. Where time matters, the clock stands still unless the test moves it."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from imc.errors import Unreachable
from imc.sip.flow import Flow
from imc.transport.addresses import ListenAddress, parse_listen
from imc.transport.connection import Connection, End, TcpOptions
from imc.transport.guard import Guard
from imc.transport.tcp import Tcp
from tests.transport.harness import LOOPBACKS, Recorder, TcpPeer, listen_text, sip, until

OpenTcp = Callable[..., AbstractAsyncContextManager[Tcp]]
Connect = Callable[..., TcpPeer]
FOREVER = 10**6


@pytest.fixture
def connect() -> Iterator[Connect]:
    peers: list[TcpPeer] = []

    def connect(*args: Any, **kwargs: Any) -> TcpPeer:
        peers.append(TcpPeer(*args, **kwargs))
        return peers[-1]

    yield connect
    for peer in peers:
        peer.close()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def tcp(recorder: Recorder) -> OpenTcp:
    @asynccontextmanager
    async def open_tcp(*listen: str, **options: Any) -> AsyncIterator[Tcp]:
        tcp = Tcp(
            [parse_listen(text) for text in listen or ("tcp:127.0.0.1:0",)],
            TcpOptions(**options),
            receive=recorder.receive,
            batch_end=recorder.batch_end,
            flow_closed=recorder.flow_closed,
            guard=Guard(),
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(tcp.run)
            yield tcp
            nursery.cancel_scope.cancel()
        assert tcp.connections == 0

    return open_tcp


def at(tcp: Tcp, index: int = 0) -> tuple[str, int]:
    return tcp.addresses[index].ip, tcp.addresses[index].port


def has_connections(tcp: Tcp, count: int) -> bool:
    return tcp.connections == count


def _of(tcp: Tcp, peer: TcpPeer) -> Connection:
    return next(each for each in tcp._connections.values() if each.flow.remote == peer.address)


def only(tcp: Tcp) -> Connection:
    (connection,) = tcp._connections.values()
    return connection


# Reading and answering


@pytest.mark.parametrize("ip", LOOPBACKS)
async def test_there_and_back_on_one_connection(connect: Connect, tcp: OpenTcp, recorder: Recorder, ip: str) -> None:
    async with tcp(listen_text("tcp", ip)) as server:
        peer = connect(at(server))
        peer.send(sip(b"one") + sip(b"two") + sip(b"three")[:-2])
        await recorder.wait(2)
        peer.send(b"ee")
        await recorder.wait(3)
        flow = Flow("tcp", at(server), peer.address, 1)
        assert recorder.received == [(sip(body), flow) for body in (b"one", b"two", b"three")]
        assert recorder.batches == [2, 1]
        assert server.find(*peer.address) == flow
        assert server.send(flow, b"answer")
        await until(lambda: peer.poll() == b"answer")
        peer.close()
        await until(lambda: recorder.closed)
        assert recorder.closed == [flow]
        assert server.find(*peer.address) is None


async def test_double_crlf_is_answered_with_one(connect: Connect, tcp: OpenTcp, recorder: Recorder) -> None:
    # spec S-NET-1
    async with tcp() as server:
        peer = connect(at(server))
        peer.send(b"\r\n\r\n" * 2 + sip() + b"\r\n")
        await until(lambda: peer.poll() == b"\r\n\r\n")
        assert recorder.data == [sip()]
        peer.close()


async def test_a_peer_that_closed_its_direction_still_gets_its_answer(
    connect: Connect, tcp: OpenTcp, recorder: Recorder, mock_clock: trio.testing.MockClock
) -> None:
    # spec S-NET-8
    async with tcp() as server:
        peer = connect(at(server))
        peer.send(sip())
        peer.sock.shutdown(socket.SHUT_WR)
        await until(lambda: recorder.closed)
        flow = recorder.closed[0]
        assert server.find(*peer.address) is None  # no request goes there any more
        assert server.send(flow, b"answer")
        await until(lambda: peer.poll() == b"answer")
        await trio.testing.wait_all_tasks_blocked()
        assert server.connections == 1
        mock_clock.jump(1.0)
        await until(peer.has_ended)
        assert not server.send(flow, b"too late")
        assert (server.connections, server.ends[End.EOF], recorder.closed) == (0, 1, [flow])


async def test_a_peer_that_closed_both_is_let_go_when_an_answer_fails(
    connect: Connect, tcp: OpenTcp, recorder: Recorder, mock_clock: trio.testing.MockClock
) -> None:
    async with tcp() as server:
        peer = connect(at(server))
        peer.send(sip())
        peer.close()
        await until(lambda: recorder.closed)
        await until(lambda: not server.send(recorder.closed[0], b"answer"))
        await until(lambda: server.connections == 0)
        assert len(recorder.closed) == 1


async def test_a_reset_ends_it_at_once(connect: Connect, tcp: OpenTcp, recorder: Recorder) -> None:
    async with tcp() as server:
        peer = connect(at(server))
        peer.send(sip())
        await recorder.wait(1)
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        await until(lambda: server.connections == 0)
        assert server.ends == {End.RESET: 1}
        assert len(recorder.closed) == 1


async def test_a_stream_that_is_no_sip_is_closed_after_what_came_before(
    connect: Connect, tcp: OpenTcp, recorder: Recorder, mock_clock: trio.testing.MockClock
) -> None:
    # spec S-READ-3
    async with tcp() as server:
        recorder.on_receive = lambda _data, flow: server.send(flow, b"answer")
        peer = connect(at(server))
        peer.send(sip() + b"MESSAGE sip:x@y SIP/2.0\r\nContent-Length: many\r\n\r\nrest" * 20)
        await until(peer.has_ended)
        assert (peer.data, peer.is_reset) == (b"answer", False)
        assert recorder.data == [sip()]
        assert len(recorder.closed) == 1
        assert not server.send(recorder.closed[0], b"too late")
        assert server.ends == {End.BAD_STREAM: 1}
        mock_clock.jump(1.0)  # the peer still holds its own direction open, and is not waited for
        await until(lambda: server.connections == 0)


# Deadlines


async def test_a_message_has_a_deadline_from_its_first_byte(
    connect: Connect, tcp: OpenTcp, recorder: Recorder, mock_clock: trio.testing.MockClock
) -> None:
    # spec S-NET-2
    async with tcp(message_deadline=30.0, linger=0.0) as server:
        peer = connect(at(server))
        peer.send(sip())
        await recorder.wait(1)
        mock_clock.jump(1000.0)
        for byte in sip(b"a slow one")[:29]:
            await settled_after(server, partial(peer.send, bytes([byte])))
            mock_clock.jump(1.0)
        await trio.testing.wait_all_tasks_blocked()
        assert not peer.has_ended()
        mock_clock.jump(1.0)
        await until(peer.has_ended)
        assert server.ends == {End.TOO_SLOW: 1}
        assert len(recorder.received) == 1
        assert len(recorder.closed) == 1


async def settled_after(tcp: Tcp, act: Callable[[], None]) -> None:
    """``act`` sends on the only connection; return when that has been read."""
    connection = only(tcp)
    heard = connection.last_heard
    connection.last_heard = -1.0
    act()
    await until(lambda: connection.last_heard != -1.0)
    assert connection.last_heard >= heard


async def test_the_deadline_starts_anew_with_each_message(
    connect: Connect, tcp: OpenTcp, recorder: Recorder, mock_clock: trio.testing.MockClock
) -> None:
    async with tcp(message_deadline=30.0) as server:
        peer = connect(at(server))
        await until(lambda: server.connections == 1)
        for _ in range(3):
            await settled_after(server, lambda: peer.send(sip()[:10]))
            mock_clock.jump(20.0)
            await settled_after(server, lambda: peer.send(sip()[10:] + sip()[:5]))
            mock_clock.jump(20.0)
            await settled_after(server, lambda: peer.send(sip()[5:]))
        assert len(recorder.received) == 6
        assert server.connections == 1
        peer.close()


@pytest.mark.parametrize("keep_alive", [b"", b"\r\n\r\n"])
async def test_who_says_nothing_after_connecting_is_closed(
    connect: Connect, tcp: OpenTcp, recorder: Recorder, mock_clock: trio.testing.MockClock, keep_alive: bytes
) -> None:
    # spec S-NET-2
    async with tcp(message_deadline=30.0, linger=0.0) as server:
        peer = connect(at(server))
        await until(lambda: server.connections == 1)
        for _ in range(2):
            if keep_alive:
                await settled_after(server, lambda: peer.send(keep_alive))
            mock_clock.jump(14.9)
        await trio.testing.wait_all_tasks_blocked()
        assert not peer.has_ended()
        mock_clock.jump(0.3)
        await until(peer.has_ended)
        assert server.ends == {End.TOO_SLOW: 1}


async def test_an_idle_connection_is_closed_after_long(
    connect: Connect, tcp: OpenTcp, recorder: Recorder, mock_clock: trio.testing.MockClock
) -> None:
    async with tcp(idle_limit=600.0, linger=0.0) as server:
        peer = connect(at(server))
        await until(lambda: server.connections == 1)
        await settled_after(server, lambda: peer.send(sip()))
        mock_clock.jump(599.0)
        await settled_after(server, lambda: peer.send(b"\r\n\r\n"))
        mock_clock.jump(599.0)
        await trio.testing.wait_all_tasks_blocked()
        assert not peer.has_ended()
        mock_clock.jump(1.0)
        await until(peer.has_ended)
        assert server.ends == {End.IDLE: 1}


# Writing


async def test_a_slow_reader_gets_all_in_order(connect: Connect, tcp: OpenTcp, recorder: Recorder) -> None:
    async with tcp(write_buffer=64 * 2**20) as server:
        peer = connect(at(server), buffer=4096)
        peer.send(sip())
        await recorder.wait(1)
        flow = recorder.received[0][1]
        expected = b""
        while len(only(server)._buffer) < 2**20:
            chunk = b"%08d" % (len(expected) // 8) * 5000
            assert server.send(flow, chunk)
            expected += chunk
        assert server.send(flow, b"last")
        await until(lambda: peer.poll().endswith(b"last"))
        assert peer.data == expected + b"last"
        assert not only(server)._buffer
        peer.close()


async def test_who_does_not_read_is_cut_off_at_the_bound(connect: Connect, tcp: OpenTcp, recorder: Recorder) -> None:
    # spec S-NET-4
    async with tcp(write_buffer=100_000) as server:
        peer = connect(at(server), buffer=4096)
        peer.send(sip())
        await recorder.wait(1)
        flow = recorder.received[0][1]
        while server.send(flow, b"x" * 10_000):
            assert len(only(server)._buffer) <= 100_000
        assert recorder.closed == []  # not from within send
        assert server.find(*peer.address) is None
        await until(lambda: server.connections == 0)
        assert server.ends == {End.WRITE_OVERFLOW: 1}
        assert recorder.closed == [flow]
        peer.close()


async def test_what_nobody_reads_has_a_deadline(
    connect: Connect, tcp: OpenTcp, recorder: Recorder, mock_clock: trio.testing.MockClock
) -> None:
    # spec S-NET-4
    async with tcp(write_buffer=100_000, write_deadline=30.0) as server:
        peer = connect(at(server), buffer=4096)
        peer.send(sip())
        await recorder.wait(1)
        while not only(server)._buffer:
            assert server.send(recorder.received[0][1], b"x" * 10_000)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(29.0)
        await trio.testing.wait_all_tasks_blocked()
        assert server.connections == 1
        mock_clock.jump(1.0)
        await until(lambda: server.connections == 0)
        assert server.ends == {End.WRITE_OVERFLOW: 1}
        peer.close()


# Bounds


async def test_connections_from_one_address_are_bounded(connect: Connect, tcp: OpenTcp, recorder: Recorder) -> None:
    # spec S-NET-3
    async with tcp(max_per_address=2) as server:
        peers = [connect(at(server), source="127.0.0.2") for _ in range(3)]
        await until(lambda: server.refused == 1)
        await until(peers[2].has_ended)
        connect(at(server), source="127.0.0.3")
        await until(lambda: server.connections == 3)
        peers[0].close()
        await until(lambda: server.ends[End.EOF])


async def test_when_full_the_newcomer_is_refused_or_the_greediest_gives_way(
    connect: Connect, tcp: OpenTcp, recorder: Recorder, mock_clock: trio.testing.MockClock
) -> None:
    # spec S-NET-3
    async with tcp(max_connections=4, linger=0.0, message_deadline=FOREVER) as server:
        greedy = []
        for n in range(4):
            greedy.append(connect(at(server), source="127.0.0.2"))
            await until(partial(has_connections, server, n + 1))
            mock_clock.jump(1.0)
        greedy[0].send(sip())  # now the second is the quietest
        await recorder.wait(1)
        more = connect(at(server), source="127.0.0.2")
        await until(more.has_ended)
        assert server.refused == 1

        for _ in range(2):
            connect(at(server), source="127.0.0.3")
        await until(lambda: server.ends[End.EVICTED] == 2)
        await until(lambda: len(recorder.closed) == 2)
        assert {flow.remote for flow in recorder.closed} == {greedy[1].address, greedy[2].address}

        third = connect(at(server), source="127.0.0.3")  # two and two: nobody holds more
        await until(third.has_ended)
        assert (server.refused, server.connections) == (2, 4)


async def test_no_connections_at_all(connect: Connect, tcp: OpenTcp) -> None:
    async with tcp(max_connections=0) as server:
        peer = connect(at(server))
        await until(peer.has_ended)
        with pytest.raises(Unreachable, match="too many connections"):
            await server.open("127.0.0.1", 9, 1.0)


class FailingListener:
    """A listening socket whose first calls of accept fail."""

    def __init__(self, sock: socket.socket, *errors: int) -> None:
        self._sock = sock
        self.errors = list(errors)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def has_left(self, count: int) -> bool:
        return len(self.errors) == count

    def accept(self) -> Any:
        if self.errors:
            code = self.errors.pop(0)
            raise OSError(code, errno.errorcode[code])
        return self._sock.accept()


async def test_a_listener_survives_without_file_descriptors(
    connect: Connect, recorder: Recorder, nursery: trio.Nursery, mock_clock: trio.testing.MockClock
) -> None:
    # spec S-NET-6
    server = Tcp(
        [parse_listen("tcp:127.0.0.1:0")],
        TcpOptions(),
        receive=recorder.receive,
        batch_end=recorder.batch_end,
        flow_closed=recorder.flow_closed,
        guard=Guard(),
    )
    sock, address = server._listeners[0]
    failing = FailingListener(sock, errno.ECONNABORTED, errno.EMFILE, errno.ENFILE, errno.EPROTO)
    server._listeners[0] = failing, address  # type: ignore[assignment]
    peer = connect((address.ip, address.port))
    nursery.start_soon(server.run)
    for left, pause in ((2, 0.1), (1, 0.2)):
        await until(partial(failing.has_left, left))
        await trio.testing.wait_all_tasks_blocked()
        assert server.accepted == 0
        mock_clock.jump(pause)
    await until(lambda: server.accepted == 1)
    peer.close()
    nursery.cancel_scope.cancel()


async def test_exceptions_of_one_connection_end_nothing(connect: Connect, tcp: OpenTcp, recorder: Recorder) -> None:
    # spec S-NET-6
    def fail(*_args: object) -> None:
        raise RuntimeError("a bug")

    async with tcp() as server:
        server._flow_closed = fail
        server._batch_end = fail
        recorder.on_receive = fail
        peer = connect(at(server))
        peer.send(sip() + sip())
        await recorder.wait(2)
        peer.send(sip())
        await recorder.wait(3)
        peer.close()
        await until(lambda: server.ends[End.EOF])
        assert server._guard.failures == 6  # three messages, two batches, one end
        await until(lambda: not connect(at(server)).has_ended())
        await until(lambda: server.accepted == 2)


async def test_a_fault_of_the_framer_ends_only_its_connection(
    connect: Connect, tcp: OpenTcp, recorder: Recorder
) -> None:
    class BrokenFramer:
        def feed(self, _data: bytes) -> None:
            raise RuntimeError("a bug")

    async with tcp() as server:
        peer = connect(at(server))
        other = connect(at(server))
        await until(lambda: server.connections == 2)
        _of(server, peer)._framer = BrokenFramer()  # type: ignore[assignment]
        peer.send(sip())
        await until(peer.has_ended)
        other.send(sip())
        await recorder.wait(1)
        assert len(recorder.closed) == 1
        peer.close()
        other.close()


# Opening


@asynccontextmanager
async def remote_listener(ip: str = "127.0.0.1", backlog: int = 10) -> AsyncIterator[socket.socket]:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.bind((ip, 0))
        sock.listen(backlog)
        sock.setblocking(False)
        yield sock


def address_of(sock: socket.socket) -> tuple[str, int]:
    ip, port = sock.getsockname()[:2]
    return ip, port


@pytest.mark.parametrize("ip", LOOPBACKS)
async def test_open_connects_and_both_directions_work(
    connect: Connect, tcp: OpenTcp, recorder: Recorder, ip: str
) -> None:
    async with tcp(listen_text("tcp", ip)) as server, remote_listener(ip) as listener:
        remote = address_of(listener)
        flow = await server.open(*remote, 5.0)
        sock, address = listener.accept()
        assert flow == Flow("tcp", at(server), remote, 1)  # the port is where it listens: it goes into Via
        assert address[1] != flow.local[1]
        peer = connect(sock)
        assert server.send(flow, sip(b"request"))
        await until(lambda: peer.poll() == sip(b"request"))
        peer.send(sip(b"answer"))
        await recorder.wait(1)
        assert recorder.received == [(sip(b"answer"), flow)]
        assert server.find(*remote) == await server.open(*remote, 5.0) == flow
        peer.close()
        await until(lambda: recorder.closed == [flow])
        assert server.find(*remote) is None
        assert (await server.open(*remote, 5.0)).conn == 2


async def test_an_opened_connection_may_stay_silent(
    tcp: OpenTcp, recorder: Recorder, mock_clock: trio.testing.MockClock
) -> None:
    async with tcp(message_deadline=30.0, idle_limit=600.0, linger=0.0) as server, remote_listener() as listener:
        flow = await server.open(*address_of(listener), 5.0)
        mock_clock.jump(599.0)
        await trio.testing.wait_all_tasks_blocked()
        assert server.find(*flow.remote) == flow
        mock_clock.jump(1.0)
        await until(lambda: recorder.closed == [flow])
        assert server.ends == {End.IDLE: 1}


async def test_concurrent_opens_are_one_attempt(tcp: OpenTcp) -> None:
    # spec S-NET-5
    flows = []

    async def open_one() -> None:
        flows.append(await server.open(*remote, 5.0))

    async with tcp() as server, remote_listener() as listener:
        remote = address_of(listener)
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(open_one)
        assert len(flows) == 50
        assert len(set(flows)) == 1
        listener.accept()[0].close()
        with pytest.raises(BlockingIOError):
            listener.accept()


async def test_a_refused_connection_is_unreachable_with_its_reason(tcp: OpenTcp) -> None:
    async with tcp() as server:
        async with remote_listener() as listener:
            ip, port = address_of(listener)
        with pytest.raises(Unreachable, match=f"tcp:{ip}:{port}: Connection refused"):
            await server.open(ip, port, 5.0)
        with pytest.raises(Unreachable, match="no listener could reach it"):
            await server.open("198.51.100.1", 5060, 5.0)  # from a loopback address
        assert server._attempts == {}


@asynccontextmanager
async def deaf_listener() -> AsyncIterator[tuple[str, int]]:
    """One whose queue of connections is full: the kernel drops what else knocks."""
    async with remote_listener(backlog=0) as listener:
        with socket.create_connection(address_of(listener)):
            yield address_of(listener)


async def test_each_caller_waits_for_its_own_time(
    tcp: OpenTcp, nursery: trio.Nursery, mock_clock: trio.testing.MockClock
) -> None:
    ends: list[tuple[float, float, str]] = []

    async def open_one(within: float) -> None:
        start = trio.current_time()
        with pytest.raises(Unreachable) as failure:
            await server.open(*remote, within)
        ends.append((within, round(trio.current_time() - start, 3), str(failure.value)))

    async with deaf_listener() as remote, tcp(connect_timeout=5.0) as server:
        async with trio.open_nursery() as cancelled:
            cancelled.start_soon(open_one, 60.0)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(open_one, 2.0)
            nursery.start_soon(open_one, 60.0)
            await trio.testing.wait_all_tasks_blocked()
            cancelled.cancel_scope.cancel()  # who began the attempt: it goes on for the others
        mock_clock.jump(2.0)
        await until(lambda: len(ends) == 1)
        mock_clock.jump(3.0)
        await until(lambda: len(ends) == 2)
        why = f"tcp:{remote[0]}:{remote[1]}: timed out"
        assert ends == [(2.0, 2.0, why), (60.0, 5.0, why)]
        assert server._attempts == {}


async def test_attempts_at_once_are_bounded(
    tcp: OpenTcp, nursery: trio.Nursery, mock_clock: trio.testing.MockClock
) -> None:
    async def open_one() -> None:
        with pytest.raises(Unreachable):
            await server.open(*remote, 5.0)

    async with deaf_listener() as remote, tcp(max_connecting=1) as server:
        nursery.start_soon(open_one)
        await until(lambda: server._attempts)
        with pytest.raises(Unreachable, match="too many connections"):
            await server.open("127.0.0.1", 9, 5.0)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(5.0)
        await until(lambda: not server._attempts)


async def test_it_connects_from_the_address_it_listens_on(tcp: OpenTcp) -> None:
    async with tcp("tcp:127.0.0.9:0") as server, remote_listener() as listener:
        flow = await server.open(*address_of(listener), 5.0)
        sock, address = listener.accept()
        sock.close()
        assert address[0] == "127.0.0.9"
        assert flow.local == at(server)


async def test_without_listeners_of_its_own_it_uses_the_addresses_given(tcp: OpenTcp) -> None:
    fallback = [ListenAddress("udp", "127.0.0.8", 5060)]
    server = Tcp(
        [],
        TcpOptions(),
        receive=lambda _data, _flow: None,
        batch_end=lambda: None,
        flow_closed=lambda _flow: None,
        guard=Guard(),
    )
    async with remote_listener() as listener, trio.open_nursery() as nursery:
        with pytest.raises(Unreachable, match="not running"):
            await server.open(*address_of(listener), 5.0, fallback)
        await nursery.start(server.run)
        flow = await server.open(*address_of(listener), 5.0, fallback)
        sock, address = listener.accept()
        sock.close()
        assert flow.local == address == ("127.0.0.8", address[1])
        nursery.cancel_scope.cancel()


async def test_a_wildcard_knows_the_address_of_each_connection(
    connect: Connect, tcp: OpenTcp, recorder: Recorder
) -> None:
    async with tcp("tcp:0.0.0.0:0") as server, remote_listener() as listener:
        peer = connect(("127.0.0.5", at(server)[1]))
        peer.send(sip())
        await recorder.wait(1)
        assert recorder.received[0][1].local == ("127.0.0.5", at(server)[1])
        flow = await server.open(*address_of(listener), 5.0)
        assert flow.local == ("127.0.0.1", at(server)[1])
        peer.close()


# Ending


async def test_aclose_sends_what_is_buffered(connect: Connect, recorder: Recorder, tcp: OpenTcp) -> None:
    async with tcp(write_buffer=2**22) as server:
        address = at(server)
        peer = connect(address, buffer=4096)
        peer.send(sip())
        await recorder.wait(1)
        flow = recorder.received[0][1]
        sent = 0
        while len(only(server)._buffer) < 300_000:
            assert server.send(flow, b"x" * 10_000)
            sent += 10_000
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.aclose, 60.0)
            await until(peer.has_ended)
        assert len(peer.data) == sent
        assert recorder.closed == [flow]
        assert server.ends == {End.STOPPED: 1}
        with pytest.raises(ConnectionRefusedError):
            connect(address)
        with pytest.raises(Unreachable, match="not running"):
            await server.open("127.0.0.1", 9, 1.0)
        peer.close()


async def test_aclose_waits_for_its_grace_only(
    connect: Connect, recorder: Recorder, tcp: OpenTcp, nursery: trio.Nursery, mock_clock: trio.testing.MockClock
) -> None:
    done: list[float] = []

    async def close() -> None:
        start = trio.current_time()
        await server.aclose(2.0)
        done.append(trio.current_time() - start)

    async with tcp(linger=60.0) as server:
        peer = connect(at(server), buffer=4096)
        peer.send(sip())
        await recorder.wait(1)
        while not only(server)._buffer:
            assert server.send(recorder.received[0][1], b"x" * 10_000)
        nursery.start_soon(close)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(2.0)
        await until(lambda: done)
        await until(lambda: recorder.closed)
        assert done == [2.0]
        peer.close()


async def test_aclose_of_idle_connections_takes_no_time(
    connect: Connect, recorder: Recorder, tcp: OpenTcp, mock_clock: trio.testing.MockClock
) -> None:
    async with tcp() as server:
        peers = [connect(at(server)) for _ in range(3)]
        await until(lambda: server.connections == 3)
        await server.aclose(2.0)
        assert server.connections == 0
        for peer in peers:
            assert peer.has_ended()
            assert not peer.is_reset


# Floods


async def test_a_flow_of_which_no_more_is_wanted_is_not_read_for_a_moment(
    connect: Connect, tcp: OpenTcp, recorder: Recorder, mock_clock: trio.testing.MockClock
) -> None:
    """Spec S-SRC-2: a small read, then nothing until the moment is over; nothing is lost, and others are read."""
    async with tcp() as server:

        def receive(data: bytes, flow: Flow) -> bool:
            recorder.receive(data, flow)
            return True

        server._receive = receive
        flood, other = connect(at(server)), connect(at(server))
        whole = 300
        flood.send(sip() * whole)
        await until(lambda: only_busy(server) == 1)
        first = len(recorder.received)
        assert 0 < first <= 4096 // len(sip())
        other.send(sip())
        await until(lambda: len(recorder.received) == first + 1)
        while len(recorder.received) < whole:
            before = len(recorder.received)
            mock_clock.jump(0.25)
            await until(lambda before=before: len(recorder.received) > before)  # type: ignore[misc]
            assert len(recorder.received) - before <= 1 + 4096 // len(sip())


async def test_a_flow_that_was_held_is_read_a_little_at_a_time_for_a_while(
    connect: Connect, tcp: OpenTcp, recorder: Recorder, mock_clock: trio.testing.MockClock
) -> None:
    """Spec S-SRC-2: what comes between two holds costs no more than what led to the first."""
    async with tcp() as server:

        def receive(data: bytes, flow: Flow) -> bool:
            recorder.receive(data, flow)
            return len(recorder.received) == 1

        server._receive = receive
        flood = connect(at(server))
        whole, small = 500, 4096 // len(sip())
        flood.send(sip())
        await until(lambda: only_busy(server) == 1)
        flood.send(sip() * whole)
        sizes: list[int] = []
        mock_clock.jump(0.25)
        while sum(sizes) < whole:
            before = len(recorder.received)
            await until(lambda before=before: len(recorder.received) > before)  # type: ignore[misc]
            sizes.append(len(recorder.received) - before)
        assert max(sizes) <= 2 * (1 + small)  # two reads, where the test looked late
        mock_clock.jump(10.0)
        flood.send(sip() * whole)
        await until(lambda: len(recorder.received) > 1 + whole)
        assert len(recorder.received) - 1 - whole > 2 * (1 + small)


async def test_who_is_cut_off_is_drained_up_to_a_bound(
    connect: Connect, tcp: OpenTcp, mock_clock: trio.testing.MockClock
) -> None:
    """Spec S-NET-8: it goes on to send, and costs no more than a moment's reading, before ``linger`` is over."""
    async with tcp(linger=3_600.0) as server:
        peer = connect(at(server))
        peer.send(b"no SIP at all\r\n\r\n")
        await until(lambda: server.ends == {End.BAD_STREAM: 1})

        def pour() -> bool:
            with contextlib.suppress(BlockingIOError, ConnectionResetError, BrokenPipeError):
                peer.sock.send(b"x" * 65_536)
            return server.connections == 0

        await until(pour)


def only_busy(server: Tcp) -> int:
    """How many connections are held."""
    return sum(each._is_held for each in server._connections.values())
