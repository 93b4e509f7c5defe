"""kill -9 after an answer, and a new start: all is as it was answered (spec R-DURABLE-1, R-DURABLE-3, R-INV-8)."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

from immutables import Map

from imc.aor import Aor
from imc.rooms.model import Member, Role, Room, member
from imc.store.options import StoreOptions
from imc.store.store import Store
from tests.daemon import Daemon
from tests.databases import Database
from tests.e2e.process import Served, config, served
from tests.rooms import play
from tests.rooms.play import POLICY, told

NAMES = ("alice", "bob", "carol", "dave")
ROOM = "sip:chat-x@example.com"


def standing(room: Room | None) -> tuple[bool, dict[str, tuple[str, str]]] | None:
    """What must outlive a restart: the private flag, roles, and who invited whom. None for no room."""
    if room is None:
        return None
    return room.is_private, {
        user.user: (entry.role.name, "" if entry.invited_by is None else entry.invited_by.user)
        for user, entry in room.members.items()
    }


def stored(daemon: Daemon, aor: Aor) -> Room | None:
    """The room as the daemon's database has it."""
    with Store.open(StoreOptions(url=daemon.settings["imc"]["db_url"], base=daemon.folder)) as store:
        return store.load_room(aor)


def undelivered(daemon: Daemon) -> list[bytes]:
    """To whom something is still to be delivered, by the outbox."""
    with Store.open(StoreOptions(url=daemon.settings["imc"]["db_url"], base=daemon.folder)) as store:
        return [row.recipients for row in store.load_outbox(100, 0)]


# (sender, text, status): each is followed by a kill; then the room's standing
SERIES: tuple[tuple[str, str, int, tuple[bool, dict[str, tuple[str, str]]] | None], ...] = (
    ("alice", "#create private", 200, (True, {"alice": ("OWNER", "")})),
    ("alice", "#invite bob", 200, (True, {"alice": ("OWNER", ""), "bob": ("INVITED", "alice")})),
    ("bob", "#accept", 200, (True, {"alice": ("OWNER", ""), "bob": ("MEMBER", "")})),
    ("alice", "#modify bob admin", 200, (True, {"alice": ("OWNER", ""), "bob": ("ADMIN", "")})),
    (
        "bob",
        "#invite carol",
        200,
        (True, {"alice": ("OWNER", ""), "bob": ("ADMIN", ""), "carol": ("INVITED", "bob")}),
    ),
    ("dave", "#join", 403, (True, {"alice": ("OWNER", ""), "bob": ("ADMIN", ""), "carol": ("INVITED", "bob")})),
    ("carol", "#reject", 200, (True, {"alice": ("OWNER", ""), "bob": ("ADMIN", "")})),
    ("alice", "#modify bob owner", 200, (True, {"alice": ("OWNER", ""), "bob": ("OWNER", "")})),
    ("alice", "#leave", 200, (True, {"bob": ("OWNER", "")})),
    ("bob", "#add alice", 200, (True, {"bob": ("OWNER", ""), "alice": ("INVITED", "bob")})),
    ("bob", "#remove alice", 200, (True, {"bob": ("OWNER", "")})),
    ("bob", "#destroy", 200, None),
)


async def open_clients(on: Served, names: Iterable[str] = NAMES) -> None:
    for name in names:
        await on.client(name)


async def test_each_command_outlives_a_kill(tmp_path: Path, database: Database) -> None:
    """On SQLite after each command, on servers after every fourth, since a start takes its time."""
    every = 1 if database.kind == "sqlite" else 4
    async with served(tmp_path, config(database.url)) as on:
        await open_clients(on)
        for number, (sender, text, status, wanted) in enumerate(SERIES, 1):
            assert (await on.clients[sender].message(ROOM, text)).status == status, text
            if number % every:
                continue
            on.daemon.kill()
            assert standing(stored(on.daemon, Aor("chat-x", "example.com"))) == wanted, text
            await on.start()
        assert (await on.clients["bob"].message(ROOM, "#members")).status == 404


async def test_inviter_is_told_after_a_restart(tmp_path: Path, database: Database) -> None:
    """R-REJECT-1: who invited is known beyond the restart, so it is the inviter who hears of the rejection."""
    async with served(tmp_path, config(database.url)) as on:
        await open_clients(on, ("alice", "bob", "carol"))
        for sender, text in (
            ("alice", "#create private"),
            ("alice", "#invite bob"),
            ("bob", "#accept"),
            ("alice", "#modify bob admin"),
            ("bob", "#invite carol"),
        ):
            assert (await on.clients[sender].message(ROOM, text)).status == 200
        await on.settle()
        await on.kill_and_start()
        assert (await on.clients["carol"].message(ROOM, "#reject")).status == 200
        received = await on.settle()
        events = {user: [one.event for one in messages] for user, messages in received.items()}
        assert events == {"alice": [], "bob": ["invitation-rejected"], "carol": ["invitation-rejected"]}
        # and the room is as private as before: it does not exist for carol any more
        assert (await on.clients["carol"].message(ROOM, "#members")).status == 404


