"""The composition root: builds the parts, gives them each other, and lives through start, reload and end.

Start: database (made or upgraded, and locked), who may speak to whom from where, listeners, what was registered, what
was not delivered, management; then ready. End: no new requests, what was begun is finished, the rest is stored, within
`DRAIN_SECONDS`.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_network

import structlog
import trio

from imc import log
from imc.aor import Aor
from imc.config import Settings
from imc.control import Control
from imc.delivery.engine import Engine
from imc.delivery.job import Dispatch
from imc.errors import ListenError
from imc.loop import Loop, SocketCarrier
from imc.manage.server import Bound as Managed
from imc.manage.server import run as run_management
from imc.measures import Measures
from imc.options import (
    audit_options,
    chat_config,
    chat_site,
    check_account,
    dead_letter_options,
    delivery_options,
    digest_options,
    guess_rate,
    list_limit,
    manage_options,
    own_hosts,
    rate_options,
    registrar_options,
    resolver_options,
    room_limits,
    room_policy,
    roster_options,
    source_options,
    stack_config,
    tls_options,
    transport_options,
    uas_policy,
)
from imc.registrar.bindings import Bindings
from imc.registrar.registrar import Registrar
from imc.rooms.commands import WithdrawInvitation
from imc.service.access import RoomOptions
from imc.service.accounts import Accounts, AccountsOptions
from imc.service.audit import Audit
from imc.service.circumstances import Circumstances
from imc.service.copies import Copies
from imc.service.facts import StoreFacts
from imc.service.forget import Forget
from imc.service.guesses import Guesses
from imc.service.history import History
from imc.service.identity import Identity, IdentityOptions, Mode, Secrets, peer_finder
from imc.service.inbound import Inbound
from imc.service.lists import Lists
from imc.service.location import Location
from imc.service.manager import Manager
from imc.service.operations import Operations
from imc.service.operators import Operators
from imc.service.outbox import Outbox
from imc.service.rates import Rates
from imc.service.readiness import Readiness
from imc.service.registration import Registration
from imc.service.relay import Relay
from imc.service.reports import ReportOptions, Reports
from imc.service.retention import Retention
from imc.service.rooms import Rooms
from imc.service.roster import Rosters
from imc.service.shards import Shards
from imc.service.sip import Sip
from imc.service.spec_trace import SpecTrace
from imc.service.traffic import Traffic
from imc.service.waiting import WaitingCopies
from imc.sip.digest import DigestVerifier
from imc.sip.flow import Flow
from imc.sip.ids import Ids
from imc.sip.sources import Sources
from imc.sip.stack import Stack
from imc.store.ops import DeleteBindings, PutOutbox
from imc.store.reader import StoreReader
from imc.store.store import Store
from imc.store.writer import Writer
from imc.transport.addresses import ListenAddress
from imc.transport.resolver import Resolver
from imc.transport.transports import Transports

_log = structlog.get_logger("imc")
DRAIN_SECONDS = 3.5  # with what comes after it, the end takes 5 s at most
_OUTBOX_PAGE = 500
_CARRY_AT_ONCE = 50  # streams opened at a time to find out whether a large copy can be carried


class Daemon:
    """One running imc. `run` it in a nursery; it reports the addresses when it is ready.

    ``manager`` is the Python API of the source document: ``imc_manager`` (`Manager.run_command`), ``imc_room_active``
    (`Manager.room_active`) and ``imc_room_member`` (`Manager.room_member`).
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        wall: Callable[[], float] = time.time,
        trace: SpecTrace | None = None,
        read_settings: Callable[[], Settings] | None = None,
    ) -> None:
        self.settings = settings
        self._read_settings = read_settings
        self._wall = wall
        self._trace = trace
        self._store = store
        self._nursery: trio.Nursery
        self.measures = measures = Measures()
        self._traffic = Traffic(wall, measures.limits)
        self._ids = Ids()
        self._uas = uas_policy(settings)
        self._stack = Stack(stack_config(settings), self._ids, self._uas, self._make_sources())
        self._loop = loop = Loop(self._stack)
        self._site = chat_site(settings)
        self._transports = Transports(
            transport_options(settings),
            loop.receive,
            loop.batch_end,
            loop.flow_closed,
            take_answers=loop.take_answers,
            may_answer=loop.may_answer,
            is_muted=loop.is_muted,
            site=self._site,
        )
        self._carrier = SocketCarrier(
            self._transports, Resolver(resolver_options(settings)), connect_timeout=settings.sip.connect_timeout
        )
        self._identity: Identity
        self._verifier: DigestVerifier
        self._registration: Registration | None = None
        self._bound: tuple[ListenAddress, ...] = ()
        self._sip: Sip
        self.managed = Managed()
        self.ended = trio.Event()
        self._build_delivery()
        self._build_rooms()
        self._build_rest()
        self.manager = self._make_manager()

    def _build_delivery(self) -> None:
        """Database, who is where, and what brings copies to them."""
        settings, store, wall, loop, measures = self.settings, self._store, self._wall, self._loop, self.measures
        self._reader = StoreReader(threads=settings.imc.db_readers)
        self._writer = Writer(store, measures=measures)
        self._bindings = Bindings()
        self._guesses = Guesses(
            guess_rate(settings), lambda user, block: self._bindings.is_at(user, block, wall()), self._traffic.hit
        )
        self._location = Location(
            self._bindings,
            domains=lambda: self.settings.imc.domains,
            outbound_proxy=settings.imc.outbound_proxy,
            wall=wall,
            is_open=self._transports.is_open,
        )
        self._outbox = Outbox(
            self._writer,
            self._ids,
            wall,
            load=partial(self._reader.run, store.load_waiting),
            spawn=self._spawn,
            wake=loop.wake,
            measures=measures,
        )
        self._engine = Engine(
            delivery_options(settings),
            stack=self._stack,
            carrier=self._carrier,
            keeper=self._outbox,
            locate=self._location.contacts,
            spawn=self._spawn,
            clock=trio.current_time,
            wall=wall,
            on_settled=self._settled,
            on_waiting=self._has_to_wait,
            on_done=self._outbox.job_done,
            wake=loop.wake,
            is_ours=self._location.is_ours,
        )
        self._outbox.attach(self._engine)
        self._copies = Copies(hop=self._ids.tag(), extra=settings.imc.extra_headers, wall=wall)

    def _build_rooms(self) -> None:
        """What judges commands and texts, and keeps what came of them."""
        settings, store, wall, measures = self.settings, self._store, self._wall, self.measures
        self._accounts: Accounts[Secrets] = Accounts(
            AccountsOptions(),
            load=partial(self._reader.run, store.get_account),
            version=partial(self._reader.run, store.accounts_version),
        )
        self._facts = StoreFacts(
            store,
            self._reader,
            self._accounts,
            max_list=settings.limits.max_list_entries,
            is_owning_limited=room_limits(settings).max_rooms_per_owner is not None,
        )
        self._circumstances = Circumstances(self._facts, wall)
        self._shards = Shards(
            settings.imc.hash_size, settings.imc.max_rooms_in_memory, settings.imc.max_members_in_memory
        )
        self._reports = Reports(
            ReportOptions(),
            copies=self._copies,
            ids=self._ids,
            send=lambda dispatch: self._outbox.release(self._outbox.job([dispatch], is_durable=False)),
            can_carry=self._can_carry,
            spawn=self._spawn,
        )
        self._audit_options = audit_options(settings)
        self._audit = Audit(
            store,
            self._reader,
            self._writer,
            options=lambda: self._audit_options,
            wall=wall,
            tag=os.getpid(),
        )
        self._rooms = Rooms(
            RoomOptions(),
            policy=room_policy(settings),
            shards=self._shards,
            writer=self._writer,
            outbox=self._outbox,
            engine=self._engine,
            copies=self._copies,
            history=History(store, self._reader, self._writer, wall),
            circumstances=self._circumstances,
            load=partial(self._reader.run, store.load_room_and_log),
            spawn=self._spawn,
            can_carry=self._can_carry,
            on_count=self._count_rooms,
            rates=self._make_rates(),
            reports=self._reports,
            traffic=self._traffic,
            audit=self._audit,
            trace=self._trace,
            measures=measures,
        )

    def _build_rest(self) -> None:
        """What else users may ask for, and what is done by itself."""
        settings, store, wall, loop = self.settings, self._store, self._wall, self._loop
        self._rosters = Rosters(
            roster_options(settings),
            stack=self._stack,
            carrier=self._carrier,
            hops=self._engine.hops,
            watch=self._rooms.watch,
            clock=trio.current_time,
            wake=loop.wake,
        )
        self._rooms.on_change = self._rosters.room_changed
        self._waiting = WaitingCopies(
            dead_letter_options(settings),
            store=store,
            reader=self._reader,
            outbox=self._outbox,
            backlogs=self._engine.backlogs,
            settled=self._settled,
            wall=wall,
        )
        self._retention = Retention(store, self._reader, self._writer, policy=lambda: self._rooms.policy, wall=wall)
        self._relay = Relay(self._location, self._copies, self._outbox)
        self._lists = Lists(
            limit=lambda: list_limit(self.settings),
            copies=self._copies,
            outbox=self._outbox,
            writer=self._writer,
            ids=self._ids,
            rooms_of=self._facts.rooms_of,
            may_send=lambda user: self._rooms.rates is None or self._rooms.rates.may_send(user),
            can_carry=self._can_carry,
            spawn=self._spawn,
        )

    def _make_manager(self) -> Manager:
        """What the management interfaces call."""
        store, wall, loop = self._store, self._wall, self._loop
        return Manager(
            rooms=self._rooms,
            store=store,
            reader=self._reader,
            forget=Forget(
                rooms=self._rooms,
                store=store,
                reader=self._reader,
                writer=self._writer,
                ids=self._ids,
                waiting=self._waiting,
                wake=loop.wake,
                count_bindings=lambda aor: len(self._bindings.lookup(aor, wall())),
                unbind=self._unbind,
            ),
            ids=self._ids,
            waiting=self._waiting,
            traffic=self._traffic,
            operators=Operators(store, self._reader, wall),
            operations=self._make_operations(),
            statistics=self.statistics,
            measures=self.measures,
            complaints=Readiness(
                read=lambda: self._reader.run(store.accounts_version),
                spawn=self._spawn,
                is_draining=lambda: self._sip.is_draining,
                is_failing=lambda: self._writer.is_failing,
            ).complaints,
            wake=loop.wake,
            default_domain=lambda: self.settings.imc.domains[0],
        )

    # --- life -------------------------------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[tuple[ListenAddress, ...]] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `drain` has ended, or until cancelled. ListenError, StoreError, ConfigError at the start."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                nursery.start_soon(self._writer.run)
                if self._trace is not None:
                    nursery.start_soon(self._trace.run)
                bound = self._transports.bind()
                self._build_edge(bound)
                await self._load()
                await nursery.start(self._transports.run)
                nursery.start_soon(self._loop.run)
                nursery.start_soon(self._accounts.run)
                nursery.start_soon(self._waiting.run)
                nursery.start_soon(self._shards.run, self.settings.imc.room_idle_limit)
                nursery.start_soon(self._retention.run)
                nursery.start_soon(self._audit.run)
                if self._registration is not None:
                    nursery.start_soon(self._registration.run)
                    if self.settings.auth.mode == "digest" and not self.settings.auth.has_peers:
                        nursery.start_soon(self._registration.follow, self._accounts)
                if self.settings.auth.mode == "digest" and not self.settings.auth.has_peers:
                    nursery.start_soon(self._rosters.follow, self._accounts.load, self._accounts.wait_change)
                await self._start_management()
                task_status.started(bound)
                await self.ended.wait()
            finally:
                nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def offline(self) -> AsyncIterator[Manager]:
        """The use cases alone, for a command: no listener, nothing is sent.

        What is to be told to anyone is in the outbox then, and delivered at the next start.
        """
        self._outbox.is_held = True
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._writer.run)
            await self._load_state()
            yield self.manager
            await self._writer.drain()
            nursery.cancel_scope.cancel()

    def _build_edge(self, bound: tuple[ListenAddress, ...]) -> None:
        """What depends on the addresses that were bound."""
        settings = self.settings
        self._bound = bound
        self._verifier = DigestVerifier(digest_options(settings, bound), self._ids.secret())
        self._identity = self._make_identity()
        if settings.registrar.enabled:
            self._registration = Registration(
                Registrar(registrar_options(settings, bound), self._bindings),
                self._bindings,
                writer=self._writer,
                wall=self._wall,
                on_change=self._engine.contacts_changed,
                is_open=self._transports.is_open,
            )
        self._sip = Sip(
            stack=self._stack,
            uas=self._uas,
            identity=lambda: self._identity,
            accounts=self._accounts,
            registration=self._registration,
            rooms=self._rooms,
            relay=self._relay,
            rosters=self._rosters,
            lists=self._lists,
            copies=self._copies,
            circumstances=self._circumstances,
            engine=self._engine,
            domains=lambda: self.settings.imc.domains,
            own_hosts=own_hosts(settings, bound),
            clock=trio.current_time,
            spawn=self._spawn,
            wake=self._loop.wake,
            measures=self.measures,
        )
        self._loop.attach(
            self._transports,
            self._engine,
            self._sip,
            self._outbox,
            rosters=self._rosters,
            spawn=self._spawn,
            begin=self._writer.begin,
            on_flow_closed=self._flow_closed,
        )
        self._writer.attach(self._loop.wake, self._loop.within)

    def _flow_closed(self, flow: Flow) -> None:
        if self._registration is not None and not self._sip.is_draining:  # at the end they all close
            self._registration.flow_closed(flow)

    def _make_operations(self) -> Operations:
        control = Control(
            settings=lambda: self.settings,
            load=self._read_settings,
            apply=self.reload,
            statistics=self.statistics,
            totals=self._traffic.totals,
            addresses=lambda: tuple(map(str, self._bound)),
            users=self._bindings.users,
            is_open=self._transports.is_open,
            place=self._store.place,
            started=self._wall(),
            wall=self._wall,
        )
        return Operations(
            rooms=self._rooms,
            store=self._store,
            reader=self._reader,
            ids=self._ids,
            audit=self._audit,
            bindings=self._bindings,
            unbind=self._unbind,
            check_account=lambda user: check_account(self.settings, user),
            control=control,
            wall=self._wall,
            wake=self._loop.wake,
            default_domain=lambda: self.settings.imc.domains[0],
        )

    def _make_rates(self) -> Rates | None:
        options = rate_options(self.settings)
        return None if options is None else Rates(options, trio.current_time, self._traffic.hit)

    def _make_sources(self) -> Sources | None:
        options = source_options(self.settings)
        peers = tuple(ip_network(text) for text in self.settings.auth.trusted_peers)
        return None if options is None else Sources(options, peer_finder(peers), self._traffic.hit)

    def _make_identity(self) -> Identity:
        settings = self.settings
        return Identity(
            IdentityOptions(
                mode=Mode(settings.auth.mode),
                domains=settings.imc.domains,
                trusted_peers=tuple(ip_network(text) for text in settings.auth.trusted_peers),
                trusted_certificates=frozenset(settings.auth.trusted_certificates),
                algorithms=settings.auth.algorithms,
            ),
            self._accounts,
            self._verifier,
            self._transports.peer_names,
            self._guesses,
        )

    async def _load(self) -> None:
        """What was registered, and what was promised and is not delivered."""
        await self._load_state()
        twice = await self._reader.run(self._store.twice_listed)
        after, count = 0, 0
        while True:
            rows = await self._reader.run(self._store.load_outbox, _OUTBOX_PAGE, after)
            puts = (PutOutbox(row.id, row.created, row.payload, row.recipients, row.seq) for row in rows)
            count += self._outbox.restore(puts, twice)
            if not rows:
                break
            after = rows[-1].seq
        waiting = self._engine.backlogs.statistics()["waiting"]
        _log.info("loaded", rooms=self._facts.active, bindings=len(self._bindings), undelivered=count, waiting=waiting)

    async def _load_state(self) -> None:
        self._facts.active = await self._reader.run(self._store.count_rooms)
        self._bindings.load(await self._reader.run(self._store.load_bindings), self._wall())
        # spec S-LANE-7: first who has waiting rows, then what is handed over anew
        self._outbox.begin(await self._reader.run(self._store.outbox_end))
        self._engine.backlogs.load(await self._reader.run(self._store.count_waiting))

    async def _unbind(self, aor: Aor) -> None:
        """End all registrations of a user."""
        if self._registration is not None:
            await self._registration.remove(aor)
        else:
            await self._writer.commit([DeleteBindings(aor)])

    async def _start_management(self) -> None:
        options = manage_options(self.settings)
        if options.listen or options.socket is not None or options.ctl is not None or options.fifos:
            self.managed = await self._nursery.start(partial(run_management, self.manager, options))
            for host, port in self.managed.http:
                _log.info("managing", address=f"http:{host}:{port}")

    async def drain(self) -> None:
        """Take no new requests, finish what was begun, store the rest; then end."""
        self._sip.is_draining = True
        self._rosters.end_all()
        with trio.move_on_after(DRAIN_SECONDS):
            while self._sip.unanswered or self._rosters.has_unsent or not self._engine.is_idle:
                await self._loop.wait_pass()
        self._outbox.leave()
        with trio.move_on_after(1.0):
            await self._writer.drain()
        self._loop.flush()
        await self._transports.aclose(0.5)
        waiting = self._engine.backlogs.statistics()["waiting"]
        _log.info("stopped", undelivered=len(self._engine.unfinished()), waiting=waiting)
        self.ended.set()

    def on_message(self, heard: Callable[[Inbound], None]) -> None:
        """Have ``heard`` called with each message to a room when it is committed. It must not raise, nor take long."""
        self._rooms.on_message = heard

    def reload(self, settings: Settings) -> str:
        """Put these in force; they differ from those before in what `imc.config.differences` calls reloadable only.

        ``read``, or why the certificates are what they were.
        """
        self.settings = settings
        self._audit_options = audit_options(settings)
        self._rooms.policy = room_policy(settings)
        self._copies.extra = settings.imc.extra_headers
        self._facts.max_list = settings.limits.max_list_entries
        self._facts.is_owning_limited = room_limits(settings).max_rooms_per_owner is not None
        self._guesses.reload(guess_rate(settings))
        self._identity = self._make_identity()
        if self._registration is not None:
            self._registration.reload(registrar_options(settings, self._bound))
        self._rooms.rates = self._make_rates()
        self._stack.sources = self._make_sources()
        if self._site is not None:
            self._site.put(chat_config(settings))
        log.set_level(settings.log.level)
        return self._reload_tls()

    # spec S-TLS-3
    def _reload_tls(self) -> str:
        """The files may be others though the settings are the same: each reload reads them. Else the old ones stay."""
        options = tls_options(self.settings)
        try:
            self._transports.reload_tls(options)
        except ListenError as error:
            _log.error("certificates-not-reloaded", error=str(error))
            return f"unchanged: {error}"
        return "read"

    # --- what the parts ask -----------------------------------------------------------------------------------------

    def _spawn(self, work: Callable[[], Awaitable[None]]) -> None:
        self._nursery.start_soon(self._guarded, work)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """One request's task never takes the daemon with it."""
        try:
            await work()
        except Exception as error:
            _log.error("task-failed", exc_info=error)
        self._loop.wake()

    def _settled(self, dispatch: Dispatch, recipient: Aor, status: int) -> None:
        """A recipient's final status, for what asked for it."""
        if dispatch.kind == "relay":
            self._relay.settled(dispatch, recipient, status)
        elif dispatch.kind == "invitation" and status >= 300 and dispatch.context:
            self._rooms.invitation_failed(dispatch.sender, *_invitation(dispatch, recipient))

    def _has_to_wait(self, dispatch: Dispatch, recipient: Aor) -> None:
        """A recipient cannot be reached now, for what asked for a result."""
        if dispatch.kind == "invitation" and dispatch.context:
            self._rooms.invitation_waits(dispatch.sender, *_invitation(dispatch, recipient))

    async def _can_carry(self, dispatch: Dispatch) -> bool:
        """Whether every recipient that can be reached at all can be sent a copy of this size."""
        ways = self._engine.ways_for(dispatch)
        verdicts: list[bool] = []
        limiter = trio.CapacityLimiter(_CARRY_AT_ONCE)

        async def check(index: int) -> None:
            async with limiter:
                verdicts.append(await self._engine.hops.can_carry(ways[index]))

        async with trio.open_nursery() as nursery:
            for index in range(len(ways)):
                nursery.start_soon(check, index)
        return all(verdicts)

    def _count_rooms(self, change: int) -> None:
        self._facts.active += change

    def statistics(self) -> dict[str, int]:
        """The figures of all parts; ``active_rooms`` is the source document's."""
        return {
            "active_rooms": self._facts.active,
            "rooms_in_memory": self._shards.rooms_in_memory,
            "members_in_memory": self._shards.members_in_memory,
            "bindings": len(self._bindings),
            **self._engine.statistics(),
            **self._outbox.statistics(),
            **self._traffic.statistics(),
            **self._rosters.statistics(),
            **self._reports.statistics(),
            **self._stack.statistics(),
            **self._transports.statistics(),
            **self._identity.statistics(),
            **self._accounts.statistics(),
            **self._writer.statistics(),
            **self._retention.statistics(),
            **self._audit.statistics(),
            **({} if self._trace is None else self._trace.statistics()),
        }


def _invitation(dispatch: Dispatch, user: Aor) -> tuple[WithdrawInvitation, str | None]:
    """Which invitation it is that could not be delivered, and the Call-ID of the request that made it."""
    context = dispatch.context
    inviter, serial = Aor.parse(context["inviter"]), int(context["serial"])
    which = WithdrawInvitation(room=dispatch.sender, user=user, inviter=inviter, serial=serial)
    return which, dict(dispatch.headers).get("In-Reply-To")
