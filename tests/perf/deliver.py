"""What a delivery costs, without the rest of the daemon: `python -m tests.perf.deliver [--sockets] [--profile]`.

Loop, stack and engine as the daemon has them, one room message for each round. Without sockets the answers are made
here and handed to the stack, and that is not counted. With them a child process answers over UDP. CPU time of this
process only, in microseconds a delivery: the best round (what others on the machine do only adds to it) and the median.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import os
import pstats
import re
import signal
import socket
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import trio

from imc.aor import Aor
from imc.delivery.engine import DeliveryOptions, Engine
from imc.delivery.hops import Contact
from imc.delivery.job import Dispatch, Job
from imc.loop import Loop, SocketCarrier
from imc.service.sip import Sip
from imc.sip.flow import Flow
from imc.sip.ids import Ids
from imc.sip.stack import Stack, StackConfig
from imc.sip.uas import UasPolicy
from imc.transport.addresses import parse_listen
from imc.transport.transports import TransportOptions, Transports

DOMAIN = "example.com"
BODY = b"<user0> " + b"x" * 50
_COPIED = re.compile(rb"^(?:Via|From|To|Call-ID|CSeq):.*\r\n", re.MULTILINE)


def answer(request: bytes) -> bytes:
    """The 200 that most programs would give."""
    kept = b"".join(line if line[:3] != b"To:" else line[:-2] + b";tag=sink\r\n" for line in _COPIED.findall(request))
    return b"SIP/2.0 200 OK\r\n" + kept + b"Content-Length: 0\r\n\r\n"


@dataclass(frozen=True)
class Resolved:
    transport: str
    ip: str
    port: int


class Known:
    """A resolver of one answer."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def resolve(self, _uri: object) -> Sequence[Resolved]:
        return [Resolved("udp", "127.0.0.1", self.port)]


class Wires:
    """Transports without sockets: what is sent is kept."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, _flow: Flow, data: bytes) -> bool:
        self.sent.append(data)
        return True

    def send_many(self, out: Sequence[tuple[Flow, bytes]]) -> list[tuple[Flow, bytes]]:
        self.sent += [data for _, data in out]
        return []

    def udp_flow(self, ip: str, port: int) -> Flow:
        return Flow("udp", ("127.0.0.1", 5060), (ip, port))

    def is_open(self, _flow: Flow) -> bool:
        return True

    def sent_by(self, _flow: Flow) -> str:
        return "127.0.0.1:5060"


class NoOutbox:
    def tick(self, now: float) -> None:
        pass

    def next_deadline(self) -> None:
        return None


class Bench:
    def __init__(self, users: int, port: int, *, has_sockets: bool) -> None:
        self.users = users
        ids = Ids()
        self.stack = Stack(StackConfig(), ids, UasPolicy())
        self.loop = Loop(self.stack)
        self.wires: Any = Wires()
        if has_sockets:
            self.wires = Transports(
                TransportOptions(listen=(parse_listen("udp:127.0.0.1:0"),)),
                self.loop.receive,
                self.loop.batch_end,
                self.loop.flow_closed,
                take_answers=self.loop.take_answers,
            )
        self.spawned: list[Callable[[], Any]] = []
        self.done = trio.Event()
        self.engine = Engine(
            DeliveryOptions(),
            stack=self.stack,
            keeper=NoOutbox(),  # type: ignore[arg-type]
            carrier=SocketCarrier(self.wires, Known(port), connect_timeout=1.0),  # type: ignore[arg-type]
            locate=lambda aor: [Contact(f"sip:{aor}", f"sip:127.0.0.1:{port}")],
            spawn=self.spawn,
            clock=trio.current_time,
            wall=time.time,
            on_settled=lambda *_: None,
            on_waiting=lambda *_: None,
            on_done=lambda _: self.done.set(),
            wake=self.loop.wake,
        )
        sip = Sip.__new__(Sip)
        sip._engine = self.engine
        idle: Any = NoOutbox()
        self.loop.attach(self.wires, self.engine, sip, idle, rosters=idle, spawn=self.spawn, begin=lambda: None)
        self.ids = ids

    def spawn(self, work: Callable[[], Any]) -> None:
        self.nursery.start_soon(work)

    def job(self) -> Job:
        dispatch = Dispatch(
            kind="message",
            sender=Aor("room", DOMAIN),
            display="user0",
            recipients=tuple(Aor(f"user{number}", DOMAIN) for number in range(self.users)),
            content_type="text/plain;charset=utf-8",
            body=BODY,
            headers=(("Date", "Mon, 23 Nov 2026 07:49:31 GMT"), ("IMC-Event", "message"), ("IMC-Hop", ids_like())),
        )
        return Job(self.ids.tag(), 0.0, (dispatch,))

    async def run(self, rounds: int, profile: cProfile.Profile | None) -> list[float]:
        costs = []
        async with trio.open_nursery() as self.nursery:
            has_sockets = isinstance(self.wires, Transports)
            if has_sockets:
                await self.nursery.start(self.wires.run)
                self.nursery.start_soon(self.loop.run)
            for number in range(rounds):
                if profile and number == 2:
                    profile.enable()
                costs.append(await (self.over_sockets() if has_sockets else self.in_memory()))
            if profile:
                profile.disable()
            self.nursery.cancel_scope.cancel()
        return costs

    async def over_sockets(self) -> float:
        self.done = trio.Event()
        job = self.job()
        start = time.process_time()
        self.engine.submit(job)
        await self.done.wait()
        return time.process_time() - start

    async def in_memory(self) -> float:
        self.done = trio.Event()
        job = self.job()
        spent = -time.process_time()
        self.engine.submit(job)
        while not self.done.is_set():
            while self.engine.pump(32):
                self.loop.flush()
            self.loop.flush()
            spent += time.process_time()
            await trio.lowlevel.checkpoint()
            sent, self.wires.sent = self.wires.sent, []
            flow = Flow("udp", ("127.0.0.1", 5060), ("127.0.0.1", 5070))
            answers = [answer(data) for data in sent]
            spent -= time.process_time()
            for at in range(0, len(answers), 64):
                batch = answers[at : at + 64]
                for index in self.loop.take_answers(batch):
                    self.loop.receive(batch[index], flow)
                self.loop.batch_end()
        return spent + time.process_time()


def ids_like() -> str:
    return "0123456789abcdef"


def sink() -> tuple[int, int]:
    """A child process that answers; its port and its process id."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.bind(("127.0.0.1", 0))
    pid = os.fork()
    if pid:
        return sock.getsockname()[1], pid
    while True:
        data, source = sock.recvfrom(65535)
        sock.sendto(answer(data), source)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--sockets", action="store_true")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    port, pid = sink() if options.sockets else (5070, 0)
    profile = cProfile.Profile() if options.profile else None
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
    bench = Bench(options.users, port, has_sockets=options.sockets)
    try:
        costs = [1e6 * cost / options.users for cost in trio.run(bench.run, options.rounds, profile)]
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
    if profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    print(f"{options.users} recipients: best {min(costs):.2f} us, median {statistics.median(costs):.2f} us")


if __name__ == "__main__":
    main()
