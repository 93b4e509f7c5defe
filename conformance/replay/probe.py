"""Whether anything answers at an address, asked by OPTIONS."""

from __future__ import annotations

import secrets

import trio

from conformance.replay.clients import NotReachable
from conformance.replay.recording import Address

_WITHIN = 5.0
_AGAIN = 0.5  # seconds: RFC 3261's T1, doubled


async def probe(target: Address, transport: str) -> None:
    """Return when any response came. NotReachable."""
    try:
        with trio.move_on_after(_WITHIN):
            if transport == "tcp":
                await _over_tcp(target)
            else:
                await _over_udp(target)
            return
    except OSError as error:
        reason = error.strerror or str(error)
        raise NotReachable(f"{transport}:{target}: {reason}") from None
    raise NotReachable(f"{transport}:{target} does not answer OPTIONS within {_WITHIN:g} s")


async def _over_udp(target: Address) -> None:
    family = trio.socket.AF_INET6 if ":" in target.ip else trio.socket.AF_INET
    with trio.socket.socket(family, trio.socket.SOCK_DGRAM) as sock:
        await sock.connect(target)
        request = _options(target, Address(*sock.getsockname()[:2]), "UDP")
        interval = _AGAIN
        while True:
            await sock.send(request)
            with trio.move_on_after(interval):
                await sock.recv(65535)
                return
            interval *= 2


async def _over_tcp(target: Address) -> None:
    async with await trio.open_tcp_stream(target.ip, target.port) as stream:
        local = Address(*stream.socket.getsockname()[:2])
        await stream.send_all(_options(target, local, "TCP"))
        if not await stream.receive_some():
            raise OSError("the connection was closed without a response")


def _options(target: Address, local: Address, transport: str) -> bytes:
    token = secrets.token_hex(8)
    lines = [
        f"OPTIONS sip:{target} SIP/2.0",
        f"Via: SIP/2.0/{transport} {local};branch=z9hG4bK{token};rport",
        "Max-Forwards: 70",
        f"From: <sip:imc-replay@{local.host}>;tag={token}",
        f"To: <sip:{target}>",
        f"Call-ID: {token}",
        "CSeq: 1 OPTIONS",
        "Content-Length: 0",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
