"""Methods that act on rooms with an operator's rights (spec §21), or as a user (R-ADMIN-7)."""

from __future__ import annotations

from typing import Any

from imc.aor import Aor
from imc.errors import RpcError
from imc.manage.ports import Acted, Manager
from imc.manage.registry import Kind, Param, invalid, method
from imc.service.inbound import Act

_ROOM = Param("room", Kind.ROOM, "The room's address.")
_USER = Param("user", Kind.USER, "The user's address.")
_ACTED = (
    '`{"status": 200, "changed": boolean, "clause": text}`: `changed` is false where it was so already, `clause` the '
    "rule of spec/room.md"
)
_REFUSED = (500, "refused, as a member's command would be: the message has status, event id and words")
ROLES = ("owner", "admin", "member")


class RoomMethods:
    """What `imc.manage.methods.Methods` takes over from here."""

    _manager: Manager

    @method(
        "imc.room",
        _ROOM,
        returns=(
            '`{"room": uri, "private": boolean, "owners": [uri, …], "admins": number, "members": number, "invited": '
            'number, "settings": {"replay", "keep", "days"}, "kept": {"messages": number, "days": number}, "logged": '
            "number}`: `members` counts owners and admins too, a setting of −1 is the server's, `kept` what is in "
            "force, `logged` the number of the newest message in the log"
        ),
        errors=((500, "the room's address cannot be read"), (500, "no such room")),
        role="viewer",
    )
    async def _room(self, room: Aor) -> object:
        """Tell of a room, without what was said in it."""
        found = await self._manager.operations.room(room)
        if found is None:
            raise RpcError("Room not found", status=404)
        return found

    @method(
        "imc.create_room",
        _ROOM,
        Param("owner", Kind.USER, "Who is to own it."),
        Param("private", Kind.TEXT, "`yes` or `no`.", default="no"),
        returns=_ACTED,
        errors=(_REFUSED,),
        is_reading=False,
        role="operator",
        is_in_room=True,
    )
    async def _create_room(self, room: Aor, owner: Aor, private: str, act: Act) -> object:
        """Make a room for somebody, who is told."""
        return _acted(await self._manager.operations.create_room(act, room, owner, is_private=_yes("private", private)))

    @method(
        "imc.destroy_room",
        _ROOM,
        returns=_ACTED,
        errors=(_REFUSED,),
        is_reading=False,
        role="operator",
        is_in_room=True,
    )
    async def _destroy_room(self, room: Aor, act: Act) -> object:
        """End a room, and what was said in it. Everybody in it is told, the invited too."""
        return _acted(await self._manager.operations.destroy_room(act, room))

    @method(
        "imc.invite",
        _ROOM,
        _USER,
        returns=_ACTED,
        errors=(_REFUSED,),
        is_reading=False,
        role="operator",
        is_in_room=True,
    )
    async def _invite(self, room: Aor, user: Aor, act: Act) -> object:
        """Invite somebody into a room. The owners are told what comes of it."""
        return _acted(await self._manager.operations.invite(act, room, user))

    @method(
        "imc.add",
        _ROOM,
        _USER,
        returns=_ACTED,
        errors=(_REFUSED,),
        is_reading=False,
        role="operator",
        is_in_room=True,
    )
    async def _add(self, room: Aor, user: Aor, act: Act) -> object:
        """Make somebody a member at once, without asking them. The room and they are told."""
        return _acted(await self._manager.operations.add(act, room, user))

    @method(
        "imc.remove",
        _ROOM,
        _USER,
        returns=_ACTED,
        errors=(_REFUSED,),
        is_reading=False,
        role="operator",
        is_in_room=True,
    )
    async def _remove(self, room: Aor, user: Aor, act: Act) -> object:
        """Remove a member, admin or owner, or withdraw an invitation. A room's last owner stays."""
        return _acted(await self._manager.operations.remove(act, room, user))

    @method(
        "imc.set_role",
        _ROOM,
        _USER,
        Param("role", Kind.TEXT, "`owner`, `admin` or `member`."),
        returns=_ACTED,
        errors=(_REFUSED,),
        is_reading=False,
        role="operator",
        is_in_room=True,
    )
    async def _set_role(self, room: Aor, user: Aor, role: str, act: Act) -> object:
        """Give somebody in a room a role. The room is told."""
        if role not in ROLES:
            raise invalid("role: owner, admin or member")
        return _acted(await self._manager.operations.set_role(act, room, user, role))

    @method(
        "imc.set_room",
        _ROOM,
        Param("option", Kind.TEXT, "`replay`, `keep`, `days` or `private`."),
        Param("value", Kind.TEXT, "A number, or `default`; of `private` `yes` or `no`."),
        returns=_ACTED,
        errors=(_REFUSED,),
        is_reading=False,
        role="operator",
        is_in_room=True,
    )
    async def _set_room(self, room: Aor, option: str, value: str, act: Act) -> object:
        """Set what a room keeps and repeats of what is said, or whether it is private. The room is told."""
        if option == "private":
            is_private = _yes("value", value)
            return _acted(await self._manager.operations.set_private(act, room, is_private=is_private))
        return _acted(await self._manager.operations.set_option(act, room, option, value))

    @method(
        "imc.run",
        Param("from", Kind.TEXT, "Address of the user to act as."),
        Param("to", Kind.TEXT, "Address of a room or of the conference manager."),
        Param("body", Kind.TEXT, "A command such as `#join`, or a text for the room.", is_secret=True),
        Param("content_type", Kind.TEXT, "Type of the body.", default="text/plain"),
        returns=(
            '`{"status": number, "code": number, "clause": text, "event": text, "warning": text, "answers": '
            '[{"event": text, "text": text}, …]}`: final response, return code as of `imc.manager`, rule, event id of '
            "a refusal and its words, and the MESSAGEs that the user would have got in answer"
        ),
        is_reading=False,
        is_in_room=True,
    )
    async def _run_as(self, *, act: Act, **arguments: str) -> object:
        """Do as if the user had sent a MESSAGE, with the rights that the user has, and give back the answer.

        The user gets no answer; all others are told as ever.
        """
        outcome = await self._manager.operations.run_as(
            act, arguments["from"], arguments["to"], arguments["body"], arguments["content_type"]
        )
        return {
            "status": outcome.status,
            "code": outcome.code,
            "clause": outcome.clause,
            "event": outcome.event,
            "warning": outcome.warning,
            "answers": [{"event": event, "text": text} for event, text in outcome.answers],
        }


def _acted(outcome: Acted) -> dict[str, Any]:
    """The result of an operator's act. RpcError for a refusal."""
    if outcome.status >= 300:
        words = f"{outcome.status} {outcome.event or 'failed'}: {outcome.warning}"
        raise RpcError(words, status=outcome.status)
    return {"status": outcome.status, "changed": outcome.is_changed, "clause": outcome.clause}


def _yes(name: str, value: str) -> bool:
    if value not in ("yes", "no"):
        raise invalid(f"{name}: yes or no")
    return value == "yes"
