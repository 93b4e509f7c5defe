"""The Murphi model room.m, made from the graph that Quint found, for more users than Quint can take.

How one request ends depends on the room only by a few questions: is there a room, is it private, how do the sender and
the subject stand, is the subject the last owner, is this the pending invitation. `learn` finds a tree of these that
gives the outcome of every edge, and `ValueError` says where there is none: so the graph itself shows that no outcome
depends on who the users are, or how many. Who is told follows in the same way, from how each one stands.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import permutations
from math import log2
from pathlib import Path
from typing import Any, NamedTuple

SPEC = Path(__file__).resolve().parent
FRAME, MODEL = SPEC / "room_frame.m", SPEC / "room.m"
RANK = {"outsider": 0, "invited": 1, "member": 2, "admin": 3, "owner": 4}
NAMES = {rank: name.upper() for name, rank in RANK.items()}

Json = Any
Questions = dict[str, bool]
Tree = tuple[str, "Tree", "Tree"] | str


class Step(NamedTuple):
    """One edge of the graph, in the words of the trees. ``label`` is the outcome, ``heard`` what each user is told."""

    command: str
    questions: Questions
    label: str
    heard: list[tuple[Questions, str]]


def identifier(name: str) -> str:
    return re.sub(r"\W", "_", name).upper()


def event_name(event: str) -> str:
    """Some are commands too; as events they have a dash at the end."""
    return identifier(event) + "_" if event in ("message", "help", "history") else identifier(event)


def _standing(room: Json, user: int) -> int:
    entry = (room or {"people": {}})["people"].get(str(user), "outsider")
    return RANK[entry if isinstance(entry, str) else entry[0]]


def _inviter(room: Json, user: int) -> tuple[int, int]:
    """(who, serial) of an invitation; (0, 0) where there is none, or nobody knows."""
    entry = (room or {"people": {}})["people"].get(str(user), "outsider")
    return (0, 0) if isinstance(entry, str) else (entry[1], entry[2])


class Edge(NamedTuple):
    """One edge of the graph, looked up."""

    users: range
    room: Json
    request: Json
    outcome: Json
    after: Json

    @property
    def actor(self) -> int:
        return int(self.request["actor"])

    @property
    def subject(self) -> int:
        return int(self.request["command"].get("user", self.actor))


def edges(graph: Json) -> Iterator[Edge]:
    users = range(1, graph["users"] + 1)
    for room, row in zip(graph["rooms"], graph["edges"], strict=True):
        for at in range(0, len(row), 3):
            request, outcome = graph["requests"][row[at]], graph["outcomes"][row[at + 1]]
            yield Edge(users, room, request, outcome, graph["rooms"][row[at + 2]])


def step(edge: Edge) -> Step:
    label = f"{edge.outcome['status']} {edge.outcome['clause']} {_effect(edge)}"
    told = edge.outcome["told"]
    heard = [(_questions_about(edge, user), event_name(told.get(str(user), "silence"))) for user in edge.users]
    return Step(_command(edge.request["command"]), _questions(edge), label, heard)


def _questions(edge: Edge) -> Questions:
    """What the outcome may depend on: the words are Murphi's."""
    room, actor, subject = edge.room, edge.actor, edge.subject
    mine, theirs = _standing(room, actor), _standing(room, subject)
    owners = [user for user in edge.users if _standing(room, user) == RANK["owner"]]
    failed = (actor, edge.request["command"].get("serial"))
    return {
        "live": room is not None,
        "private": room is not None and room["private"],
        "a = u": actor == subject,
        **{f"standing[a] >= {NAMES[rank]}": mine >= rank for rank in range(1, 5)},
        **{f"standing[u] >= {NAMES[rank]}": theirs >= rank for rank in range(1, 5)},
        "isLastOwner(u)": owners == [subject],
        "isPending(a, u, s)": theirs == RANK["invited"] and _inviter(room, subject) == failed,
    }


def _questions_about(edge: Edge, user: int) -> Questions:
    """What it may depend on whether this user is told."""
    by, _ = _inviter(edge.room, edge.subject)
    is_inviter_in = _standing(edge.room, by) >= RANK["member"]
    theirs = _standing(edge.room, user)
    return {
        "v = a": user == edge.actor,
        "v = u": user == edge.subject,
        **{f"standing[v] >= {NAMES[rank]}": theirs >= rank for rank in range(1, 5)},
        "isInviter(v, u)": user == by and is_inviter_in,
        "isInviterIn(u)": is_inviter_in,
    }


def _command(command: Json) -> str:
    name = command["name"]
    if name == "create" and command["private"]:
        return "CREATE_PRIVATE"
    if name == "set":
        return "SET_SAME" if command["same"] else "SET_NEW"
    return identifier(f"modify {command['role']}" if name == "modify" else name)


