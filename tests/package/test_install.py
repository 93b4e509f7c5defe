"""The wheel where nothing of ours is: installed by pip and by pipx, and used as whoever installed it would."""

from __future__ import annotations

import importlib.util
import sys
import urllib.request
from pathlib import Path

import trio

from conformance.agent.client import SipClient
from imc import __version__
from tests.daemon import Daemon
from tests.e2e.program import need
from tests.package.harness import constraints, install, run

_CONFIG = """\
[imc]
domains = ["127.0.0.1"]
db_url = "sqlite:///imc.db"

[sip]
listen = ["udp:127.0.0.1:0", "ws:127.0.0.1:0"]

[manage]
listen = ""
"""
_ADDRESS, _PASSWORD = "sip:alice@127.0.0.1", "spring-rain-42"


async def test_pip(wheel: Path, tmp_path: Path) -> None:
    """With the extra: all three programs."""
    await trio.to_thread.run_sync(_pip_install, wheel, tmp_path)
    bin_folder = tmp_path / "venv" / "bin"
    await _serves(bin_folder / "imc", tmp_path)
    cases = ["create/private", "join/private-room", "rfc3261/11.2-options"]
    played = run([bin_folder / "imc-conformance", "run", "--target", "imc", "--html", "run.html", *cases], tmp_path)
    assert "3 cases: 3 passed" in played.stdout + played.stderr
    assert "<!DOCTYPE html>" in (tmp_path / "run.html").read_text()
    assert "Compared:" in run([bin_folder / "imc-replay", "--ignored"], tmp_path).stdout
    run([bin_folder / "imc-conformance", "traces", "."], tmp_path)
    assert (tmp_path / "tour.json").stat().st_size > 100_000


async def test_pipx(wheel: Path, tmp_path: Path) -> None:
    """Without the extra: the daemon, and a plain word from who needs more."""
    pipx = need("pipx")
    homes = {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin")}
    pip_args = f"--quiet --constraint {constraints(tmp_path)}"
    command: list[str | Path] = [pipx, "install", "--pip-args", pip_args, wheel]
    await trio.to_thread.run_sync(install, command, tmp_path, homes)
    await _serves(tmp_path / "bin" / "imc", tmp_path)
    capture = tmp_path / "call.pcap"
    capture.write_bytes(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000"))
    said = run([tmp_path / "bin" / "imc-replay", "show", capture], tmp_path, status=2).stderr
    assert "pip install 'imc[conformance]'" in said
    assert "Traceback" not in said


def _pip_install(wheel: Path, folder: Path) -> None:
    """By the pip that runs the tests: one less to be unpacked. What is not imported need not be compiled."""
    venv = folder / "venv"
    run([sys.executable, "-m", "venv", "--without-pip", venv], folder)
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        venv / "bin" / "python",
        "install",
        "-q",
        "--no-compile",
    ]
    install([*pip, "--constraint", constraints(folder), f"{wheel}[conformance]"], folder)


async def _serves(program: Path, folder: Path) -> None:
    """An account, a login, a room, a reload; the page for browsers, where there is one; and an orderly end."""
    assert run([program, "--version"], folder).stdout == f"imc {__version__}\n"
    daemon = Daemon(folder, _CONFIG, program=[str(program)])
    await trio.to_thread.run_sync(daemon.add_user, _ADDRESS, _PASSWORD)
    await trio.to_thread.run_sync(daemon.start)
    try:
        await _chats(daemon)
        if importlib.util.find_spec("imc.page") is not None:
            await trio.to_thread.run_sync(_look, daemon.address("ws"))
        assert await trio.to_thread.run_sync(daemon.stop) == 0
    finally:
        daemon.kill()


async def _chats(daemon: Daemon) -> None:
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            alice = await SipClient.open(nursery, _ADDRESS, daemon.address(), password=_PASSWORD)
            assert (await alice.register()).status == 200
            assert (await alice.message("sip:chat-lobby@127.0.0.1", "#create")).status == 200
            assert (await alice.message("sip:chat-lobby@127.0.0.1", "#members")).status == 200
            told = [(await alice.wait_message()).text for _ in range(2)]
            assert "alice" in " ".join(told)
            nursery.cancel_scope.cancel()


def _look(address: tuple[str, int]) -> None:
    """The page and all that it names, which is inside the wheel."""
    with urllib.request.urlopen(f"http://{address[0]}:{address[1]}/", timeout=10) as answer:
        assert answer.status == 200
        assert answer.headers.get_content_type() == "text/html"
        assert b"<html" in answer.read()
