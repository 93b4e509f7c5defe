from __future__ import annotations

import socket
from typing import Any

import pytest
import trio
import trio.testing

from imc.errors import ListenError, Unreachable
from imc.sip.flow import Flow
from imc.transport import transports as module
from imc.transport.addresses import parse_listen, source_for
from imc.transport.connection import TcpOptions
from imc.transport.transports import TransportOptions, Transports
from imc.transport.udp import UdpOptions
from tests.transport.harness import (
    LOOPBACKS,
    Recorder,
    TcpPeer,
    UdpPeer,
    listen_text,
    needs_ipv6,
    open_transports,
    sip,
    until,
)


def make(*listen: str, **options: Any) -> Transports:
    recorder = Recorder()
    return Transports(
        TransportOptions(listen=tuple(parse_listen(text) for text in listen), **options),
        recorder.receive,
        recorder.batch_end,
        recorder.flow_closed,
    )


@pytest.mark.parametrize("ip", LOOPBACKS)
async def test_both_transports_there_and_back(ip: str) -> None:
    async with open_transports(listen_text("udp", ip), listen_text("tcp", ip)) as (transports, recorder):
        udp, tcp = transports.addresses
        assert (udp.transport, tcp.transport) == ("udp", "tcp")
        assert udp.port
        assert tcp.port
        recorder.on_receive = lambda data, flow: transports.send(flow, b"answer to " + data)

        peer = UdpPeer(ip)
        peer.send(b"over udp", (ip, udp.port))
        await peer.wait(1)
        assert peer.received == [(b"answer to over udp", (ip, udp.port))]

        stream = TcpPeer((ip, tcp.port))
        stream.send(sip())
        await until(lambda: stream.poll() == b"answer to " + sip())
        assert [flow.transport for _, flow in recorder.received] == ["udp", "tcp"]
        assert recorder.batches == [1, 1]
        assert transports.find_stream(*stream.address) == recorder.received[1][1]
        assert await transports.open_stream("tcp", *stream.address, 1.0) == recorder.received[1][1]
        assert [transports.is_open(flow) for _, flow in recorder.received] == [True, True]
        stream.close()
        await until(lambda: recorder.closed)
        assert [transports.is_open(flow) for _, flow in recorder.received] == [True, False]
        assert transports.find_stream(*stream.address) is None
        peer.close()


async def test_run_binds_and_reports() -> None:
    transports = make("udp:127.0.0.1:0", "tcp:127.0.0.1:0", "udp:127.0.0.2:0")
    async with trio.open_nursery() as nursery:
        addresses = await nursery.start(transports.run)
        assert addresses == transports.addresses
        assert [(address.transport, address.ip) for address in addresses] == [
            ("udp", "127.0.0.1"),
            ("udp", "127.0.0.2"),
            ("tcp", "127.0.0.1"),
        ]
        assert all(address.port for address in addresses)
        nursery.cancel_scope.cancel()
    assert transports.addresses == ()


async def test_bind_may_come_first() -> None:
    transports = make("udp:127.0.0.1:0")
    addresses = transports.bind()
    assert transports.bind() == addresses
    async with trio.open_nursery() as nursery:
        assert await nursery.start(transports.run) == addresses
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_port_in_use_binds_nothing(transport: str) -> None:
    async with open_transports(f"{transport}:127.0.0.1:0") as (transports, _):
        (taken,) = transports.addresses
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            free = probe.getsockname()[1]
        second = make(f"udp:127.0.0.1:{free}", str(taken))
        async with trio.open_nursery() as nursery:
            with pytest.raises(ListenError, match=f"cannot listen on {taken}: another program listens there already"):
                await nursery.start(second.run)
        assert second.addresses == ()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", free))


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_an_address_that_is_not_ours(transport: str) -> None:
    with pytest.raises(ListenError, match=f"{transport}:198.51.100.1:5060: not an address of this machine"):
        make(f"{transport}:198.51.100.1:5060").bind()


