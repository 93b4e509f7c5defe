"""Sockets and FIFOs in the file system: made with the right permissions, told from those of a dead process, removed.

What stands in the way is replaced only if it is of the same kind and nobody listens on it; anything else is refused
with ListenError and left alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Callable
from dataclasses import dataclass

from imc.errors import ListenError

_NO_FOLLOW = os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Place:
    """A file that we made: removed at the end only if it is still the same one."""

    path: str
    device: int
    inode: int

    @classmethod
    def of(cls, path: str) -> Place:
        found = os.lstat(path)
        return cls(path, found.st_dev, found.st_ino)

    def is_ours(self) -> bool:
        try:
            return Place.of(self.path) == self
        except OSError:
            return False

    def remove(self) -> None:
        if self.is_ours():
            with contextlib.suppress(OSError):
                os.unlink(self.path)


def listen_unix(path: str, mode: int, backlog: int) -> tuple[socket.socket, Place]:
    """A listening stream socket with exactly these permissions from its first moment. ListenError."""
    _make_way(path, "socket", stat.S_ISSOCK, _is_socket_alive)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # On Linux bind() gives the file the permissions of the unbound socket, less the umask: never more than asked.
        os.fchmod(sock.fileno(), mode)
        sock.bind(path)
        os.chmod(path, mode)
        sock.listen(backlog)
        sock.setblocking(False)
        return sock, Place.of(path)
    except OSError as error:
        sock.close()
        raise ListenError(f"cannot listen on {path}: {_reason(error)}") from error


def make_fifo(path: str, mode: int) -> Place:
    """A FIFO with exactly these permissions. ListenError."""
    _make_way(path, "FIFO", stat.S_ISFIFO, _is_fifo_alive)
    try:
        os.mkfifo(path, mode)
        os.chmod(path, mode)
        return Place.of(path)
    except OSError as error:
        raise ListenError(f"cannot make the FIFO {path}: {_reason(error)}") from error


def open_fifo(place: Place) -> int:
    """The FIFO's reading end, non-blocking. ListenError, also where another file has taken its place."""
    try:
        fd = os.open(place.path, os.O_RDONLY | _NO_FOLLOW)
    except OSError as error:
        raise ListenError(f"cannot open the FIFO {place.path}: {_reason(error)}") from error
    found = os.fstat(fd)
    if (found.st_dev, found.st_ino) != (place.device, place.inode):
        os.close(fd)
        raise ListenError(f"{place.path} is no longer the FIFO that was made")
    return fd


def open_reply_fifo(directory: int, name: str) -> int | None:
    """The writing end of a caller's FIFO, non-blocking; None while nobody reads it, or it is not there yet.

    OSError where it is anything but a FIFO with one name: not a link, neither soft nor hard, to somebody else's file.
    """
    try:
        fd = os.open(name, os.O_WRONLY | _NO_FOLLOW, dir_fd=directory)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return None
        raise
    found = os.fstat(fd)
    if not stat.S_ISFIFO(found.st_mode) or found.st_nlink != 1:
        os.close(fd)
        raise OSError(errno.EPERM, "not a FIFO of its own", name)
    return fd


def _make_way(path: str, kind: str, is_kind: Callable[[int], bool], is_alive: Callable[[str], bool]) -> None:
    try:
        found = os.lstat(path)
        if not is_kind(found.st_mode):
            raise ListenError(f"{path} exists and is no {kind}")
        if is_alive(path):
            raise ListenError(f"another process listens on {path}")
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ListenError(f"cannot replace {path}: {_reason(error)}") from error


def _is_socket_alive(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except BlockingIOError:  # its queue is full: somebody listens
            return True
        except OSError as error:
            if error.errno == errno.EPROTOTYPE:  # a datagram socket: somebody else's, whether alive or not
                return True
            raise
        return True


def _is_fifo_alive(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | _NO_FOLLOW))
    except OSError as error:
        if error.errno == errno.ENXIO:  # fifo(7): no process has it open for reading
            return False
        raise
    return True


def _reason(error: OSError) -> str:
    if "AF_UNIX path too long" in str(error):
        return "the path is too long for a socket"
    return error.strerror or str(error)
