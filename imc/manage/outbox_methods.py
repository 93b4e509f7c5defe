"""Methods about copies that wait for their recipients, and dead letters (spec S-LANE-12 to S-LANE-15)."""

from __future__ import annotations

import base64
import re
from typing import Any

from imc.errors import RpcError
from imc.manage.ports import Manager, WaitingSummary
from imc.manage.registry import Kind, Param, method
from imc.service.inbound import Act

_MOST = 1_000
_STATES = ("dead", "waiting", "all")
_RECIPIENT = Param("recipient", Kind.TEXT, "Only what is for this user; `` for everybody.", default="")
_STATE = Param("state", Kind.TEXT, "`dead`, `waiting` or `all`.", default="all")
_WHO = Param("recipient", Kind.TEXT, "The user whose copies are meant, or `all`.")
_ID = Param("id", Kind.TEXT, "Only this copy: `id` as `imc.outbox` gives it.", default="")


class OutboxMethods:
    """What `imc.manage.methods.Methods` takes over from here."""

    _manager: Manager

    @method(
        "imc.outbox",
        _RECIPIENT,
        _STATE,
        Param("after", Kind.TEXT, "The next page: `next` of the page before.", default=""),
        Param("limit", Kind.TEXT, f"Copies in a page, {_MOST} at most.", default="100"),
        Param("body", Kind.TEXT, "`yes` for the text of each as well.", default="no", role="admin"),
        returns=(
            '`{"copies": [{"id", "recipient", "from", "event", "state": "dead"|"waiting", "created", "expires", '
            '"tries", "status", "changed", "type", "size", "body"}, …], "next": text}`; times are in unix seconds, '
            "`status` is "
            "that of the last try, 0 before it; `body` is text where it is UTF-8, else base64 with `base64` true; "
            "`next` is empty on the last page"
        ),
        errors=((500, "the user's address cannot be read"),),
        role="viewer",
    )
    async def _outbox(self, recipient: str, state: str, after: str, limit: str, body: str) -> object:
        """List the copies that could not be delivered yet: those that wait for their recipient, and dead letters."""
        if state not in _STATES or body not in ("yes", "no") or not limit.isascii() or not limit.isdigit():
            raise RpcError("Invalid params: state is dead, waiting or all, body yes or no, limit a number", status=400)
        count = min(max(1, int(limit[:9])), _MOST)
        rows, more = await self._manager.outbox(recipient, state, after, count)
        return {"copies": [_row(row, has_body=body == "yes") for row in rows], "next": more}

    @method(
        "imc.outbox_retry",
        _WHO,
        _ID,
        returns="How many dead letters were put back",
        errors=((500, "the user's address cannot be read"),),
        is_reading=False,
        role="operator",
    )
    async def _outbox_retry(self, recipient: str, id: str, act: Act) -> object:  # noqa: A002 – the parameter's name
        """Put dead letters back: they are sent again when their recipient can be reached, now if they can be.

        An invitation is not, since its inviter was told that it had failed; nor what its sender had expire.
        """
        _check_id(id)
        return await self._manager.outbox_retry(recipient, id)

    @method(
        "imc.outbox_drop",
        _WHO,
        _STATE,
        _ID,
        returns="How many copies were deleted",
        errors=((500, "the user's address cannot be read"),),
        is_reading=False,
        role="operator",
    )
    async def _outbox_drop(self, recipient: str, state: str, id: str, act: Act) -> object:  # noqa: A002 – as above
        """Delete copies, unread. What is being sent at the moment is left. An invitation's inviter is told."""
        if state not in _STATES:
            raise RpcError("Invalid params: state is dead, waiting or all", status=400)
        _check_id(id)
        return await self._manager.outbox_drop(recipient, state, id)


def _check_id(id_: str) -> None:
    """RpcError for what is no `id` of `imc.outbox`."""
    if id_ and not re.fullmatch(r"[0-9]{1,19}\.[0-9]{1,9}", id_, re.ASCII):
        raise RpcError(f"Invalid params: {id_[:40]!r} is no id: 12.0 is one, as imc.outbox gives it", status=400)


def _row(row: WaitingSummary, *, has_body: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": row.id,
        "recipient": str(row.recipient),
        "from": str(row.sender),
        "event": row.event,
        "state": "dead" if row.is_dead else "waiting",
        "created": row.created,
        "expires": row.expires or None,
        "tries": row.tries,
        "status": row.status,
        "changed": row.changed,
        "type": row.content_type,
        "size": len(row.body),
    }
    if has_body:
        try:
            found["body"] = row.body.decode()
        except UnicodeDecodeError:
            found["body"], found["base64"] = base64.b64encode(row.body).decode("ascii"), True
    return found
