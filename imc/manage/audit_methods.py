"""The method that reads the audit (spec §22)."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

from imc.aor import Aor
from imc.errors import RpcError
from imc.manage.options import ManageOptions
from imc.manage.paging import limit_of
from imc.manage.ports import AuditRow, Manager
from imc.manage.registry import Kind, Param, invalid, method

_TIME = "as unix seconds or `2026-11-30T14:05` in UTC"


class AuditMethods:
    """What `imc.manage.methods.Methods` takes over from here."""

    _manager: Manager
    _options: ManageOptions

    @method(
        "imc.audit",
        Param("room", Kind.TEXT, "Only what is about this room.", default=""),
        Param("user", Kind.TEXT, "Only what is about this user.", default=""),
        Param("caller", Kind.TEXT, "Only what this one did: a user's address, or an operator's name.", default=""),
        Param("act", Kind.TEXT, "Only this act, such as `join` or `imc.reload`.", default=""),
        Param("since", Kind.TEXT, f"Not what was before, {_TIME}.", default=""),
        Param("until", Kind.TEXT, f"Not what was then or later, {_TIME}.", default=""),
        Param("after", Kind.TEXT, "The next page: `next` of the page before.", default=""),
        Param("limit", Kind.TEXT, "Rows in a page, 1000 at most.", default="100"),
        returns=(
            '`{"rows": [{"id": text, "time": unix seconds, "caller": text, "via": text, "act": text, "room": uri, '
            '"user": uri, "detail": object, "result": text}, …], "next": text}`, the newest first; `via` is `sip` for '
            "what users did, `next` is empty on the last page"
        ),
        errors=((500, "an address or a time cannot be read"),),
        role="operator",
    )
    async def _audit(  # noqa: PLR0917  the parameters of the method
        self, room: str, user: str, caller: str, act: str, since: str, until: str, after: str, limit: str
    ) -> object:
        """List who did what: each change of a room, and each act by the management interfaces."""
        if after and not (after.isascii() and after.isdigit() and len(after) <= 19):
            raise invalid("after: next of the page before")
        rows, more = await self._manager.operations.audit(
            room=self._uri(room),
            user=self._uri(user),
            actor=self._uri(caller) if "@" in caller else caller,
            act=act,
            since=_time("since", since),
            until=_time("until", until),
            before=int(after) if after else None,
            limit=limit_of(limit),
        )
        return {"rows": [row_of(row) for row in rows], "next": more}

    def _uri(self, text: str) -> str:
        if not text:
            return ""
        try:
            return str(Aor.parse(text, self._options.default_domain))
        except ValueError:
            raise RpcError(f"Invalid params: {text[:100]!r} is no address", status=400) from None


def row_of(row: AuditRow) -> dict[str, Any]:
    """A row for JSON; ``detail`` as an object where it is one."""
    try:
        detail = json.loads(row.detail) if row.detail else {}
    except ValueError:  # it was cut
        detail = {"cut": row.detail}
    return {
        "id": str(row.id),
        "time": row.created,
        "caller": row.actor,
        "via": row.via,
        "act": row.act,
        "room": row.room,
        "user": row.user,
        "detail": detail,
        "result": row.result,
    }


def _time(name: str, text: str) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise invalid(f"{name}: unix seconds, or 2026-11-30T14:05") from None
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(seconds):
        raise invalid(f"{name}: unix seconds, or 2026-11-30T14:05")
    return seconds
