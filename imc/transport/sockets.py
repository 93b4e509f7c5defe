"""Sockets, made with the kernel's word on why they cannot be, and the process's limit of open files."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket

import trio

from imc.errors import ListenError
from imc.transport.addresses import ListenAddress, socket_address, socket_family

_SO_RCVBUFFORCE = 33  # socket(7): beyond net.core.rmem_max, for whoever has CAP_NET_ADMIN
_SO_SNDBUFFORCE = 32
IP_PKTINFO = 8  # ip(7); Python has had no name for it before 3.14
_BACKLOG = 1024

_WHY = {
    errno.EADDRINUSE: "another program listens there already",
    errno.EACCES: "no permission (a port below 1024 needs CAP_NET_BIND_SERVICE)",
    errno.EADDRNOTAVAIL: "not an address of this machine",
    errno.EAFNOSUPPORT: "this machine does not have this kind of address",
    errno.EINVAL: "not an address that can be listened on",
}


def _listening(address: ListenAddress, kind: socket.SocketKind) -> socket.socket:
    try:
        sock = socket.socket(socket_family(address.ip), kind)
    except OSError as error:
        raise ListenError(f"cannot listen on {address}: {_why(error)}") from error
    try:
        sock.setblocking(False)
        if kind == socket.SOCK_STREAM:
            # After a restart the old connections are still in TIME_WAIT. Never for UDP: there two programs could share.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            # So that udp:0.0.0.0 and udp:[::] can stand side by side, and no peer is called ::ffff:192.0.2.1.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(socket_address(address.ip, address.port))
        if kind == socket.SOCK_STREAM:
            sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise ListenError(f"cannot listen on {address}: {_why(error)}") from error
    return sock


def _why(error: OSError) -> str:
    return _WHY.get(error.errno or 0, error.strerror or str(error))


def listen_udp(address: ListenAddress, receive_buffer: int, send_buffer: int) -> socket.socket:
    """A bound, non-blocking UDP socket; buffers in bytes. On a wildcard it tells each datagram's own destination.

    ListenError.
    """
    sock = _listening(address, socket.SOCK_DGRAM)
    _set_buffer(sock, _SO_RCVBUFFORCE, socket.SO_RCVBUF, receive_buffer)
    _set_buffer(sock, _SO_SNDBUFFORCE, socket.SO_SNDBUF, send_buffer)
    if address.is_wildcard:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    return sock


def listen_tcp(address: ListenAddress) -> socket.socket:
    """A listening, non-blocking TCP socket. ListenError."""
    return _listening(address, socket.SOCK_STREAM)


def _set_buffer(sock: socket.socket, force: int, plain: int, size: int) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, force, size)
    except OSError:  # not privileged: the kernel cuts it to net.core.{r,w}mem_max
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, plain, size)


def buffer_sizes(sock: socket.socket) -> tuple[int, int]:
    """What the kernel gave for receiving and sending, in bytes (Linux counts its own overhead in: twice the asked)."""
    return (
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF),
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF),
    )


def tune_stream(sock: socket.socket) -> None:
    """Non-blocking, each message sent at once, and a peer that vanished is noticed after some minutes."""
    sock.setblocking(False)
    for level, option, value in (
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 120),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 30),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
    ):
        with contextlib.suppress(OSError):  # the peer has already reset it
            sock.setsockopt(level, option, value)


def raise_file_limit(wanted: int) -> int:
    """Let this process have ``wanted`` open files as far as its hard limit allows; returns the limit it now has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else soft


async def connected(sock: socket.socket, ip: str, port: int) -> None:
    """Connect a non-blocking socket. OSError."""
    code = sock.connect_ex(socket_address(ip, port))
    if code == errno.EINPROGRESS:
        await trio.lowlevel.wait_writable(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    else:
        await trio.lowlevel.checkpoint()
    if code:
        raise OSError(code, os.strerror(code))


def ip_and_port(address: tuple[object, ...]) -> tuple[str, int]:
    """(ip, port) of what ``accept`` and ``getsockname`` give; the scope stays where the IP means nothing without."""
    ip, port = str(address[0]), int(str(address[1]))
    return (f"{ip}%{address[3]}" if len(address) == 4 and address[3] else ip), port
