"""Put every mutant to every suite, and write down who killed whom. Exit status 1 where one survives the tour."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict

from tests.mutation.mutants import Mutant, mutants
from tests.mutation.page import PAGE, Tally, render
from tests.mutation.suites import Suite, suites


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
    wrong += [f"survives the tour: {mutant.kind}: {mutant.name}" for mutant in tallies["tour"].survivors]
    text = render(total, tallies, equivalent, wrong)
    print(text)
    PAGE.write_text(text)
    return 1 if wrong else 0


def _put(mutant: Mutant, suite: Suite, tally: Tally) -> None:
    if suite.kills(mutant):
        tally.killed[mutant.kind] += 1
    else:
        (tally.unseen if suite.reaches(mutant) else tally.unreached).append(mutant)


if __name__ == "__main__":
    sys.exit(main())
