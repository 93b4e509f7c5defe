"""What a message costs that comes in: `python -m tests.perf.inbound [--work WORK] [--profile | --calls]`.

The daemon's own parts, its database on disk included, without sockets: requests are handed to the loop in bursts, as
they come when so many are outstanding, and copies are answered here. CPU time of this process, in microseconds a
request, without what this module does itself: the best round (what others on the machine do only adds to it) and the
median. ``--profile`` is cProfile of the loop's thread. ``--calls`` counts the calls of imc's own Python functions in
that thread, and the commits: figures that do not depend on the machine.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import pstats
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType

import trio

from imc.app import Daemon
from imc.config import load
from imc.options import store_options
from imc.sip.flow import Flow
from imc.store.store import Store
from tests.perf.deliver import Known, Wires, answer

CONFIG = """
[imc]
domains = ["example.com"]
db_url = "sqlite:///imc.db"
outbound_proxy = "sip:127.0.0.1:5070"
[sip]
listen = "udp:127.0.0.1:0"
[auth]
mode = "none"
[limits]
enabled = false
[manage]
listen = ""
"""
HERE = ("127.0.0.1", 5060)
PEER = Flow("udp", HERE, ("127.0.0.1", 5080))
SINK = Flow("udp", HERE, ("127.0.0.1", 5070))


def request(number: int, sender: int, room: int, body: str) -> bytes:
    """As the load driver writes it."""
    to = f"sip:chat-room{room}@example.com"
    return (
        f"MESSAGE {to} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5080;rport;branch=z9hG4bK0a1b2c3d.{number}\r\n"
        f"From: <sip:user{sender}@example.com>;tag=t{number}\r\nTo: <{to}>\r\nCall-ID: {number}.0a1b2c3d\r\n"
        f"CSeq: {number} MESSAGE\r\nMax-Forwards: 70\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


TEXT = "hello, this is a message of usual length ~00000001"


def texts(users: int) -> Iterator[tuple[int, int, str]]:
    """Sender, room and body of each request: texts to rooms in turn."""
    while True:
        for number in range(users):
            yield number, number, TEXT


def commands(users: int) -> Iterator[tuple[int, int, str]]:
    """As the load driver's work of this name."""
    while True:
        for word in ("#create", "#members", "#invite", "#remove", "#destroy"):
            for user in range(users):
                other = f" sip:user{(user + 1) % users}@example.com" if word in ("#invite", "#remove") else ""
                yield user, user, word + other


def one_by_one(users: int) -> Iterator[tuple[int, int, str]]:
    """Texts of one sender to one room."""
    while True:
        yield 0, 0, TEXT


class Bench:
    """``outstanding`` requests of ``source`` come at once, and the next ones when all are answered and delivered."""

    def __init__(self, daemon: Daemon, source: Iterator[tuple[int, int, str]], outstanding: int) -> None:
        self.daemon = daemon
        self.source = source
        self.outstanding = outstanding
        self.number = 0
        self.wires = Wires()
        self.answered = 0
        self.statuses: dict[bytes, int] = {}
        self.copies: list[bytes] = []

    def attach(self) -> None:
        daemon = self.daemon
        daemon._carrier._transports = self.wires  # type: ignore[assignment]
        daemon._carrier._resolver = Known(5070)  # type: ignore[assignment]
        loop = daemon._loop
        loop.attach(
            self.wires,  # type: ignore[arg-type]
            daemon._engine,
            daemon._sip,
            daemon._outbox,
            rosters=daemon._rosters,
            spawn=daemon._spawn,
            begin=daemon._writer.begin,
        )

    def collect(self) -> None:
        """Look at what was sent."""
        sent, self.wires.sent = self.wires.sent, []
        for data in sent:
            if data.startswith(b"SIP/2.0 "):
                self.answered += 1
                self.statuses[data[8:11]] = self.statuses.get(data[8:11], 0) + 1
            else:
                self.copies.append(answer(data))

    async def burst(self, count: int) -> float:
        """CPU seconds of ``count`` requests that come at once, until all copies of them are delivered too."""
        loop = self.daemon._loop
        burst = []
        for _ in range(count):
            self.number += 1
            burst.append(request(self.number, *next(self.source)))
        wanted = self.answered + count
        spent = -time.process_time()
        for index in loop.take_answers(burst):
            loop.receive(burst[index], PEER)
        loop.batch_end()
        while True:
            mine = -time.thread_time()
            self.collect()
            answers, self.copies = self.copies, []
            mine += time.thread_time()
            spent -= mine
            if answers:
                for at in range(0, len(answers), 64):
                    batch = answers[at : at + 64]
                    for index in loop.take_answers(batch):
                        loop.receive(batch[index], SINK)
                    loop.batch_end()
            elif self.answered >= wanted and not self.daemon._engine._jobs:
                return spent + time.process_time()
            else:
                await loop.wait_pass()

    async def run(self, bursts: int) -> list[float]:
        """CPU seconds a request, of each burst."""
        return [await self.burst(self.outstanding) / self.outstanding for _ in range(bursts)]


