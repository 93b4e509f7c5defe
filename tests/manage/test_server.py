from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
import trio
import trio.testing

from imc.errors import ConfigError, ListenError
from imc.manage.server import Bound, run, supervise
from tests.manage.fakes import FakeManager, make_options, request, serving


async def test_all_interfaces_at_once(tmp_path: Path) -> None:
    fifos = (str(tmp_path / "one"), str(tmp_path / "two"), str(tmp_path / "one"))
    options = make_options(
        listen="127.0.0.1:0", socket=str(tmp_path / "sock"), ctl=str(tmp_path / "ctl"), fifos=fifos,
        fifo_reply_dir=str(tmp_path),
    )  # fmt: skip
    async with serving(FakeManager(), options) as bound:
        ((host, port),) = bound.http
        assert host == "127.0.0.1"
        assert port > 0
        assert bound == Bound(bound.http, str(tmp_path / "sock"), str(tmp_path / "ctl"), fifos[:2])
        assert sorted(os.listdir(tmp_path)) == ["ctl", "one", "sock", "two"]
    assert os.listdir(tmp_path) == []


async def test_it_can_be_stopped_before_it_has_begun() -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(run, FakeManager(), make_options(listen="127.0.0.1:0"))
        began = trio.current_time()
        nursery.cancel_scope.cancel()
    assert trio.current_time() - began < 2


async def test_nothing_configured() -> None:
    async with trio.open_nursery() as nursery:
        assert await nursery.start(run, FakeManager(), make_options()) == Bound()


async def test_what_was_bound_is_closed_when_the_next_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    options = make_options(
        listen="127.0.0.1:0", socket=str(tmp_path / "sock"), fifos=(str(tmp_path / "fifo"), str(tmp_path / "file"))
    )
    with pytest.raises(ListenError, match="exists and is no FIFO"):
        await run(FakeManager(), options)
    assert os.listdir(tmp_path) == ["file"]


async def test_other_machines_are_not_served_without_a_token() -> None:
    with pytest.raises(ConfigError):
        await run(FakeManager(), make_options(listen="0.0.0.0:0"))


@pytest.mark.parametrize("name", ["sock", "fifo"])
async def test_the_place_of_a_live_daemon_is_refused_and_that_of_a_dead_one_taken(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    options = make_options(
        fifo_reply_dir=str(tmp_path), **({"socket": str(path)} if name == "sock" else {"fifos": (str(path),)})
    )
    async with serving(FakeManager(), options):
        with pytest.raises(ListenError, match="another process listens on"):
            await run(FakeManager(), options)
    if name == "sock":  # what kill -9 leaves behind
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
    else:
        os.mkfifo(path)
    async with serving(FakeManager(), options):
        assert path.exists()


async def test_a_service_that_ends_is_started_again(autojump_clock: trio.testing.MockClock) -> None:
    """The delay doubles up to its bound, and is the first one again after a minute of service."""
    began: list[float] = []
    lasting = iter([0.0, 0.0, 0.0, 0.0, 100.0, 0.0])

    async def serve() -> None:
        began.append(trio.current_time())
        await trio.sleep(next(lasting, 0.0))
        if len(began) % 2:
            raise OSError("dead")

    with trio.move_on_after(110):
        await supervise("test", serve, make_options(restart_delay=0.5, restart_delay_max=2.0))
    assert began[:7] == [0.0, 0.5, 1.5, 3.5, 5.5, 106.0, 107.0]


async def test_a_bug_in_one_interface_leaves_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def broken(self: object) -> None:
        raise RuntimeError("bug")

    monkeypatch.setattr("imc.manage.fifo.FifoListener.run", broken)
    path = str(tmp_path / "sock")
    options = make_options(socket=path, fifos=(str(tmp_path / "fifo"),), restart_delay=60)
    async with serving(FakeManager(), options):
        await trio.testing.wait_all_tasks_blocked()
        async with await trio.open_unix_socket(path) as stream:
            await stream.send_all(json.dumps(request("core.version")).encode() + b"\n")
            assert json.loads(await stream.receive_some())["id"] == 1
