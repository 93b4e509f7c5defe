"""A file of users: who logs in with which password."""

from __future__ import annotations

from pathlib import Path


class BadUsers(ValueError):
    """A file of users that cannot be used; the text has file and line."""


def read_users(path: Path) -> dict[str, str]:
    """``ADDRESS PASSWORD`` on each line: a user part, ``user@host`` or a SIP URI, a blank, and the rest of the line.

    Empty lines and those that begin with ``#`` do not count. BadUsers, OSError.
    """
    found: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise BadUsers(f"{path}: not UTF-8") from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        address, _, password = line.strip().partition(" ")
        if not password.strip():
            raise BadUsers(f"{path}:{number}: give an address and a password")
        found[address.removeprefix("sip:").strip("<>")] = password.strip()
    return found