WORKS: dict[str, tuple[Callable[[int], Iterator[tuple[int, int, str]]], int, int, int]] = {
    # users, members, outstanding
    "texts": (texts, 100, 5, 16),
    "commands": (commands, 100, 0, 16),
    "lonely": (one_by_one, 2, 2, 1),
    "pairs": (texts, 100, 2, 16),
}


async def fill(bench: Bench, users: int, members: int) -> None:
    """Make the rooms."""
    work = [(room, room, "#create") for room in range(users if members else 0)]
    work += [((room + n) % users, room, "#join") for n in range(1, members) for room in range(users)]
    bench.source = iter(work)
    for at in range(0, len(work), 16):
        await bench.burst(len(work[at : at + 16]))


@asynccontextmanager
async def running(work: str, folder: Path, outstanding: int = 0) -> AsyncIterator[Bench]:
    """The daemon with the work's rooms, warm."""
    path = folder / "imc.toml"
    path.write_text(CONFIG.replace("imc.db", f"{folder}/imc.db"))
    settings = load(path)
    store = await trio.to_thread.run_sync(Store.open, store_options(settings, is_exclusive=True))
    make, users, members, usual = WORKS[work]
    daemon = Daemon(settings, store)
    async with trio.open_nursery() as nursery:
        await nursery.start(daemon.run)
        bench = Bench(daemon, iter(()), outstanding or usual)
        bench.attach()
        await fill(bench, users, members)
        bench.source = make(users)
        await bench.run(100)
        bench.statuses.clear()
        yield bench
        nursery.cancel_scope.cancel()
    store.close()


async def count(bench: Bench, bursts: int) -> tuple[float, float]:
    """Calls of functions of imc, and commits, a request."""
    calls = 0

    def note(frame: FrameType, what: str, _arg: object) -> None:
        nonlocal calls
        calls += what == "call" and frame.f_globals.get("__name__", "").startswith("imc.")

    commits = bench.daemon._writer.statistics()["commits"]
    sys.setprofile(note)
    try:
        await bench.run(bursts)
    finally:
        sys.setprofile(None)
    requests = bursts * bench.outstanding
    return calls / requests, (bench.daemon._writer.statistics()["commits"] - commits) / requests


async def main(options: argparse.Namespace, folder: Path) -> None:
    async with running(options.work, folder, options.outstanding) as bench:
        if options.calls:
            calls, commits = await count(bench, options.bursts)
            print(f"{options.work}: {calls:.1f} calls, {commits:.3f} commits a request")
            return
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 50, 100)
        profile = cProfile.Profile() if options.profile else None
        rounds = []
        for _ in range(options.rounds):
            if profile:
                profile.enable()
            rounds.append(statistics.fmean(await bench.run(options.bursts)))
            if profile:
                profile.disable()
        print(f"{options.work}: best {1e6 * min(rounds):.0f} us, median {1e6 * statistics.median(rounds):.0f} us")
        if profile:
            pstats.Stats(profile).sort_stats("tottime").print_stats(options.lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", choices=WORKS, default="texts")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--bursts", type=int, default=50)
    parser.add_argument("--outstanding", type=int, default=0)
    parser.add_argument("--lines", type=int, default=45)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--calls", action="store_true")
    with tempfile.TemporaryDirectory() as name:
        trio.run(main, parser.parse_args(), Path(name))
