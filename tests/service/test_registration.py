from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import pytest
import trio
from trio.testing import MockClock

from imc.aor import Aor
from imc.errors import Overloaded, StoreUnavailable
from imc.registrar.bindings import Bindings
from imc.registrar.registrar import RegisterOutcome, Registrar, RegistrarOptions
from imc.service.accounts import Accounts, AccountsOptions
from imc.service.identity import Secrets
from imc.service.inbound import Outcome
from imc.service.registration import Registration
from imc.store.accounts import Account
from imc.store.ops import DeleteBinding, DeleteBindings, DeleteExpiredBindings, Op, PutBinding
from imc.store.writer import Writer
from tests.registrar.requests import ALICE, UDP, WALL, register

BOB = Aor("bob", "example.com")
C1 = "<sip:alice@198.51.100.7:5062>"
C2 = "<sip:alice@198.51.100.7:6000>"


class FakeWriter:
    """Holds what was submitted until the test says how it ended."""

    def __init__(self) -> None:
        self.waiting: list[tuple[tuple[Op, ...], Callable[[Exception | None], None]]] = []
        self.refusal: Exception | None = None

    def submit(self, ops: Sequence[Op], done: Callable[[Exception | None], None]) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.waiting.append((tuple(ops), done))

    def finish(self, error: Exception | None = None) -> tuple[Op, ...]:
        ops, done = self.waiting.pop(0)
        done(error)
        return ops


class Desk:
    def __init__(self) -> None:
        self.writer = FakeWriter()
        self.bindings = Bindings()
        self.wall = WALL
        self.changed: list[Aor] = []
        self.heard: list[int] = []
        self.registration = Registration(
            Registrar(RegistrarOptions(domains=("example.com",)), self.bindings),
            self.bindings,
            writer=cast(Writer, self.writer),
            wall=lambda: self.wall,
            on_change=self.changed.append,
        )

    def ask(self, *contacts: str, cseq: int = 1, expires: str | None = None, aor: Aor = ALICE) -> None:
        def answer(outcome: RegisterOutcome) -> None:
            self.heard.append(outcome.status)

        def fail(outcome: Outcome) -> None:
            self.heard.append(-outcome.status)

        request = register(*contacts, cseq=cseq, expires=expires, to=f"<{aor}>")
        self.registration.register(request, aor, UDP, answer=answer, fail=fail)

    def bound(self, aor: Aor = ALICE) -> list[str]:
        return [binding.contact.rpartition(":")[2] for binding in self.bindings.lookup(aor, self.wall)]


def test_nothing_is_in_force_or_answered_before_the_commit() -> None:
    # spec S-REG-2
    desk = Desk()
    desk.ask(C1)
    assert (desk.bound(), desk.heard, desk.changed) == ([], [], [])
    (op,) = desk.writer.finish()
    assert isinstance(op, PutBinding)
    assert (desk.bound(), desk.heard, desk.changed) == (["5062"], [200], [ALICE])


def test_a_question_or_a_refusal_does_not_wait_for_the_store() -> None:
    desk = Desk()
    desk.ask()
    desk.ask("<tel:+1>")
    assert (desk.heard, desk.writer.waiting) == ([200, 400], [])


@pytest.mark.parametrize(
    ("error", "status"), [(StoreUnavailable("down"), -503), (Overloaded("full"), -503), (OSError(), -500)]
)
def test_a_commit_that_fails_leaves_all_as_it_was(error: Exception, status: int) -> None:
    desk = Desk()
    desk.ask(C1)
    desk.writer.finish(error)
    assert (desk.bound(), desk.heard, desk.changed) == ([], [status], [])
    desk.ask(C1)
    desk.writer.finish()
    assert desk.bound() == ["5062"]


@pytest.mark.parametrize("error", [StoreUnavailable("closed"), Overloaded("full")])
def test_a_writer_that_takes_nothing(error: Exception) -> None:
    desk = Desk()
    desk.writer.refusal = error
    desk.ask(C1)
    desk.ask(C1)
    assert desk.heard == [-503, -503]
    desk.writer.refusal = None
    desk.ask(C1)
    desk.writer.finish()
    assert desk.bound() == ["5062"]


