"""A flow: where bytes came from, and so where their answer goes back (RFC 5626 §1: transport, addresses and ports)."""

from __future__ import annotations

from typing import NamedTuple


class Flow(NamedTuple):
    """``local`` is the listener's (ip, port), ``remote`` the peer's; ``conn`` numbers a stream, 0 for UDP."""

    transport: str
    local: tuple[str, int]
    remote: tuple[str, int]
    conn: int = 0

    @property
    def is_reliable(self) -> bool:
        return self.transport != "udp"
