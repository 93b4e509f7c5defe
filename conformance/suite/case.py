"""A room case as data: who does what, what is answered, and exhaustively who gets what.

``cases/README.md`` tells how to write one, ``cases/schema.json`` is `Case` as a JSON schema. Whatever is wrong with a
file is a `BadCase`, whose text names file, case and key.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from conformance.suite.features import Feature
from conformance.suite.table import expand
from conformance.suite.template import BadTemplate, names

Level = Literal["must", "should"]
Standing = Literal["owner", "admin", "member", "invited"]
Action = Literal["send", "register", "unregister", "retransmit", "merge", "restart", "kill", "settle"]
ACTORS = ("alice", "adam", "mary", "ivan", "rita", "olga", "otto", *(f"x{number}" for number in range(1, 10)))
PLACES = frozenset(("room", "manager", "domain"))

MESSAGE, RELAYED = "message", "relayed"
"""A copy of a room message; a message of one user to another, as it came."""
TOLD = (
    "room-created", "room-destroyed", "member-joined", "already-joined", "join-attempted", "member-left",
    "you-were-removed", "invitation", "invitation-sent", "invitation-waiting", "invitation-rejected",
    "invitation-withdrawn", "invitation-failed", "role-changed", "role-unchanged", "setting-changed",
    "setting-unchanged", "privacy-changed", "room-settings", "history", "member-list", "room-list", "help",
)  # fmt: skip
REFUSALS = (
    "empty-command", "unknown-command", "missing-parameter", "too-many-parameters", "bad-parameter", "bad-address",
    "bad-role", "name-too-long", "command-too-long", "room-needed", "not-permitted", "not-a-member", "not-invited",
    "private-room", "room-exists", "room-full", "too-many-rooms", "too-many-invitations", "room-name-not-allowed",
    "already-member", "rank-too-low", "use-leave", "last-owner", "invited-has-no-role", "address-is-a-room",
    "sender-is-a-room", "room-not-found", "user-not-in-room", "manager-takes-commands", "text-too-long", "server-full",
    "try-later",
)  # fmt: skip
EVENTS = frozenset((MESSAGE, RELAYED, *TOLD, *REFUSALS))
"""Those of docs/reference/notices.md, and the two that are no notices."""


class BadCase(ValueError):
    """A file of cases that cannot be used."""


class Model(BaseModel):
    """What all parts of a case have in common: nothing unknown, and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


def one_or_more(value: Any) -> Any:
    """A single thing stands for a list of it."""
    return value if isinstance(value, list | tuple) else (value,)


def _event_alone(value: Any) -> Any:
    """An event id stands for an expectation of nothing but it."""
    return {"event": value} if isinstance(value, str) else value


HeaderCheck = bool | str
"""True: there is one; False: there is none; a text: one is so, ``*`` in it standing for anything."""
Status = Annotated[int, Field(ge=100, le=699)] | Annotated[str, StringConstraints(pattern=r"^[1-6]xx$")]


class Expected(Model):
    """One MESSAGE that an actor must get. Texts are templates; what is not given is not compared."""

    event: Annotated[str, Field(description="An event id of docs/reference/notices.md, or message, or relayed.")]
    by: Annotated[
        str | None, Field(description="Of a message the actor who spoke; of a notice, whose request caused it.")
    ] = None
    text: Annotated[str | None, Field(description="Of a message or relayed: the words, however marked.")] = None
    body: Annotated[str | None, Field(description="The whole body.")] = None
    base64: Annotated[str | None, Field(description="The whole body, where it is no text.")] = None
    type: Annotated[str | None, Field(description="Content-Type: the media type, and parameters that are given.")] = (
        None
    )
    sender: Annotated[
        str | None, Field(description="From: written as a step's to. By default any room of the case, named or not.")
    ] = None
    has: Annotated[tuple[str, ...], Field(description="What stands in the body: addresses, marks of a list.")] = ()
    sequence: Annotated[tuple[str, ...], Field(description="What stands in the body, in this order.")] = ()
    lacks: Annotated[tuple[str, ...], Field(description="What does not.")] = ()
    headers: dict[str, HeaderCheck] = {}

    @field_validator("event")
    @classmethod
    def _known(cls, event: str) -> str:
        if event not in EVENTS:
            raise ValueError(f"{event!r} is no event of docs/reference/notices.md, nor message, nor relayed")
        return event

    @model_validator(mode="after")
    def _words_of_servers(self) -> Self:
        if self.text is not None and self.event not in (MESSAGE, RELAYED):
            raise ValueError("text is for message and relayed: the words of a notice are each server's own; see has")
        if sum(each is not None for each in (self.text, self.body, self.base64)) > 1:
            raise ValueError("one of text, body and base64")
        return self

    def texts(self) -> Iterator[str]:
        """Its templates."""
        yield from (each for each in (self.text, self.body) if each is not None)
        yield from (self.sender,) if self.sender is not None and is_uri(self.sender) else ()
        yield from (*self.has, *self.sequence, *self.lacks)
        yield from (each for each in self.headers.values() if isinstance(each, str))


