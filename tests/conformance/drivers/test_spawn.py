from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from conformance.drivers import spawn
from conformance.drivers.spawn import NotStarted, Spawned

# A server in a few lines: it answers every request over UDP, and has a child in its group.
_SERVER = """
import os, signal, socket, sys
child = os.fork()
if child == 0:
    signal.pause()
with open("child", "w") as file:
    file.write(str(child))
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", int(sys.argv[1])))
while True:
    data, source = sock.recvfrom(65535)
    lines = data.decode().split("\\r\\n")
    keep = [line for line in lines if line.startswith(("Via", "From", "To", "Call-ID", "CSeq"))]
    sock.sendto("\\r\\n".join(["SIP/2.0 200 OK", *keep, "", ""]).encode(), source)
"""
_ENDS = "import sys; sys.exit('no configuration')"


def _server(folder: Path, script: str = _SERVER) -> Spawned:
    return Spawned(lambda port: [sys.executable, "-c", script, str(port)], folder)


async def test_it_answers_where_it_was_told_to_listen(tmp_path: Path) -> None:
    server = _server(tmp_path)
    await server.start()
    try:
        assert server.address[0] == "127.0.0.1"
        assert await spawn._answers(server.address)
        assert server.pid is not None
    finally:
        assert await server.stop() == -signal.SIGTERM
    assert server.pid is None


async def test_what_ends_at_once_is_told_with_what_it_printed(tmp_path: Path) -> None:
    with pytest.raises(NotStarted, match=r"it ended with 1:\nno configuration"):
        await _server(tmp_path, _ENDS).start()


async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotStarted, match="nowhere"):
        await Spawned(lambda _port: ["/nowhere/kamailio"], tmp_path).start()


async def test_a_port_that_was_taken_meanwhile_is_left_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        free = spawn.free_port
        ports = iter([taken.getsockname()[1]])
        monkeypatch.setattr(spawn, "free_port", lambda ip: next(ports, None) or free(ip))
        server = _server(tmp_path)
        await server.start()
        try:
            assert server.address[1] != taken.getsockname()[1]
        finally:
            await server.stop()


async def test_it_is_at_the_same_address_after_a_restart(tmp_path: Path) -> None:
    server = _server(tmp_path)
    await server.start()
    try:
        before = server.address, server.pid
        assert await server.restart(signal.SIGKILL) == -signal.SIGKILL
        assert server.address == before[0]
        assert server.pid != before[1]
        assert await spawn._answers(server.address)
    finally:
        await server.stop()


async def test_its_children_end_with_it(tmp_path: Path) -> None:
    server = _server(tmp_path)
    await server.start()
    child = int((tmp_path / "child").read_text())
    await server.stop(signal.SIGKILL)
    assert _has_ended(child)


def _has_ended(pid: int) -> bool:
    """Whether it is gone, or waits for its new parent to notice."""
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] in "ZX"


def test_a_free_port_is_free_for_both_transports() -> None:
    port = spawn.free_port("127.0.0.1")
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as sock:
            sock.bind(("127.0.0.1", port))


@pytest.mark.parametrize(
    ("text", "first"), [("32768\t60999\n", 32768), ("1024 65535", 20000), ("", 49152), (None, 49152)]
)
def test_no_port_is_taken_that_the_system_gives_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, first: int
) -> None:
    path = tmp_path / "range"
    if text is not None:
        path.write_text(text)
    monkeypatch.setattr(spawn, "_GIVEN", path)
    assert spawn._first_given() == first
    assert 10_000 <= spawn.free_port("127.0.0.1") < first


def test_binaries_of_administrators_are_found() -> None:
    assert spawn.find_binary("sh") is not None
    assert spawn.find_binary("no-such-program") is None
    assert os.access(spawn.find_binary("sh") or "", os.X_OK)