def test_requests_of_one_user_are_decided_one_after_the_other() -> None:
    desk = Desk()
    desk.ask(C1, cseq=1)
    desk.ask(C2, cseq=2)
    desk.ask("*", cseq=3, expires="0")
    desk.ask(C1, cseq=2)
    desk.ask("<sip:bob@198.51.100.7:7000>", aor=BOB)
    assert len(desk.writer.waiting) == 2, "users do not wait for each other"
    assert [type(op) for op in desk.writer.finish()] == [PutBinding]
    desk.writer.finish()
    assert (desk.bound(), desk.bound(BOB)) == (["5062"], ["7000"])
    desk.writer.finish(StoreUnavailable("down"))
    # decided without the second one, which never was
    assert desk.writer.finish() == (DeleteBinding(ALICE, "sip:alice@198.51.100.7:5062"),)
    desk.writer.finish()
    assert (desk.bound(), desk.heard) == (["5062"], [200, 200, -503, 200, 200])


def test_a_user_with_too_many_requests_under_way() -> None:
    desk = Desk()
    for number in range(30):
        desk.ask(C1, cseq=number + 1)
    assert desk.heard == [-503] * 13
    while desk.writer.waiting:
        desk.writer.finish()
    assert desk.heard.count(200) == 17


def test_domains_of_others() -> None:
    # spec S-REG-1
    desk = Desk()
    refusal = desk.registration.check_domain(register(uri="sip:other.example"))
    assert refusal is not None
    assert refusal.status == 404
    desk.registration.reload(RegistrarOptions(domains=("example.com", "other.example")))
    assert desk.registration.check_domain(register(uri="sip:other.example", to="<sip:alice@other.example>")) is None


async def test_what_expires_is_taken_out(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    desk = Desk()
    start = trio.current_time()
    desk.registration._wall = lambda: WALL + trio.current_time() - start
    desk.ask(C1, expires="60")
    desk.ask(C2, expires="100", cseq=2)
    desk.writer.finish()
    desk.writer.finish()
    desk.changed.clear()
    nursery.start_soon(desk.registration.run)
    await trio.sleep(59)
    assert (len(desk.bindings), desk.changed) == (2, [])
    await trio.sleep(2)
    assert (len(desk.bindings), desk.changed) == (1, [ALICE])
    (op,) = desk.writer.finish(StoreUnavailable("down"))
    assert op == DeleteExpiredBindings(WALL + 60)
    await trio.sleep(60)
    assert (len(desk.bindings), len(desk.writer.waiting)) == (0, 1)
    nursery.cancel_scope.cancel()


async def test_who_has_no_account_any_more_is_not_registered(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    # spec S-REG-12
    desk = Desk()
    for aor in (ALICE, BOB):
        desk.ask(C1.replace("alice", aor.user), aor=aor)
        desk.writer.finish()
    desk.changed.clear()
    known = {aor: Account.from_password(aor, "x") for aor in (ALICE, BOB)}
    is_down = False

    async def load(aor: Aor) -> Secrets | None:
        await trio.lowlevel.checkpoint()
        if is_down:
            raise StoreUnavailable("down")
        return known.get(aor)

    async def version() -> int:
        await trio.lowlevel.checkpoint()
        return len(known)

    accounts: Accounts[Secrets] = Accounts(AccountsOptions(), load=load, version=version)
    nursery.start_soon(accounts.run)
    nursery.start_soon(desk.registration.follow, accounts)
    await trio.sleep(5)
    assert desk.writer.waiting == []
    is_down = True
    del known[BOB]
    await trio.sleep(5)
    assert desk.writer.waiting == []
    is_down = False
    await trio.sleep(10)
    assert desk.writer.finish() == (DeleteBindings(BOB),)
    assert (desk.bound(), desk.bound(BOB), desk.changed) == (["5062"], [], [BOB])
    nursery.cancel_scope.cancel()
