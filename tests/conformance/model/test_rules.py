"""The table of rules: no hole, no line that is never used, and what the tables of spec/room.md say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.model import graph, rules
from conformance.model.graph import NONE, Edge, Outcome
from conformance.model.rules import Entry, Request, Room, judge
from tests.conformance.model.test_graph import of_rules

SPEC = (Path(__file__).parents[3] / "spec" / "room.md").read_text(encoding="utf-8")
CLAUSES = set(re.findall(r"^\*\*(R-[A-Z]+-\d+)\*\*", SPEC, re.MULTILINE))
# Circumstances that the graph does not have: of names, of rates, of addresses, of texts
OUTSIDE_THE_GRAPH = {
    "R-LIMIT-4",
    "R-CMD-8",
    "R-CMD-3",
    "R-CMD-5",
    "R-ADDR-2",
    "R-ADDR-4",
    "R-ADDR-6",
    "R-ADDR-9",
    "R-SET-2",
}


def test_the_lines_cite_clauses_that_there_are() -> None:
    cited = {rule.clause for command in rules.commands() for rule in rules.rules(command)}
    assert cited <= CLAUSES
    assert cited - {outcome.clause for outcome in of_rules().values()} == OUTSIDE_THE_GRAPH


def test_events_and_groups_are_those_of_the_notices() -> None:
    """Spec R-NOTICE-1: who besides the sender gets which event."""
    text = SPEC[SPEC.index("| Event | To | When |") : SPEC.index("**R-NOTICE-2**")]
    stated = {
        event: to for line in text.splitlines()[2:] if line for events, to, _ in [_columns(line)] for event in events
    }
    groups = {
        "the room": "room",
        "the room, the new member included": "room",
        "the room as it is without them": "room",
        "all in the room, the invited too": "all",
        "owners and admins": "staff",
        "the one removed, or whose invitation was withdrawn": "subject",
        "the invited": "subject",
        "the inviter, else the owners": "inviter",
    }
    told = {event: group for name in rules.commands() for rule in rules.rules(name) for group, event in rule.tells}
    assert told.pop("message") == "room"  # R-MSG-1
    stated.pop("privacy-changed")  # an operator's alone, whom the model does not know
    assert told == {event: groups[to] for event, to in stated.items() if to != "–"}


def _columns(line: str) -> tuple[list[str], str, str]:
    first, to, when = (column.strip() for column in line.strip("|").split("|"))
    return re.findall(r"`([a-z-]+)`", first), to or "–", when


# --- spec §12 ---------------------------------------------------------------------------------------------------------


def table() -> Iterator[tuple[str, str, str]]:
    """(line, column, cell) of the status table."""
    text = SPEC[SPEC.index("## 12 Status") : SPEC.index("## 13")]
    header, _, *lines = [line for line in text.splitlines() if line.startswith("|")]
    columns = [column.strip() for column in header.strip("|").split("|")]
    for line in lines:
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        yield from zip([name] * 5, columns[1:], cells, strict=True)


def line_of(edge: Edge) -> str:
    """The line of the table that a request belongs to."""
    name, *rest = edge.request.split()
    if name in ("create", "join"):
        return "create, join"
    if name in ("invite", "add", "remove", "modify"):
        return _about(name, edge, rest[0])
    alike = {
        "accept": "accept, reject",
        "reject": "accept, reject",
        "rooms": "rooms, help",
        "help": "rooms, help",
        "message": "room message",
        "history": "history, set without an option",
        "settings": "history, set without an option",
        "set": "set an option",
    }
    return alike.get(name, name)


def _about(name: str, edge: Edge, subject: str) -> str:
    letter = dict(zip(graph.USERS, graph.standings(edge.state), strict=True))[subject]
    standing = {"O": "owner", "A": "admin", "M": "member", "-": "nobody"}.get(letter, "invited")
    if name == "modify":
        return "modify X not in the room" if standing == "nobody" else "modify X in the room"
    if name == "remove":
        if subject == edge.actor:
            return "remove oneself"
        lines = {"nobody": "remove X not in the room", "admin": "remove X admin", "owner": "remove X owner"}
        return lines.get(standing, "remove X member or invited")
    return "invite, add X new or invited" if standing in ("nobody", "invited") else "invite, add X already in"


def statuses(cell: str, *, is_private: bool) -> set[int]:
    public, _, private = cell.partition(" / ")
    return {int(one) for one in re.findall(r"\d{3}", private if private and is_private else public)}


def test_the_status_table_is_what_the_rules_give() -> None:
    """Spec §12, R-ANSWER-1."""
    stated = {(line, column): cell for line, column, cell in table()}
    seen: dict[tuple[str, str, bool], set[int]] = {}
    for edge, outcome in of_rules().items():
        is_usual = "@" not in edge.request and not edge.request.endswith(" room")
        if edge.state == NONE or not is_usual or edge.request.split()[0] in ("undelivered", "late"):
            continue
        letter = dict(zip(graph.USERS, graph.standings(edge.state), strict=True))[edge.actor]
        column = graph.ROLES.get(letter, "invited")
        key = line_of(edge), column, graph.is_private(edge.state)
        seen.setdefault(key, set()).add(outcome.status)
    lines = {line for line, _ in stated}
    assert {line for line, _, _ in seen} == lines
    for (line, column, is_private), found in seen.items():
        assert found == statuses(stated[line, column], is_private=is_private), (line, column, is_private)
    assert len(seen) == 2 * len(stated)


def test_without_a_room() -> None:
    """Spec R-HIDE-1, R-CMD-6: create and join as they say, rooms and help 200, malformed 400, all else 404."""
    for edge, outcome in of_rules().items():
        if edge.state == NONE and "@" not in edge.request:
            name = edge.request.split()[0]
            wanted = 200 if name in ("create", "join", "rooms", "help", "undelivered", "late") else 404
            assert outcome.status == (400 if name == "malformed" else wanted), edge


# --- beyond the graph -------------------------------------------------------------------------------------------------


ROOM = Room(False, {"ann": Entry("owner"), "bob": Entry("admin"), "cy": Entry("invited", "bob", 3)})


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        (Request("invite", "bob", "dee", circumstances=frozenset({"too-many-invitations"})), (403, "R-LIMIT-4")),
        (Request("join", "dee", circumstances=frozenset({"long-name"})), (400, "R-ADDR-4")),
        (Request("message to the manager", "dee"), (404, "R-CMD-8")),
        (Request("malformed", "dee", circumstances=frozenset({"room-needed"})), (400, "R-ADDR-6")),
        (Request("malformed", "dee", circumstances=frozenset({"bad-address", "unfit-character"})), (400, "R-ADDR-9")),
        (Request("undelivered", "bob", "cy", serial=3), (200, "R-INVITE-4")),
        (Request("undelivered", "ann", "cy", serial=3), (200, "R-INVITE-5")),
        (Request("undelivered", "bob", "dee", serial=3), (200, "R-INVITE-5")),
    ],
)
def test_judge(request_: Request, wanted: tuple[int, str]) -> None:
    verdict = judge(ROOM, request_)
    assert (verdict.status, verdict.clause) == wanted
    if wanted[1] != "R-INVITE-4":
        assert verdict.after is ROOM


def test_a_failed_invitation_is_told_to_its_inviter() -> None:
    verdict = judge(ROOM, Request("undelivered", "bob", "cy", serial=3))
    assert verdict.told == {"bob": "invitation-failed"}
    assert verdict.after == Room(False, {"ann": Entry("owner"), "bob": Entry("admin")})


def test_the_automatic_are_not_answered() -> None:
    verdict = judge(ROOM, Request("leave", "bob", circumstances=frozenset({"automatic"})))
    assert (verdict.event, verdict.is_answered, verdict.told) == ("member-left", False, {"ann": "member-left"})


def test_a_hole_in_the_table_is_said_to_be_one() -> None:
    with pytest.raises(LookupError, match="no rule"):
        judge(ROOM, Request("malformed", "bob"))


def test_an_outcome_of_the_graph_names_who_is_told() -> None:
    edge = Edge("public/OAb", "a", "remove c")
    told = (("b", "invitation-withdrawn"), ("c", "you-were-removed"))
    assert of_rules()[edge] == Outcome(200, "R-REMOVE-2", "invitation-withdrawn", True, told, "public/OA-")
