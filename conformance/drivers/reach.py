"""Whether a server that is said to run answers at all, before any case waits for it in vain."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

import trio

from conformance.agent.client import T1
from conformance.drivers.spawn import Address, request
from conformance.suite.conversation import CannotStart

_METHODS = ("OPTIONS", "REGISTER")
"""Any answer to any of them will do. A REGISTER without Contact asks for bindings alone (RFC 3261 §10.2.3)."""
_STATUS_LINE = b"SIP/2.0 "


async def reach(address: Address, transport: Literal["udp", "tcp"], within: float) -> None:
    """Return when it has answered. CannotStart: nobody did within so many seconds, or nobody listens."""
    where = f"{address[0]}:{address[1]} over {transport.upper()}"
    try:
        with trio.fail_after(within):
            await (_by_datagrams if transport == "udp" else _by_stream)(address)
    except trio.TooSlowError:
        raise CannotStart(f"no answer to {' or '.join(_METHODS)} from {where} within {within:g} s") from None
    except OSError as error:
        why = error.strerror or error
        raise CannotStart(f"no server at {where}: {why}") from None


async def _by_datagrams(address: Address) -> None:
    with trio.socket.socket(_family(address), trio.socket.SOCK_DGRAM) as sock:
        await sock.connect(address)
        asked = [request(method, address, sock.getsockname()) for method in _METHODS]
        while True:
            for data in asked:
                await sock.send(data)
            with trio.move_on_after(T1):
                await _answer(sock.recv)
                return


async def _by_stream(address: Address) -> None:
    with trio.socket.socket(_family(address), trio.socket.SOCK_STREAM) as sock:
        await sock.connect(address)
        for method in _METHODS:
            await sock.send(request(method, address, sock.getsockname(), "TCP"))
        await _answer(sock.recv)


async def _answer(receive: Callable[[int], Awaitable[bytes]]) -> None:
    """OSError where the connection ends before."""
    while not (data := await receive(4096)).startswith(_STATUS_LINE):
        if not data:
            raise OSError("it closes the connection")


def _family(address: Address) -> int:
    return trio.socket.AF_INET6 if ":" in address[0] else trio.socket.AF_INET
