"""Messages, streams and frames that are mutated, from somebody who is trusted and from somebody who is not.

What the trusted one sends comes as far as the rooms. Each answer over UDP can be read, and none is 500.
"""

from __future__ import annotations

import itertools
import random
import socket
from collections.abc import Iterator
from contextlib import suppress

import trio

from conformance.suite.wire_websocket import Opcode
from imc.errors import BadMessage
from imc.sip.message import Response, parse_message
from tests.attacks.attacker import request
from tests.fuzz.seeds import mutations
from tests.soak.edge.attack import BROKEN, Tally, address, connect, hello, opened
from tests.soak.edge.site import TRUSTED, Site
from tests.transport.secure import fragment, handshake, masked

_BATCH = 20
_PAUSE = 0.02
_READ_FOR = 0.05
_REPEATING = ("400", "413", "416", "505", "513")
_ROOM = "sip:chat-fuzz@example.com"
_COMMANDS = (
    "#create", "#join", "#invite sip:bob@example.com", "#members", "#rooms", "#help", "#set", "#history 3", "#leave",
    "#modify sip:mallory@example.com admin", "#remove sip:bob@example.com", "#destroy", "hello",
)  # fmt: skip


def _known() -> list[bytes]:
    """Requests that are valid here."""
    number = itertools.count(1 << 40)
    found = [request("MESSAGE", _ROOM, "c:text/plain", body=text.encode(), number=next(number)) for text in _COMMANDS]
    found.append(request("REGISTER", "sip:example.com", "m:<sip:a@127.0.0.1:9>;expires=5", number=next(number)))
    found.append(request("SUBSCRIBE", _ROOM, "o:conference", "m:<sip:a@127.0.0.1:9>", "Expires:2", number=next(number)))
    found.append(request("OPTIONS", _ROOM, "Accept:*/*", number=next(number)))
    cpim = b"From: <sip:a@example.com>\r\nTo: <sip:b@example.com>\r\n\r\nContent-Type: text/plain\r\n\r\nhi"
    found.append(request("MESSAGE", _ROOM, "c:message/cpim", body=cpim, number=next(number)))
    xml = b'<?xml version="1.0"?><resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists"><list/></resource-lists>'
    found.append(request("MESSAGE", _ROOM, "c:application/resource-lists+xml", body=xml, number=next(number)))
    return found * 3


def _renumbered(source: Iterator[bytes], chance: random.Random) -> Iterator[bytes]:
    """Most with a branch that never was: a copy would be answered as the first."""
    for data in source:
        yield data.replace(b"branch=z9hG4bK", b"branch=z9hG4bK%x" % chance.getrandbits(48), 1)


async def _datagrams(ip: str, on: Site, source: Iterator[bytes], tally: Tally) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind((ip, 0))
        sock.connect(on.addresses["udp"])
        sock.setblocking(False)
        while True:
            for data in itertools.islice(source, _BATCH):
                try:
                    sock.send(data)
                    tally.counts["datagrams that are mutated"] += 1
                except OSError:
                    continue
            await trio.sleep(_PAUSE)
            while True:
                try:
                    _judge(sock.recv(65_535), tally)
                except OSError:
                    break


def _judge(data: bytes, tally: Tally) -> None:
    """An answer to what cannot be read repeats what it could not read (RFC 3261 §8.2.6.2); all others can be read."""
    status = data[8:11].decode("latin-1")
    try:
        is_response = isinstance(parse_message(data, is_datagram=True), Response)
    except BadMessage as error:
        is_response = True
        if not data.startswith(b"SIP/2.0 ") or not data.endswith(b"\r\n\r\n") or status not in _REPEATING:
            tally.blame(f"an answer that cannot be read: {error.reason}: {data[:500]!r}")
    if not is_response:
        tally.counts["requests to who mutates"] += 1  # they have registered by chance
        return
    tally.counts[f"mutated: {status}"] += 1
    if status == "500":
        tally.blame(f"500: {data[:500]!r}")


def _frames(data: bytes, chance: random.Random) -> bytes:
    way = chance.randrange(5)
    if way == 0:
        return data  # no frame at all
    if way == 1:
        half = len(data) // 2
        return fragment(data[:half], Opcode.TEXT) + fragment(data[half:], is_last=chance.random() < 0.9)
    whole = bytearray(masked(data, chance.choice((Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.CLOSE))))
    if way == 2:
        for _ in range(chance.randrange(1, 4)):
            whole[chance.randrange(min(len(whole), 16))] ^= 1 << chance.randrange(8)
    return bytes(whole)


async def _streams(transport: str, on: Site, source: Iterator[bytes], chance: random.Random, tally: Tally) -> None:
    is_web = transport in ("ws", "wss")
    while True:
        ip = TRUSTED if chance.random() < 0.5 else address(chance)
        with suppress(*BROKEN):
            async with opened(on, transport, ip) as stream:
                tally.counts[f"streams, {transport}"] += 1
                for data in itertools.islice(source, chance.randrange(1, 10)):
                    octets = data.replace(b"/UDP", f"/{transport.upper()}".encode())
                    await stream.send_all(_frames(octets, chance) if is_web else octets)
                with trio.move_on_after(_READ_FOR):
                    while await stream.receive_some(65_536):
                        pass
        if transport != "tcp" and chance.random() < 0.2:
            await _below(transport, on, source, chance, tally)
        await trio.sleep(_PAUSE)


async def _below(transport: str, on: Site, source: Iterator[bytes], chance: random.Random, tally: Tally) -> None:
    """Octets where a handshake is awaited."""
    data = bytearray(handshake() if transport == "ws" else hello(on))
    for _ in range(chance.randrange(0, 6)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    stream = await connect(on, transport, address(chance))
    try:
        await stream.send_all(bytes(data) + next(source))
        with trio.move_on_after(_READ_FOR):
            await stream.receive_some(65_536)
        tally.counts[f"handshakes that are mutated, {transport}"] += 1
    except BROKEN:
        pass
    finally:
        stream.socket.close()


async def garbage(on: Site, chance: random.Random, tally: Tally) -> None:
    """See `tests.soak.edge.attack.Attack`."""
    known = _known()

    def source() -> Iterator[bytes]:
        return _renumbered(mutations("message", 1 << 40, chance.getrandbits(32), known), random.Random(chance.random()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_datagrams, TRUSTED, on, source(), tally)
        nursery.start_soon(_datagrams, "127.0.0.98", on, source(), tally)
        for transport in ("tcp", "tls", "ws", "wss"):
            nursery.start_soon(_streams, transport, on, source(), random.Random(chance.random()), tally)
