"""Rooms that are made, invited into, left and destroyed all the time: what was answered with 2xx is so from then on.

A rite has one room, its owner and a guest, and one command under way at a time. So its room is, whenever the daemon is
killed, as the last answered command left it, or as the one under way would (spec R-DURABLE-3).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import trio

from imc.aor import Aor
from imc.rooms.model import Room
from imc.store.options import StoreOptions
from imc.store.store import Store
from tests.soak.ledger import Ledger
from tests.soak.person import DOMAIN, Person

Standing = tuple[tuple[str, str], ...] | None
"""Who has which role in a room, sorted; None: there is no room."""
_AGAIN = 0.1


@dataclass(frozen=True, slots=True)
class Step:
    """A command of the owner or the guest, who besides them is told, and how the room is then. O and G are the two."""

    command: str
    is_owners: bool
    is_other_told: bool
    after: tuple[tuple[str, str], ...] | None


_ALONE = (("O", "OWNER"),)
_INVITED, _BOTH, _ADMIN = (((*_ALONE, ("G", role))) for role in ("INVITED", "MEMBER", "ADMIN"))
STEPS = (
    Step("#create private", True, False, _ALONE),
    Step("#invite G", True, True, _INVITED),
    Step("#accept", False, True, _BOTH),
    Step("#modify G admin", True, True, _ADMIN),
    Step("#remove G", True, True, _ALONE),
    Step("#invite G", True, True, _INVITED),
    Step("#accept", False, True, _BOTH),
    Step("#destroy", True, True, None),
)


class Rite:
    """Room ``name`` of these two; `run` until ``is_over``."""

    def __init__(self, name: str, owner: Person, guest: Person, ledger: Ledger) -> None:
        self.name = name
        self.owner = owner
        self.guest = guest
        self.ledger = ledger
        self.standing: Standing = None
        self.maybe: Standing = None
        self._steps = itertools.cycle(STEPS)

    @property
    def aor(self) -> Aor:
        return Aor(self.name, DOMAIN)

    def _named(self, after: tuple[tuple[str, str], ...] | None) -> Standing:
        if after is None:
            return None
        names = {"O": f"user{self.owner.number}", "G": f"user{self.guest.number}"}
        return tuple(sorted((names[who], role) for who, role in after))

    async def run(self, is_over: Callable[[], bool], pause: float) -> None:
        while not is_over():
            await self._take(next(self._steps))
            await trio.sleep(pause)

    async def _take(self, step: Step) -> None:
        """Until it is done. An answer that says that it is done already is right where an earlier try may have been."""
        actor, other = (self.owner, self.guest) if step.is_owners else (self.guest, self.owner)
        self.maybe = self._named(step.after)
        command = step.command.replace("G", f"user{self.guest.number}")
        is_sure = True
        while True:
            # What an earlier try has done already, with its notices, is not told again.
            told = [other.number] if step.is_other_told and is_sure else []
            record = self.ledger.send(f"{command} in {self.name}", told)
            status = await actor.say(record, self.name, command.encode())
            is_sure = is_sure and not self.ledger.is_excused(record)
            if 200 <= status < 500 or status >= 600:
                break
            is_sure = False  # it may have been written all the same
            await trio.sleep(_AGAIN)
        if status >= 300 and is_sure:
            self.ledger.verdict.blame(f"{record.what} got {status}, though the room was {self.standing}")
        self.standing = self.maybe

    def check(self, found: Standing) -> None:
        """The room is so in the database of a daemon that was just killed."""
        if found not in (self.standing, self.maybe):
            self.ledger.verdict.blame(f"{self.name} is {found}, not {self.standing} nor {self.maybe}")


def check_all(rites: list[Rite], db_url: str, folder: Path) -> None:
    """Hold them against the database, while nothing runs on it. StoreError."""
    with Store.open(StoreOptions(url=db_url, base=folder)) as store:
        for rite in rites:
            rite.check(_standing(store.load_room(rite.aor)))


def _standing(room: Room | None) -> Standing:
    if room is None:
        return None
    return tuple(sorted((user.user, entry.role.name) for user, entry in room.members.items()))
