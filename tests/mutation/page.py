"""docs/design/mutation.md, written from what `make mutation` finds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.mutation.mutants import Mutant

PAGE = Path(__file__).parents[2] / "docs" / "design" / "mutation.md"

SUITES = {
    "status table": "the cells of spec/room.md §12 and their variants, written by hand"
    " (`tests/rooms/test_status_table.py`)",
    "tour": "every transition of the model once (`spec/traces/tour.json`)",
    "classes": "one transition of each class (`spec/traces/classes.json`); the suite that `make test` puts mutants to",
    "hypothesis": "random walks against the table of rules (`tests/conformance/model/test_walks.py`)",
    "structure": "what is said of the tables themselves (`tests/rooms/test_machine.py`); it never asks what is decided",
}
# Why mutants survive that a suite comes by, or does not.
UNREACHED = {
    "status table": "It has no names outside the pattern, no limits that are reached, no rooms that are invited, and no"
    " invitations that fail: so these rows are never taken. Exchanged rows differ only where two of those hold.",
    "hypothesis": "Its walks draw the requests of users, and few of the circumstances beside the room; an invitation of"
    " theirs fails before it is accepted, or not at all.",
}
_SAME = (
    "`joined` and `added` make the same change and tell the same event to the same people, which is as far as it looks"
)
UNSEEN = {
    "status table": "A room message that is refused is answered by no MESSAGE, and its cell compares the status alone."
    f" {_SAME}. Exchanged rows differ only where the conditions of both hold at once.",
    "hypothesis": f"{_SAME}. Exchanged rows differ only where the conditions of both hold at once. No failure is that"
    " of an invitation older than the pending one.",
}


@dataclass
class Tally:
    """What one suite did."""

    killed: Counter[str] = field(default_factory=Counter)
    unseen: list[Mutant] = field(default_factory=list)  # what was changed was taken, and nobody noticed
    unreached: list[Mutant] = field(default_factory=list)

    @property
    def survivors(self) -> list[Mutant]:
        return self.unseen + self.unreached


def render(total: Counter[str], tallies: Mapping[str, Tally], equivalent: Counter[str], wrong: Sequence[str]) -> str:
    names = list(tallies)
    lines = [
        "# Mutation of the tables of rooms",
        "",
        "Written by `make mutation`. Every cell of `imc.rooms.permissions.PERMISSIONS` and `imc.rooms.machine.ROWS` is"
        " changed, one at a time, to every other value; a suite kills a mutant if one of its checks fails. `make test`"
        " puts every third mutant to the suite *classes*, which kills all.",
        "",
        *(f"- *{name}*: {SUITES[name]}" for name in names),
        "",
        f"| Change | Mutants | {' | '.join(names)} |",
        f"| --- | ---: |{' ---: |' * len(names)}",
        *(_row(kind, count, [tallies[name].killed[kind] for name in names]) for kind, count in total.items()),
        _row("all", total.total(), [tallies[name].killed.total() for name in names]),
        "| rate | | " + " | ".join(f"{tallies[name].killed.total() / total.total():.2%}" for name in names) + " |",
        "",
        *(f"{count} more are no change: {why}." for why, count in equivalent.items()),
        "",
        "## Survivors of the tour",
        "",
        *(wrong or ["None."]),
    ]
    for name in UNREACHED:
        lines += ["", f"## Survivors of the {name}", "", *_survivors(name, tallies[name])]
    return "\n".join(lines) + "\n"


def _row(what: str, count: int, killed: Sequence[int]) -> str:
    return f"| {what} | {count} | {' | '.join(map(str, killed))} |"


def _survivors(name: str, tally: Tally) -> Iterator[str]:
    for why, title, mutants in (
        (UNREACHED[name], "never takes", tally.unreached),
        (UNSEEN[name], "looks past", tally.unseen),
    ):
        yield f"{len(mutants)} change what it {title}. {why} The tour kills each of them."
        yield ""
        yield f"| It {title} | Mutants | Changes |"
        yield "| --- | ---: | --- |"
        places: dict[str, Counter[str]] = defaultdict(Counter)
        for mutant in mutants:
            places[mutant.place][mutant.kind] += 1
        for place, kinds in places.items():
            changes = ", ".join(f"{kind} {count}" for kind, count in kinds.items())
            yield f"| {place} | {kinds.total()} | {changes} |"
        if title == "never takes":
            yield ""
