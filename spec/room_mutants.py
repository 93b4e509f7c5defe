"""Wrong models: each patch in mutants/ is one, and its laws must refute it. `spec/check_rooms.py` uses this.

A patch begins with lines ``What:``, ``Kamailio:`` (where it does so), ``Run:`` (by its name in room_all.qnt, or a
module of room_server_all.qnt) and ``Refuted by:`` (the law that must be among those that the run finds broken).
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import room_graph
import room_quint

FOLDER = Path(__file__).resolve().parent / "mutants"
_LAWS = ("isLawful",)  # that it has another graph is no reason to call a model wrong


class Mutant(NamedTuple):
    name: str
    what: str
    kamailio: str
    run: str
    law: str
    patch: str


class Verdict(NamedTuple):
    """``laws`` that broke, and a shortest way to where one did; ``error`` if it is not refuted as it should be."""

    mutant: Mutant
    laws: list[str]
    way: str
    error: str


def mutants() -> list[Mutant]:
    found = []
    for path in sorted(FOLDER.glob("*.patch")):
        head, _, patch = path.read_text().partition("\n\n")
        fields = dict(line.split(": ", 1) for line in head.splitlines())
        kamailio = fields.get("Kamailio", "")
        found.append(Mutant(path.stem, fields["What"], kamailio, fields["Run"], fields["Refuted by"], patch))
    return found


def laws() -> dict[str, list[str]]:
    """The laws that the models have, by the module whose runs are held to them."""
    server = (room_quint.SPEC / "room_server.qnt").read_text()
    found = {"room_all": _named((room_quint.SPEC / "room_laws.qnt").read_text())}
    for module in ("house_all", "sky_all", "world_all"):
        begin = server.index(f"pure def brokenIn{module.removesuffix('_all').capitalize()}(")
        found[module] = _named(server[begin : server.index("foldl", begin)])
    return found


def _named(text: str) -> list[str]:
    return re.findall(r'^ +\("([^"]+)", \w+\(\w\)\),$', text, re.MULTILINE)


def unwatched(found: list[Mutant]) -> dict[str, set[str]]:
    """What is wrong with the laws and the mutants' `Refuted by`: laws that no mutant names, and names of no law."""
    named: dict[str, set[str]] = {module: set() for module in laws()}
    for mutant in found:
        named[room_quint.run_of(mutant.run).main].add(mutant.law)
    return {module: named[module] ^ set(known) for module, known in laws().items() if named[module] != set(known)}


def patched(text: str, patch: str) -> str:
    """The text after a unified diff. ValueError where its old lines are not there just once; numbers may differ."""
    for hunk in re.split(r"^@@.*@@.*\n", patch, flags=re.MULTILINE)[1:]:
        lines = hunk.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] in " -")
        new = "".join(line[1:] for line in lines if line[0] in " +")
        if text.count(old) != 1:
            raise ValueError(f"these lines are there {text.count(old)} times:\n{old}")
        text = text.replace(old, new)
    return text


def refute(workers: room_quint.Workers, mutant: Mutant, scratch: Path) -> Verdict:
    """Run the wrong model in a folder of its own. It is not checked for types: a wrong one ends in an error."""
    folder = scratch / mutant.name
    folder.mkdir()
    for model in room_quint.MODELS:
        shutil.copy(room_quint.SPEC / model, folder)
    named = re.search(r"^\+\+\+ b/(\S+)$", mutant.patch, re.MULTILINE)
    if named is None:
        return Verdict(mutant, [], "", "the patch names no file")
    wrong = folder / named[1]
    try:
        wrong.write_text(patched(wrong.read_text(), mutant.patch))
    except ValueError as error:
        return Verdict(mutant, [], "", f"the patch does not fit: {error}")
    found = room_quint.explore(workers, room_quint.run_of(mutant.run), folder, folder, invariants=_LAWS, is_typed=False)
    failures = found.search.get("failures", [])
    if not failures:
        return Verdict(mutant, [], "", found.error or "no law is broken")
    laws = sorted({failure["law"] for failure in failures})
    shutil.rmtree(folder)
    shown = min((one["edge"] for one in failures if one["law"] == mutant.law), key=repr, default=failures[0]["edge"])
    error = "" if mutant.law in laws else f"{mutant.law} is not broken"
    return Verdict(mutant, laws, _way(found.search, shown), error)


def _way(search: Any, edge: Any) -> str:
    if "request" not in edge:  # the server around a room
        tickets = [room_graph.words(ticket) for _, ticket in edge["before"]["tickets"]]
        return f"{' | '.join(tickets)}: at “{edge['label']}”"
    last = room_graph.words(edge["request"])
    if "edges" not in search:
        return f"at “{last}”{_flights(edge['before'])}"
    return "; ".join((*room_graph.path_to(search, edge["before"]), last))


def _flights(before: Any) -> str:
    if not isinstance(before, dict) or "flights" not in before:
        return ""
    flying = [f"{one['by']}’s of {one['user']}{' (current)' if one['isCurrent'] else ''}" for one in before["flights"]]
    return f" with invitations under way: {', '.join(flying)}"
