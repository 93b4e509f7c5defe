"""REGISTER as a use case: decide, commit, apply, answer; and bindings that expire.

The registrar decides on what was committed, so one user's REGISTERs take turns (`imc.registrar.turns`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import structlog
import trio

from imc.aor import Aor
from imc.errors import Overloaded
from imc.registrar.bindings import Bindings
from imc.registrar.registrar import RegisterOutcome, Registrar
from imc.registrar.turns import Turns
from imc.service.inbound import Outcome
from imc.service.outcomes import failed
from imc.sip.flow import Flow
from imc.sip.message import Request
from imc.store.ops import DeleteBinding, DeleteExpiredBindings, Op, PutBinding
from imc.store.writer import Writer

_log = structlog.get_logger("imc.service")
_EXPIRY_STEP = 10.0  # seconds: the longest sleep, so that a clock that was set is noticed


class Registration:
    """``on_change`` is told whose contacts changed; ``wall`` gives unix seconds."""

    def __init__(
        self,
        registrar: Registrar,
        bindings: Bindings,
        *,
        writer: Writer,
        wall: Callable[[], float],
        on_change: Callable[[Aor], None],
    ) -> None:
        self._registrar = registrar
        self._bindings = bindings
        self._writer = writer
        self._wall = wall
        self._on_change = on_change
        self._turns = Turns()

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

        try:
            self._writer.submit(ops, committed)
        except Overloaded as error:
            fail(failed(error))
            self._turns.end(aor)

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

        try:
            self._writer.submit([DeleteExpiredBindings(wall)], done)
        except Overloaded as error:
            done(error)
