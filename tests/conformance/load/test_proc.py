"""`conformance.load.proc`, asked about this process and a child."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from conformance.load import proc


def test_a_tree_has_the_children() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert {os.getpid(), child.pid} <= set(proc.tree(os.getpid()))
        assert proc.tree(child.pid) == [child.pid]
        memory = proc.memory([child.pid])
        assert memory.rss_peak >= memory.rss >= memory.pss > 0
        child.communicate()


def test_no_tree_of_nobody() -> None:
    with pytest.raises(ProcessLookupError):
        proc.tree(2**22 + 1)


def test_cpu_time_grows_and_counts_children_that_ended() -> None:
    before, machine = proc.cpu_seconds([os.getpid()]), proc.busy_seconds()
    subprocess.run([sys.executable, "-c", "sum(range(3_000_000))"], check=True)
    assert proc.cpu_seconds([os.getpid()]) > before
    assert proc.busy_seconds() >= machine


def test_a_process_that_ended_has_used_nothing() -> None:
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    assert proc.cpu_seconds([int(child.stdout)]) == 0
    assert proc.memory([int(child.stdout)]) == (0, 0, 0)


def test_datagrams_that_nobody_reads_are_dropped() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        deaf.bind(("127.0.0.1", 0))
        inode = os.fstat(deaf.fileno()).st_ino
        assert proc.datagrams_dropped(inode) == 0
        for _ in range(100):
            sender.sendto(bytes(1000), deaf.getsockname())
        assert proc.datagrams_dropped(inode) > 0
    assert proc.datagrams_dropped(inode) == 0
