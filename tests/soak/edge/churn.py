"""What is begun and dropped: connections, handshakes, registrations, subscriptions; certificates renewed meanwhile."""

from __future__ import annotations

import random
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio
from websockets.exceptions import WebSocketException

from conformance.agent.client import NoAnswer, SipClient
from tests.soak.edge.attack import BROKEN, Tally, address, connect, hello, opened, resetting
from tests.soak.edge.site import MALLORIES, PASSWORD, Site
from tests.transport.secure import handshake

_PAUSE = 0.02
_RENEW = 2.0
_SMALL_EXPIRES = 2  # seconds: those over UDP have nothing else that ends them
STREAMS = ("tcp", "tls", "ws", "wss")
_OUTBOUND = [("Supported", "path, outbound")]
_NOT_LET_IN = (*BROKEN, NoAnswer, WebSocketException)
Step = Callable[[Site, random.Random, Tally], Awaitable[None]]


async def _connection(on: Site, chance: random.Random, tally: Tally) -> None:
    """Connected, something said or not, and closed: with a FIN, or a reset."""
    stream = await connect(on, chance.choice(STREAMS), address(chance))
    if chance.random() < 0.5:
        resetting(stream)
    if chance.random() < 0.5:
        await stream.send_all(chance.choice((b"\r\n\r\n", b"MESSAGE sip:", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n")))
    stream.socket.close()
    tally.counts["connections"] += 1


async def _handshake(on: Site, chance: random.Random, tally: Tally) -> None:
    """A handshake of TLS that is begun and dropped, or done and dropped."""
    if chance.random() < 0.5:
        stream = await connect(on, chance.choice(("tls", "wss")), address(chance))
        data = hello(on)
        await stream.send_all(data[: chance.randrange(1, len(data) + 1)])
        stream.socket.close()
    else:
        async with opened(on, "tls", address(chance)):
            pass
    tally.counts["TLS handshakes"] += 1


async def _upgrade(on: Site, chance: random.Random, tally: Tally) -> None:
    if chance.random() < 0.5:
        stream = await connect(on, "ws", address(chance))
        data = handshake()
        await stream.send_all(data[: chance.randrange(1, len(data) + 1)])
        stream.socket.close()
    else:
        async with opened(on, chance.choice(("ws", "wss")), address(chance)):
            pass
    tally.counts["WebSocket upgrades"] += 1


async def _with_client(on: Site, transport: str, user: str, work: Callable[[SipClient], Awaitable[None]]) -> None:
    """A user agent that is gone without a word afterwards."""
    async with trio.open_nursery() as nursery:
        client = await on.client(nursery, user, transport, PASSWORD)
        with suppress(NoAnswer):
            await work(client)
        nursery.cancel_scope.cancel()


async def _flow(on: Site, chance: random.Random, tally: Tally) -> None:
    """Registered with an instance and reg-ids that never were before; then the flow dies."""

    async def work(client: SipClient) -> None:
        for _ in range(chance.randrange(1, 4)):
            instance = f'+sip.instance="<urn:uuid:{secrets.token_hex(16)}>"'
            contact = f"<{client.contact}>;{instance};reg-id={chance.randrange(1, 1_000)}"
            status = (await client.register(contact=contact, headers=_OUTBOUND)).status
            tally.counts[f"REGISTER on a flow: {status}"] += 1

    await _with_client(on, chance.choice(STREAMS), chance.choice(MALLORIES[1:]), work)


async def _contact(on: Site, chance: random.Random, tally: Tally) -> None:
    """Contacts that never were before, over UDP; they end by their time."""

    async def work(client: SipClient) -> None:
        for _ in range(chance.randrange(1, 4)):
            contact = f"<sip:{secrets.token_hex(6)}@127.0.0.1:{chance.randrange(1_024, 65_536)}>"
            status = (await client.register(contact=contact, expires=_SMALL_EXPIRES)).status
            tally.counts[f"REGISTER over UDP: {status}"] += 1

    await _with_client(on, "udp", MALLORIES[2], work)


async def _subscription(on: Site, chance: random.Random, tally: Tally) -> None:
    """Asked for in a room of one's own, and gone."""

    async def work(client: SipClient) -> None:
        room = f"sip:chat-churn{chance.randrange(8)}@example.com"
        await client.message(room, "#join")
        client.notify_answer = chance.choice((200, 481, None))
        fields = [
            ("Event", "conference"),
            ("Accept", "application/conference-info+xml"),
            ("Contact", f"<{client.contact}>"),
            ("Expires", str(_SMALL_EXPIRES)),
        ]
        status = (await client.request("SUBSCRIBE", room, headers=fields)).status
        tally.counts[f"SUBSCRIBE: {status}"] += 1

    await _with_client(on, chance.choice(("udp", *STREAMS)), chance.choice(MALLORIES), work)


async def _renew(on: Site, _chance: random.Random, tally: Tally) -> None:
    await trio.to_thread.run_sync(on.renew_certificate)
    tally.counts["certificates renewed"] += 1
    await trio.sleep(_RENEW)


_STEPS: tuple[tuple[Step, int], ...] = (
    (_connection, 4), (_handshake, 3), (_upgrade, 3), (_flow, 2), (_contact, 1), (_subscription, 2), (_renew, 1),
)  # fmt: skip


async def _keep_on(step: Step, on: Site, chance: random.Random, tally: Tally) -> None:
    while True:
        try:
            await step(on, chance, tally)
        except* _NOT_LET_IN:
            tally.counts["not let in"] += 1
        await trio.sleep(chance.uniform(0.0, 2 * _PAUSE))


async def churn(on: Site, chance: random.Random, tally: Tally) -> None:
    """See `tests.soak.edge.attack.Attack`."""
    async with trio.open_nursery() as nursery:
        for step, count in _STEPS:
            for number in range(count):
                nursery.start_soon(_keep_on, step, on, random.Random(f"{chance.random()} {number}"), tally)
