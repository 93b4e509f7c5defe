"""One work on one server: set up, warm up, measure.

Invariants: nothing is measured until what went before has been answered and delivered; what a server does in the first
quarter of a second after its last delivery still counts as its CPU time. Every wait has an end: what has not come by
then is lost.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from conformance.load import proc
from conformance.load.figures import Figures, quantile
from conformance.load.message import Outgoing
from conformance.load.sender import Names, Sender, Sent
from conformance.load.servers import External, Running, Server, local_ip
from conformance.load.sinks import Sinks
from conformance.load.tally import Tally, heard
from conformance.load.works import Ask, Room, Work

AFTERWARDS = 0.25
_AT_ONCE, _OUTSTANDING = 64, 16
_SILENCE = 1.0  # longer than the first retransmission takes, RFC 3261 §17.1.2.2


class SetupFailed(Exception):
    """The server refused what has to be there before a work can begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """``is_registered``: users register where their sink is; else the server sends all copies to the sinks' address.

    ``limit``: seconds for a work. ``quiet``: seconds without a delivery after which what is missing is lost.
    ``password``: of all users, for a server that asks for it.
    """

    sinks: int = 2
    is_registered: bool = False
    sink_port: int = 0
    limit: float = 120.0
    quiet: float = 10.0
    names: Names = field(default_factory=Names)
    password: str | None = None


@dataclass(slots=True)
class Stage:
    """The server, and all that speaks with it."""

    server: Running
    sender: Sender
    sinks: Sinks
    options: Options
    tally: Tally = field(default_factory=Tally)

    @property
    def pids(self) -> list[int]:
        return proc.tree(self.server.pid) if self.server.pid is not None else []

    def play(self, asks: Sequence[Ask], told: int, outstanding: int) -> tuple[list[Sent], dict[int, Ask]]:
        """Ask all of it, and wait until everybody heard of it."""
        asked: dict[int, Ask] = {}

        def prepared() -> Iterable[Outgoing]:
            for ask in asks:
                request = self.sender.ask(ask)
                asked[request.number] = ask
                yield request

        wanted = self.sinks.deliveries + told + sum(len(ask.audience) for ask in asks if ask.audience is not None)
        done = self._when_heard(asked, told, wanted)
        sent = self._run(prepared(), outstanding, done)
        self.tally.add(self.sinks.collect())
        return sent, asked

    def _when_heard(self, asked: dict[int, Ask], told: int, wanted: int) -> Callable[[], bool]:
        def is_done() -> bool:
            nonlocal wanted
            if self.sinks.deliveries < wanted:
                return False
            self.tally.add(self.sinks.collect())
            missing = heard(self.tally, asked, told).lost
            wanted = self.sinks.deliveries + missing
            return not missing

        return is_done

    def rehearse(self, asks: Sequence[Ask], told: int, what: str) -> None:
        """What has to go well before anything is measured. SetupFailed."""
        sent, asked = self.play(asks, told, _OUTSTANDING)
        lost = heard(self.tally, asked, told).lost
        if (refused := refusals(sent)) or lost:
            raise SetupFailed(f"{what}: {refused or 'all granted'}, {lost} deliveries lost")
        self.tally.forget()

    def request(self, prepared: Iterable[Outgoing], what: str) -> None:
        """Requests that must be granted. SetupFailed."""
        sent = self._run(prepared, _AT_ONCE, lambda: True)
        if refused := refusals(sent):
            raise SetupFailed(f"{what}: {refused}")

    def _run(self, prepared: Iterable[Outgoing], outstanding: int, is_done: Callable[[], bool]) -> list[Sent]:
        return self.sender.run(
            prepared,
            outstanding=outstanding,
            seconds=self.options.limit,
            quiet=self.options.quiet,
            progress=lambda: self.sinks.deliveries,
            is_done=is_done,
        )


def refusals(sent: Sequence[Sent]) -> str:
    """no answer ×1, 403 ×2; empty where all were granted."""
    statuses = Counter(each.status for each in sent if not 200 <= each.status < 300)
    return ", ".join(f"{status or 'no answer'} ×{count}" for status, count in sorted(statuses.items()))


@contextmanager
def staged(server: Server, rooms: Sequence[Room], options: Options) -> Iterator[Stage]:
    """The server with these rooms, if it can hold any, until the end of the block. CannotStart, SinkDied."""
    ip = local_ip(server.address) if isinstance(server, External) else "127.0.0.1"
    prefix = len("sip:") + len(options.names.user)
    with (
        tempfile.TemporaryDirectory(prefix="imc-load-") as folder,
        Sinks(
            options.sinks,
            ip=ip,
            port=options.sink_port,
            is_shared=not options.is_registered or bool(options.sink_port),
            prefix=prefix,
        ) as sinks,
    ):
        proxy = None if options.is_registered else (ip, sinks.port(0))
        with server.running(Path(folder), rooms if server.holds_rooms else (), options.names, proxy) as running:
            sender = Sender(running.address, options.names, ip=ip, password=options.password)
            try:
                yield Stage(running, sender, sinks, options)
            finally:
                sender.close()


