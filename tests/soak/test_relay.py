"""What stands between: it loses, doubles and cuts as it was told, and passes on everything else."""

from __future__ import annotations

import random
import socket

import pytest
import trio

from conformance.load.sinks import bind
from tests.soak.relay import StreamRelay, UdpRelay


async def read(sock: socket.socket) -> bytes:
    with trio.fail_after(5):
        await trio.lowlevel.wait_readable(sock)
    return sock.recv(100)


async def drain(stream: trio.SocketStream) -> None:
    async for _ in stream:
        pass


async def test_datagrams_are_passed_both_ways_and_lost_or_doubled_as_told(nursery: trio.Nursery) -> None:
    with bind("127.0.0.1") as server, bind("127.0.0.1") as client:
        relay = UdpRelay(server.getsockname(), random.Random(1))
        await nursery.start(relay.run)
        client.sendto(b"one", relay.near)
        assert await read(server) == b"one"
        server.sendto(b"back", relay.far)
        assert await read(client) == b"back"
        relay.loss = 1.0
        client.sendto(b"two", relay.near)
        while not relay.counts["lost"]:
            await trio.lowlevel.checkpoint()
        relay.loss, relay.double = 0.0, 1.0
        client.sendto(b"three", relay.near)
        assert [await read(server), await read(server)] == [b"three", b"three"]
        assert relay.counts == {"passed": 4, "lost": 1, "doubled": 1, "late": 0}
        nursery.cancel_scope.cancel()


async def test_who_is_stuck_reads_later(nursery: trio.Nursery) -> None:
    with bind("127.0.0.1") as server, bind("127.0.0.1") as client:
        relay = UdpRelay(server.getsockname(), random.Random(1))
        await nursery.start(relay.run)
        client.sendto(b"hello", relay.near)
        await read(server)
        relay.is_stuck = True
        server.sendto(b"one", relay.far)
        client.sendto(b"two", relay.near)
        assert await read(server) == b"two"  # the other way is as before
        with pytest.raises(BlockingIOError):
            client.recv(100)
        relay.is_stuck = False
        assert await read(client) == b"one"
        nursery.cancel_scope.cancel()


async def test_a_stream_is_cut_once_and_the_next_is_whole(nursery: trio.Nursery) -> None:
    async def echo(stream: trio.SocketStream) -> None:
        try:
            async for data in stream:
                await stream.send_all(data)
        except trio.BrokenResourceError:
            pass

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, echo, listeners)
    relay = StreamRelay(listeners[0].socket.getsockname()[:2])
    at = relay.listen()
    assert isinstance(at, tuple)
    await nursery.start(relay.run)
    relay.cut_after = 8
    async with await trio.open_tcp_stream(*at) as stream:
        await stream.send_all(b"hello")
        assert await stream.receive_some() == b"hello"
        await stream.send_all(b"hello")
        with pytest.raises(trio.BrokenResourceError):
            await drain(stream)
    assert relay.cuts == 1
    async with await trio.open_tcp_stream(*at) as stream:
        await stream.send_all(b"hello")
        assert await stream.receive_some() == b"hello"
    nursery.cancel_scope.cancel()
