"""What fuzzing found, as (target, octets): each was a fault once."""

from __future__ import annotations

FOUND: tuple[tuple[str, bytes], ...] = ()