def _effect(edge: Edge) -> str:
    """What becomes of the room; ValueError where it is more than the frame of the model can do."""
    room, after, subject = edge.room, edge.after, edge.subject
    if after == room:
        return "NOTHING"
    if after is None:
        return "GONE"
    if room is None:
        if after["people"] != {str(edge.actor): "owner"}:
            raise ValueError(f"founded with more than its founder: {edge}")
        return "FOUNDED_PRIVATE" if after["private"] else "FOUNDED"
    changed = [user for user in edge.users if after["people"].get(str(user)) != room["people"].get(str(user))]
    if changed != [subject] or after["private"] != room["private"]:
        raise ValueError(f"more than the subject changes: {edge}")
    standing = _standing(after, subject)
    if standing == RANK["invited"] and _inviter(after, subject) != (edge.actor, edge.request["serial"]):
        raise ValueError(f"not the sender's invitation: {edge}")
    return f"BECOMES {NAMES[standing]}"


# --- trees ----------------------------------------------------------------------------------------------------------


def learn(cases: list[tuple[Questions, str]]) -> Tree:
    """A tree of questions that gives each case its label; ValueError where equal answers have two."""
    labels = Counter(label for _, label in cases)
    if len(labels) == 1:
        return next(iter(labels))
    best, least = "", _disorder(labels, len(cases))
    for question in cases[0][0]:
        parts: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
        for answers, label in cases:
            parts[answers[question]][label] += 1
        if not (parts[True] and parts[False]):
            continue
        disorder = sum(_disorder(part, len(cases)) for part in parts.values())
        if not best or disorder < least - 1e-9:
            best, least = question, disorder
    if not best:
        raise ValueError(f"the questions do not decide between {sorted(labels)}")
    yes = [case for case in cases if case[0][best]]
    no = [case for case in cases if not case[0][best]]
    return best, learn(yes), learn(no)


def _disorder(labels: Counter[str], total: int) -> float:
    size = sum(labels.values())
    return sum(-count / total * log2(count / size) for count in labels.values())


def leaf(tree: Tree, answers: Questions) -> str:
    while not isinstance(tree, str):
        question, yes, no = tree
        tree = yes if answers[question] else no
    return tree


class Trees(NamedTuple):
    """By command: the outcome; by command and clause: what each user is told."""

    outcomes: dict[str, Tree]
    heard: dict[tuple[str, str], Tree]


def trees(graph: Json) -> Trees:
    """ValueError where the graph has an edge that they do not give."""
    outcomes: dict[str, list[tuple[Questions, str]]] = defaultdict(list)
    heard: dict[tuple[str, str], list[tuple[Questions, str]]] = defaultdict(list)
    for one in map(step, edges(graph)):
        outcomes[one.command].append((one.questions, one.label))
        heard[one.command, one.label.split()[1]].extend(one.heard)
    return Trees(
        {command: learn(cases) for command, cases in outcomes.items()},
        {key: learn(cases) for key, cases in heard.items()},
    )


# --- Murphi ---------------------------------------------------------------------------------------------------------


def _nested(tree: Tree, leaves: Callable[[str], list[str]], word: str = "if") -> Iterator[str]:
    """The tree as one chain of if and elsif. A leaf without lines is a branch left away."""
    if isinstance(tree, str):
        yield from leaves(tree)
        return
    question, yes, no = tree
    if isinstance(no, tuple) and not isinstance(yes, str):  # the simple case first
        simple, other = list(_nested(yes, leaves)), list(_nested(no, leaves))
    else:
        if isinstance(yes, tuple):
            question, yes, no = _not(question), no, yes
        simple, other = list(_nested(yes, leaves)), list(_nested(no, leaves))
    if not simple:
        question, simple, other = _not(question), other, []
    if not simple:
        return
    yield f"if {question} then"
    yield from ("  " + line for line in simple)
    if other and other[0].startswith("if ") and other[-1] == "endif;" and _is_one(other):
        yield "els" + other[0]
        yield from other[1:]
        return
    if other:
        yield "else"
        yield from ("  " + line for line in other)
    yield "endif;"


def _not(question: str) -> str:
    return question[2:-1] if question.startswith("!(") else f"!({question})"


def _is_one(lines: list[str]) -> bool:
    """Whether these lines are one if, and nothing behind it."""
    return sum(line == "endif;" for line in lines) == 1