AnEvent = Annotated[Expected, BeforeValidator(_event_alone, json_schema_input_type=str | Expected)]
Gets = Annotated[
    tuple[AnEvent, ...], BeforeValidator(one_or_more, json_schema_input_type=AnEvent | tuple[AnEvent, ...])
]


class Step(Model):
    """One thing done, and what comes of it."""

    do: Annotated[Action, Field(description="send: a MESSAGE. settle: only compare who got what.")] = "send"
    by: Annotated[str | None, Field(description="The actor who does it.")] = None
    to: Annotated[str, Field(description="room, room:NAME, manager, server, user:ACTOR, or a URI (a template).")] = (
        "room"
    )
    to_header: Annotated[str | None, Field(description="The URI in To, where it is not the Request-URI.")] = None
    text: Annotated[str | None, Field(description="The body, a template.")] = None
    base64: Annotated[str | None, Field(description="The body, where it is no text.")] = None
    body_type: Annotated[str, Field(description="Content-Type; empty for none.")] = "text/plain;charset=UTF-8"
    headers: Annotated[dict[str, str], Field(description="Further headers, templates.")] = {}
    claims: Annotated[str | None, Field(description="From names this actor, or room, or is a URI (a template).")] = None
    credentials: Annotated[
        Literal["own", "wrong", "none"], Field(description="How a challenge is answered; needs the feature digest.")
    ] = "own"
    answers: Annotated[
        dict[str, Annotated[int, Field(ge=200, le=699)] | Literal["silence"]],
        Field(description="How actors answer what they get in this step; all others 200."),
    ] = {}
    status: Annotated[
        tuple[Status, ...] | None,
        BeforeValidator(
            lambda value: None if value is None else one_or_more(value),
            json_schema_input_type=Status | tuple[Status, ...],
        ),
    ] = None
    response: Annotated[dict[str, HeaderCheck], Field(description="Headers of the final response.")] = {}
    gets: Annotated[dict[str, Gets], Field(description="EXHAUSTIVE: who is not listed must get nothing.")] = {}
    prompt: Annotated[tuple[str, ...], Field(description="Who must not have to wait for those who are silent.")] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.do in ("restart", "kill", "settle"):
            given = [key for key in ("by", "text", "base64", "status") if getattr(self, key) is not None]
            if given:
                raise ValueError(f"{self.do} takes no {', '.join(given)}")
            return self
        if self.by is None:
            raise ValueError("by is missing: the actor who does it")
        if self.do == "send":
            if (self.text is None) == (self.base64 is None):
                raise ValueError("one of text and base64")
            if self.status is None:
                raise ValueError("status is missing: what the request is answered")
        return self

    def texts(self) -> Iterator[str]:
        """Its templates, those of what it expects too."""
        yield from (each for each in (self.text, self.to_header) if each is not None)
        yield from (each for each in (self.to, self.claims) if each is not None and is_uri(each))
        yield from self.headers.values()
        yield from (each for each in self.response.values() if isinstance(each, str))
        for all_of_one in self.gets.values():
            for one in all_of_one:
                yield from one.texts()

    def people(self) -> Iterator[str]:
        """The actors it names, as they are written."""
        yield from (self.by,) if self.by is not None else ()
        yield from (*self.answers, *self.prompt, *self.gets)
        yield from (self.to.removeprefix("user:"),) if self.to.startswith("user:") else ()
        if self.claims is not None and self.claims not in PLACES and not is_uri(self.claims):
            yield self.claims
        for all_of_one in self.gets.values():
            yield from (one.by for one in all_of_one if one.by is not None)


