"""Stack, engine and outbox as `imc.app` puts them together, between a slow database and wires that tests hold."""

from __future__ import annotations

import random
import types
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass, field

from imc.aor import Aor
from imc.delivery.backlog import BacklogOptions
from imc.delivery.engine import DeliveryOptions, Engine
from imc.delivery.hops import Contact
from imc.delivery.job import Dispatch
from imc.delivery.lanes import Lane
from imc.errors import Overloaded, StoreUnavailable, Unreachable
from imc.service.outbox import Outbox
from imc.service.sip import retry_after
from imc.sip.events import (
    Event,
    FinalsReceived,
    FlowFailed,
    RequestSlow,
    RequestsRepeated,
    RequestTimedOut,
    ResponseReceived,
)
from imc.sip.flow import Flow
from imc.sip.ids import Ids
from imc.sip.stack import Stack, StackConfig
from imc.sip.uas import UasPolicy
from imc.store.ops import Op, PutOutbox
from imc.store.outbox import WaitingRow
from tests.delivery.fakes import FakeTarget
from tests.store.model import Tables, apply_commit

HERE = ("127.0.0.1", 5060)
Copy = tuple[int, Aor]  # which message, to whom


def contact(user: str, port: int, transport: str = "udp") -> Contact:
    uri = f"sip:{user}@127.0.0.1:{port};transport={transport}"
    return Contact(uri, next_hop=uri)


@types.coroutine
def pause() -> Generator[None, None, None]:
    """Until somebody sends the coroutine on."""
    yield


@dataclass
class Wires:
    """Contacts are where their URIs say. Streams to ``refusing`` ports cannot be opened, and opening takes a while."""

    refusing: set[int] = field(default_factory=set)
    open: dict[Flow, None] = field(default_factory=dict)
    opened: int = 0

    def is_open(self, flow: Flow) -> bool:
        return not flow.is_reliable or flow in self.open

    def sent_by(self, flow: Flow) -> str:
        return f"{flow.local[0]}:{flow.local[1]}"

    def datagram_flow(self, ip: str, port: int) -> Flow | None:
        return Flow("udp", HERE, (ip, port))

    async def open_stream(self, transport: str, ip: str, port: int, name: str) -> Flow:
        await pause()
        if port in self.refusing:
            raise Unreachable(f"{ip}:{port} refused")
        self.opened += 1
        flow = Flow(transport, HERE, (ip, port), self.opened)
        self.open[flow] = None
        return flow

    async def resolve(self, uri: str) -> Sequence[FakeTarget]:
        where, _, transport = uri.partition("@")[2].partition(";transport=")
        ip, _, port = where.partition(":")
        return [FakeTarget(transport, ip, int(port))]


