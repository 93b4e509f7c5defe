"""What legitimate users notice while an attacker sends all that the machine takes: `python -m tests.attacks.flood`.

A daemon in a process of its own, in mode digest. Users talk in rooms at a steady pace, over UDP, each message paced by
the clock and not by the answer before it, and are timed from the request to its 2xx, retransmissions included. The
attacker is another process, on another address, which sends without pause: requests without a password, malformed
ones, stray answers; over UDP, or on many connections of TCP. Printed are percentiles with and without it, how many
datagrams it got rid of, and what came back.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import multiprocessing.synchronize
import random
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import trio

from conformance.agent.client import NoAnswer, SipClient
from tests.attacks.attacker import request
from tests.attacks.process import process_config, resident
from tests.daemon import Daemon, running

ATTACKER = "127.0.0.66"
_FRESH = 1 << 48  # branches that no user has


def unauthenticated(number: int) -> bytes:
    return request("MESSAGE", "sip:chat-0@example.com", "c:text/plain", body=b"hello", number=number)


def malformed(number: int) -> bytes:
    return request("MESSAGE", "sip:chat-0@example.com", number=number).replace(b"CSeq:1", b"CSeq:x")


def stray(number: int) -> bytes:
    return unauthenticated(number).replace(b"MESSAGE sip:chat-0@example.com SIP/2.0", b"SIP/2.0 200 OK", 1)


SHAPES: dict[str, Callable[[int], bytes]] = {
    "unauthenticated": unauthenticated,
    "malformed": malformed,
    "stray answers": stray,
}


@dataclass
class Figures:
    """Seconds to the answer of each message; ``failed`` got none, or no 2xx."""

    times: list[float] = field(default_factory=list)
    failed: int = 0

    def percentile(self, share: float) -> float:
        """infinite, where so many failed."""
        known = sorted(self.times) + [math.inf] * self.failed
        return known[min(len(known) - 1, int(share * len(known)))] if known else math.nan

    def __str__(self) -> str:
        points = ", ".join(f"p{100 * share:g} {1e3 * self.percentile(share):.1f} ms" for share in (0.5, 0.9, 0.99))
        return f"{len(self.times)} answered, {self.failed} not; {points}"


def attack_udp(server: tuple[str, int], shape: str, sent: Synchronized[int], stop: Any) -> None:
    """Until ``stop`` is set; counts in thousands."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind((ATTACKER, 0))
        sock.connect(server)
        data = [SHAPES[shape](_FRESH + random.getrandbits(40)) for _ in range(2_000)]
        while not stop.is_set():
            for each in data[:1_000]:
                try:
                    sock.send(each)
                except OSError:  # the queue of the loopback is full
                    continue
            sent.value += 1_000
            data = data[1_000:] + data[:1_000]


def attack_tcp(server: tuple[str, int], shape: str, sent: Synchronized[int], stop: Any) -> None:
    """On 200 connections, each written as long as it takes something."""
    data = SHAPES[shape](_FRESH).replace(b"/UDP", b"/TCP") * 50
    sockets: list[tuple[socket.socket, bytes]] = []
    while not stop.is_set():
        while len(sockets) < 200:
            sock = socket.create_connection(server, source_address=(ATTACKER, 0))
            sock.setblocking(False)
            sockets.append((sock, b""))
        alive = []
        for sock, rest in sockets:
            left = rest or data
            try:
                taken = sock.send(left)
                sent.value += 50 if taken == len(left) else 0
                alive.append((sock, left[taken:]))
                sock.recv(1 << 20)
            except BlockingIOError:
                alive.append((sock, left)) if not alive or alive[-1][0] is not sock else None
            except OSError:
                sock.close()
        sockets = alive
    for sock, _ in sockets:
        sock.close()


class Users:
    """Pairs of users, each pair with a room of its own."""

    def __init__(self, count: int) -> None:
        self.names = [f"user{number}" for number in range(count)]

    @property
    def accounts(self) -> dict[str, str]:
        return {f"sip:{name}@example.com": "secret" for name in self.names}

    async def talk(self, daemon: Daemon, seconds: float, pace: float, before: Callable[[], None]) -> Figures:
        """Each says something every ``pace`` seconds. ``before`` is called when all have joined."""
        figures = Figures()
        async with trio.open_nursery() as nursery:
            clients = []
            for number, name in enumerate(self.names):
                address = f"sip:{name}@example.com"
                client = await SipClient.open(nursery, address, daemon.address("udp"), password="secret")
                assert (await client.register()).status == 200
                room = f"sip:chat-{number // 2}@example.com"
                assert (await client.message(room, "#join")).status in (200, 202)
                clients.append((client, room))
            before()
            end = trio.current_time() + seconds
            async with trio.open_nursery() as talking:
                for number, (client, room) in enumerate(clients):
                    start = trio.current_time() + pace * number / len(clients)
                    talking.start_soon(self._speak, talking, client, room, start, end, pace, figures)
            nursery.cancel_scope.cancel()
        return figures

    async def _speak(
        self,
        nursery: trio.Nursery,
        client: SipClient,
        room: str,
        start: float,
        end: float,
        pace: float,
        figures: Figures,
    ) -> None:
        at = start
        while at < end:
            await trio.sleep_until(at)
            nursery.start_soon(self._say, client, room, figures)
            at += pace

    async def _say(self, client: SipClient, room: str, figures: Figures) -> None:
        began = trio.current_time()
        try:
            with trio.fail_after(20):
                response = await client.message(room, "something that somebody says")
        except (NoAnswer, trio.TooSlowError):
            figures.failed += 1
            return
        if response.status == 202:
            figures.times.append(trio.current_time() - began)
        else:
            figures.failed += 1


def measure(folder: Path, users: int, seconds: float, pace: float, shape: str | None, transport: str) -> Figures:
    """One run with a daemon of its own. Without ``shape`` nobody attacks."""
    people = Users(users)
    context = multiprocessing.get_context("spawn")
    sent = context.Value("q", 0)
    stop = context.Event()
    with running(folder, process_config(folder), people.accounts) as daemon:
        target = daemon.address(transport)
        work = attack_udp if transport == "udp" else attack_tcp
        attacker = context.Process(target=work, args=(target, shape, sent, stop), daemon=True)

        def before() -> None:
            if shape is not None:
                attacker.start()

        figures = trio.run(people.talk, daemon, seconds, pace, before)
        memory = resident(daemon) / (1 << 20)
        if shape is not None:
            stop.set()
            attacker.join()
        what = (
            "nobody attacks"
            if shape is None
            else f"{shape} over {transport}, {sent.value / seconds:,.0f}/s given to the kernel"
        )
        print(f"{what}: {figures}; the daemon has {memory:.0f} MiB", flush=True)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--pace", type=float, default=0.5, help="seconds between two messages of one user")
    options = parser.parse_args()
    runs = [(None, "udp"), *((shape, transport) for transport in ("udp", "tcp") for shape in SHAPES)]
    for shape, transport in runs:
        with tempfile.TemporaryDirectory() as name:
            measure(Path(name), options.users, options.seconds, options.pace, shape, transport)


if __name__ == "__main__":
    main()