async def test_what_was_accepted_is_delivered_after_a_kill(tmp_path: Path, database: Database) -> None:
    """R-DURABLE-1: 202 promises the copies. Registrations are there again, so they can be sent."""
    # spec S-LANE-7
    async with served(tmp_path, config(database.url)) as on:
        await open_clients(on, ("alice", "bob", "carol"))
        alice, bob, carol = (on.clients[name] for name in ("alice", "bob", "carol"))
        for sender, text in ((alice, "#create"), (bob, "#join"), (carol, "#join")):
            assert (await sender.message(ROOM, text)).status == 200
        await on.settle()
        bob.answer = None
        texts = [f"text {number}" for number in range(3)]
        for text in texts:
            assert (await alice.message(ROOM, text)).status == 202
        before = await bob.wait_message(text="[alice]: text 0")
        heard = [await carol.wait_message(text=f"[alice]: {text}") for text in texts]
        on.daemon.kill()
        assert len(undelivered(on.daemon)) == len(texts)
        bob.answer = 200
        await on.start()
        received = await on.settle(("bob", "carol"))
        assert [one.text for one in received["bob"]] == [f"[alice]: {text}" for text in texts]
        assert received["bob"][0].request.call_id == before.request.call_id
        assert {name: received["bob"][0].request.headers.get(name) for name in ("From", "Date", "IMC-Event")} == {
            name: before.request.headers.get(name) for name in ("From", "Date", "IMC-Event")
        }
        # A crash does not know who had answered: carol may get them again, as the same messages.
        assert {one.request.call_id for one in received["carol"]} <= {one.request.call_id for one in heard}
        assert await on.stop() == 0
        assert undelivered(on.daemon) == []


async def test_bindings_outlive_a_kill(tmp_path: Path, database: Database) -> None:
    """Contacts with their q, and without those that were taken out."""
    async with served(tmp_path, config(database.url)) as on:
        bob = await on.client("bob")
        assert (await bob.register(contact="<sip:bob@127.0.0.1:9>;q=0.3")).status == 200
        assert (await bob.register(contact="<sip:bob@127.0.0.1:10>")).status == 200
        gone = await bob.register(contact="<sip:bob@127.0.0.1:10>", expires=0)
        on.daemon.kill()
        await on.start()
        response = await bob.request("REGISTER", "sip:example.com", to=bob.address)  # a query
        assert response.status == 200
        assert [str(one.uri) for one in response.contacts] == [str(one.uri) for one in gone.contacts]
        assert [one.param("q") for one in response.contacts] == [one.param("q") for one in gone.contacts]
        assert {str(one.uri) for one in response.contacts} == {bob.contact, "sip:bob@127.0.0.1:9"}


# --- random sequences against the pure model --------------------------------------------------------------------------

_ALONE = ("create", "create private", "join", "accept", "reject", "leave", "destroy", "members", "nonsense")
_TARGETED = ("invite", "add", "remove")
_ROLES = ("owner", "admin", "member")
_ROOMS = ("chat-1", "chat-2")
STEPS, KILLS = 60, 3


def random_text(chance: random.Random) -> str:
    kind = chance.randrange(10)
    if kind < 3:
        return f"#{chance.choice(_ALONE)}"
    if kind < 7:
        return f"#{chance.choice(_TARGETED)} {chance.choice(NAMES)}"
    if kind < 9:
        return f"#modify {chance.choice(NAMES)} {chance.choice(_ROLES)}"
    return "hello"


class Sequence:
    """Random texts to a daemon and to the pure core; both must say the same, whenever the daemon was killed."""

    def __init__(self, on: Served, seed: int) -> None:
        self.on = on
        self.chance = random.Random(seed)
        self.model = play.Stage(POLICY)
        self.script: list[str] = []

    async def step(self, *, is_killed: bool) -> None:
        sender, room, text = self.chance.choice(NAMES), self.chance.choice(_ROOMS), random_text(self.chance)
        if room not in {one.user for one in self.model.rooms}:  # or most of what is said is said to no room
            text = self.chance.choice(("#create", "#create private"))
        self.script.append(f"{sender} to {room}: {text}" + (" KILL" if is_killed else ""))
        aor = Aor(room, play.DOMAIN)
        decision = self.model.send(sender, text, aor)
        response = await self.on.clients[sender].message(f"sip:{room}@{play.DOMAIN}", text)
        assert response.status == decision.status, self.script
        promised = {user: event for user, event in told(decision).items() if user != sender}
        if is_killed:
            self.on.daemon.kill()
            assert standing(stored(self.on.daemon, aor)) == standing(self.model.rooms.get(aor)), self.script
            await self.on.start()
        received = await self.on.settle(NAMES)
        heard = {
            user: {one.event for one in messages} for user, messages in received.items() if messages and user != sender
        }
        assert heard == {user: {event} for user, event in promised.items()}, self.script


SEEDS = {"sqlite": 1, "mariadb": 2, "postgresql": 3}


async def test_random_sequences_outlive_kills(tmp_path: Path, database: Database) -> None:
    seed = SEEDS[database.kind]
    async with served(tmp_path, config(database.url, domain=play.DOMAIN)) as on:
        on.domain = play.DOMAIN
        await open_clients(on)
        sequence = Sequence(on, seed)
        killed_after = set(random.Random(seed).sample(range(STEPS), KILLS))
        for number in range(STEPS):
            await sequence.step(is_killed=number in killed_after)


def test_standing_tells_rooms_apart() -> None:
    """The comparison itself sees the flag, the roles and the inviter."""
    aor, alice, bob = (Aor(name, "example.com") for name in ("chat-x", "alice", "bob"))

    def room(*, is_private: bool, inviter: Aor | None) -> Room:
        return Room(aor, is_private, Map({alice: member(Role.OWNER), bob: Member(Role.INVITED, inviter, 7)}))

    standings = [
        standing(None),
        standing(room(is_private=True, inviter=alice)),
        standing(room(is_private=False, inviter=alice)),
        standing(room(is_private=True, inviter=None)),
    ]
    assert all(one not in standings[:index] for index, one in enumerate(standings))
