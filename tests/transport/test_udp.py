from __future__ import annotations

import ctypes
import errno
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio
import trio.testing

from imc.errors import ListenError
from imc.sip.flow import Flow
from imc.transport import udp
from imc.transport.addresses import parse_listen
from imc.transport.guard import Guard
from imc.transport.udp import UdpListener, UdpOptions
from tests.transport.harness import LOOPBACKS, Recorder, UdpPeer, listen_text, needs_ipv6, until

MakeListener = Callable[..., UdpListener]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(params=[True, False], ids=["batched", "one by one"])
def listen(recorder: Recorder, request: pytest.FixtureRequest) -> Iterator[MakeListener]:
    made: list[UdpListener] = []

    def make(text: str = "udp:127.0.0.1:0", **options: Any) -> UdpListener:
        made.append(
            UdpListener(
                parse_listen(text),
                UdpOptions(**{"is_batched": request.param, **options}),
                receive=recorder.receive,
                batch_end=recorder.batch_end,
                guard=Guard(),
                clock=lambda: 0.0,
            )
        )
        return made[-1]

    yield make
    for listener in made:
        listener._sock.close()


@pytest.fixture
def peer() -> Iterator[UdpPeer]:
    peer = UdpPeer()
    yield peer
    peer.close()


class Choked:
    """A socket whose calls fail as told: ``errors`` are raised one by one, then what is None works."""

    def __init__(self, sock: socket.socket, **errors: list[OSError | None]) -> None:
        self._sock = sock
        self.errors = errors

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def _call(self, name: str, *args: Any) -> Any:
        errors = self.errors.get(name)
        error = errors.pop(0) if errors else None
        if error is not None:
            raise error
        return getattr(self._sock, name)(*args)

    def sendto(self, *args: Any) -> Any:
        return self._call("sendto", *args)

    def recvfrom(self, *args: Any) -> Any:
        return self._call("recvfrom", *args)


def at(listener: UdpListener) -> tuple[str, int]:
    return listener.address.ip, listener.address.port


async def test_closed_while_it_reads(listen: MakeListener, recorder: Recorder, peer: UdpPeer) -> None:
    """A close between a wake-up and the next wait, as at the end of a daemon under load: `run` returns."""
    listener = listen()

    def close(_data: bytes, _flow: Flow) -> None:
        listener.close()

    recorder.on_receive = close
    async with trio.open_nursery() as nursery:
        await nursery.start(listener.run)
        peer.send(b"a datagram", at(listener))
    listener.close()


@pytest.mark.parametrize("ip", LOOPBACKS)
async def test_there_and_back(listen: MakeListener, recorder: Recorder, nursery: trio.Nursery, ip: str) -> None:
    listener = listen(listen_text("udp", ip))
    peer = UdpPeer(ip)
    nursery.start_soon(listener.run)
    peer.send(b"hello", at(listener))
    await recorder.wait(1)
    flow = Flow("udp", at(listener), peer.address)
    assert recorder.received == [(b"hello", flow)]
    assert recorder.batches == [1]
    assert listener.send(flow, b"welcome")
    await peer.wait(1)
    assert peer.received == [(b"welcome", at(listener))]
    assert (listener.received, listener.sent) == (1, 1)
    peer.close()
    nursery.cancel_scope.cancel()


async def test_a_wake_up_reads_a_bounded_batch(
    listen: MakeListener, recorder: Recorder, nursery: trio.Nursery, peer: UdpPeer
) -> None:
    listener = listen()
    for n in range(530):
        peer.send(b"datagram %d" % n, at(listener))
    nursery.start_soon(listener.run)
    await recorder.wait(530)
    assert recorder.data == [b"datagram %d" % n for n in range(530)]
    assert recorder.batches == [8 * 64, 18]
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("ip", ["127.0.0.1", "0.0.0.0"])
async def test_a_batch_ends_when_its_time_is_over(
    listen: MakeListener, recorder: Recorder, nursery: trio.Nursery, peer: UdpPeer, ip: str
) -> None:
    listener = listen(f"udp:{ip}:0")
    listener._clock = lambda: len(recorder.received) * 0.004
    for n in range(7):
        peer.send(b"datagram %d" % n, ("127.0.0.1", listener.address.port))
    nursery.start_soon(listener.run)
    await recorder.wait(7)
    assert recorder.data == [b"datagram %d" % n for n in range(7)]
    assert recorder.batches == [3, 3, 1]
    nursery.cancel_scope.cancel()


