"""A stack, a carrier and a keeper of rows that record, for tests of the delivery engine without sockets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import NamedTuple

import trio

from imc.aor import Aor
from imc.delivery.backlog import BacklogOptions
from imc.delivery.engine import DeliveryOptions, Engine
from imc.delivery.hops import Contact
from imc.delivery.job import Dispatch, Job, Kept, restore_copy
from imc.errors import Overloaded, Unreachable
from imc.sip.flow import Flow

LOCAL = ("127.0.0.1", 5060)


class FakeTarget(NamedTuple):
    transport: str
    ip: str
    port: int
    name: str = ""


@dataclass
class Sent:
    flow: Flow
    head: bytes
    tail: bytes
    token: object
    branch: bytes

    @property
    def body(self) -> bytes:
        return self.tail.partition(b"\r\n\r\n")[2]

    @property
    def request_uri(self) -> str:
        return self.head.split(b" ")[1].decode()


@dataclass
class FakeStack:
    """Keeps what was started; ``bound`` transactions at most."""

    bound: int = 1000
    started: list[Sent] = field(default_factory=list)
    open: dict[bytes, Sent] = field(default_factory=dict)
    abandoned: list[bytes] = field(default_factory=list)

    def start(self, flow: Flow, head: bytes, tail: bytes, token: object, now: float) -> bytes:
        if len(self.open) >= self.bound:
            raise Overloaded("client transactions")
        branch = f"z9hG4bK{len(self.started)}".encode()
        sent = Sent(flow, head, tail, token, branch)
        self.started.append(sent)
        self.open[branch] = sent
        return branch

    def abandon(self, branch: bytes) -> None:
        self.abandoned.append(branch)
        self.open.pop(branch, None)


@dataclass
class FakeCarrier:
    """Resolves ``sip:NAME`` to what ``targets`` says (default: UDP, 127.0.0.1:5070); ``refusing``: no streams there."""

    targets: dict[str, list[FakeTarget]] = field(default_factory=dict)
    refusing: set[tuple[str, int]] = field(default_factory=set)
    unresolvable: set[str] = field(default_factory=set)
    closed: set[Flow] = field(default_factory=set)
    resolved: list[str] = field(default_factory=list)
    streams: int = 0

    def is_open(self, flow: Flow) -> bool:
        return flow not in self.closed

    def sent_by(self, flow: Flow) -> str:
        return f"{flow.local[0]}:{flow.local[1]}"

    def datagram_flow(self, ip: str, port: int) -> Flow | None:
        return Flow("udp", LOCAL, (ip, port))

    async def open_stream(self, transport: str, ip: str, port: int, name: str) -> Flow:
        if (ip, port) in self.refusing:
            raise Unreachable(f"{ip}:{port} refused")
        self.streams += 1
        return Flow(transport, LOCAL, (ip, port), self.streams)

    async def resolve(self, uri: str) -> Sequence[FakeTarget]:
        self.resolved.append(uri)
        if uri in self.unresolvable:
            raise Unreachable(uri)
        return self.targets.get(uri, [FakeTarget("udp", "127.0.0.1", 5070)])


Row = tuple[Aor, int, int]


@dataclass
class FakeKeeper:
    """Rows in memory. A reading waits in ``reads`` until `answer_reads`, or fails where ``is_gone``."""

    rows: dict[Row, Kept] = field(default_factory=dict)
    dead: dict[Row, Kept] = field(default_factory=dict)
    jobs: dict[int, Job] = field(default_factory=dict)
    reads: list[tuple[Aor, int, Callable[[Sequence[Dispatch] | None], None]]] = field(default_factory=list)
    is_gone: bool = False
    read_counts: list[int] = field(default_factory=list)

    def keep(self, kept: Kept, *, is_dead: bool = False) -> None:
        key = (kept.aor, kept.seq, kept.part)
        self.rows.pop(key, None)
        (self.dead if is_dead else self.rows)[key] = replace(kept)

    def drop(self, kept: Kept) -> None:
        del self.rows[kept.aor, kept.seq, kept.part]

    def read(self, aor: Aor, limit: int, then: Callable[[Sequence[Dispatch] | None], None]) -> None:
        self.reads.append((aor, limit, then))

    def page(self, aor: Aor, limit: int) -> list[Dispatch]:
        found = sorted((key for key in self.rows if key[0] == aor), key=lambda key: key[1:])[:limit]
        return [
            restore_copy(self.jobs[key[1]].id, self.jobs[key[1]].payload(), replace(self.rows[key])) for key in found
        ]

    def answer_reads(self) -> None:
        reads, self.reads = self.reads, []
        for aor, limit, then in reads:
            page = None if self.is_gone else self.page(aor, limit)
            self.read_counts.append(-1 if page is None else len(page))
            then(page)


class Bench:
    """An engine with fakes around it. ``spawned`` attempts run when `run` is awaited. Nothing is kept without
    ``is_keeping``."""

    def __init__(self, options: DeliveryOptions | None = None, *, bound: int = 1000, is_keeping: bool = False) -> None:
        options = options or DeliveryOptions()
        if not is_keeping:
            options = replace(options, backlog=BacklogOptions(keep_for=0))
        self.keeper = FakeKeeper()
        self.wall = 1_000_000.0
        self.stack = FakeStack(bound)
        self.carrier = FakeCarrier()
        self.contacts: dict[Aor, list[Contact]] = {}
        self.settled: list[tuple[str, Aor, int]] = []
        self.done: list[str] = []
        self.waiting: list[tuple[str, Aor]] = []
        self.spawned: list[Callable[[], Awaitable[None]]] = []
        self.now = 0.0
        self.engine = Engine(
            options,
            stack=self.stack,
            carrier=self.carrier,
            keeper=self.keeper,
            locate=lambda aor: self.contacts.get(aor, []),
            spawn=self.spawned.append,
            clock=lambda: self.now,
            wall=lambda: self.wall,
            on_settled=lambda dispatch, aor, status: self.settled.append((dispatch.kind, aor, status)),
            on_waiting=lambda dispatch, aor: self.waiting.append((dispatch.kind, aor)),
            on_done=lambda job: self.done.append(job.id),
            wake=lambda: None,
            is_ours=lambda aor: aor.host == "example.com",
        )

    def register(self, aor: Aor, *contacts: Contact) -> None:
        self.contacts[aor] = list(contacts)
        self.engine.contacts_changed(aor)

    async def run(self) -> None:
        """Until nothing can go on without an answer."""
        while True:
            while self.engine.pump(64):
                pass
            if self.keeper.reads:
                self.keeper.answer_reads()
                continue
            if not self.spawned:
                return
            attempts, self.spawned[:] = list(self.spawned), []
            for attempt in attempts:
                await attempt()
            await trio.lowlevel.checkpoint()

    def submit(self, job: Job) -> None:
        """As it is when its decision was committed."""
        self.keeper.jobs[job.seq] = job
        self.engine.submit(job)

    async def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds
        self.engine.tick(self.now)
        await self.run()

    def answer(self, sent: Sent, status: int, retry_after: float | None = None) -> None:
        self.stack.open.pop(sent.branch)
        self.engine.on_response(sent.token, status, retry_after)

    def time_out(self, sent: Sent) -> None:
        self.stack.open.pop(sent.branch)
        self.engine.on_timeout(sent.token)


def contact(name: str, **extra: object) -> Contact:
    uri = f"sip:{name}@127.0.0.1:5070"
    return Contact(uri, next_hop=uri, **extra)  # type: ignore[arg-type]


def message(body: bytes, *recipients: Aor, kind: str = "message", wants_result: bool = True) -> Dispatch:
    return Dispatch(
        kind=kind,
        sender=Aor("chat-1", "example.com"),
        display="alice",
        recipients=recipients,
        content_type="text/plain",
        body=body,
        wants_result=wants_result,
    )


_seqs = count(1)


def job(name: str, *dispatches: Dispatch, created: float = 1_000_000.0, is_durable: bool = True) -> Job:
    return Job(name, created, dispatches, is_durable=is_durable, seq=next(_seqs) if is_durable else 0)
