"""Put every mutant to every suite, and say who killed whom. Exit status 1 where one survives the tour unexplained."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tests.mutation.mutants import Mutant, mutants
from tests.mutation.suites import Suite, suites


@dataclass
class Tally:
    """What one suite did."""

    killed: Counter[str] = field(default_factory=Counter)
    unseen: list[Mutant] = field(default_factory=list)  # what was changed was taken, and nobody noticed
    unreached: list[Mutant] = field(default_factory=list)

    @property
    def survivors(self) -> list[Mutant]:
        return self.unseen + self.unreached


def main() -> int:
    every = suites()
    total: Counter[str] = Counter()
    equivalent: Counter[str] = Counter()
    tallies: dict[str, Tally] = defaultdict(Tally)
    wrong: list[str] = []
    for mutant in mutants():
        if mutant.equivalent:
            equivalent[mutant.equivalent] += 1
            killers = [suite.name for suite in every if suite.name != "structure" and suite.kills(mutant)]
            wrong += [f"{mutant.name}: said to be no change, killed by {name}" for name in killers]
            continue
        total[mutant.kind] += 1
        for suite in every:
            _put(mutant, suite, tallies[suite.name])
    _print_table([suite.name for suite in every], total, tallies)
    for why, count in equivalent.items():
        print(f"{count} more are no change: {why}.")
    for name in ("status table", "hypothesis"):
        _print_survivors(name, tallies[name])
    wrong += [f"survives the tour: {mutant.kind}: {mutant.name}" for mutant in tallies["tour"].survivors]
    print("\n".join(wrong) or "None survives the tour.")
    return 1 if wrong else 0


def _put(mutant: Mutant, suite: Suite, tally: Tally) -> None:
    if suite.kills(mutant):
        tally.killed[mutant.kind] += 1
    else:
        (tally.unseen if suite.reaches(mutant) else tally.unreached).append(mutant)


def _print_table(names: list[str], total: Counter[str], tallies: dict[str, Tally]) -> None:
    print(f"{'change':<20}{'mutants':>9}" + "".join(f"{name:>16}" for name in names))
    for kind, count in total.items():
        print(f"{kind:<20}{count:>9}" + "".join(f"{tallies[name].killed[kind]:>16}" for name in names))
    whole = total.total()
    print(f"{'all':<20}{whole:>9}" + "".join(f"{tallies[name].killed.total() / whole:>16.2%}" for name in names))


def _print_survivors(name: str, tally: Tally) -> None:
    """By the cell or row: why they live, and how many."""
    print(
        f"{name}: {len(tally.unreached)} survivors change what it never takes, {len(tally.unseen)} what it looks past."
    )
    for why, mutants_ in (("never takes", tally.unreached), ("looks past", tally.unseen)):
        places = Counter(mutant.place for mutant in mutants_)
        print("".join(f"  {why} {place} ({count})\n" for place, count in places.items()), end="")


if __name__ == "__main__":
    sys.exit(main())
