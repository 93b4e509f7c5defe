"""What the kernel knows of processes: CPU time and memory of a whole tree, datagrams that a socket lost."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import NamedTuple

_SCHED = 2  # CPUCLOCK_SCHED of linux/posix-timers.h
_TICK = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
_FIELD = re.compile(r"^(VmHWM|VmRSS|Pss):\s+(\d+) kB$", re.MULTILINE)


class Memory(NamedTuple):
    """Megabytes of all processes of a tree: the most that was resident so far, what is its own share now, and what is
    resident now."""

    rss_peak: float
    pss: float
    rss: float


def tree(pid: int) -> list[int]:
    """The process and all that descend from it, as they are now. ProcessLookupError."""
    if not (_PROC / str(pid)).exists():
        raise ProcessLookupError(f"no process {pid}")
    children: dict[int, list[int]] = {}
    for entry in os.listdir(_PROC):
        if entry.isdigit() and (fields := _stat(int(entry))):
            children.setdefault(int(fields[1]), []).append(int(entry))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of these processes so far, with that of children that have ended and were waited for."""
    return sum(_own_seconds(pid) + sum(map(int, fields[13:15])) / _TICK for pid in pids if (fields := _stat(pid)))


def _own_seconds(pid: int) -> float:
    """In nanoseconds the kernel's clock of a process (clock_getcpuclockid(3)); what /proc has is in ticks of 10 ms."""
    try:
        return time.clock_gettime_ns((~pid << 3) | _SCHED) / 1e9
    except OSError:
        return sum(map(int, _stat(pid)[11:13])) / _TICK


def memory(pids: list[int]) -> Memory:
    """PSS is 0 where the kernel does not let us see it."""
    peak, pss, rss = 0, 0, 0
    for pid in pids:
        now = _kilobytes(pid, "status", "VmRSS")
        peak += max(now, _kilobytes(pid, "status", "VmHWM"))  # the kernel counts roughly: the latter can lag
        pss += _kilobytes(pid, "smaps_rollup", "Pss")
        rss += now
    return Memory(peak / 1024, pss / 1024, rss / 1024)


def busy_seconds() -> float:
    """CPU time that all processes of this machine have used since it started."""
    fields = (
        (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]
    )  # user nice system idle iowait irq softirq steal
    ticks = [int(field) for field in fields]
    return (sum(ticks) - ticks[3] - ticks[4] - ticks[7]) / _TICK


def datagrams_dropped(inode: int) -> int:
    """How many datagrams a UDP socket of this process's network lost because nobody read them in time."""
    for name in ("udp", "udp6"):
        for line in (_PROC / "net" / name).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] == str(inode):
                return int(fields[12])
    return 0


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; none where the process has ended."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _kilobytes(pid: int, file: str, name: str) -> int:
    try:
        text = (_PROC / str(pid) / file).read_text()
    except OSError:
        return 0
    return next((int(value) for key, value in _FIELD.findall(text) if key == name), 0)