class Room(Model):
    """A room that stands beforehand: ``kind``, and the standing of each actor in it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, Standing]
    kind: Literal["public", "private"] = "public"

    @property
    def standings(self) -> dict[str, Standing]:
        return dict(self.__pydantic_extra__)

    def those(self, *standings: Standing) -> list[str]:
        """The actors who have one of these standings, as listed."""
        return [actor for actor, standing in self.standings.items() if standing in standings]

    @model_validator(mode="after")
    def _owned(self) -> Self:
        if not self.those("owner"):
            raise ValueError("a room has an owner")
        return self


class Case(Model):
    """See cases/README.md."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+/[a-z0-9][a-z0-9.-]*$")]
    clause: Annotated[str, StringConstraints(pattern=r"^[RS]-[A-Z]+-[0-9]+$")]
    quotation: Annotated[str, Field(min_length=1, description="Verbatim from that clause.")]
    source: Annotated[str | None, Field(description="Words of the imc module's README of 2008.")] = None
    level: Level
    title: Annotated[str, Field(min_length=1)]
    tags: tuple[str, ...] = ()
    requires: tuple[Feature, ...] = ()
    settings: Annotated[
        dict[str, str | int | float | bool | list[str]],
        Field(description="As in imc.toml: key of [imc], or section.key."),
    ] = {}
    room: Room | None = None
    actors: Annotated[tuple[str, ...], Field(description="Further actors, who must get nothing unless listed.")] = ()
    rooms: Annotated[tuple[str, ...], Field(description="Further rooms' names; those of room:NAME are known.")] = ()
    users: Annotated[dict[str, str], Field(description="The user part of an actor, where it matters.")] = {}
    barrier: Annotated[Literal["each", "end"], Field(description="Compare after each step, or at the end alone.")] = (
        "each"
    )
    step: Annotated[tuple[Step, ...], Field(min_length=1)]

    @property
    def family(self) -> str:
        return self.id.partition("/")[0]

    @property
    def people(self) -> tuple[str, ...]:
        """All actors, in the order in which they are first named."""
        named = [*(self.room.standings if self.room else ()), *self.actors, *self.users]
        texts = []
        for step in self.step:
            named += step.people()
            texts += [name for text in step.texts() for name in names(text)]
        return tuple(dict.fromkeys([*named, *(name for name in texts if name in ACTORS)]))

    @property
    def further_rooms(self) -> tuple[str, ...]:
        """The names of rooms beside "room"."""
        named = list(self.rooms)
        for step in self.step:
            places = [step.to, *(one.sender or "" for each in step.gets.values() for one in each)]
            named += [place.removeprefix("room:") for place in places if place.startswith("room:")]
        return tuple(dict.fromkeys(named))

    @property
    def needs(self) -> frozenset[Feature]:
        """``requires``, and what follows from the rest of it."""
        found: set[Feature] = set(self.requires)
        if self.settings:
            found.add("settings")
        if self.room is not None:
            if self.room.kind == "private":
                found.add("private")
            if self.room.those("admin"):
                found.add("admins")
            if len(self.room.those("owner")) > 1:
                found.add("owners")
        for step in self.step:
            found |= _needs(step)
        return frozenset(found)

    @model_validator(mode="after")
    def _names(self) -> Self:
        try:
            people, rooms = self.people, self.further_rooms
            known = {*people, *rooms, *PLACES}
            for number, step in enumerate(self.step, 1):
                for name in (name for text in step.texts() for name in names(text)):
                    if name not in known:
                        raise ValueError(f"step {number}: {{{name}}} is no actor, nor a room of this case")
                senders = [one.sender for each in step.gets.values() for one in each if one.sender is not None]
                for place in (step.to, *senders):
                    if not is_place(place):
                        raise ValueError(f"step {number}: {place!r} is no place: see the description of to")
        except BadTemplate as error:
            raise ValueError(str(error)) from None
        unknown = [name for name in people if name not in ACTORS]
        if unknown:
            raise ValueError(f"no such actor: {', '.join(unknown)}; there are {', '.join(ACTORS)}")
        return self