def _procedures(found: Trees) -> Iterator[str]:
    """One procedure for each command and one `decide` for all. A clause is a comment in them."""
    signature = (
        "a: User; u: User; s: Serial;\n  var status: Status; var effect: Effect; var becomes: Standing;"
        " var heard: array[User] of Event"
    )
    for command, tree in found.outcomes.items():

        def leaves(label: str, command: str = command) -> list[str]:
            status, clause, effect, *becomes = label.split()
            heard = list(_nested(found.heard[command, clause], _heard))
            return [
                f"-- {clause}",
                f"status := {status}; effect := {effect};{f' becomes := {becomes[0]};' if becomes else ''}",
                *(["for v: User do", *("  " + line for line in heard), "endfor;"] if heard else []),
            ]

        yield f"procedure decide{command}({signature});"
        yield "begin"
        yield from ("  " + line for line in _nested(tree, leaves))
        yield "end;"
        yield ""
    yield f"procedure decide(c: Command; {signature});"
    yield "begin"
    yield "  switch c"
    for command in found.outcomes:
        yield f"  case {command}: decide{command}(a, u, s, status, effect, becomes, heard);"
    yield "  endswitch;"
    yield "end;"


def _heard(event: str) -> list[str]:
    return [] if event == "SILENCE" else [f"heard[v] := {event};"]


def render(graph: Json) -> str:
    """The text of room.m."""
    found = trees(graph)
    told = {event for outcome in graph["outcomes"] for event in outcome["told"].values()}
    events = sorted(map(event_name, told))
    targeted = ("INVITE", "ADD", "REMOVE", "UNDELIVERED", "MODIFY_MEMBER", "MODIFY_ADMIN", "MODIFY_OWNER")
    plain = [command for command in found.outcomes if command not in targeted]
    rules = [f'  rule "{one.lower().replace("_", " ")}" begin step({one}, a, a, 0); endrule;' for one in plain]
    by = "Made by room_murphi.py: python spec/check_rooms.py --write"
    text = FRAME.read_text().replace("The frame of room.m.", by)
    text = text.replace("@COMMANDS@", ", ".join(found.outcomes)).replace("@EVENTS@", ", ".join(events))
    text = text.replace("@PLAIN@", "\n".join(rules))
    made = "\n".join(_procedures(found))
    return text.replace("-- @BEGIN@\n-- @END@", f"-- from here on made, not written\n\n{made}\n\n-- and so far")


# --- checking -------------------------------------------------------------------------------------------------------


class Checked(NamedTuple):
    states: int
    rules_fired: int
    seconds: float
    error: str


def check(text: str, users: int, serials: int, scratch: Path, *, symmetry: str, is_short: bool = False) -> Checked:
    """Run Rumur on the model for so many users, on one core. ``symmetry``: off, heuristic, exhaustive.

    ``is_short``: a search that takes less time than the optimisation of its program.
    """
    name = f"room-{users}-{serials}-{symmetry}"
    model, source, verifier = scratch / f"{name}.m", scratch / f"{name}.c", scratch / name
    model.write_text(text.replace("USERS: 3; SERIALS: 2;", f"USERS: {users}; SERIALS: {serials};"))
    options = ["--symmetry-reduction", symmetry, "--deadlock-detection", "off", "--scalarset-schedules", "off"]
    _run("rumur", *options, "--threads", "1", "--output", str(source), str(model))
    _run(
        "cc", *(("-O0",) if is_short else ("-O2", "-march=native")), "-w", "-o", str(verifier), str(source), "-lpthread"
    )
    done = _run(str(verifier), is_checked=False)
    found = re.search(r"(\d+) states, (\d+) rules fired in ([\d.]+)s", done.stdout)
    if found is None:
        return Checked(0, 0, 0, done.stdout + done.stderr)
    error = "" if done.returncode == 0 else done.stdout
    return Checked(int(found[1]), int(found[2]), float(found[3]), error)


def _run(*command: str, is_checked: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=is_checked, capture_output=True, text=True)  # noqa: S603


def orbits(graph: Json) -> tuple[int, int]:
    """(rooms, rooms but for the names of users) in the graph's rooms under all permutations of users."""
    users = range(1, graph["users"] + 1)
    renamings = [dict(zip(users, order, strict=True)) | {0: 0} for order in permutations(users)]
    seen = {_renamed(room, names) for room in graph["rooms"] for names in renamings}
    least = {min(_renamed(room, names) for names in renamings) for room in graph["rooms"]}
    return len(seen), len(least)


def _renamed(room: Json, names: dict[int, int]) -> str:
    if room is None:
        return ""
    people = {
        names[int(user)]: entry if isinstance(entry, str) else [entry[0], names[entry[1]], entry[2]]
        for user, entry in room["people"].items()
    }
    return repr((room["private"], sorted(people.items())))
