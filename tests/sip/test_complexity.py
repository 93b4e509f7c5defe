"""No step of reading is worse than linear (spec S-READ-1): counted in lines and calls, not in time.

Lines of Python that are executed, and calls into C, for each of the shapes of `tests.perf.adversarial`: at sixteen
times the size there are at most twenty times as many. What one call into C costs is bounded by its kind: `re` patterns
are possessive, `str` methods are linear; `python -m tests.perf.adversarial` shows the sum.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import imc.sip
from tests.perf.adversarial import SHAPES, read

_FOLDER = str(Path(imc.sip.__file__).parent)
_SMALL, _LARGE = 4_096, 65_536


def steps(data: bytes) -> int:
    """Lines of `imc.sip` and calls into C that `read` takes."""
    count = 0

    def trace(frame: FrameType, _event: str, _arg: Any) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.startswith(_FOLDER):
            return None
        count += 1
        return trace

    def profile(_frame: FrameType, event: str, _arg: Any) -> None:
        nonlocal count
        count += event == "c_call"

    before = sys.gettrace(), sys.getprofile()
    sys.setprofile(profile)
    sys.settrace(trace)
    try:
        read(data)
    finally:
        sys.settrace(before[0])
        sys.setprofile(before[1])
    return count


@pytest.mark.parametrize("shape", SHAPES)
def test_steps_grow_no_faster_than_the_text(shape: str) -> None:
    make = SHAPES[shape]
    read(make(_SMALL))  # caches are filled
    small, large = steps(make(_SMALL)), steps(make(_LARGE))
    assert large <= 20 * max(small, 500), (small, large)


@pytest.mark.parametrize("shape", SHAPES)
def test_steps_of_one_message_are_bounded(shape: str) -> None:
    """A few an octet where pieces are counted at all (keep-alives of a stream), far fewer where readers stop early."""
    assert steps(SHAPES[shape](_LARGE)) < (6 if shape == "blank lines first" else 2) * _LARGE


def test_the_readers_patterns_try_nothing_twice() -> None:
    """Two repetitions that could share characters stand possessive, or with something fixed between them. Here: no
    pattern of `imc.sip` has a plain ``*`` or ``+`` behind a group that repeats."""
    for path in Path(_FOLDER).glob("*.py"):
        for literal in re.findall(r're\.compile\(\s*r?b?[frb]*"((?:[^"\\]|\\.)*)"', path.read_text()):
            assert not re.search(r"[*+]\)[*+](?!\+)", literal), (path.name, literal)