class SlowWriter:
    """What was submitted waits until `commit`, in order; what waits when the daemon crashes is gone."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.waiting: deque[tuple[Sequence[Op], Callable[[Exception | None], None]]] = deque()
        self.is_full = False

    def submit(self, ops: Sequence[Op], done: Callable[[Exception | None], None], _guard: object = None) -> None:
        if self.is_full:
            raise Overloaded("too many changes wait for the database")
        self.waiting.append((list(ops), done))

    def commit(self, *, is_written: bool, is_told: bool) -> None:
        """The next transaction, which may fail, and be written all the same."""
        ops, done = self.waiting.popleft()
        if is_written:
            apply_commit(self.tables, ops)
        done(None if is_told else StoreUnavailable("gone for a while"))


class Daemon:
    """One life, from the rows that are there. ``unknown`` counts tries of which it did not learn what became of them.

    ``contacts`` are registered; ``settled`` is told of results. Nothing happens between `turn`s unless ``is_awake``.
    """

    def __init__(
        self,
        seed: int,
        tables: Tables,
        options: BacklogOptions,
        lane_queue: int,
        *,
        clock: Callable[[], float],
        contacts: dict[Aor, list[Contact]],
        settled: Callable[[Dispatch, Aor, int], None],
        unknown: Counter[Copy],
    ) -> None:
        ids = Ids(random.Random(seed))
        self.tables = tables
        self.clock = clock
        self.unknown = unknown
        self.stack = Stack(StackConfig(max_client_transactions=3), ids, UasPolicy())
        self.wires = Wires()
        self.writer = SlowWriter(tables)
        self.fresh: list[Callable[[], Awaitable[None]]] = []
        self.tasks: list[Awaitable[None]] = []  # each has begun, and waits
        self.is_awake = True
        self.last_final: set[Copy] = set()  # copies whose last try had a final answer that did not settle them
        self.outbox = Outbox(
            self.writer,  # type: ignore[arg-type]
            ids,
            clock,
            load=self._load,
            spawn=self.fresh.append,
            wake=self.wake,
        )
        self.engine = Engine(
            DeliveryOptions(backlog=options, lane_queue=lane_queue),
            stack=self.stack,
            carrier=self.wires,
            keeper=self.outbox,
            locate=lambda aor: contacts[aor],
            spawn=self.fresh.append,
            clock=clock,
            wall=clock,
            on_settled=settled,
            on_waiting=lambda *_: None,
            on_done=self.outbox.job_done,
            wake=self.wake,
        )
        self.outbox.attach(self.engine)
        self._start()

    def wake(self) -> None:
        self.is_awake = True

    # spec S-LANE-7
    def _start(self) -> None:
        """As `imc.app.Daemon._load`, by what its statements say."""
        tables = self.tables
        entries = {put.seq: put for put in tables.outbox.values()}
        self.outbox.begin(max(entries, default=0))
        counts: Counter[Aor] = Counter(aor for (aor, _, _), row in tables.waiting.items() if not row.is_dead)
        self.engine.backlogs.load(counts.items())
        twice = [key for key in tables.waiting if key[1] in entries and entries[key[1]].recipients]
        self.outbox.restore([put for _, put in sorted(entries.items()) if put.recipients], twice)

    # --- tasks ------------------------------------------------------------------------------------------------------

    def proceed(self, index: int) -> None:
        """A task as far as its next wait, or its end."""
        task = self.tasks.pop(index)
        try:
            task.send(None)  # type: ignore[attr-defined]
        except StopIteration:
            self.wake()
        else:
            self.tasks.insert(index, task)

    async def _load(self, aor: Aor, limit: int) -> list[WaitingRow]:
        rows = self._rows(aor, limit)
        await pause()
        if self.writer.is_full:
            raise StoreUnavailable("gone for a while")
        return rows

    def _rows(self, aor: Aor, limit: int) -> list[WaitingRow]:
        entries = {put.seq: put for put in self.tables.outbox.values()}
        rows = []
        for key in sorted(key for key, row in self.tables.waiting.items() if key[0] == aor and not row.is_dead)[:limit]:
            row, put = self.tables.waiting[key], entries[key[1]]
            rows.append(
                WaitingRow(
                    *key,
                    is_dead=False,
                    created=row.created,
                    expires=row.expires,
                    tries=row.tries,
                    status=row.status,
                    changed=row.changed,
                    id=put.id,
                    payload=put.payload,
                )
            )
        return rows

    # --- the loop ---------------------------------------------------------------------------------------------------

    def take(self, events: list[Event]) -> None:
        """As `imc.service.sip.Sip.on_events`; what is not known, and what is, is noted."""
        for event in events:
            if isinstance(event, FinalsReceived):
                self.engine.on_finals(event.answers)
            elif isinstance(event, ResponseReceived):
                status = event.response.status
                self._note(event.token, is_known=status != 482, is_final=status >= 300)
                self.engine.on_response(event.token, status, retry_after(event.response))
            elif isinstance(event, RequestsRepeated):
                self.engine.on_repeated(event.tokens, self.clock())
            elif isinstance(event, RequestSlow):
                self.engine.on_slow(event.token)
            else:
                self._note(event.token, is_known=False, is_final=False)  # type: ignore[union-attr]
                if isinstance(event, RequestTimedOut):
                    self.engine.on_timeout(event.token)
                else:
                    assert isinstance(event, FlowFailed)
                    self.engine.on_flow_failed(event.token)

    def _note(self, token: object, *, is_known: bool, is_final: bool) -> None:
        assert isinstance(token, Lane)
        if token.current is not None:
            copy = int(token.current.dispatch.body), token.aor
            self.unknown[copy] += not is_known
            if is_final:
                self.last_final.add(copy)

    def turn(self) -> list[tuple[Flow, bytes]]:
        """One turn of the loop; what is to be sent."""
        self.is_awake = False
        self.engine.tick(self.clock())
        while self.engine.pump(2) or self.fresh:
            fresh, self.fresh[:] = list(self.fresh), []
            for work in fresh:
                self.tasks.append(work())
                self.proceed(len(self.tasks) - 1)
        out = self.stack.output()
        self.outbox.tick(self.clock())
        return out

    def deadlines(self) -> list[float]:
        found = (self.stack.next_deadline(), self.engine.next_deadline(), self.outbox.next_deadline())
        return [at for at in found if at is not None]

    def in_flight(self) -> list[Lane]:
        """The lanes of all client transactions."""
        clients = self.stack._clients
        tokens = [*(begun[1] for begun in clients._young.values()), *(one.token for one in clients._pending.values())]
        return [token for token in tokens if isinstance(token, Lane)]

    def end(self) -> None:
        for task in self.tasks:
            task.close()  # type: ignore[attr-defined]


def listed(put: PutOutbox, part: int, aor: Aor) -> bool:
    """Whether an entry lists somebody for one of its dispatches."""
    return bool(put.recipients) and str(aor).removeprefix("sip:") in put.recipients.decode().split("\n")[part].split()
