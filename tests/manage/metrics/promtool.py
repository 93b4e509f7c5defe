"""Prometheus' own checks, of Debian's package prometheus."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def promtool(*arguments: str, stdin: str = "") -> str:
    """What it prints; its own exit status is 0. Skipped where it is not there."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is missing (Debian: apt-get install prometheus)")
    done = subprocess.run([program, *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
