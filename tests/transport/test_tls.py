"""TLS on real sockets, against Python's own client side; certificates are of an authority made here."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from imc.errors import ListenError, Unreachable
from imc.transport.connection import End, TcpOptions
from imc.transport.tls import TlsOptions, certificate_names, is_named
from imc.transport.transports import Transports
from tests.transport.harness import Recorder, TcpPeer, open_transports, sip, until
from tests.transport.secure import Authority, TlsPeer, ends, old_tls, only, settled_after

Serve = Callable[..., AbstractAsyncContextManager[Transports]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Path:
    return authority.issue("localhost", "127.0.0.1")


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def serve(certificate: Path, recorder: Recorder) -> Serve:
    """Transports with a TLS listener first; ``tls`` are further options of TLS, all others of connections."""

    @asynccontextmanager
    async def serve(*more: str, tls: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[Transports]:
        made = TlsOptions(**{"certificate": str(certificate), **(tls or {})})
        listen = ("tls:127.0.0.1:0", *more)
        async with open_transports(
            *listen, recorder=recorder, tls=made, tcp=TcpOptions(**{"linger": 0.0, **options})
        ) as (transports, _):
            yield transports

    return serve


@pytest.fixture
def peers() -> Iterator[list[TcpPeer]]:
    opened: list[TcpPeer] = []
    yield opened
    for peer in opened:
        peer.close()


@pytest.fixture
def connect(peers: list[TcpPeer]) -> Callable[..., TcpPeer]:
    def connect(transports: Transports, **options: Any) -> TcpPeer:
        address = next(each for each in transports.addresses if each.transport == "tls")
        peers.append(TcpPeer((address.ip, address.port), **options))
        return peers[-1]

    return connect


# -- listeners ----


async def test_there_and_back(serve: Serve, connect: Any, recorder: Recorder, authority: Authority) -> None:
    # spec S-TLS-1
    async with serve() as transports:
        recorder.on_receive = lambda _data, flow: transports.send(flow, b"answer")
        peer = await TlsPeer(connect(transports), authority.client_context()).ready()
        peer.send(sip(b"one") + sip(b"two")[:-1])
        await recorder.wait(1)
        peer.send(b"o\r\n\r\n\r\n")
        await recorder.wait(2)
        await until(lambda: peer.poll() == b"answer\r\nanswer" or peer.poll() == b"answeranswer\r\n")
        assert recorder.data == [sip(b"one"), sip(b"two")]
        flow = recorder.received[0][1]
        assert (flow.transport, flow.is_reliable, transports.is_open(flow)) == ("tls", True, True)
        assert transports.sent_by(flow) == f"127.0.0.1:{transports.addresses[0].port}"
        assert peer.tls.version() == "TLSv1.3"
        peer.close()
        await until(lambda: recorder.closed == [flow])


async def test_a_message_larger_than_a_record(
    serve: Serve, connect: Any, recorder: Recorder, authority: Authority
) -> None:
    async with serve(max_message=200_000) as transports:
        peer = await TlsPeer(connect(transports), authority.client_context()).ready()
        large = sip(b"x" * 100_000)
        for start in range(0, len(large), 40_000):
            peer.send(large[start : start + 40_000])
        await recorder.wait(1)
        assert recorder.data == [large]
        assert transports.send(recorder.received[0][1], large)
        await until(lambda: peer.poll() == large)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_old_versions_are_not_spoken(
    serve: Serve, connect: Any, recorder: Recorder, version: ssl.TLSVersion
) -> None:
    # spec S-TLS-1
    # spec S-TLS-4
    async with serve() as transports:
        peer = TlsPeer(connect(transports), old_tls(version))
        with pytest.raises(ssl.SSLError):
            await peer.ready()
        await until(lambda: ends(transports) == {"bad_tls": 1})


async def test_version_1_2_is_spoken_with_forward_secrecy_only(
    serve: Serve, connect: Any, authority: Authority
) -> None:
    # spec S-TLS-1
    async with serve() as transports:
        context = authority.client_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        peer = await TlsPeer(connect(transports), context).ready()
        cipher = peer.tls.cipher()
        assert peer.tls.version() == "TLSv1.2"
        assert cipher is not None
        assert cipher[0].startswith("ECDHE-")
        assert peer.tls.compression() is None
        context.set_ciphers("AES128-GCM-SHA256:AES256-SHA")
        with pytest.raises(ssl.SSLError):
            await TlsPeer(connect(transports), context).ready()


async def test_only_1_3_where_so_set(serve: Serve, connect: Any, authority: Authority) -> None:
    async with serve(tls={"min_version": "1.3"}) as transports:
        context = authority.client_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError):
            await TlsPeer(connect(transports), context).ready()


@pytest.mark.parametrize("data", [sip(), b"\x00" * 200, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\xff\xff"])
async def test_what_is_no_tls_is_closed_with_an_alert(
    serve: Serve, connect: Any, recorder: Recorder, authority: Authority, data: bytes,
    mock_clock: trio.testing.MockClock,
) -> None:  # fmt: skip
    # spec S-TLS-4
    async with serve() as transports:
        peer = connect(transports)
        peer.send(data + b"\x00" * 20_000)
        await until(peer.has_ended)
        assert (ends(transports), recorder.received) == ({"bad_tls": 1}, [])
        assert peer.data[:1] in (b"", b"\x15")  # an alert, where it could be known that TLS was meant
        other = await TlsPeer(connect(transports), authority.client_context()).ready()  # the listener lives
        other.send(sip())
        await recorder.wait(1)


async def test_a_handshake_has_a_deadline(
    serve: Serve, connect: Any, recorder: Recorder, authority: Authority, mock_clock: trio.testing.MockClock
) -> None:
    # spec S-TLS-2
    async with serve(handshake_deadline=10.0) as transports:
        silent, slow = connect(transports), connect(transports)
        hello = TlsPeer(slow, authority.client_context())
        with pytest.raises(ssl.SSLWantReadError):
            hello.tls.do_handshake()
        octets = iter(hello._out.read())
        await until(lambda: transports.statistics()["tcp_connections"] == 2)
        for _ in range(9):
            slow.send(bytes([next(octets)]))
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(1.0)
        await trio.testing.wait_all_tasks_blocked()
        assert not silent.has_ended()
        mock_clock.jump(1.0)
        await until(lambda: silent.has_ended() and slow.has_ended())
        assert ends(transports) == {"no_handshake": 2}


async def test_after_the_handshake_the_first_message_has_its_own(
    serve: Serve, connect: Any, recorder: Recorder, authority: Authority, mock_clock: trio.testing.MockClock
) -> None:
    # spec S-NET-2
    async with serve(handshake_deadline=10.0, message_deadline=30.0) as transports:
        peer = await TlsPeer(connect(transports), authority.client_context()).ready()
        await until(lambda: only(transports).is_ready)
        mock_clock.jump(29.0)
        await trio.testing.wait_all_tasks_blocked()
        assert not peer.has_ended()
        mock_clock.jump(1.0)
        await until(peer.has_ended)
        assert ends(transports) == {"too_slow": 1}


async def test_a_message_octet_by_octet_has_the_deadline_of_tcp(
    serve: Serve, connect: Any, recorder: Recorder, authority: Authority, mock_clock: trio.testing.MockClock
) -> None:
    # spec S-NET-2
    async with serve(message_deadline=30.0) as transports:
        peer = await TlsPeer(connect(transports), authority.client_context()).ready()
        peer.send(sip())
        await recorder.wait(1)
        for octet in sip(b"a slow one")[:30]:
            await settled_after(transports, partial(peer.send, bytes([octet])))
            mock_clock.jump(1.0)
        await until(peer.has_ended)
        assert ends(transports) == {"too_slow": 1}
        assert len(recorder.received) == 1


async def test_handshakes_count_for_the_bounds(serve: Serve, connect: Any, recorder: Recorder) -> None:
    # spec S-TLS-2
    async with serve(max_per_address=2) as transports:
        opened = [connect(transports, source="127.0.0.2") for _ in range(3)]
        await until(lambda: any(peer.has_ended() for peer in opened))
        assert transports.statistics()["tcp_refused"] == 1


async def test_key_updates_without_end_fill_nothing(
    serve: Serve, connect: Any, recorder: Recorder, authority: Authority
) -> None:
    """Who has TLS answer and reads nothing is cut off as any slow reader."""
    # spec S-TLS-2
    # spec S-NET-4
    async with serve(write_buffer=100_000) as transports:
        peer = await TlsPeer(connect(transports, buffer=4096), authority.client_context()).ready()
        peer.send(sip())
        await recorder.wait(1)
        flow = recorder.received[0][1]
        while transports.send(flow, b"x" * 10_000):
            pass
        await until(lambda: ends(transports) == {"write_overflow": 1})


async def test_the_end_of_a_connection_is_said(serve: Serve, connect: Any, authority: Authority) -> None:
    async with serve(linger=1.0) as transports:
        peer = await TlsPeer(connect(transports), authority.client_context()).ready()
        peer.send(b"no SIP at all \r\n\r\n")
        await until(peer.has_ended)
        assert peer.error is None
        peer.tls.unwrap()  # close_notify came: the peer knows that nothing was cut off
        assert ends(transports) == {"bad_stream": 1}


async def test_who_has_closed_its_direction_gets_answers_and_then_our_close(
    serve: Serve, connect: Any, recorder: Recorder, authority: Authority, mock_clock: trio.testing.MockClock
) -> None:
    # spec S-NET-8
    async with serve(linger=1.0) as transports:
        peer = await TlsPeer(connect(transports), authority.client_context()).ready()
        peer.send(sip())
        await recorder.wait(1)
        peer.tcp.sock.shutdown(socket.SHUT_WR)
        await until(lambda: recorder.closed)
        assert transports.send(recorder.closed[0], b"answer")
        await until(lambda: peer.poll() == b"answer")
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(1.0)
        await until(peer.has_ended)
        peer.tls.unwrap()
        assert ends(transports) == {"eof": 1}


# -- certificates ----


async def test_a_reload_takes_new_files_and_keeps_connections(
    serve: Serve, connect: Any, recorder: Recorder, authority: Authority, tmp_path: Path
) -> None:
    # spec S-TLS-3
    fresh = Authority(tmp_path)
    renewed = fresh.issue("localhost", file="renewed.pem")
    async with serve() as transports:
        old = await TlsPeer(connect(transports), authority.client_context()).ready()
        transports.reload_tls(TlsOptions(certificate=str(renewed)))
        with pytest.raises(ssl.SSLCertVerificationError):
            await TlsPeer(connect(transports), authority.client_context()).ready()
        await TlsPeer(connect(transports), fresh.client_context()).ready()
        with pytest.raises(ListenError, match=r"missing\.pem.*No such file"):
            transports.reload_tls(TlsOptions(certificate=str(tmp_path / "missing.pem")))
        await TlsPeer(connect(transports), fresh.client_context()).ready()  # as before
        old.send(sip())
        await recorder.wait(1)
        assert transports.send(recorder.received[0][1], b"answer")
        await until(lambda: old.poll() == b"answer")


async def test_what_cannot_be_used_at_the_start(authority: Authority, tmp_path: Path) -> None:
    # spec S-TLS-3
    (tmp_path / "empty.pem").write_text("")
    key = authority.issue("other", file="other.pem")
    encrypted = tmp_path / "encrypted.pem"
    encrypted.write_text(_ENCRYPTED)
    for options, why in (
        (TlsOptions(certificate=str(tmp_path / "empty.pem")), r"empty\.pem.*not a PEM file"),
        (TlsOptions(certificate=str(key), key=str(encrypted)), "the key is encrypted"),
        (TlsOptions(certificate=str(key), ca=str(tmp_path / "nobody.pem"), client_certificates="optional"), "nobody"),
        (TlsOptions(certificate=str(key), key=str(authority.path)), "not a PEM file"),
    ):
        with pytest.raises(BaseExceptionGroup) as caught:
            async with open_transports("tls:127.0.0.1:0", tls=options):
                pass
        assert caught.group_contains(ListenError, match=why)


# openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes256
_ENCRYPTED = """-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgB0PJpbO1f1QICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEECfTSJuHGQeL9O0sHwLRsskEgZBZ
rKD+Ua4DVNcYqqSxYDfGMY+GzgGngC2UDiB7ZmTRrz096Czu2w7bHjqLQPp9YMoh
NRd9Nm93NewGmrMVlNvxzLZjzKlIMJf3MHKp0wCx1xk4nFdWlPHtfso++c8njKrZ
cdOuZX0u0lUT8fge5TfesBG9S+R56eZkrcrMjTOYjHSVxrhhYswk8B4Q6+qOi3Q=
-----END ENCRYPTED PRIVATE KEY-----
"""


async def test_a_client_s_certificate_is_verified_where_it_shows_one(
    serve: Serve, connect: Any, recorder: Recorder, authority: Authority, tmp_path: Path
) -> None:
    # spec S-TLS-7
    proxy = authority.issue("proxy.example.com", file="proxy.pem")
    stranger = Authority(tmp_path).issue("proxy.example.com")
    options = {"ca": str(authority.path), "client_certificates": "optional"}
    async with serve(tls=options) as transports:
        for certificate, names in ((proxy, {"proxy.example.com"}), (None, set())):
            peer = await TlsPeer(connect(transports), authority.client_context(certificate)).ready()
            recorder.received.clear()
            peer.send(sip())
            await recorder.wait(1)
            assert transports.peer_names(recorder.received[0][1]) == names
        recorder.received.clear()
        forged = await TlsPeer(connect(transports), authority.client_context(stranger)).ready()
        forged.send(sip())  # TLS 1.3: the client is told after its own part of the handshake is over
        await until(forged.has_ended)
        assert recorder.received == []
        assert ends(transports) == {"bad_tls": 1}
    async with serve() as transports:
        peer = await TlsPeer(connect(transports), authority.client_context(proxy)).ready()
        peer.send(sip())
        await recorder.wait(1)
        assert transports.peer_names(recorder.received[0][1]) == frozenset()  # it was not asked


@pytest.mark.parametrize(
    ("entries", "names"),
    [
        ((("DNS", "Chat.Example.com"), ("DNS", "*.example.com")), {"chat.example.com", "*.example.com"}),
        ((("DNS", "host.example.com"), ("URI", "sip:example.com")), {"example.com"}),
        ((("URI", "sips:Example.com;x=1"), ("URI", "sip:alice@example.org")), {"example.com"}),
        ((("URI", "https://example.com"), ("DNS", "a.example")), {"a.example"}),
        ((("IP Address", "192.0.2.1"), ("IP Address", "2001:DB8:0:0:0:0:0:1")), {"192.0.2.1", "2001:db8::1"}),
        ((), set()),
    ],
)
def test_whom_a_certificate_names(entries: tuple[tuple[str, str], ...], names: set[str]) -> None:
    # spec S-TLS-5
    found = certificate_names({"subjectAltName": entries, "subject": ((("commonName", "cn.example"),),)})
    assert found == names
    assert not is_named(found, "cn.example")
    assert not is_named(found, "sub.example.com")
    assert all(is_named(found, name.upper()) for name in names)


def test_nobody_is_named_without_a_certificate() -> None:
    assert certificate_names(None) == certificate_names({}) == frozenset()


# -- connections that imc opens ----


class TlsServer:
    """Accepts connections of imc by hand; ``peers`` are their TLS sides."""

    def __init__(self, certificate: Path) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.sock.setblocking(False)
        self.peers: list[TlsPeer] = []

    @property
    def port(self) -> int:
        port: int = self.sock.getsockname()[1]
        return port

    def poll(self) -> None:
        with suppress(BlockingIOError):
            self.peers.append(TlsPeer(TcpPeer(self.sock.accept()[0]), self.context, None))
        for peer in self.peers:
            peer.poll()

    async def serve(self) -> None:
        while True:
            self.poll()
            await trio.lowlevel.checkpoint()

    def close(self) -> None:
        self.sock.close()
        for peer in self.peers:
            peer.close()


@pytest.fixture
def server(certificate: Path, nursery: trio.Nursery) -> Iterator[TlsServer]:
    server = TlsServer(certificate)
    nursery.start_soon(server.serve)
    yield server
    nursery.cancel_scope.cancel()
    server.close()


async def test_a_server_is_verified_by_the_name_that_was_asked_for(
    serve: Serve, server: TlsServer, authority: Authority, recorder: Recorder
) -> None:
    # spec S-TLS-5
    # spec S-NET-5
    async with serve(tls={"ca": str(authority.path)}) as transports:
        opened = partial(transports.open_stream, "tls", "127.0.0.1", server.port, 5.0)
        flow = await opened("localhost")
        assert (flow.transport, flow.remote) == ("tls", ("127.0.0.1", server.port))
        assert transports.sent_by(flow) == f"127.0.0.1:{transports.addresses[0].port}"
        assert transports.send(flow, sip())
        await until(lambda: server.peers[0].poll() == sip())
        server.peers[0].send(b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n")
        await recorder.wait(1)
        assert await opened("localhost") == flow  # one connection
        assert await opened("127.0.0.1") != flow  # another name is another server
        assert await opened() == await opened("127.0.0.1")
        with pytest.raises(Unreachable, match=r"the certificate is for 127\.0\.0\.1, localhost, not for example\.com"):
            await opened("example.com")
        assert transports.statistics()["tcp_opened"] == 2


async def test_imc_shows_its_own_certificate_to_a_server_that_asks(
    serve: Serve, server: TlsServer, authority: Authority
) -> None:
    server.context.verify_mode = ssl.CERT_REQUIRED
    server.context.load_verify_locations(authority.path)
    async with serve(tls={"ca": str(authority.path)}) as transports:
        flow = await transports.open_stream("tls", "127.0.0.1", server.port, 5.0, "localhost")
        assert transports.send(flow, sip())
        await until(lambda: server.peers[0].poll() == sip())
        shown = server.peers[0].tls.getpeercert()
        assert shown is not None
        assert certificate_names(shown) == {"localhost", "127.0.0.1"}


async def test_a_server_of_an_unknown_authority_is_unreachable(serve: Serve, server: TlsServer, tmp_path: Path) -> None:
    # spec S-TLS-5
    async with serve(tls={"ca": str(Authority(tmp_path).path)}) as transports:
        with pytest.raises(Unreachable, match="unable to get local issuer certificate"):
            await transports.open_stream("tls", "127.0.0.1", server.port, 5.0, "localhost")


async def test_a_wildcard_names_nobody(serve: Serve, authority: Authority, nursery: trio.Nursery) -> None:
    # spec S-TLS-5
    server = TlsServer(authority.issue("*.example.com", file="wildcard.pem"))
    nursery.start_soon(server.serve)
    async with serve(tls={"ca": str(authority.path)}) as transports:
        with pytest.raises(Unreachable, match=r"for \*\.example\.com, not for sip\.example\.com"):
            await transports.open_stream("tls", "127.0.0.1", server.port, 5.0, "sip.example.com")
    nursery.cancel_scope.cancel()
    server.close()


async def test_a_server_that_speaks_no_tls_is_unreachable(serve: Serve, authority: Authority) -> None:
    plain = socket.create_server(("127.0.0.1", 0))
    async with serve(tls={"ca": str(authority.path)}) as transports, trio.open_nursery() as nursery:
        outcome: list[str] = []

        async def attempt() -> None:
            with pytest.raises(Unreachable) as caught:
                await transports.open_stream("tls", "127.0.0.1", plain.getsockname()[1], 5.0, "localhost")
            outcome.append(str(caught.value))

        nursery.start_soon(attempt)
        await until(lambda: transports.statistics()["tcp_connections"] == 1)
        accepted, _ = plain.accept()
        accepted.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await until(lambda: outcome)
        assert "wrong version number" in outcome[0] or "packet length too long" in outcome[0]
        accepted.close()
        plain.close()


async def test_a_server_that_never_answers_is_given_up(
    serve: Serve, authority: Authority, mock_clock: trio.testing.MockClock
) -> None:
    # spec S-TLS-2
    silent = socket.create_server(("127.0.0.1", 0))
    async with serve(tls={"ca": str(authority.path)}, handshake_deadline=3.0) as transports:
        mock_clock.autojump_threshold = 0.05
        with pytest.raises(Unreachable, match="no handshake in time"):
            await transports.open_stream("tls", "127.0.0.1", silent.getsockname()[1], 5.0, "localhost")
        await until(lambda: transports.statistics()["tcp_connections"] == 0)
        assert ends(transports) == {End.NO_HANDSHAKE.value: 1}
    silent.close()


async def test_without_authorities_the_system_s_are_asked(serve: Serve, server: TlsServer) -> None:
    async with serve() as transports:
        with pytest.raises(Unreachable, match=r"issuer certificate|self-signed certificate"):
            await transports.open_stream("tls", "127.0.0.1", server.port, 5.0, "localhost")
