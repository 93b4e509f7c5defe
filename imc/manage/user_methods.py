"""Methods about users: accounts, and where they are registered."""

from __future__ import annotations

from imc.aor import Aor
from imc.manage.paging import limit_of, next_page
from imc.manage.ports import Manager
from imc.manage.registry import Kind, Param, method
from imc.service.inbound import Act

_USER = Param("user", Kind.USER, "The user's address.")
_AFTER = Param("after", Kind.TEXT, "The next page: `next` of the page before.", default="")
_LIMIT = Param("limit", Kind.TEXT, "Entries in a page, 1000 at most.", default="100")
_PASSWORD = Param("password", Kind.TEXT, "The password; neither kept nor logged.", is_secret=True)
_BAD_PAGE = (500, "`after` is no page's `next`")


class UserMethods:
    """What `imc.manage.methods.Methods` takes over from here."""

    _manager: Manager

    @method(
        "imc.users",
        _AFTER,
        _LIMIT,
        returns='`{"users": [uri, …], "next": text}`, sorted; `next` is empty on the last page',
        errors=(_BAD_PAGE,),
        role="viewer",
    )
    async def _users(self, after: str, limit: str) -> object:
        """List the accounts."""
        users, more = await self._manager.operations.users(next_page(after), limit_of(limit))
        return {"users": [str(user) for user in users], "next": more}

    @method(
        "imc.user_add",
        _USER,
        _PASSWORD,
        returns='`{"user": uri, "served": boolean}`: `served` is false where nobody can use it yet, since its domain '
        "is none of `[imc] domains`",
        errors=(
            (500, "there is one already; the address is a room's, the manager's, or of characters not to be seen"),
        ),
        is_reading=False,
    )
    async def _user_add(self, user: Aor, password: str, act: Act) -> object:
        """Add an account."""
        return {"user": str(user), "served": await self._manager.operations.add_user(user, password)}

    @method(
        "imc.user_password",
        _USER,
        _PASSWORD,
        returns='`{"user": uri}`',
        errors=((500, "there is no such account"),),
        is_reading=False,
    )
    async def _user_password(self, user: Aor, password: str, act: Act) -> object:
        """Change the password of an account. What is registered stays so until it expires: `imc.kick` ends it."""
        await self._manager.operations.set_password(user, password)
        return {"user": str(user)}

    @method(
        "imc.user_remove",
        _USER,
        returns='`{"user": uri}`',
        errors=((500, "there is no such account"),),
        is_reading=False,
    )
    async def _user_remove(self, user: Aor, act: Act) -> object:
        """Remove an account. Their part in rooms, and what they said, stay: `imc.forget` takes those too."""
        await self._manager.operations.remove_user(user)
        return {"user": str(user)}

    @method(
        "imc.registered",
        Param("user", Kind.TEXT, "Only this user's contacts; `` for everybody's.", default=""),
        _AFTER,
        _LIMIT,
        returns=(
            '`{"users": [{"user": uri, "contacts": [{"contact": uri, "q": number, "expires": seconds, "registered": '
            'unix seconds, "transport": text, "from": text, "connected": boolean|null, "path": [text, …], "agent": '
            'text}, …]}, …], "next": text}`, sorted by user; `limit` counts users; `from` is the address it was '
            "registered from, `connected` whether that connection is open, null where it was none"
        ),
        errors=(_BAD_PAGE, (500, "the user's address cannot be read")),
        role="viewer",
    )
    async def _registered(self, user: str, after: str, limit: str) -> object:
        """List where users are registered."""
        rows, more = await self._manager.operations.registered(user, next_page(after), limit_of(limit))
        return {"users": list(rows), "next": more}

    @method(
        "imc.kick",
        _USER,
        returns="How many registrations were ended",
        is_reading=False,
        role="operator",
    )
    async def _kick(self, user: Aor, act: Act) -> object:
        """End all registrations of a user. Their program may register again: to keep them out, change the password."""
        return await self._manager.operations.kick(user)
