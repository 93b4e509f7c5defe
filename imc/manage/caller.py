"""Who calls: what a listener knows of the one at the other end, and what that one may do."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Protocol

ROLES = ("viewer", "operator", "admin")
"""From the least to the most: each may do what those before it may."""
_UCRED = struct.Struct("3i")  # pid, uid, gid: unix(7)


@dataclass(frozen=True, slots=True)
class Caller:
    """``name`` is who it is, as far as the interface can tell; ``via`` by which way. ``role`` is one of `ROLES`."""

    name: str
    role: str
    via: str

    def may(self, role: str) -> bool:
        """Whether they may do what needs this role."""
        return self.role in ROLES and ROLES.index(self.role) >= ROLES.index(role)


# Whoever can open one of these is let in by the permissions of a file, by loopback or by the token, and may do all.
FIFO = Caller("fifo", "admin", "fifo")
LOOPBACK = Caller("loopback", "admin", "http")
TOKEN = Caller("token", "admin", "http")


class _HasOption(Protocol):
    def getsockopt(self, level: int, option: int, buffersize: int) -> bytes: ...


def of_socket(sock: _HasOption, via: str) -> Caller:
    """The caller at the other end of a Unix stream socket: their user id, as the kernel says."""
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        _, uid, _ = _UCRED.unpack(raw)
    except OSError:
        return Caller("unknown", "admin", via)
    return Caller(f"uid={uid}", "admin", via)
