from __future__ import annotations

import resource
import socket

import pytest

from imc.transport import sockets
from imc.transport.addresses import parse_listen
from tests.transport.harness import needs_ipv6


def test_tcp_may_listen_again_after_a_restart() -> None:
    with sockets.listen_tcp(parse_listen("tcp:127.0.0.1:0")) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        assert not sock.getblocking()


@needs_ipv6
def test_both_wildcards_stand_side_by_side() -> None:
    with sockets.listen_udp(parse_listen("udp:[::]:0"), 1, 1) as six:
        port = six.getsockname()[1]
        with sockets.listen_udp(parse_listen(f"udp:0.0.0.0:{port}"), 1, 1) as four:
            assert four.getsockname() == ("0.0.0.0", port)


def test_buffers_without_privilege(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel does not let us force a size, it gives what it allows to everyone."""
    monkeypatch.setattr(sockets, "_SO_RCVBUFFORCE", 9999)
    monkeypatch.setattr(sockets, "_SO_SNDBUFFORCE", 9999)
    with sockets.listen_udp(parse_listen("udp:127.0.0.1:0"), 50_000, 60_000) as sock:
        assert sockets.buffer_sizes(sock) == (100_000, 120_000)  # socket(7): the kernel doubles


@pytest.mark.parametrize(
    ("now", "wanted", "result", "set_to"),
    [
        ((1024, 4096), 2000, 2000, (2000, 4096)),
        ((1024, 4096), 9000, 4096, (4096, 4096)),
        ((5000, 9000), 2000, 5000, None),
        ((1024, resource.RLIM_INFINITY), 9000, 9000, (9000, resource.RLIM_INFINITY)),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), 9000, 9000, None),
    ],
)
def test_raise_file_limit(
    monkeypatch: pytest.MonkeyPatch,
    now: tuple[int, int],
    wanted: int,
    result: int,
    set_to: tuple[int, int] | None,
) -> None:
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _what: now)
    monkeypatch.setattr(resource, "setrlimit", lambda _what, limits: calls.append(limits))
    assert sockets.raise_file_limit(wanted) == result
    assert calls == ([set_to] if set_to else [])