def measure(work: Work, server: Server, options: Options) -> Figures:
    """Start the server, do the work, end the server. CannotStart, SetupFailed, SinkDied, ProcessLookupError."""
    with staged(server, work.rooms, options) as stage:
        _prepare(stage, work, is_furnished=server.holds_rooms)
        figures = measure_on(stage, work)
        if not server.holds_rooms:
            _clear(stage, work)
        return figures


def _prepare(stage: Stage, work: Work, *, is_furnished: bool) -> None:
    sender, sinks = stage.sender, stage.sinks
    if stage.options.is_registered:
        host = f"[{sinks.ip}]" if ":" in sinks.ip else sinks.ip
        stage.request(
            (sender.register(user, f"{host}:{sinks.port(user)}") for user in range(work.users)), "users cannot register"
        )
    if not is_furnished:
        creates = [Ask(room.members[0], room.number, "#create", (room.members[0],)) for room in work.rooms]
        joins = [Ask(user, room.number, "#join", None) for room in work.rooms for user in room.members[1:]]
        stage.rehearse(creates, 0, "creating rooms")
        stage.rehearse(joins, work.joining, "joining them")
    stage.rehearse(work.warm_up, 0, "warm-up")


def _clear(stage: Stage, work: Work) -> None:
    """Destroy what was made on a server that goes on, and hear it out: it is not left with copies for nobody."""
    made = {room.number: room.members[0] for room in work.rooms}
    made |= {ask.room: ask.sender for ask in (*work.warm_up, *work.asks) if ask.command == "#create"}
    stage.play([Ask(owner, room, "#destroy") for room, owner in made.items()], 0, _OUTSTANDING)
    stage.sender.run(
        (),
        outstanding=1,
        seconds=stage.options.limit,
        quiet=_SILENCE,
        progress=lambda: stage.sinks.deliveries,
        is_done=lambda: False,
    )


@dataclass(frozen=True, slots=True)
class _Used:
    """CPU seconds of the server, of each sink, of ourselves and of the whole machine, and when (monotonic)."""

    server: float
    sinks: list[float]
    sender: float
    machine: float
    at: float

    @classmethod
    def now(cls, stage: Stage) -> _Used:
        return cls(
            proc.cpu_seconds(stage.pids),
            stage.sinks.cpu_seconds(),
            proc.cpu_seconds([os.getpid()]),
            proc.busy_seconds(),
            time.monotonic(),
        )

    def since(self, before: _Used) -> _Used:
        return _Used(
            self.server - before.server,
            [end - begin for begin, end in zip(before.sinks, self.sinks, strict=True)],
            self.sender - before.sender,
            self.machine - before.machine,
            self.at - before.at,
        )

    @property
    def foreign(self) -> float:
        """Cores that others used."""
        return max(0.0, (self.machine - self.server - self.sender - sum(self.sinks)) / self.at)


@dataclass(frozen=True, slots=True)
class _Beginning:
    """What is counted from."""

    repeated: int
    drops: int
    pss: float

    @classmethod
    def now(cls, stage: Stage) -> _Beginning:
        return cls(stage.tally.repeated, stage.sinks.dropped(), proc.memory(stage.pids).pss)


def measure_on(stage: Stage, work: Work) -> Figures:
    """Do the work on a server that is ready for it."""
    begin, before = _Beginning.now(stage), _Used.now(stage)
    sent, asked = stage.play(work.asks, work.told, work.outstanding)
    time.sleep(AFTERWARDS)
    used = _Used.now(stage).since(before)
    stage.tally.add(stage.sinks.collect())
    memory = proc.memory(stage.pids)
    result = heard(stage.tally, asked, work.told)
    answers = [each.answered - each.at for each in sent if each.status]
    sent_at = {each.number: each.at for each in sent}
    lasts = [at - sent_at[number] for number, at in result.last.items()]
    is_known, busy_for = stage.server.pid is not None, used.at - AFTERWARDS
    return Figures(
        requests=len(work.asks),
        answered=len(answers),
        statuses=dict(Counter(str(each.status) for each in sent if each.status)),
        deliveries=result.deliveries,
        seconds=max(stage.tally.last, stage.sender.last_answer) - sent[0].at,
        answer_seconds=stage.sender.last_answer - sent[0].at,
        cpu_seconds=used.server if is_known else None,
        answer_p50=quantile(answers, 0.5),
        answer_p99=quantile(answers, 0.99),
        last_p50=quantile(lasts, 0.5),
        last_p99=quantile(lasts, 0.99),
        resent_by_us=sum(each.again for each in sent),
        resent_by_server=stage.tally.repeated - begin.repeated,
        lost=result.lost,
        unexpected=result.unexpected,
        duplicates=result.duplicates,
        refused=sum(1 for each in sent if each.status >= 300),
        rss_peak=memory.rss_peak if is_known else None,
        pss_idle=begin.pss if is_known else None,
        pss=memory.pss if is_known else None,
        start_seconds=stage.server.start_seconds,
        sink_shares=[seconds / busy_for for seconds in used.sinks],
        sender_share=used.sender / busy_for,
        sink_drops=stage.sinks.dropped() - begin.drops,
        foreign_cores=used.foreign,
    )
