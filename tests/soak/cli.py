"""The command: ``python -m tests.soak [FAULT…] [--rounds N] [--seconds N | --minutes N] [--seed N] [--json FILE]``.

Exit status 0 where nothing that was acknowledged was lost, nothing came twice without an excuse and all came in order;
1 where not; 2 for a fault that there is none of.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

import trio
from rich.console import Console

from imc import log
from tests.soak import report
from tests.soak.faults import WORKS, named
from tests.soak.outcome import Outcome, Plan
from tests.soak.servers import Skipped


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Faults under load, and what was lost.")
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"of {', '.join(WORKS)}, or how they begin; all")
    parser.add_argument("--rounds", type=int, help="of each fault, in place of its usual number")
    parser.add_argument(
        "--seconds", type=float, help="that a fault lasts, or a steady load, in place of the usual ones"
    )
    parser.add_argument("--minutes", type=float, help="for all the works that are named, in equal parts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--markdown", action="store_true", help="print the table for a page as well")
    parser.add_argument("--small", action="store_true", help="as little as shows that it works")
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds: 1 at least")
    if options.seconds is not None and not options.seconds > 0:
        parser.error("--seconds: more than 0")
    try:
        names = list(named(options.faults))
    except KeyError as error:
        parser.error(f"no fault {error}; there are {', '.join(WORKS)}")
    if options.minutes is not None:
        options.seconds = 60 * options.minutes / len(names)
    log.configure("warning")  # of the daemon that runs in this process
    console = Console(width=None if sys.stdout.isatty() else 200)
    plan = Plan(
        rounds=options.rounds, seconds=options.seconds, seed=options.seed, is_small=options.small, say=_say,
    )  # fmt: skip
    outcomes = trio.run(_run, names, plan)
    report.show(outcomes, console)
    if options.markdown:
        print(report.markdown(outcomes))
    if options.json is not None:
        report.write(outcomes, options.json)
    is_whole = len(outcomes) == len(names)
    return 0 if is_whole and all(outcome.is_good for outcome in outcomes) else 1


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


async def _run(names: list[str], plan: Plan) -> list[Outcome]:
    """One after the other. SIGINT and SIGTERM end what runs, and what came of those before is still told."""
    outcomes: list[Outcome] = []
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:

            async def obey() -> None:
                async for number in signals:
                    _say(f"{signal.Signals(number).name}: ending")
                    nursery.cancel_scope.cancel()

            nursery.start_soon(obey)
            for name in names:
                _say(f"{name}")
                try:
                    outcomes.append(await WORKS[name](plan))
                except Skipped as error:
                    outcomes.append(Outcome(fault=name, skipped=str(error)))
            nursery.cancel_scope.cancel()
    return outcomes
