"""A run while it goes: a bar on a terminal, a line for each case elsewhere; what went wrong is told at once."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from conformance.report.plain import visible
from conformance.report.text import count, heading, skipped
from conformance.suite.verdict import CaseVerdict, Outcome, RunVerdict

_REASONS = 6
"""Lines of the summary for cases that were skipped."""
_STYLES: dict[Outcome, str] = {
    "passed": "green",
    "failed": "bold red",
    "skipped": "dim",
    "deviates": "yellow",
    "deviation-gone": "bold red",
    "error": "bold magenta",
}


class Live:
    """Tells verdicts as they come. A context: the bar ends with it.

    On a terminal only what is bad gets a line; elsewhere every case has one, ``outcome id`` and its reason.
    """

    def __init__(self, total: int, console: Console) -> None:
        self._console = console
        self._is_terminal = console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not self._is_terminal,
        )
        self._task = self._progress.add_task("cases", total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def tell(self, verdict: CaseVerdict) -> None:
        """One more is done."""
        self._progress.advance(self._task)
        if self._is_terminal and not verdict.is_bad:
            return
        style = _STYLES[verdict.outcome]
        level = "" if verdict.level == "must" else f" ({verdict.level})"
        words = f"[{style}]{verdict.outcome:<14}[/] {escape(visible(verdict.id))}{level}"
        self._console.print(words, soft_wrap=True, highlight=False)
        if verdict.outcome != "passed":
            for line in verdict.why.splitlines():
                self._console.print(f"    {escape(visible(line))}", soft_wrap=True, highlight=False, style="dim")


def sends_no_event(run: RunVerdict) -> bool:
    """Whether most of what was played went wrong, and nothing that the server sent then had IMC-Event."""
    played = [case for case in run.cases if case.outcome != "skipped"]
    bad = [case for case in played if case.is_bad]
    sent = [arrow.data for case in bad for arrow in case.ladder if arrow.source == "server" and arrow.data]
    messages = [data for data in sent if data.startswith(b"MESSAGE ")]
    return 2 * len(bad) > len(played) and bool(messages) and not any(b"\nimc-event:" in m.lower() for m in messages)


def _skipped(run: RunVerdict) -> list[str]:
    """How many for which reason; of many reasons the most frequent ones."""
    found = skipped(run)
    lines = [f"skipped {len(ids)}: {why}" for why, ids in found]
    if len(lines) > _REASONS:
        others = found[_REASONS - 1 :]
        total = sum(len(ids) for _, ids in others)
        lines[_REASONS - 1 :] = [f"skipped {total}: for {len(others)} other reasons"]
    return lines


def print_summary(run: RunVerdict, console: Console, *, is_strict: bool, not_played: int = 0) -> None:
    """What came of it, why cases were skipped, and whether that is as declared."""
    failing = run.failing(is_strict=is_strict)
    said = f"{len(failing)} not as declared" if failing else "as declared"
    style = "bold red" if failing else "bold green"
    console.print(escape(heading(run)), soft_wrap=True, highlight=False)
    for line in _skipped(run):
        console.print(f"  {escape(visible(line))}", soft_wrap=True, highlight=False)
    console.print(f"{escape(count(run, not_played))}: [{style}]{said}[/]", soft_wrap=True, highlight=False)