async def test_a_source_that_is_held_is_dropped_for_a_moment(
    listen: MakeListener, nursery: trio.Nursery, peer: UdpPeer
) -> None:
    """Spec S-SRC-2: what comes from it costs no wake-up, what comes from others is handed on."""
    listener = listen()
    if listener._batches is None:  # one by one, nothing is dropped before it was looked at
        return
    now, heard, came = [0.0], [], trio.Event()

    def receive(data: bytes, flow: Flow) -> bool:
        heard.append(data)
        if data.startswith(b"last"):
            came.set()
        return data.startswith(b"flood")

    listener._receive = receive
    listener._clock = lambda: now[0]
    nursery.start_soon(listener.run)
    with socket.socket(type=socket.SOCK_DGRAM) as other:
        for round_, (held, until) in enumerate(((b"last 0", 0.05), (b"last 1", 0.2), (b"last 2", 0.2))):
            came = trio.Event()
            for _ in range(100 if round_ else 1):
                peer.send(b"flood", at(listener))
            other.sendto(held, at(listener))
            await came.wait()
            now[0] = until
    assert heard[:3] == [b"flood", b"last 0", b"last 1"]  # all of the second round's flood is dropped
    assert heard.count(b"flood") < 101  # in the third it has its turn again, and is held again
    assert b"last 2" in heard
    assert listener.held >= 100
    nursery.cancel_scope.cancel()


async def test_who_is_muted_is_dropped_and_not_remembered(
    listen: MakeListener, nursery: trio.Nursery, peer: UdpPeer, recorder: Recorder
) -> None:
    """Spec S-SRC-3: addresses that are ever new leave nothing behind, and make no user's be forgotten."""
    listener = listen()
    listener._is_muted = lambda flow: flow.remote != peer.address
    nursery.start_soon(listener.run)
    for _ in range(5):
        stranger = UdpPeer()
        stranger.send(b"flood", at(listener))
        stranger.close()
    peer.send(b"a user", at(listener))
    await recorder.wait(1)
    assert recorder.data == [b"a user"]
    assert listener.held == 5
    assert [flow.remote for flow in listener._flows.values()] == [peer.address]
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("ip", ["127.0.0.1", "0.0.0.0"])
async def test_keep_alives_are_no_messages(
    listen: MakeListener, recorder: Recorder, nursery: trio.Nursery, peer: UdpPeer, ip: str
) -> None:
    # spec S-NET-1
    listener = listen(f"udp:{ip}:0")
    nursery.start_soon(listener.run)
    for data in (b"\r\n\r\n", b"", b"\0\0\0\0", b"\0", b"12345"):
        peer.send(data, ("127.0.0.1", listener.address.port))
    await recorder.wait(1)
    assert recorder.data == [b"12345"]
    assert listener.keep_alives == 4
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("ip", ["127.0.0.1", "0.0.0.0"])
async def test_a_callback_that_fails_ends_nothing(
    listen: MakeListener, recorder: Recorder, nursery: trio.Nursery, peer: UdpPeer, ip: str
) -> None:
    # spec S-NET-6
    def fail(*_args: object) -> None:
        raise RuntimeError("a bug")

    listener = listen(f"udp:{ip}:0")
    recorder.on_receive = fail
    listener._batch_end = fail
    nursery.start_soon(listener.run)
    peer.send(b"first one", ("127.0.0.1", listener.address.port))
    await recorder.wait(1)
    peer.send(b"second one", ("127.0.0.1", listener.address.port))
    await until(lambda: listener._guard.failures == 4)
    assert recorder.data == [b"first one", b"second one"]
    nursery.cancel_scope.cancel()


