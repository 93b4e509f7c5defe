"""Plays walks of the model over real UDP against the daemon, and compares all that can be seen.

A step is one MESSAGE and its final response; the circumstances in which the model judges it are made true first, by a
reload, by who sends, or by where it is sent. What each user gets is compared at the end of a walk: the events, in
order, each with the request that caused it, and nothing besides. So a walk is played without a pause, and the order in
which notices of different requests leave is checked too (spec R-ORDER-2).

An invitation that could not be delivered is no request: there the player tells the daemon's own entry for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from conformance.agent.client import Received
from conformance.model import graph
from conformance.model.traces import Step
from imc.aor import Aor
from imc.config import Settings
from imc.rooms.commands import WithdrawInvitation
from imc.rooms.model import Room
from imc.service.shards import Slot
from tests.e2e.stage import DOMAIN, Stage

USERS = tuple(graph.USERS)
MANAGER = f"sip:chat-manager@{DOMAIN}"
ACCOUNT = "chat-account"  # a room's name, and an account's
_TEXT_TOO_LONG = "x" * 601  # by one byte, where the limit is at its least

# What makes a circumstance true: settings
_SETTINGS: dict[str, dict[str, Any]] = {
    "check-on-create": {"imc.check_on_create": True},
    "no-create-on-join": {"imc.create_on_join": False},
    "keep-last-owner": {"imc.owner_leave": "refuse"},
    "no-consent": {"imc.add_requires_consent": False},
    "name-outside": {"imc.room_pattern": "talk-*"},
    "quota": {"limits.enabled": True, "limits.max_rooms_per_owner": 1},
    "server-full": {"limits.enabled": True, "limits.max_rooms": 1},
    "text-too-long": {"limits.enabled": True, "limits.max_text": 600},
}


class _Expected(NamedTuple):
    """One MESSAGE that somebody must get: its event, and the Call-ID or the text of what caused it."""

    event: str
    cause: str | None


class Player:
    """Plays in one room after the other. `prepare` first."""

    def __init__(self, on: Stage, base: Settings) -> None:
        self._on = on
        self._base = base
        self._in_force: dict[str, Any] = {}
        self._serial = 0
        self.steps = 0

    async def prepare(self) -> None:
        """The users; each owns a room, for the circumstances that count rooms."""
        for user in USERS:
            client = await self._on.client(user)
            response = await client.message(f"sip:chat-of-{user}@{DOMAIN}", "#create")
            assert response.status == 200
        await self._on.settle(USERS)

    async def play(self, steps: Iterable[Step], name: str) -> str:
        """A walk, or a part of one, in this room. Returns the state that it ends in."""
        room = f"sip:{name}@{DOMAIN}"
        expected: dict[str, list[_Expected]] = {user: [] for user in USERS}
        state = graph.NONE
        for step in steps:
            where = f"step {self.steps}: in {step.edge.state}, {step.edge.actor}: {step.edge.request}"
            cause = await self._take(step, room, where)
            self._expect(step, cause, expected)
            state = step.outcome.after
            self.steps += 1
        self._put_in_force({})
        assert (await self._on.clients[USERS[0]].message(room, "#help")).status == 200  # all before it is committed
        expected[USERS[0]].append(_Expected("help", None))
        received = await self._on.settle(USERS)
        for user in USERS:
            self._compare(user, room, received[user], expected[user])
        return state

    # --- one step ---------------------------------------------------------------------------------------------------

    async def _take(self, step: Step, room: str, where: str) -> str | None:
        """Make the circumstances true, send, and check the response. Returns what its notices name as their cause."""
        words, _, circumstances = step.edge.request.partition(" @")
        names = circumstances.split(",") if circumstances else []
        self._put_in_force(dict(_needed(names, step.edge.state)))
        name, *rest = words.split()
        if name in ("undelivered", "late"):
            self._undelivered(step, room, rest[0], is_late=name == "late")
            return None
        self._serial += 1
        call_id = f"tour-{self._serial}"
        to, body = self._addressed(words, names, step.edge.state, room)
        headers = [("Content-Type", "text/plain")]
        if "automatic" in names:
            headers.append(("Auto-Submitted", "auto-generated"))
        from_ = f"sip:chat-sender@{DOMAIN}" if "sender-is-room" in names else None
        client = self._on.clients[step.edge.actor]
        response = await client.request(
            "MESSAGE", to, from_=from_, call_id=call_id, headers=headers, body=body.encode()
        )
        assert response.status == step.outcome.status, (where, response.status, step.outcome)
        is_refusal = response.status >= 300
        assert (response.headers.get("Warning") is not None) == is_refusal, where  # spec R-ANSWER-7
        assert response.headers.get("IMC-Event") == (step.outcome.event if is_refusal else None), where
        return f"[{step.edge.actor}]: {body}" if name == "message" else call_id

    def _addressed(self, words: str, names: list[str], state: str, room: str) -> tuple[str, str]:
        """Where the text goes, and what it is."""
        name, *rest = words.split()
        if name == "message":
            return room, _TEXT_TOO_LONG if "text-too-long" in names else f"text {self._serial}"
        if name == "malformed":
            return room, "#frobnicate"
        if name == "settings":
            return room, "#set"
        if name == "set":  # replay stays what it is; keep is another each time
            return room, "#set replay 0" if "same-value" in names else f"#set keep {self._serial % 10_000}"
        if rest == ["room"]:
            return room, f"#{name} chat-else"
        if state == graph.NONE and name in ("create", "join"):
            if "account" in names:
                room = f"sip:{ACCOUNT}@{DOMAIN}"
            if "name-outside" in names:  # no longer the address of a room: only the manager takes it for one
                return MANAGER, " ".join((f"#{name}", room, *rest))
        return room, f"#{words}"

    def _put_in_force(self, wanted: dict[str, Any]) -> None:
        """As SIGHUP does, where it makes a difference."""
        if wanted == self._in_force:
            return
        self._in_force = wanted
        settings = self._base
        for key, value in wanted.items():
            section, _, name = key.partition(".")
            changed = getattr(settings, section).model_copy(update={name: value})
            settings = settings.model_copy(update={section: changed})
        self._on.daemon.reload(settings)

    def _undelivered(self, step: Step, room: str, user: str, *, is_late: bool) -> None:
        """What the delivery engine reports of an invitation by the actor."""
        aor = Aor.parse(room)
        rooms = self._on.daemon._rooms

        def report(slot: Slot) -> None:
            failed = WithdrawInvitation(
                room=aor,
                user=Aor(user, DOMAIN),
                inviter=Aor(step.edge.actor, DOMAIN),
                serial=_serial_of(slot.room, Aor(user, DOMAIN)) - is_late,
            )
            rooms.invitation_failed(aor, failed)
            self._on.daemon._loop.wake()

        rooms._access.with_room(aor, report, lambda outcome: None)

    # --- what everybody got -----------------------------------------------------------------------------------------

    @staticmethod
    def _expect(step: Step, cause: str | None, expected: dict[str, list[_Expected]]) -> None:
        if step.outcome.is_answered:
            expected[step.edge.actor].append(_Expected(step.outcome.event, cause))
        for user, event in step.outcome.told:
            expected[user].append(_Expected(event, cause))

    @staticmethod
    def _compare(user: str, room: str, received: list[Received], expected: list[_Expected]) -> None:
        account = f"sip:{ACCOUNT}@{DOMAIN}"
        found: list[_Expected] = []
        for one in received:
            assert one.sender in (room, account), (user, str(one))  # spec R-ANSWER-3
            # spec R-ANSWER-6
            cause = one.text if one.event == "message" else one.request.headers.get("In-Reply-To")
            this = _Expected(one.event or "", cause)
            if not found or found[-1] != this:  # a list has several pages
                found.append(this)
        for number, (this, wanted) in enumerate(zip(found, expected, strict=False)):
            is_same = this.event == wanted.event and (wanted.cause in (None, this.cause))
            assert is_same, f"{user}: number {number} is {this}, must be {wanted}; before it {found[:number][-3:]}"
        assert len(found) == len(expected), (user, found[len(expected) :], expected[len(found) :])


def _needed(names: list[str], state: str) -> Iterator[tuple[str, Any]]:
    for name in names:
        yield from _SETTINGS.get(name, {}).items()
        if name == "full":
            people = sum(letter != graph.OUTSIDER for letter in graph.standings(state))
            yield from (("limits.enabled", True), ("limits.max_members", max(people, 1)))


def _serial_of(room: Room | None, user: Aor) -> int:
    entry = None if room is None else room.members.get(user)
    return 0 if entry is None else entry.serial
