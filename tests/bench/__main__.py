"""`python -m tests.bench [WORK…]`: fan-out, commands, start. A line a figure; absolute times depend on the machine.

The daemon runs in a process of its own with its durable defaults (SQLite, WAL, synchronous=FULL), in mode none on
loopback.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from imc.aor import Aor
from imc.rooms.model import Member, Role
from imc.store.ops import Op, PutMember, PutRoom
from imc.store.options import StoreOptions
from imc.store.store import Store
from tests.bench.sink import Item, Sink
from tests.daemon import Daemon

DOMAIN = "example.com"
_PLAIN = ("Content-Type: text/plain",)
CONFIG = """
[imc]
domains = ["example.com"]
manager_uri = "sip:chat-manager@example.com"
[sip]
listen = ["udp:127.0.0.1:0"]
[auth]
mode = "none"
[limits]
enabled = false
[manage]
listen = ""
[log]
level = "warning"
"""


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def fill(folder: Path, rooms: int, members: int) -> None:
    """A database of so many rooms with so many members; user0 owns all of them."""
    with Store.open(StoreOptions(url="sqlite:///imc.db", base=folder)) as store:
        ops: list[Op] = []
        for number in range(rooms):
            room = Aor(f"chat-{number}", DOMAIN)
            ops.append(PutRoom(room, number % 2 == 1))
            for index in range(members):
                user = Aor(f"user{index if rooms == 1 else (number + index) % 5000}", DOMAIN)
                ops.append(PutMember(room, user, Member(Role.OWNER if index == 0 else Role.MEMBER)))
            if len(ops) > 20_000:
                store.commit(ops)
                ops = []
        store.commit(ops)


def quantiles(times: list[float]) -> str:
    ordered = sorted(times)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"p50 {statistics.median(ordered) * 1000:.2f} ms, p99 {p99 * 1000:.2f} ms"


class Bench:
    def __init__(self, folder: Path) -> None:
        self.daemon = Daemon(folder, CONFIG, is_fresh=True)
        began = time.monotonic()
        self.daemon.start()
        self.start_seconds = time.monotonic() - began
        self.pid = self.daemon.pid
        # the log level hides the address; the kernel tells it
        self.sink = Sink(("127.0.0.1", udp_port(self.pid)))

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.daemon.stop()


def udp_port(pid: int) -> int:
    inodes = {os.readlink(f"/proc/{pid}/fd/{fd}")[8:-1] for fd in os.listdir(f"/proc/{pid}/fd") if _is_socket(pid, fd)}
    for line in Path(f"/proc/{pid}/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[9] in inodes:
            return int(fields[1].partition(":")[2], 16)
    raise RuntimeError("no UDP socket")


def _is_socket(pid: int, fd: str) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")
    except OSError:
        return False


def fan_out(folder: Path, members: int = 1000, messages: int = 30) -> None:
    fill(folder, 1, members)
    with Bench(folder) as bench:
        sink = bench.sink
        sink.register(f"user{index}" for index in range(members))
        room = f"sip:chat-0@{DOMAIN}"
        item: Item = ("MESSAGE", "user0", room, b"hello, this is a message of usual length", _PLAIN)
        for label, count, outstanding in (("warm-up", 3, 1), ("counted", messages, 4)):
            wanted = sink.deliveries + count * (members - 1)
            cpu, began = cpu_seconds(bench.pid), time.monotonic()
            statuses, times = sink.run(
                (item for _ in range(count)),
                outstanding=outstanding,
                is_done=lambda wanted=wanted: sink.deliveries >= wanted,  # type: ignore[misc]
            )
            if label == "counted":
                spent = cpu_seconds(bench.pid) - cpu
                total = count * (members - 1)
                took = sink.last_delivery - began
                print(
                    f"fan-out {members}: {spent / total * 1e6:.1f} us CPU per delivery, {total / took:.0f} "
                    f"deliveries/s, all {total} in {took:.2f} s, answers {quantiles(times)}, {dict(statuses)}, "
                    f"repeated {sink.repeated}"
                )


def commands(folder: Path, rooms: int = 500, total: int = 2500) -> None:
    with Bench(folder) as bench:
        sink = bench.sink
        sink.register(f"user{index}" for index in range(rooms))
        texts = (b"#create", b"#members", b"#invite user%d", b"#remove user%d", b"#destroy")

        def items() -> Iterator[Item]:
            for step in range(total // rooms):
                for number in range(rooms):
                    text = texts[step % len(texts)]
                    body = text % ((number + 1) % rooms) if b"%d" in text else text
                    yield ("MESSAGE", f"user{number}", f"sip:chat-{number}@{DOMAIN}", body, ())

        cpu, began = cpu_seconds(bench.pid), time.monotonic()
        statuses, times = sink.run(items(), outstanding=16)
        took, spent = time.monotonic() - began, cpu_seconds(bench.pid) - cpu
        print(
            f"commands: {len(times) / took:.0f}/s, {spent / len(times) * 1e6:.0f} us CPU each (with their deliveries), "
            f"{quantiles(times)}, {dict(statuses)}, delivered {sink.deliveries}, repeated {sink.repeated}"
        )


def small_rooms(folder: Path, rooms: int = 500, members: int = 5, messages: int = 5000) -> None:
    fill(folder, rooms, members)
    with Bench(folder) as bench:
        sink = bench.sink
        sink.register(f"user{index}" for index in range(rooms + members))
        cpu, began = cpu_seconds(bench.pid), time.monotonic()
        wanted = messages * (members - 1)
        items: Iterator[Item] = (
            (
                "MESSAGE",
                f"user{number % rooms}",
                f"sip:chat-{number % rooms}@{DOMAIN}",
                b"hello",
                _PLAIN,
            )
            for number in range(messages)
        )
        statuses, times = sink.run(items, outstanding=16, is_done=lambda: sink.deliveries >= wanted)
        took, spent = time.monotonic() - began, cpu_seconds(bench.pid) - cpu
        print(
            f"{rooms} rooms of {members}: {len(times) / took:.0f} messages/s, {spent / len(times) * 1e6:.0f} us CPU "
            f"per message in, {quantiles(times)}, {dict(statuses)}, repeated {sink.repeated}"
        )


def join_storm(folder: Path, members: int = 300) -> None:
    with Bench(folder) as bench:
        sink = bench.sink
        sink.register(f"user{index}" for index in range(members))
        items: Iterator[Item] = (("MESSAGE", f"user{n}", f"sip:chat-0@{DOMAIN}", b"#join", ()) for n in range(members))
        wanted = members * (members + 1) // 2
        began = time.monotonic()
        statuses, times = sink.run(items, outstanding=16, is_done=lambda: sink.deliveries >= wanted)
        took = time.monotonic() - began
        print(f"join storm {members}: {took:.2f} s, {quantiles(times)}, {dict(statuses)}, repeated {sink.repeated}")


def start(folder: Path, rooms: int = 100_000, members: int = 10, used: int = 1000) -> None:
    fill(folder, rooms, members)
    with Bench(folder) as bench:
        empty = resident_megabytes(bench.pid)
        items: Iterator[Item] = (
            ("MESSAGE", f"user{number % 5000}", f"sip:chat-{number}@{DOMAIN}", b"#members", ())
            for number in range(used)
        )
        statuses, times = bench.sink.run(items, outstanding=16)
        print(
            f"start with {rooms} rooms of {members}: {bench.start_seconds:.2f} s, {empty:.0f} MB resident; "
            f"with {used} used: "
            f"{resident_megabytes(bench.pid):.0f} MB, {quantiles(times)}, {dict(statuses)}"
        )


WORKS: dict[str, Callable[[Path], None]] = {
    "fan-out": fan_out,
    "small-rooms": small_rooms,
    "commands": commands,
    "join-storm": join_storm,
    "start": start,
}


def main() -> None:
    for name in sys.argv[1:] or WORKS:
        with tempfile.TemporaryDirectory(prefix="imc-bench-") as folder:
            WORKS[name](Path(folder))


main()