async def test_errors_of_icmp_do_not_end_the_reading(
    listen: MakeListener, recorder: Recorder, nursery: trio.Nursery, peer: UdpPeer
) -> None:
    listener = listen(is_batched=False)
    listener._sock = Choked(  # type: ignore[assignment]
        listener._sock, recvfrom=[ConnectionRefusedError(), OSError(errno.EHOSTUNREACH, "no route")]
    )
    nursery.start_soon(listener.run)
    peer.send(b"hello", at(listener))
    await recorder.wait(1)
    gone = UdpPeer()
    address = gone.address
    gone.close()
    for _ in range(3):  # port unreachable
        assert listener.send(Flow("udp", at(listener), address), b"x")
    peer.send(b"again", at(listener))
    await recorder.wait(2)
    nursery.cancel_scope.cancel()


async def test_what_the_kernel_refuses_is_false(listen: MakeListener, peer: UdpPeer) -> None:
    listener = listen()
    assert not listener.send(Flow("udp", at(listener), peer.address), b"x" * 65508)  # EMSGSIZE
    assert not listener.send(Flow("udp", at(listener), ("198.51.100.1", 5060)), b"x")  # from loopback
    assert not listener.send(Flow("udp", at(listener), ("127.0.0.1", 0)), b"x")
    assert listener.send_failures == 3
    assert listener.send(Flow("udp", at(listener), peer.address), b"x" * 65507)


async def test_overflow_is_queued_in_order_and_flushed(
    listen: MakeListener, nursery: trio.Nursery, peer: UdpPeer
) -> None:
    listener = listen()
    choked = Choked(
        listener._sock,
        sendto=[BlockingIOError(), BlockingIOError(), None, OSError(errno.EPERM, "firewall"), BlockingIOError()],
    )
    listener._sock = choked  # type: ignore[assignment]
    await nursery.start(listener.run)
    flow = Flow("udp", at(listener), peer.address)
    for n in range(4):
        assert listener.send(flow, b"datagram %d" % n)
    assert listener.queued == 4
    await listener.wait_flushed()
    await peer.wait(3)
    assert [data for data, _ in peer.received] == [b"datagram 0", b"datagram 2", b"datagram 3"]
    assert (listener.queued, listener.sent, listener.send_failures) == (0, 3, 1)
    assert listener.send(flow, b"direct")
    assert listener.queued == 0
    await listener.wait_flushed()
    nursery.cancel_scope.cancel()


async def test_the_queue_is_bounded(listen: MakeListener, nursery: trio.Nursery, peer: UdpPeer) -> None:
    listener = listen(queue_bytes=10_000)
    choked = Choked(listener._sock, sendto=[BlockingIOError()] * 1000)
    listener._sock = choked  # type: ignore[assignment]
    await nursery.start(listener.run)
    flow = Flow("udp", at(listener), peer.address)
    taken = [listener.send(flow, b"x" * 744) for _ in range(12)]  # 1,000 each, with what a queue entry costs
    assert taken == [True] * 10 + [False] * 2
    assert (listener.queued, listener.queue_drops) == (10, 2)
    nursery.cancel_scope.cancel()


async def test_nothing_is_queued_while_it_does_not_run(listen: MakeListener, peer: UdpPeer) -> None:
    listener = listen()
    listener._sock = Choked(listener._sock, sendto=[BlockingIOError()])  # type: ignore[assignment]
    assert not listener.send(Flow("udp", at(listener), peer.address), b"hello")


