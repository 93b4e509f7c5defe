"""WebSocket: the layer by itself, and on real sockets with and without TLS; frames are made by the suite's own code."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from conformance.suite.wire_websocket import Opcode, frame
from imc.errors import BadMessage
from imc.page.files import File
from imc.page.site import Site
from imc.sip.framing import Ping
from imc.transport.connection import TcpOptions
from imc.transport.tls import TlsOptions
from imc.transport.transports import Transports
from imc.transport.websocket import WebSocketFramer, WebSocketOptions
from tests.transport.harness import Recorder, TcpPeer, open_transports, sip, until
from tests.transport.secure import (
    MASK,
    Authority,
    TlsPeer,
    WebPeer,
    ends,
    fragment,
    handshake,
    masked,
    only,
    settled_after,
)

SIP = b"MESSAGE sip:bob@example.com SIP/2.0\r\n\r\nhello"  # without Content-Length: RFC 7118 §5


def opened(max_message: int = 1000) -> WebSocketFramer:
    web = WebSocketFramer(max_message)
    assert list(web.feed(handshake())) == []
    assert web.output().startswith(b"HTTP/1.1 101 ")
    return web


# -- the handshake ----


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (handshake(protocol=None), 400),
        (handshake(protocol="chat"), 400),
        (handshake().replace(b"GET", b"POST"), 405),
        (handshake().replace(b"Version: 13", b"Version: 8"), 400),
        (handshake().replace(b"Sec-WebSocket-Key", b"X-Key"), 400),
        (handshake().replace(b"Upgrade: websocket\r\n", b""), 426),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 426),
        (handshake("Origin: https://evil.example"), 403),
        (handshake("Origin: null"), 403),
        (handshake("Origin: https://chat.example.com.evil.example"), 403),
        (handshake("Origin: https://chat.example.com", "Origin: https://evil.example"), 400),
        (handshake(f"Cookie: {'x' * 9000}"), 431),
    ],
)
def test_handshakes_that_are_refused(request_: bytes, status: int) -> None:
    # spec S-WS-1
    # spec S-WS-2
    web = WebSocketFramer(1000, ("https://chat.example.com",))
    with pytest.raises(BadMessage):
        list(web.feed(request_ + masked(SIP)))
    assert web.output().startswith(b"HTTP/1.1 %d " % status)
    assert (web.is_ready, web.is_closed, web.is_mid_message) == (False, True, False)
    with pytest.raises(BadMessage):
        list(web.feed(handshake()))
    assert web.close() == b""


@pytest.mark.parametrize("octets", [sip(), b"\r\n\r\n", b"\x00\r\n\r\n", b"x" * 20_000])
def test_what_is_no_handshake_at_all(octets: bytes) -> None:
    # spec S-WS-1
    web = WebSocketFramer(1000)
    with pytest.raises(BadMessage):
        list(web.feed(octets))
    assert web.is_closed


@pytest.mark.parametrize(
    ("allowed", "origin"),
    [
        ((), None),
        (("https://chat.example.com",), None),
        (("https://a.example", "https://chat.example.com"), "https://chat.example.com"),
        (("*",), "https://anywhere.example"),
    ],
)
def test_origins_that_may(allowed: tuple[str, ...], origin: str | None) -> None:
    # spec S-WS-2
    web = WebSocketFramer(1000, allowed)
    list(web.feed(handshake(*([] if origin is None else [f"Origin: {origin}"]))))
    assert web.is_ready


PAGE = Site({"/": File.of("/", b"<!doctype html>", "text/html; charset=utf-8")}, hosts=["chat.example.com"])
PLAIN = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def asked(request: bytes, *, is_secure: bool = False) -> bytes:
    web = WebSocketFramer(1000, (), PAGE, is_secure=is_secure)
    assert list(web.feed(request)) == []
    assert (web.is_ready, web.is_closed, web.has_replied, web.is_mid_message) == (False, True, True, False)
    assert list(web.feed(request)) == []  # one file, and no more
    return web.output() + web.body


def test_a_plain_request_gets_the_page() -> None:
    # spec S-WS-7
    head, _, body = asked(PLAIN).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert (lines[0], lines[-1], body) == ("HTTP/1.1 200 OK", "Connection: close", b"<!doctype html>")
    assert any(line.startswith("Content-Security-Policy: default-src 'none';") for line in lines)
    etag = next(line for line in lines if line.startswith("ETag: ")).partition(": ")[2]
    known = asked(PLAIN.replace(b"\r\n\r\n", f"\r\nIf-None-Match: {etag}\r\n\r\n".encode()))
    assert known.startswith(b"HTTP/1.1 304 ")
    assert known.endswith(b"\r\n\r\n")
    assert asked(PLAIN.replace(b"GET", b"HEAD")).endswith(b"\r\n\r\n")
    assert asked(PLAIN.replace(b" / ", b" /../imc.toml ")).startswith(b"HTTP/1.1 404 ")
    assert asked(PLAIN.replace(b"localhost", b"localhost\r\nUpgrade: h2c")).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (PLAIN.replace(b"GET", b"POST"), 405),
        (PLAIN.replace(b"GET / ", b"GET http://x/ ").replace(b"localhost", b"x\r\nUpgrade: websocket"), 426),
        (handshake(protocol=None), 400),
    ],
)
def test_what_gets_no_page(request_: bytes, status: int) -> None:
    # spec S-WS-7
    web = WebSocketFramer(1000, (), PAGE)
    with pytest.raises(BadMessage):
        list(web.feed(request_))
    assert web.output().startswith(b"HTTP/1.1 %d " % status)
    assert not web.has_replied


@pytest.mark.parametrize(
    ("host", "origin", "over_ws", "over_wss"),
    [
        ("127.0.0.1:5080", "http://127.0.0.1:5080", True, False),
        ("chat.example.com", "https://chat.example.com", True, True),
        ("evil.example", "https://evil.example", False, False),
        ("127.0.0.1:5080", "http://127.0.0.1:9000", False, False),
    ],
)
def test_the_page_may_connect_to_who_served_it(host: str, origin: str, over_ws: bool, over_wss: bool) -> None:
    # spec S-WS-8
    request = handshake(f"Origin: {origin}").replace(b"Host: localhost", f"Host: {host}".encode())
    for is_secure, may in ((False, over_ws), (True, over_wss)):
        web = WebSocketFramer(1000, (), PAGE, is_secure=is_secure)
        with suppress(BadMessage):
            list(web.feed(request))
        assert web.is_ready == may
    without = WebSocketFramer(1000)
    with pytest.raises(BadMessage):
        list(without.feed(request))


@pytest.mark.parametrize("line", ["Origin: http://localhost", "Host: localhost"])
def test_what_stands_twice_is_nobodys_origin(line: str) -> None:
    # spec S-WS-8
    web = WebSocketFramer(1000, (), PAGE)
    with pytest.raises(BadMessage):
        list(web.feed(handshake("Origin: http://localhost", line)))


def test_no_extension_is_accepted() -> None:
    # spec S-WS-1
    web = WebSocketFramer(1000)
    list(web.feed(handshake("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")))
    assert b"xtensions" not in web.output()
    bomb = bytes([masked(b"x" * 50)[0] | 0x40]) + masked(b"x" * 50)[1:]  # RSV1: "compressed"
    with pytest.raises(BadMessage, match="reserved bits"):
        list(web.feed(bomb))


def test_another_implementation_agrees() -> None:
    client = ClientProtocol(parse_uri("ws://localhost/"), subprotocols=[Subprotocol("sip")])
    client.send_request(client.connect())
    web = WebSocketFramer(1000)
    list(web.feed(b"".join(client.data_to_send())))
    client.receive_data(web.output())
    assert client.subprotocol == "sip"
    client.send_text(SIP)
    assert list(web.feed(b"".join(client.data_to_send()))) == [SIP]
    client.receive_data(web.encode(SIP) + web.encode(b"\xff") + web.ping() + web.close())
    assert [event.opcode for event in client.events_received()[1:]] == [1, 2, 9, 8]  # type: ignore[union-attr]


# -- messages ----


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_one_message_one_sip_message(opcode: Opcode) -> None:
    # spec S-WS-3
    web = opened()
    assert list(web.feed(masked(SIP, opcode) + masked(b"", opcode) + masked(b"\r\n", opcode))) == [SIP]
    assert list(web.feed(masked(b"\r\n\r\n", opcode) + masked(SIP, opcode))) == [Ping.PING, SIP]
    assert not web.is_mid_message


def test_octets_that_are_not_utf_8_are_binary() -> None:
    # spec S-WS-3
    # spec S-WS-4
    web = opened()
    assert list(web.feed(masked(b"\xff\xfe", Opcode.BINARY))) == [b"\xff\xfe"]
    assert web.encode(b"\xff\xfe") == frame(Opcode.BINARY, b"\xff\xfe")
    assert web.encode("ü".encode()) == frame(Opcode.TEXT, "ü".encode())
    assert web.pongs(2) == frame(Opcode.TEXT, b"\r\n") * 2


def test_fragments_with_pings_between() -> None:
    # spec S-WS-3
    web = opened()
    octets = fragment(SIP[:5], Opcode.TEXT) + masked(b"?", Opcode.PING) + fragment(b"") + masked(b"", Opcode.PONG)
    assert list(web.feed(octets)) == []
    assert web.is_mid_message
    assert web.output() == frame(Opcode.PONG, b"?")
    assert list(web.feed(fragment(SIP[5:], is_last=True))) == [SIP]
    assert not web.is_mid_message


@given(st.lists(st.integers(1, 200), max_size=8), st.data())
def test_how_it_was_cut_does_not_matter(sizes: list[int], data: st.DataObject) -> None:
    messages = [bytes([97 + index % 26]) * size for index, size in enumerate(sizes)]
    octets = handshake() + b"".join(masked(each) for each in messages)
    web = WebSocketFramer(1000)
    found: list[bytes | Ping] = []
    while octets:
        size = data.draw(st.integers(1, len(octets)))
        found += web.feed(octets[:size])
        octets = octets[size:]
    assert found == messages
    assert not web.is_mid_message


def test_each_octet_of_a_frame_is_the_beginning_of_a_message() -> None:
    # spec S-WS-3
    web = opened()
    for octet in masked(SIP * 5)[:-1]:
        assert list(web.feed(bytes([octet]))) == []
        assert web.is_mid_message


HUGE = b"\x81\xff" + (2**62).to_bytes(8, "big") + MASK


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (frame(Opcode.TEXT, SIP), 1002),  # without mask
        (masked(b"x" * 1001), 1009),
        (HUGE, 1009),
        (fragment(b"x" * 600, Opcode.TEXT) + fragment(b"x" * 401, is_last=True), 1009),
        (fragment(b"x" * 1000, Opcode.TEXT) + fragment(b"x" * 100), 1009),
        (fragment(b"x"), 1002),
        (fragment(b"x", Opcode.TEXT) + masked(b"x"), 1002),
        (fragment(b"x", Opcode.PING), 1002),
        (masked(b"x" * 126, Opcode.PING), 1002),
        (masked(b"\xff"), 1007),
        (bytes([0x83]) + masked(b"x")[1:], 1002),  # a reserved opcode
        (masked(b"\x00", Opcode.CLOSE), 1002),
        (masked((1005).to_bytes(2, "big"), Opcode.CLOSE), 1002),
        (masked((1000).to_bytes(2, "big") + b"\xff", Opcode.CLOSE), 1007),
    ],
)
def test_what_breaks_the_protocol(octets: bytes, code: int) -> None:
    # spec S-WS-3
    web = opened()
    found: list[bytes | Ping] = []
    with pytest.raises(BadMessage):
        found.extend(web.feed(masked(SIP) + octets + masked(SIP)))  # what came before the fault counts
    assert found == [SIP]
    said = web.output()
    assert (said[0], said[2:4]) == (0x88, code.to_bytes(2, "big"))
    assert web.close() == b""
    with pytest.raises(BadMessage):
        list(web.feed(masked(SIP)))


@pytest.mark.parametrize("data", [b"", (1000).to_bytes(2, "big") + b"bye", (1001).to_bytes(2, "big")])
def test_a_close_is_answered_and_is_the_end(data: bytes) -> None:
    web = opened()
    assert list(web.feed(masked(SIP) + masked(data, Opcode.CLOSE) + masked(SIP))) == [SIP]
    assert web.output() == frame(Opcode.CLOSE, data[:2] or (1000).to_bytes(2, "big"))
    assert (web.is_closed, web.close(), list(web.feed(masked(SIP)))) == (True, b"", [])


@given(st.binary(max_size=300))
def test_whatever_comes_nothing_but_bad_message_is_raised(data: bytes) -> None:
    web = opened()
    try:
        for _ in web.feed(data):
            pass
    except BadMessage:
        assert web.is_closed
    assert len(web._buffer) + len(web._message) <= len(data)


# -- over sockets ----

Serve = Callable[..., AbstractAsyncContextManager[Transports]]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def serve(recorder: Recorder) -> Serve:
    @asynccontextmanager
    async def serve(*listen: str, tls: TlsOptions | None = None, **options: Any) -> AsyncIterator[Transports]:
        made = TcpOptions(**{"linger": 0.0, **options})
        async with open_transports(
            *(listen or ("ws:127.0.0.1:0",)), recorder=recorder, tcp=made, tls=tls or TlsOptions()
        ) as (transports, _):
            yield transports

    return serve


@pytest.fixture
def connect() -> Iterator[Callable[..., TcpPeer]]:
    peers: list[TcpPeer] = []

    def connect(transports: Transports, **options: Any) -> TcpPeer:
        address = transports.addresses[-1]
        peers.append(TcpPeer((address.ip, address.port), **options))
        return peers[-1]

    yield connect
    for peer in peers:
        peer.close()


async def test_there_and_back(serve: Serve, connect: Any, recorder: Recorder) -> None:
    # spec S-WS-3
    # spec S-WS-4
    # spec S-WS-6
    async with serve() as transports:
        recorder.on_receive = lambda _data, flow: transports.send(flow, b"answer")
        web = await WebPeer(connect(transports)).open()
        web.send(SIP)
        web.send(b"\r\n\r\n")  # spec S-WS-5
        web.send(SIP, Opcode.BINARY)
        await web.wait(3)
        assert sorted(web.frames) == [(1, b"\r\n"), (1, b"answer"), (1, b"answer")]
        assert recorder.data == [SIP, SIP]
        flow = recorder.received[0][1]
        assert flow.transport == "ws"
        web.peer.send(masked((1000).to_bytes(2, "big"), Opcode.CLOSE))
        await until(web.has_ended)
        assert web.frames[-1] == (8, (1000).to_bytes(2, "big"))
        await until(lambda: recorder.closed == [flow])
        assert not transports.send(flow, b"too late")
        assert ends(transports) == {"eof": 1}


async def test_over_tls(serve: Serve, connect: Any, recorder: Recorder, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate = str(authority.issue("localhost"))
    async with serve("tls:127.0.0.1:0", "wss:127.0.0.1:0", tls=TlsOptions(certificate=certificate)) as transports:
        recorder.on_receive = lambda _data, flow: transports.send(flow, b"x" * 70_000)
        peer = await TlsPeer(connect(transports), authority.client_context()).ready()
        peer.send(handshake())
        await until(lambda: b"\r\n\r\n" in peer.poll())
        peer.send(masked(SIP))
        await recorder.wait(1)
        await until(lambda: peer.poll().endswith(b"x" * 70_000))
        assert recorder.received[0][1].transport == "wss"
        assert transports.peer_names(recorder.received[0][1]) == frozenset()


@pytest.mark.parametrize("octets", [handshake(protocol="chat"), handshake("Origin: https://evil.example"), sip()])
async def test_who_is_refused_is_closed(
    serve: Serve, connect: Any, recorder: Recorder, octets: bytes, mock_clock: trio.testing.MockClock
) -> None:
    # spec S-WS-1
    # spec S-WS-2
    async with serve() as transports:
        peer = connect(transports)
        peer.send(octets)
        await until(peer.has_ended)
        await until(lambda: ends(transports) == {"bad_stream": 1})
        web = await WebPeer(connect(transports)).open()  # the listener lives
        web.send(SIP)
        await recorder.wait(1)


LARGE_PAGE = Site({"/": File.of("/", b"x" * 3_000_000, "image/png")})


@pytest.mark.parametrize("transport", ["ws", "wss"])
async def test_a_file_of_the_page_is_given_whole(
    recorder: Recorder, connect: Any, tmp_path: Path, transport: str
) -> None:
    # spec S-WS-7
    authority = Authority(tmp_path)
    tls = TlsOptions(certificate=str(authority.issue("localhost")))
    made = TcpOptions(write_buffer=20_000, linger=1.0)
    listen = f"{transport}:127.0.0.1:0"
    async with open_transports(listen, recorder=recorder, tcp=made, tls=tls, site=LARGE_PAGE) as (transports, _):
        peer = connect(transports, buffer=65_536)
        if transport == "wss":
            peer = await TlsPeer(peer, authority.client_context()).ready()
        peer.send(PLAIN)
        await until(lambda: peer.poll().endswith(b"\r\n\r\n" + b"x" * 3_000_000))
        assert recorder.received == []
        assert ends(transports) == {"eof": 1}


async def test_who_takes_nothing_of_a_file_is_cut_off(
    recorder: Recorder, connect: Any, mock_clock: trio.testing.MockClock
) -> None:
    # spec S-WS-7
    made = TcpOptions(write_deadline=20.0)
    async with open_transports("ws:127.0.0.1:0", recorder=recorder, tcp=made, site=LARGE_PAGE) as (transports, _):
        peer = connect(transports, buffer=4096)
        peer.send(PLAIN)
        await until(lambda: ends(transports) == {"eof": 1})
        assert transports.statistics()["tcp_connections"] == 1
        mock_clock.jump(21.0)
        await until(lambda: transports.statistics()["tcp_connections"] == 0)


async def test_a_close_frame_says_why(serve: Serve, connect: Any, recorder: Recorder) -> None:
    # spec S-WS-3
    async with serve(linger=1.0) as transports:
        web = await WebPeer(connect(transports)).open()
        web.send(SIP)
        web.peer.send(frame(Opcode.TEXT, SIP))  # not masked
        await until(web.has_ended)
        assert recorder.data == [SIP]
        assert [(opcode, data[:2]) for opcode, data in web.frames] == [(8, (1002).to_bytes(2, "big"))]
        assert ends(transports) == {"bad_stream": 1}


@pytest.mark.parametrize("before", [b"", handshake()[:40]])
async def test_the_handshake_has_a_deadline(
    serve: Serve, connect: Any, before: bytes, mock_clock: trio.testing.MockClock
) -> None:
    # spec S-TLS-2
    async with serve(handshake_deadline=10.0) as transports:
        peer = connect(transports)
        await until(lambda: transports.statistics()["tcp_connections"] == 1)
        for octet in before[:20]:
            await settled_after(transports, partial(peer.send, bytes([octet])))
        mock_clock.jump(9.9)
        await trio.testing.wait_all_tasks_blocked()
        assert not peer.has_ended()
        mock_clock.jump(0.2)
        await until(peer.has_ended)
        assert ends(transports) == {"no_handshake": 1}


@pytest.mark.parametrize(
    "octets",
    [masked(SIP * 20), fragment(b"", Opcode.TEXT) + fragment(b"") * 300, HUGE[:3]],
    ids=["one", "many", "size"],
)
async def test_a_message_has_the_deadline_of_tcp(
    serve: Serve, connect: Any, recorder: Recorder, octets: bytes, mock_clock: trio.testing.MockClock
) -> None:
    """Octet by octet, fragment by fragment without end, or a length that never ends."""
    # spec S-WS-3
    # spec S-NET-2
    async with serve(message_deadline=30.0) as transports:
        web = await WebPeer(connect(transports)).open()
        await settled_after(transports, partial(web.send, SIP))
        mock_clock.jump(1.0)
        for start in range(30):
            if octets[start : start + 1]:
                await settled_after(transports, partial(web.peer.send, octets[start : start + 1]))
            mock_clock.jump(1.0)
        await until(web.has_ended)
        assert ends(transports) == {"too_slow": 1}
        assert len(recorder.received) == 1


async def test_who_is_silent_is_pinged(
    serve: Serve, connect: Any, recorder: Recorder, mock_clock: trio.testing.MockClock
) -> None:
    # spec S-WS-5
    options = WebSocketOptions(ping_interval=30.0, ping_deadline=20.0)
    async with serve(websocket=options) as transports:
        web = await WebPeer(connect(transports)).open()
        await settled_after(transports, partial(web.send, SIP))
        for count in range(1, 4):
            mock_clock.jump(30.0)
            await web.wait(count)
            mock_clock.jump(19.0)
            await settled_after(transports, partial(web.send, b"", Opcode.PONG))
        assert web.frames == [(9, b"")] * 3
        mock_clock.jump(29.0)
        await settled_after(transports, partial(web.send, SIP))  # who speaks need not be asked
        mock_clock.jump(29.0)
        await trio.testing.wait_all_tasks_blocked()
        assert len(web.frames) == 3
        mock_clock.jump(1.0)
        await web.wait(4)
        mock_clock.jump(20.0)
        await until(web.has_ended)
        assert ends(transports) == {"idle": 1}


async def test_pings_without_end_fill_nothing(serve: Serve, connect: Any, recorder: Recorder) -> None:
    # spec S-NET-4
    async with serve(write_buffer=100_000) as transports:
        peer = connect(transports, buffer=4096)
        web = await WebPeer(peer).open()
        web.send(SIP)
        await recorder.wait(1)
        flood = masked(b"x" * 125, Opcode.PING) * 100

        def push() -> bool:
            with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                peer.sock.send(flood)
            return ends(transports) == {"write_overflow": 1}

        await until(push)


async def test_the_end_of_the_daemon_is_said(serve: Serve, connect: Any) -> None:
    async with serve(linger=1.0) as transports:
        web = await WebPeer(connect(transports)).open()
        await until(lambda: only(transports).is_ready)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(transports.aclose, 2.0)
            await until(web.has_ended)
        assert web.frames == [(8, (1001).to_bytes(2, "big"))]
