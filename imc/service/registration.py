"""REGISTER as a use case: decide, commit, apply, answer; and bindings that expire, or lose their account.

The registrar decides on what was committed, so one user's REGISTERs take turns (`imc.registrar.turns`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import structlog
import trio

from imc.aor import Aor
from imc.errors import ImcError, Overloaded, StoreUnavailable
from imc.registrar.bindings import Bindings
from imc.registrar.registrar import RegisterOutcome, Registrar, RegistrarOptions
from imc.registrar.turns import Turns
from imc.service.accounts import Accounts
from imc.service.identity import Secrets
from imc.service.inbound import Outcome
from imc.service.outcomes import failed
from imc.sip.flow import Flow
from imc.sip.message import Request
from imc.store.ops import DeleteBinding, DeleteBindings, DeleteExpiredBindings, Op, PutBinding
from imc.store.writer import Writer

_log = structlog.get_logger("imc.service")
_EXPIRY_STEP = 10.0  # seconds: the longest sleep, so that a clock that was set is noticed


class Registration:
    """``on_change`` is told whose contacts changed; ``wall`` gives unix seconds; ``is_open``: is a flow still so."""

    def __init__(
        self,
        registrar: Registrar,
        bindings: Bindings,
        *,
        writer: Writer,
        wall: Callable[[], float],
        on_change: Callable[[Aor], None],
        is_open: Callable[[Flow], bool] = lambda _flow: True,
    ) -> None:
        self._is_open = is_open
        self._registrar = registrar
        self._bindings = bindings
        self._writer = writer
        self._wall = wall
        self._on_change = on_change
        self._turns = Turns()

    def reload(self, options: RegistrarOptions) -> None:
        """Go by these from now on."""
        self._registrar.reload(options)

    def check_domain(self, request: Request) -> RegisterOutcome | None:
        """The refusal of a REGISTER for domains of others (RFC 3261 §10.3, step 1): before its sender is looked at."""
        return self._registrar.check_domain(request)

    def register(
        self,
        request: Request,
        aor: Aor,
        flow: Flow,
        *,
        answer: Callable[[RegisterOutcome], None],
        fail: Callable[[Outcome], None],
    ) -> None:
        """``answer`` when all is committed and in force, ``fail`` where it cannot be."""
        try:
            self._turns.take(aor, lambda: self._decide(request, aor, flow, answer, fail))
        except Overloaded as error:
            fail(failed(error))

    def _decide(
        self,
        request: Request,
        aor: Aor,
        flow: Flow,
        answer: Callable[[RegisterOutcome], None],
        fail: Callable[[Outcome], None],
    ) -> None:
        outcome = self._registrar.process(request, aor, flow, self._wall())
        if not outcome.is_change:
            answer(outcome)
            self._turns.end(aor)
            return
        ops: list[Op] = [DeleteBinding(aor, contact) for contact in outcome.deletes]
        ops += [PutBinding(binding) for binding in outcome.puts]

        def committed(error: Exception | None) -> None:
            if error is None:
                self._bindings.apply(aor, outcome.bindings_after)
                answer(outcome)
                self._on_change(aor)
            else:
                fail(failed(error))
            self._turns.end(aor)
            # spec S-OUT-3
            if error is None and not self._is_open(flow):  # it ended while its REGISTER was on the way to the disk
                self.flow_closed(flow)

        self._submit(ops, committed)

    # spec S-OUT-3
    def flow_closed(self, flow: Flow) -> None:
        """A connection has ended: what waits for a contact on it goes to others at once, and what it alone led to is
        no binding any more."""
        for aor in self._bindings.on_flow(flow):
            self._on_change(aor)
            try:
                self._turns.take(aor, partial(self._drop, aor, flow))
            except Overloaded as error:  # it is not used, and goes when it expires
                _log.warning("binding-not-deleted", error=str(error))

    def _drop(self, aor: Aor, flow: Flow) -> None:
        bindings = self._bindings.lookup(aor, 0.0)
        kept = [binding for binding in bindings if not (binding.flow == flow and binding.needs_flow)]
        if len(kept) == len(bindings):
            self._turns.end(aor)
            return

        def done(error: Exception | None) -> None:
            if error is None:
                self._bindings.apply(aor, kept)
                self._on_change(aor)
            else:
                _log.warning("binding-not-deleted", error=str(error))
            self._turns.end(aor)

        self._submit([DeleteBinding(aor, one.key) for one in bindings if one not in kept], done)

    def _submit(self, ops: list[Op], done: Callable[[Exception | None], None]) -> None:
        """As the writer's, but ``done`` is told of a writer that takes nothing as well."""
        try:
            self._writer.submit(ops, done)
        except (Overloaded, StoreUnavailable) as error:
            done(error)

    async def run(self) -> None:
        """Take expired bindings out, for ever."""
        while True:
            due = self._bindings.next_expiry()
            wall = self._wall()
            if due is None or due > wall:
                await trio.sleep(_EXPIRY_STEP if due is None else min(_EXPIRY_STEP, math.ceil(due - wall)))
                continue
            expired = self._bindings.expire(wall)
            for aor in {binding.aor for binding in expired}:
                self._on_change(aor)
            if expired:
                self._forget(wall)
            await trio.lowlevel.checkpoint()

    def _forget(self, wall: float) -> None:
        """Rows past their time go; where that fails they go with the next ones, or are skipped at the next start."""

        def done(error: Exception | None) -> None:
            if error is not None:
                _log.warning("expired-bindings-not-deleted", error=str(error))

        self._submit([DeleteExpiredBindings(wall)], done)

    # spec S-REG-12
    async def follow(self, accounts: Accounts[Secrets]) -> None:
        """Take out the bindings of users whose account was removed, for ever: nothing more is sent to them.

        For a daemon that knows all its users by their accounts.
        """
        seen = 0
        while True:
            seen = await accounts.wait_change(seen)
            if not await self._remove_strangers(accounts):
                await trio.sleep(_EXPIRY_STEP)
                seen -= 1  # once more, though nothing changed

    async def _remove_strangers(self, accounts: Accounts[Secrets]) -> bool:
        """False where the accounts could not be read to the end."""
        for aor in self._bindings.aors():
            try:
                is_stranger = await accounts.load(aor) is None
            except ImcError as error:
                _log.warning("account-not-read", error=str(error))
                return False
            if is_stranger:
                self._remove(aor)
        return True

    async def remove(self, aor: Aor) -> None:
        """End all registrations of a user. Overloaded, StoreError."""
        finished = trio.Event()
        outcome: list[Exception | None] = []

        def then(error: Exception | None) -> None:
            outcome.append(error)
            finished.set()

        self._remove(aor, then)
        await finished.wait()
        if outcome[0] is not None:
            raise outcome[0]

    def _remove(self, aor: Aor, then: Callable[[Exception | None], None] | None = None) -> None:
        """``then`` is told when it is done, or why not; without it that is logged."""
        tell = then or _log_not_deleted

        def done(error: Exception | None) -> None:
            if error is None:
                self._bindings.apply(aor, ())
                self._on_change(aor)
            tell(error)
            self._turns.end(aor)

        try:
            self._turns.take(aor, lambda: self._submit([DeleteBindings(aor)], done))
        except Overloaded as error:
            tell(error)


def _log_not_deleted(error: Exception | None) -> None:
    if error is not None:
        _log.warning("bindings-not-deleted", error=str(error))