def test_no_permission_and_no_such_family(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidden(socket.socket):
        def bind(self, _address: object) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "socket", Forbidden)
    with pytest.raises(ListenError, match=r"udp:127\.0\.0\.1:60: no permission"):
        make("udp:127.0.0.1:60").bind()

    def no_family(*_args: object) -> None:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", no_family)
    with pytest.raises(ListenError, match=r"udp:\[::1\]:60: this machine does not have this kind of address"):
        make("udp:[::1]:60").bind()


def test_a_bad_advertise_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="not HOST or HOST:PORT"):
        make("udp:127.0.0.1:0", advertise="a:b")


@needs_ipv6
async def test_udp_flow_takes_the_listener_that_gets_there() -> None:
    async with open_transports("udp:127.0.0.1:0", "udp:[::1]:0", "udp:0.0.0.0:0") as (transports, _):
        four, six, every = transports.addresses
        assert transports.families == (6, 4)
        assert transports.udp_flow("127.0.0.1", 5070) == Flow("udp", (four.ip, four.port), ("127.0.0.1", 5070))
        assert transports.udp_flow("::1", 5070) == Flow("udp", (six.ip, six.port), ("::1", 5070))
        outside = source_for("198.51.100.1", 5060)
        if outside is not None:
            expected = Flow("udp", (outside, every.port), ("198.51.100.1", 5070))
            assert transports.udp_flow("198.51.100.1", 5070) == expected


async def test_udp_flow_that_nobody_could_carry() -> None:
    async with open_transports("udp:127.0.0.1:0") as (transports, _):
        assert transports.udp_flow("::1", 5070) is None
        assert transports.udp_flow("198.51.100.1", 5070) is None
        assert not transports.is_open(Flow("udp", ("127.0.0.1", 1), ("127.0.0.1", 5070)))
        assert not transports.send(Flow("udp", ("127.0.0.1", 1), ("127.0.0.1", 5070)), b"x")  # no such listener
        assert not transports.send(Flow("tls", ("127.0.0.1", 1), ("127.0.0.1", 5070), 7), b"x")
        assert transports.find_stream("127.0.0.1", 5070, "tls") is None
        with pytest.raises(Unreachable, match=r"ws:127\.0\.0\.1:80: only clients"):  # spec S-WS-6
            await transports.open_stream("ws", "127.0.0.1", 80, 1.0)


async def test_a_route_is_remembered_for_a_while(
    monkeypatch: pytest.MonkeyPatch, mock_clock: trio.testing.MockClock
) -> None:
    asked: list[str] = []

    def count(ip: str, port: int) -> str | None:
        asked.append(ip)
        return source_for(ip, port)

    monkeypatch.setattr(module, "source_for", count)
    monkeypatch.setattr(module, "_MAX_ROUTES", 3)
    async with open_transports("udp:127.0.0.1:0") as (transports, _):
        for seconds, expected in ((0.0, 1), (29.0, 1), (1.0, 2)):
            mock_clock.jump(seconds)
            assert transports.udp_flow("127.0.0.1", 5070)
            assert len(asked) == expected
        for n in range(10):
            transports.udp_flow(f"127.0.1.{n}", 5070)
            assert len(transports._routes) <= 3


async def test_a_wildcard_sends_on_flows_of_each_of_its_addresses() -> None:
    async with open_transports("udp:0.0.0.0:0", "udp:127.0.0.1:0") as (transports, recorder):
        every = transports.addresses[0].port
        peer = UdpPeer()
        for ip in ("127.0.0.2", "127.0.0.3"):
            assert transports.send(Flow("udp", (ip, every), peer.address), b"hello")
        await peer.wait(2)
        assert peer.received == [(b"hello", ("127.0.0.2", every)), (b"hello", ("127.0.0.3", every))]
        assert recorder.received == []
        peer.close()


@pytest.mark.parametrize(
    ("advertise", "local", "expected"),
    [
        (None, ("192.0.2.1", 5060), "192.0.2.1:5060"),
        (None, ("2001:db8::1", 5062), "[2001:db8::1]:5062"),
        (None, ("fe80::1%2", 5062), "[fe80::1]:5062"),
        ("chat.example.com", ("192.0.2.1", 5062), "chat.example.com:5062"),
        ("chat.example.com:5080", ("2001:db8::1", 5062), "chat.example.com:5080"),
        ("203.0.113.5", ("192.0.2.1", 5062), "203.0.113.5:5062"),
        ("203.0.113.5:5080", ("2001:db8::1", 5062), "[2001:db8::1]:5062"),
        ("[2001:db8::5]", ("2001:db8::1", 5062), "[2001:db8::5]:5062"),
    ],
)
def test_sent_by(advertise: str | None, local: tuple[str, int], expected: str) -> None:
    # spec S-NET-7
    transports = make(advertise=advertise)
    for _ in range(2):
        assert transports.sent_by(Flow("udp", local, ("192.0.2.9", 5060))) == expected


