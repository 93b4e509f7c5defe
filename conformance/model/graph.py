"""One room as the specification sees it: states, requests, outcomes, and the graph that they span.

Words
    A user is a letter: ``a``, ``b``, ``c``.
    A state is text. ``none``: there is no room. ``public/Ob-`` or ``private/Ob-``: a letter for each user in turn, O
    owner, A admin, M member, - outsider, and for the invited the letter of the inviter. So ``public/OaM``: a owns the
    room and has invited b, c is a member.
    A request is text: ``invite b``, ``modify c owner``, ``create private``, ``message``. Beside commands and messages
    there are ``malformed`` (any text that is a command and cannot be read), ``invite room`` (the address of a live
    room), ``undelivered b`` (the newest invitation of b, made by the actor, could not be delivered) and ``late b`` (the
    same of an older one). After ``@`` stand the circumstances in which it is judged, if they are not the usual ones.
    An edge is a state, an actor and a request; its outcome says all that can be seen of it, and the state behind it.

Invariants
    `explore` asks for every request of every user in every state it reaches, so a graph has no hole.
    States and requests are canonical: equal text, equal meaning.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import permutations
from typing import NamedTuple, TypeAlias

NONE = "none"
USERS = "abc"
OWNER, ADMIN, MEMBER, OUTSIDER = "O", "A", "M", "-"
ROLES = {OWNER: "owner", ADMIN: "admin", MEMBER: "member", OUTSIDER: "outsider"}  # any other letter: invited by

# Circumstances by request, where they can matter: spec R-JUDGE-2. Several are joined by a comma.
_FOUNDING = ("name-outside", "account", "quota", "server-full")
ALL_FOUNDING = ",".join(_FOUNDING)
# One alone; and each with all that are judged after it, so that their order can be seen (spec R-JUDGE-1)
_FOUNDING_SETS = (*_FOUNDING, ",".join(_FOUNDING[1:]), ",".join(_FOUNDING[2:]))


class Outcome(NamedTuple):
    """``event`` is that of the refusal, else of the answer; ``told`` what others get, sorted by user.

    ``is_answered``: the actor gets a MESSAGE with it. Where there is neither refusal nor answer, ``event`` is "".
    """

    status: int
    clause: str
    event: str
    is_answered: bool
    told: tuple[tuple[str, str], ...]
    after: str


class Edge(NamedTuple):
    """What is asked, of whom, and when."""

    state: str
    actor: str
    request: str


Step: TypeAlias = Callable[[Edge], Outcome]
Graph: TypeAlias = Mapping[Edge, Outcome]


def standings(state: str) -> str:
    """The letters of the users, in turn."""
    return state.partition("/")[2]


def is_private(state: str) -> bool:
    return state.startswith("private")


def requests(state: str, users: str = USERS) -> Iterator[str]:
    """Every request that can be made in a state; the same ones for every actor."""
    circumstances = ("@check-on-create", "@full", "@automatic", f"@{ALL_FOUNDING}")
    yield from ("create", "create private", "join")
    yield from (f"create {one}" for one in circumstances)
    yield from (f"join {one}" for one in ("@no-create-on-join", *circumstances[1:]))
    if state == NONE:
        yield f"join @no-create-on-join,{ALL_FOUNDING}"
        for name in ("create", "create private", "join"):
            yield from (f"{name} @{one}" for one in _FOUNDING_SETS)
    yield from ("accept", "accept @full", "reject", "leave", "leave @keep-last-owner", "destroy", "members", "rooms")
    yield from ("help", "malformed", "message", "message @text-too-long")
    yield from ("history", "settings", "set", "set @same-value")
    yield from (f"{name} @sender-is-room" for name in ("join", "message"))
    yield from (f"{name} @automatic" for name in ("leave", "members", "malformed", "history", "set"))
    yield from ("invite room", "invite room @full", "add room", "add room @full")
    for user in users:
        yield from (f"invite {user}", f"invite {user} @full", f"invite {user} @automatic", f"remove {user}")
        yield from (f"add {user}", f"add {user} @full", f"add {user} @no-consent", f"add {user} @full,no-consent")
        yield from (f"modify {user} {role}" for role in ("owner", "admin", "member"))
        yield from (f"undelivered {user}", f"late {user}")


def explore(step: Step, users: str = USERS, start: str = NONE) -> dict[Edge, Outcome]:
    """Breadth first from the start: every edge of every state that can be reached, in order of discovery."""
    graph: dict[Edge, Outcome] = {}
    seen = {start}
    queue = deque((start,))
    while queue:
        state = queue.popleft()
        for actor in users:
            for request in requests(state, users):
                edge = Edge(state, actor, request)
                outcome = graph[edge] = step(edge)
                if outcome.after not in seen:
                    seen.add(outcome.after)
                    queue.append(outcome.after)
    return graph


def states(graph: Graph) -> list[str]:
    """In order of discovery."""
    return list(dict.fromkeys(edge.state for edge in graph))


def differences(one: Graph, other: Graph) -> list[str]:
    """What two graphs do not agree on, a line each; none where they are the same."""
    found = [f"{_named(edge)}: only in the first" for edge in one if edge not in other]
    found += [f"{_named(edge)}: only in the second" for edge in other if edge not in one]
    for edge, outcome in one.items():
        if other.get(edge, outcome) != outcome:
            found.append(f"{_named(edge)}: {tuple(outcome)} is not {tuple(other[edge])}")
    return found


def _named(edge: Edge) -> str:
    return f"in {edge.state}, {edge.actor}: {edge.request}"


# --- users are interchangeable: what is true of one is true of another in the same place ------------------------------


def rename(edge: Edge, users: Mapping[str, str]) -> Edge:
    """The edge with its users exchanged for others."""
    return Edge(rename_state(edge.state, users), users[edge.actor], _rename_request(edge.request, users))


def rename_outcome(outcome: Outcome, users: Mapping[str, str]) -> Outcome:
    told = tuple(sorted((users[user], event) for user, event in outcome.told))
    return outcome._replace(told=told, after=rename_state(outcome.after, users))


def rename_state(state: str, users: Mapping[str, str]) -> str:
    if state == NONE:
        return state
    kind, _, letters = state.partition("/")
    placed = sorted(
        (users[user], users.get(letter, letter)) for user, letter in zip(sorted(users), letters, strict=True)
    )
    return f"{kind}/{''.join(letter for _, letter in placed)}"


def _rename_request(request: str, users: Mapping[str, str]) -> str:
    name, *rest = request.split(" ")
    return " ".join((name, *(users.get(word, word) for word in rest)))


def renamings(users: str = USERS) -> list[dict[str, str]]:
    """Every way to exchange users, the one that changes nothing first."""
    return [dict(zip(users, order, strict=True)) for order in permutations(users)]


def representative(edge: Edge, ways: Iterable[Mapping[str, str]]) -> Edge:
    """The same edge for all that differ in their users' names only."""
    return min(rename(edge, way) for way in ways)
