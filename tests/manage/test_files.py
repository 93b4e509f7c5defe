from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from imc.errors import ListenError
from imc.manage.files import Place, listen_unix, make_fifo, open_fifo, open_reply_fifo


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def _open_umask() -> object:
    """Permissions must not depend on a umask that forbids enough."""
    before = os.umask(0)
    yield None
    os.umask(before)


def test_socket_has_its_permissions_and_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "rpc.sock"
    sock, place = listen_unix(str(path), 0o600, 5)
    with sock:
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert _mode(path) == 0o600
    place.remove()
    assert not path.exists()


def test_permissions_may_be_wider_than_the_umask(tmp_path: Path) -> None:
    os.umask(0o077)
    sock, _ = listen_unix(str(tmp_path / "rpc.sock"), 0o660, 5)
    sock.close()
    make_fifo(str(tmp_path / "fifo"), 0o660)
    assert _mode(tmp_path / "rpc.sock") == _mode(tmp_path / "fifo") == 0o660


def test_socket_of_a_dead_process_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "rpc.sock")
    listen_unix(path, 0o600, 5)[0].close()
    sock, _ = listen_unix(path, 0o600, 5)
    with sock, socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def test_socket_of_a_live_process_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "rpc.sock")
    sock, place = listen_unix(path, 0o600, 0)
    with sock:
        for _ in range(3):  # its queue of callers fills up meanwhile
            with pytest.raises(ListenError, match="another process listens on"):
                listen_unix(path, 0o600, 5)
        assert place.is_ours()


def test_datagram_socket_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "rpc.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        with pytest.raises(ListenError):
            listen_unix(path, 0o600, 5)


@pytest.mark.parametrize("make", [listen_unix, make_fifo])
def test_other_files_are_left_alone(make: object, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    (tmp_path / "dir").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "dir", "link"):
        with pytest.raises(ListenError, match="exists and is no"):
            make(str(tmp_path / name), 0o600, *([5] if make is listen_unix else []))  # type: ignore[operator]
    assert (tmp_path / "file").read_text() == "precious"


def test_a_fifo_is_no_socket_and_a_socket_no_fifo(tmp_path: Path) -> None:
    make_fifo(str(tmp_path / "fifo"), 0o600)
    with pytest.raises(ListenError, match="is no socket"):
        listen_unix(str(tmp_path / "fifo"), 0o600, 5)
    listen_unix(str(tmp_path / "sock"), 0o600, 5)[0].close()
    with pytest.raises(ListenError, match="is no FIFO"):
        make_fifo(str(tmp_path / "sock"), 0o600)


def test_paths_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match="No such file or directory"):
        listen_unix(str(tmp_path / "none/rpc.sock"), 0o600, 5)
    with pytest.raises(ListenError, match="No such file or directory"):
        make_fifo(str(tmp_path / "none/fifo"), 0o600)
    with pytest.raises(ListenError, match="too long"):
        listen_unix(str(tmp_path / ("x" * 120)), 0o600, 5)


def test_fifo_of_a_dead_process_is_replaced_of_a_live_one_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "fifo")
    old = make_fifo(path, 0o600)
    new = make_fifo(path, 0o600)
    assert new.is_ours()
    assert old == new or not old.is_ours()  # inode numbers may be given anew
    fd = open_fifo(new)
    try:
        with pytest.raises(ListenError, match="another process listens on"):
            make_fifo(path, 0o600)
    finally:
        os.close(fd)
    new.remove()
    assert not os.path.lexists(path)


def test_a_fifo_that_was_exchanged_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    place = make_fifo(str(path), 0o600)
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(ListenError, match="No such file"):
        open_fifo(place)
    path.write_text("")
    with pytest.raises(ListenError, match="no longer the FIFO"):
        open_fifo(place)
    place.remove()
    assert path.exists()


def test_a_place_taken_by_another_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    place = Place.of(str(path))
    path.rename(tmp_path / "old")
    path.touch()
    place.remove()
    assert path.exists()


def test_reply_fifo(tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        assert open_reply_fifo(directory, "reply") is None
        os.mkfifo(tmp_path / "reply")
        assert open_reply_fifo(directory, "reply") is None
        reader = os.open(tmp_path / "reply", os.O_RDONLY | os.O_NONBLOCK)
        writer = open_reply_fifo(directory, "reply")
        assert writer is not None
        os.write(writer, b"x")
        os.close(writer)
        assert os.read(reader, 9) == b"x"
        (tmp_path / "hard").hardlink_to(tmp_path / "reply")
        (tmp_path / "soft").symlink_to(tmp_path / "reply")
        (tmp_path / "file").touch()
        for name in ("reply", "hard", "soft", "file"):
            with pytest.raises(OSError):  # noqa: PT011  which one depends on what it is
                open_reply_fifo(directory, name)
        os.close(reader)
    finally:
        os.close(directory)