def test_the_port_of_advertise_is_that_of_udp_and_tcp() -> None:
    # spec S-NET-7
    transports = make(advertise="chat.example.com:5080")
    flows = [Flow(name, ("192.0.2.1", 5061), ("192.0.2.9", 5060), 1) for name in ("udp", "tcp", "tls", "wss")]
    ports = [transports.sent_by(flow).rpartition(":")[2] for flow in flows]
    assert ports == ["5080", "5080", "5061", "5061"]


async def test_tcp_without_listener_leaves_from_udps_address() -> None:
    with socket.socket() as remote:
        remote.bind(("127.0.0.1", 0))
        remote.listen()
        async with open_transports("udp:127.0.0.3:0") as (transports, recorder):
            flow = await transports.open_stream("tcp", "127.0.0.1", remote.getsockname()[1], 5.0)
            assert flow.local[0] == "127.0.0.3"
            assert transports.send(flow, b"request")
            sock, _ = remote.accept()
            peer = TcpPeer(sock)
            await until(lambda: peer.poll() == b"request")
            peer.close()
            await until(lambda: recorder.closed == [flow])


async def test_aclose_lets_run_return() -> None:
    transports = make("udp:127.0.0.1:0", "tcp:127.0.0.1:0")
    async with trio.open_nursery() as nursery:
        await nursery.start(transports.run)
        udp, tcp = transports.addresses
        peer = TcpPeer((tcp.ip, tcp.port))
        await until(lambda: transports.statistics()["tcp_connections"] == 1)
        flow = transports.find_stream(*peer.address)
        assert flow is not None
        await transports.aclose()
    assert peer.has_ended()
    assert not transports.send(flow, b"x")
    assert not transports.send(Flow("udp", (udp.ip, udp.port), ("127.0.0.1", 9)), b"x")
    assert transports.udp_flow("127.0.0.1", 9) is None
    with pytest.raises(Unreachable):
        await transports.open_stream("tcp", "127.0.0.1", 9, 1.0)
    peer.close()


async def test_aclose_before_run_and_twice() -> None:
    transports = make("udp:127.0.0.1:0", "tcp:127.0.0.1:0")
    await transports.aclose()
    transports.bind()
    await transports.aclose()
    await transports.aclose()


async def test_connections_are_bounded_by_the_files_this_process_may_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "raise_file_limit", lambda wanted: wanted - 8)
    tcp = TcpOptions(max_connections=10)
    async with open_transports("tcp:127.0.0.1:0", tcp=tcp) as (transports, _):
        (address,) = transports.addresses
        peers = [TcpPeer((address.ip, address.port)) for _ in range(3)]
        await until(lambda: transports.statistics()["tcp_refused"] == 1)
        assert transports.statistics()["tcp_accepted"] == 2
        for peer in peers:
            peer.close()


async def test_statistics() -> None:
    async with open_transports("udp:127.0.0.1:0", udp=UdpOptions(queue_bytes=0)) as (transports, recorder):
        (address,) = transports.addresses
        peer = UdpPeer()
        peer.send(b"\r\n\r\n", (address.ip, address.port))
        peer.send(b"hello", (address.ip, address.port))
        await recorder.wait(1)
        assert transports.send(recorder.received[0][1], b"answer")
        assert not transports.send(recorder.received[0][1], b"x" * 65536)
        figures = transports.statistics()
        assert {name: value for name, value in figures.items() if value} == {
            "udp_received": 2,
            "udp_keep_alives": 1,
            "udp_sent": 1,
            "udp_send_failures": 1,
        }
        assert "tcp_ended_too_slow" in figures
        peer.close()
