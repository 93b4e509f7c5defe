"""`python -m tests.fuzz [TARGET …] [--seconds N]`: coverage-guided, with atheris; `make fuzz` installs it.

Each target runs in a process of its own, on a corpus under .fuzz/ that grows from run to run. What makes it fail is
left in .fuzz/TARGET-crash-…, and the run ends with status 1.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from tests.fuzz import NAMES

_FOLDER = Path(".fuzz")


def prepare(target: str) -> tuple[Path, Path]:
    """The corpus and the dictionary of a target."""
    from tests.fuzz.seeds import DICTIONARY, seeds

    corpus = _FOLDER / target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds(target)):
        (corpus / f"seed-{number}").write_bytes(data)
    words = _FOLDER / "words"
    words.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in DICTIONARY))
    return corpus, words


def fuzz(target: str, seconds: int) -> None:
    """In this process, until it crashes or the time is over; never returns."""
    import atheris

    with atheris.instrument_imports(include=["imc", "tests.fuzz"]):
        from tests.fuzz.targets import TARGETS
    corpus, words = prepare(target)
    options = [
        f"-max_total_time={seconds}", "-max_len=8192", f"-dict={words}", f"-artifact_prefix={_FOLDER}/{target}-",
        "-timeout=20", "-rss_limit_mb=1024", "-verbosity=0", "-print_final_stats=1",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(corpus)], TARGETS[target])
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the readers of octets from outside.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all, where none is named")
    parser.add_argument("--seconds", type=int, default=600, help="for all targets together")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    targets = options.targets or list(NAMES)
    if unknown := set(targets) - set(NAMES):
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if options.one:
        fuzz(targets[0], options.seconds)
    failed = []
    for target in targets:
        each = max(1, options.seconds // len(targets))
        print(f"{target}: {each} s", flush=True)
        command = [sys.executable, "-m", "tests.fuzz", target, "--one", "--seconds", str(each)]
        if subprocess.run(command, check=False).returncode:
            failed.append(target)
    print(f"failed: {', '.join(failed)}; see {_FOLDER}/" if failed else "nothing was found")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