def is_place(text: str) -> bool:
    """Whether it is what a step's ``to`` may be."""
    return text in ("room", "manager", "server") or text.startswith(("room:", "user:")) or is_uri(text)


def is_uri(text: str) -> bool:
    """Whether a place is written as a URI, which is a template."""
    return text.startswith(("sip:", "sips:", "tel:"))


def _needs(step: Step) -> set[Feature]:
    found: set[Feature] = set()
    if step.do in ("restart", "kill"):
        found.add("restart")
    if step.do in ("register", "unregister"):
        found.add("register")
    if step.do in ("retransmit", "merge"):
        found.add("retransmission")
    if step.to == "manager":
        found.add("manager")
    if step.to.startswith("user:"):
        found.add("relay")
    if step.credentials != "own":
        found.add("digest")
    if any(one.event not in (MESSAGE, RELAYED) for all_of_one in step.gets.values() for one in all_of_one):
        found.add("events")
    return found


# --- reading ----------------------------------------------------------------------------------------------------------


def load(path: Path) -> list[Case]:
    """The cases of one file, in its order. BadCase; OSError."""
    cases = [_case(path, number, table) for number, table in enumerate(_tables(path), 1)]
    for case in cases:
        if case.family != path.stem:
            raise BadCase(f"{path}: case {case.id}: id: a case of this file begins with {path.stem}/")
    return cases


def load_folder(folder: Path) -> list[Case]:
    """The cases of all files, by name. BadCase: also two of one id."""
    cases: dict[str, Case] = {}
    for path in sorted(folder.glob("*.toml")):
        for case in load(path):
            if case.id in cases:
                raise BadCase(f"{path}: case {case.id}: id: there is another of this id")
            cases[case.id] = case
    return list(cases.values())


def _tables(path: Path) -> list[dict[str, Any]]:
    """The ``[[case]]`` of a file, or what a table of ``[[row]]`` stands for."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        if "row" in data:
            return expand(data, path.stem)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadCase(f"{path}: {error}") from None
    except ValidationError as error:
        raise BadCase("\n".join(f"{path}: {describe(each)}" for each in error.errors())) from None
    except KeyError as error:
        raise BadCase(f"{path}: quotations: there is none of {error}") from None
    unknown = sorted(set(data) - {"case"})
    if unknown:
        raise BadCase(f"{path}: {unknown[0]}: a file of cases holds [[case]] tables alone")
    tables: list[dict[str, Any]] = data.get("case", [])
    return tables


def _case(path: Path, number: int, table: Mapping[str, Any]) -> Case:
    try:
        return Case.model_validate(table)
    except ValidationError as error:
        which = table.get("id", f"number {number}") if isinstance(table, dict) else f"number {number}"
        lines = [f"{path}: case {which}: {describe(each)}" for each in error.errors()]
        raise BadCase("\n".join(lines)) from None


def describe(error: Mapping[str, Any]) -> str:
    """One of pydantic's errors, as ``step 2: gets.rita: what is wrong``."""
    keys: list[str] = []
    step = ""
    for part in error["loc"]:
        if isinstance(part, int) and keys == ["step"]:
            keys, step = [], f"step {part + 1}: "
        elif isinstance(part, int):
            keys.append(str(part + 1))
        elif part not in _NOISE and not part.startswith(("function-", "constrained-", "literal[", "tuple[")):
            keys.append(part)
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{step}{'.'.join(keys)}{': ' if keys else ''}{message}"


_NOISE = frozenset(("int", "str", "float", "bool", "Expected", "list[str]"))
