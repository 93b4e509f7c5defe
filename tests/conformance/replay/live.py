"""Servers in this process, and conversations that are recorded with them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from conformance.agent.client import SipClient
from conformance.replay.drawing import Played
from conformance.replay.forwarder import Forwarder
from conformance.replay.player import PlayOptions, play
from conformance.replay.recording import Address, Recorded, Recording
from conformance.replay.script import build
from imc.sip.message import Request, parse_message
from imc.sip.uas import build_response
from tests.e2e.stage import DOMAIN, Stage, settings, stage

USERS = {"alice": "one", "bob": "two"}
ROOM = f"sip:chat-a@{DOMAIN}"


@asynccontextmanager
async def served(folder: Path, *flags: str, mode: str = "none") -> AsyncIterator[Stage]:
    """A fresh imc."""
    await trio.Path(folder).mkdir()
    async with stage(settings(folder, *flags, mode=mode), USERS if mode == "digest" else None) as on:
        yield on


@asynccontextmanager
async def recorder(server: Address, transport: str | None = None) -> AsyncIterator[tuple[Forwarder, Recording]]:
    """A forwarder before the server, and what it has told so far."""
    recording = Recording("live")

    def tell(transport: str, source: Address, target: Address, data: bytes) -> None:
        recording.add(Recorded(time.time(), transport, source, target, data, f"message {len(recording.messages) + 1}"))

    async with trio.open_nursery() as nursery:
        forwarder = Forwarder(Address(server.ip, 0), server, transport, tell)
        recording.server = await nursery.start(forwarder.run)
        yield forwarder, recording
        nursery.cancel_scope.cancel()


async def talk(nursery: trio.Nursery, server: Address, *, transport: str = "udp", mode: str = "none") -> None:
    """Alice makes a private room and asks bob in; both say something; bob leaves and is refused."""
    clients = [
        await SipClient.open(
            nursery,
            f"sip:{user}@{DOMAIN}",
            (server.ip, server.port),
            transport=transport,
            password=password if mode == "digest" else None,
        )
        for user, password in USERS.items()
    ]
    alice, bob = clients
    for client in clients:
        assert (await client.register()).status == 200
    await said(alice, "#create private", 200, [(alice, "room-created")])
    await said(alice, "#invite bob", 200, [(alice, "invitation-sent"), (bob, "invitation")])
    await said(bob, "#accept", 200, [(alice, "member-joined"), (bob, "member-joined")])
    await said(alice, "welcome to chat-a", 202, [(bob, "message")])
    await said(bob, "thanks", 202, [(alice, "message")])
    bob.answer = 410
    await said(alice, "are you there?", 202, [(bob, "message")])
    bob.answer = 200
    await said(bob, "#leave", 200, [(alice, "member-left"), (bob, "member-left")])
    await said(bob, "still here", 404, [])
    for client in clients:
        client.close()


async def said(client: SipClient, text: str, status: int, told: Sequence[tuple[SipClient, str]]) -> None:
    response = await client.message(ROOM, text)
    assert response.status == status, (text, response)
    for recipient, event in told:
        await recipient.wait_message(event=event)


async def recorded_talk(folder: Path, *flags: str, transport: str = "udp", mode: str = "none") -> Recording:
    """That conversation, recorded with a fresh imc."""
    async with (
        served(folder, *flags, mode=mode) as on,
        recorder(Address(*on.addresses[transport])) as (forwarder, recording),
        trio.open_nursery() as nursery,
    ):
        await talk(nursery, forwarder.listen, transport=transport, mode=mode)
        nursery.cancel_scope.cancel()
    return recording


async def replayed(recording: Recording, on: Stage, **options: object) -> Played:
    """By the transport of the options, else by that of the recording: imc's ports differ."""
    transport = str(options.get("transport") or recording.messages[0].transport)
    target = Address(*on.addresses[transport])
    return await play(build(recording), PlayOptions(target=target, linger=0.0, **options))  # type: ignore[arg-type]


@asynccontextmanager
async def echo() -> AsyncIterator[Address]:
    """A server over UDP that says 200 to everything."""

    async def serve() -> None:
        while True:
            data, source = await sock.recvfrom(65535)
            request = parse_message(data, is_datagram=True)
            assert isinstance(request, Request)
            await sock.sendto(build_response(request, 200, to_tag="echo").render(), source)

    with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
        await sock.bind(("127.0.0.1", 0))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            yield Address(*sock.getsockname())
            nursery.cancel_scope.cancel()