@pytest.mark.parametrize(
    ("wildcard", "locals_"),
    [
        ("0.0.0.0", ["127.0.0.1", "127.0.0.2", "127.8.8.8"]),
        pytest.param("::", ["::1"], marks=needs_ipv6),
    ],
)
async def test_a_wildcard_answers_from_where_it_was_asked(
    listen: MakeListener, recorder: Recorder, nursery: trio.Nursery, wildcard: str, locals_: list[str]
) -> None:
    # spec S-VIA-5
    listener = listen(listen_text("udp", wildcard))
    peer = UdpPeer(locals_[0])
    nursery.start_soon(listener.run)
    for n, ip in enumerate(locals_, 1):
        local = ip, listener.address.port
        for _ in range(2):
            peer.send(b"hello", local)
        await recorder.wait(2 * n)
        assert recorder.received[-1] == (b"hello", Flow("udp", local, peer.address))
        assert listener.send(recorder.received[-1][1], b"welcome")
        await peer.wait(n)
        assert peer.received[-1] == (b"welcome", local)
    peer.close()
    nursery.cancel_scope.cancel()


async def test_a_wildcard_sends_from_no_address_that_is_not_ours(listen: MakeListener, peer: UdpPeer) -> None:
    listener = listen("udp:0.0.0.0:0")
    assert not listener.send(Flow("udp", ("198.51.100.7", listener.address.port), peer.address), b"hello")


async def test_many_are_sent_in_order_and_what_is_refused_is_left_out(
    listen: MakeListener,
) -> None:
    listener = listen()
    peers = [UdpPeer() for _ in range(3)]
    flows = [Flow("udp", at(listener), peer.address) for peer in peers]
    nowhere = Flow("udp", at(listener), ("127.0.0.1", 0))
    items = [(flows[n % 3] if n < 90 else flows[0], b"datagram %d" % n) for n in range(150)]
    listener.send_many([*items[:10], (nowhere, b"lost"), *items[10:], (flows[1], b"x" * 65508)])
    for number, peer in enumerate(peers):
        wanted = [data for flow, data in items if flow is flows[number]]
        await peer.wait(len(wanted))
        assert [data for data, _ in peer.received] == wanted
        peer.close()
    assert (listener.sent, listener.send_failures, listener.queued) == (150, 2, 0)
    listener.close()
    listener.send_many(items[:5])
    assert listener.send_failures == 7


@pytest.mark.parametrize(("is_cut", "first", "queued"), [(False, 3, 97), (True, 1, 90)])
async def test_of_many_what_the_kernel_does_not_take_is_queued_in_order(
    listen: MakeListener, nursery: trio.Nursery, peer: UdpPeer, is_cut: bool, first: int, queued: int
) -> None:
    listener = listen(is_batched=True)
    batches = listener._batches
    if batches is None or (is_cut and not batches.can_segment):
        pytest.skip("no such system calls here")
    batches.can_segment = is_cut
    results = iter([first, BlockingIOError()])  # datagrams, or as many of one size

    def choked(fd: int, messages: int, _count: int, flags: int) -> int:
        result = next(results)
        if isinstance(result, OSError):
            ctypes.set_errno(errno.EAGAIN)
            return -1
        return send(fd, messages, result, flags)

    send, batches._sendmmsg = batches._sendmmsg, choked
    await nursery.start(listener.run)
    flow = Flow("udp", at(listener), peer.address)
    listener.send_many([(flow, b"datagram %d" % n) for n in range(100)])
    assert listener.queued == queued
    listener.send_many([(flow, b"datagram %d" % n) for n in range(100, 110)])
    await listener.wait_flushed()
    await peer.wait(110)
    assert [data for data, _ in peer.received] == [b"datagram %d" % n for n in range(110)]
    assert listener.sent == 110
    nursery.cancel_scope.cancel()


