from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from imc.aor import Aor
from imc.errors import Overloaded, StoreUnavailable
from imc.service.accounts import Accounts, AccountsOptions

ALICE = Aor("alice", "example.com")
BOB = Aor("bob", "example.com")
NOBODY = Aor("nobody", "example.com")


class Source:
    """A store of accounts: what is in it, how often it was read, and how long a read takes."""

    def __init__(self) -> None:
        self.accounts = {ALICE: "a1", BOB: "b1"}
        self.version = "v1"
        self.reads: list[Aor] = []
        self.seconds = 0.25
        self.is_down = False

    async def load(self, aor: Aor) -> str | None:
        self.reads.append(aor)
        found = self.accounts.get(aor)
        await trio.sleep(self.seconds)
        if self.is_down:
            raise StoreUnavailable("down")
        return found

    async def get_version(self) -> str:
        if self.is_down:
            raise StoreUnavailable("down")
        await trio.lowlevel.checkpoint()
        return self.version


def cache(source: Source, **options: object) -> Accounts[str]:
    given = AccountsOptions(**options)  # type: ignore[arg-type]
    return Accounts(given, load=source.load, version=source.get_version)


def peek(accounts: Accounts[str], aor: Aor) -> str | None:
    return accounts.peek(aor, trio.current_time())


async def test_an_account_is_read_once(autojump_clock: MockClock) -> None:
    source = Source()
    accounts = cache(source)
    for aor, account in ((ALICE, "a1"), (NOBODY, None)):
        with pytest.raises(LookupError):
            peek(accounts, aor)
        assert await accounts.load(aor) == account
        assert await accounts.load(aor) == account
        assert peek(accounts, aor) == account
    assert source.reads == [ALICE, NOBODY]
    assert accounts.statistics() == {
        "accounts_known": 1,
        "accounts_unknown": 1,
        "accounts_loading": 0,
        "accounts_reachable": 1,
    }


async def test_those_who_ask_at_the_same_time_share_one_read(autojump_clock: MockClock) -> None:
    source = Source()
    accounts = cache(source)
    found: list[str | None] = []

    async def ask(aor: Aor) -> None:
        found.append(await accounts.load(aor))

    async with trio.open_nursery() as nursery:
        for aor in (ALICE, ALICE, BOB, ALICE):
            nursery.start_soon(ask, aor)
    assert sorted(map(str, found)) == ["a1", "a1", "a1", "b1"]
    assert sorted(source.reads) == [ALICE, BOB]


async def test_an_entry_has_its_time(autojump_clock: MockClock) -> None:
    source = Source()
    accounts = cache(source, lifetime=60.0)
    await accounts.load(ALICE)
    await accounts.load(NOBODY)
    source.accounts = {NOBODY: "n1"}
    await trio.sleep(59)
    assert (peek(accounts, ALICE), peek(accounts, NOBODY)) == ("a1", None)
    await trio.sleep(1)
    assert (await accounts.load(ALICE), await accounts.load(NOBODY)) == (None, "n1")
    assert (peek(accounts, ALICE), peek(accounts, NOBODY)) == (None, "n1")
    assert accounts.statistics()["accounts_known"] == 1


async def test_changes_are_followed_within_the_poll_interval(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    source = Source()
    accounts = cache(source, poll_interval=1.0)
    nursery.start_soon(accounts.run)
    await trio.sleep(0.5)
    await accounts.load(ALICE)
    await trio.sleep(5)
    assert peek(accounts, ALICE) == "a1"
    source.accounts[ALICE], source.version = "a2", "v2"
    await trio.sleep(1)
    with pytest.raises(LookupError):
        peek(accounts, ALICE)
    assert await accounts.load(ALICE) == "a2"
    nursery.cancel_scope.cancel()


async def test_what_was_read_while_accounts_changed_is_not_kept(autojump_clock: MockClock) -> None:
    source = Source()
    accounts = cache(source)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(accounts.load, ALICE)
        await trio.sleep(0.1)
        accounts.forget()
    with pytest.raises(LookupError):
        peek(accounts, ALICE)


async def test_what_was_read_before_the_first_poll_is_not_trusted(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    source = Source()
    accounts = cache(source)
    await accounts.load(ALICE)
    source.accounts, source.version = {}, "v2"
    nursery.start_soon(accounts.run)
    await trio.sleep(0.5)
    assert await accounts.load(ALICE) is None
    nursery.cancel_scope.cancel()


async def test_a_store_that_is_down(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    source = Source()
    accounts = cache(source)
    nursery.start_soon(accounts.run)
    await trio.sleep(0.5)
    await accounts.load(ALICE)
    source.is_down = True
    await trio.sleep(2)
    assert accounts.statistics()["accounts_reachable"] == 0
    assert await accounts.load(ALICE) == "a1"
    with pytest.raises(StoreUnavailable):
        await accounts.load(BOB)
    source.is_down, source.version, source.accounts = False, "v2", {}
    await trio.sleep(1.5)
    assert accounts.statistics()["accounts_reachable"] == 1
    assert await accounts.load(ALICE) is None
    nursery.cancel_scope.cancel()


async def test_those_who_wait_share_the_failure_but_not_the_cancellation(autojump_clock: MockClock) -> None:
    source = Source()
    accounts = cache(source)
    source.is_down = True
    failures: list[type[Exception]] = []

    async def ask() -> None:
        try:
            await accounts.load(ALICE)
        except (StoreUnavailable, Overloaded) as error:
            failures.append(type(error))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        nursery.start_soon(ask)
    assert failures == [StoreUnavailable] * 2
    failures.clear()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accounts.load, ALICE)
            await trio.testing.wait_all_tasks_blocked()
            waiter = trio.lowlevel.spawn_system_task(ask)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    assert waiter.name
    await trio.testing.wait_all_tasks_blocked()
    assert failures == [Overloaded]
    assert accounts.statistics()["accounts_loading"] == 0


async def test_bounds(autojump_clock: MockClock) -> None:
    source = Source()
    users = [Aor(f"u{number}", "example.com") for number in range(4)]
    source.accounts |= {user: user.user for user in users}
    accounts = cache(source, max_known=3, max_unknown=2)
    for user in users[:3]:
        await accounts.load(user)
    peek(accounts, users[0])
    await accounts.load(users[3])
    assert peek(accounts, users[0]) == "u0"
    with pytest.raises(LookupError):
        peek(accounts, users[1])
    for number in range(20):
        await accounts.load(Aor(f"invented{number}", "example.com"))
    # a stream of invented names pushes out nobody who exists
    assert accounts.statistics() == {
        "accounts_known": 3,
        "accounts_unknown": 2,
        "accounts_loading": 0,
        "accounts_reachable": 1,
    }


async def test_so_many_reads_at_a_time(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    accounts = cache(Source(), max_loading=1)
    nursery.start_soon(accounts.load, ALICE)
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(Overloaded):
        await accounts.load(BOB)
    assert await accounts.load(ALICE) == "a1"
    assert await accounts.load(BOB) == "b1"


async def test_wait_change(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    source = Source()
    accounts = cache(source)
    nursery.start_soon(accounts.run)
    seen = await accounts.wait_change()
    with trio.move_on_after(10) as scope:
        await accounts.wait_change(seen)
    assert scope.cancelled_caught
    source.version = "v2"
    with trio.fail_after(1.5):
        assert await accounts.wait_change(seen) == seen + 1
    nursery.cancel_scope.cancel()
