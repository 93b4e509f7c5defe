"""Addresses of rows, one object for all rooms that somebody is in: an address is half of what a member needs in memory.

Invariants
    What comes out is canonical (`imc.aor`), whether it was remembered or not.
    Bounded: when it is full all is forgotten. Any thread may ask; at worst there are two objects of one address.
"""

from __future__ import annotations

from imc.aor import Aor, canonical_host, canonical_user


class Addresses:
    """``bound`` is how many addresses are remembered, and how many hosts."""

    def __init__(self, bound: int = 100_000) -> None:
        self._bound = bound
        self._known: dict[tuple[str, str], Aor] = {}
        self._hosts: dict[str, str | None] = {}

    def get(self, username: str, domain: str) -> Aor | None:
        """The canonical address of a row; None where it breaks the grammar."""
        known = self._known.get((username, domain))
        if known is not None:
            return known
        host = self._host(domain)
        if host is None:
            return None
        try:
            aor = Aor(canonical_user(username), host)
        except ValueError:
            return None
        if len(self._known) >= self._bound:
            self._known = {}
        return self._known.setdefault(aor, aor)

    def _host(self, domain: str) -> str | None:
        hosts = self._hosts
        if domain not in hosts:
            if len(hosts) >= self._bound:
                hosts = self._hosts = {}
            try:
                hosts[domain] = canonical_host(domain)
            except ValueError:
                hosts[domain] = None
        return hosts[domain]