async def test_where_datagrams_cannot_be_cut_they_are_sent_each(
    listen: MakeListener, peer: UdpPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = listen(is_batched=True)
    batches = listener._batches
    if batches is None:
        pytest.skip("no such system calls here")

    def refuse(_data: object, _target: object) -> list[bytes]:
        raise OSError(errno.EIO, "no checksums there")

    batches.can_segment = True
    monkeypatch.setattr(batches, "send_alike", refuse)
    flow = Flow("udp", at(listener), peer.address)
    listener.send_many([(flow, b"datagram %d" % n) for n in range(8)])
    await peer.wait(8)
    assert [data for data, _ in peer.received] == [b"datagram %d" % n for n in range(8)]
    assert not batches.can_segment


async def test_datagrams_of_every_size_come_whole(
    listen: MakeListener, recorder: Recorder, nursery: trio.Nursery, peer: UdpPeer
) -> None:
    listener = listen()
    sizes = [5, 1023, 1024, 1025, 1300, 2048, 60_000, 65_507, 7]
    datagrams = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
    for data in datagrams:
        peer.send(data, at(listener))
    nursery.start_soon(listener.run)
    await recorder.wait(len(sizes))
    assert recorder.data == datagrams
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("wildcard", "local"), [("0.0.0.0", "127.0.0.3"), pytest.param("::", "::1", marks=needs_ipv6)])
async def test_many_leave_a_wildcard_from_where_each_was_asked(
    listen: MakeListener, recorder: Recorder, nursery: trio.Nursery, wildcard: str, local: str
) -> None:
    # spec S-VIA-5
    listener = listen(listen_text("udp", wildcard))
    peer = UdpPeer("127.0.0.1" if wildcard == "0.0.0.0" else "::1")
    flows = [Flow("udp", (ip, listener.address.port), peer.address) for ip in (local, peer.address[0])]
    listener.send_many([(flows[n % 2], b"%d" % n) for n in range(8)])
    await peer.wait(8)
    assert peer.received == [(b"%d" % n, flows[n % 2].local) for n in range(8)]
    alike = [b"x" * (100 + n % 3) for n in range(60)]  # to one target: those of a size are handed over as one
    listener.send_many([(flows[0], data) for data in alike])
    await peer.wait(68)
    assert sorted(peer.received[8:]) == sorted((data, flows[0].local) for data in alike)
    peer.close()


async def test_usual_answers_are_taken_and_the_others_handed_on(
    listen: MakeListener, recorder: Recorder, nursery: trio.Nursery, peer: UdpPeer
) -> None:
    listener = listen()
    listener._take_answers = lambda data: [index for index, each in enumerate(data) if b"taken" not in each]
    for n in range(6):
        peer.send(b"taken" if n % 2 else b"left %d" % n, at(listener))
    nursery.start_soon(listener.run)
    await recorder.wait(3)
    assert recorder.data == [b"left 0", b"left 2", b"left 4"]
    assert listener.received == 6
    nursery.cancel_scope.cancel()


async def test_remembered_flows_are_bounded(
    listen: MakeListener, recorder: Recorder, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(udp, "_MAX_FLOWS", 4)
    listener = listen()
    nursery.start_soon(listener.run)
    peers = [UdpPeer() for _ in range(6)]
    for peer in peers * 2:
        peer.send(b"hello", at(listener))
    await recorder.wait(12)
    assert [flow.remote for _, flow in recorder.received] == [peer.address for peer in peers * 2]
    assert len(listener._flows) <= 4
    for peer in peers:
        peer.close()
    nursery.cancel_scope.cancel()


async def test_close_ends_run(listen: MakeListener, nursery: trio.Nursery) -> None:
    listener = listen()
    async with trio.open_nursery() as running:
        running.start_soon(listener.run)
        await trio.testing.wait_all_tasks_blocked()
        listener.close()
    again = listen(str(listener.address))  # its port is free
    assert again.address == listener.address
    assert not listener.send(Flow("udp", at(listener), ("127.0.0.1", 9)), b"hello")


def test_buffers_are_what_the_kernel_gave(listen: MakeListener) -> None:
    receive, send = listen(receive_buffer=100_000, send_buffer=50_000).buffers
    assert receive >= 100_000
    assert send >= 50_000


def test_a_port_in_use_is_an_error_with_its_address(listen: MakeListener) -> None:
    text = str(listen().address)
    with pytest.raises(ListenError, match=f"cannot listen on {text}: another program listens there already"):
        listen(text)
