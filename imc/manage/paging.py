"""Pages of long lists: how many, and where the next one begins."""

from __future__ import annotations

from imc.aor import Aor
from imc.errors import RpcError
from imc.manage.registry import invalid

MOST = 1_000


def limit_of(text: str) -> int:
    """From 1 to `MOST`. RpcError for what is no number."""
    if not (text.isascii() and text.isdigit()):
        raise invalid("limit: a number")
    return min(max(1, int(text[:9])), MOST)


def next_page(text: str) -> tuple[str, str] | None:
    """User part and host that the page before ended with; None for the first. RpcError."""
    if not text:
        return None
    try:
        return Aor.parse(text)
    except ValueError:
        raise RpcError("Invalid params: after is no page's next", status=400) from None
