"""Methods about the daemon itself: what is set and used, and what can be set anew while it runs."""

from __future__ import annotations

from imc.errors import RpcError
from imc.manage.ports import Manager
from imc.manage.registry import Kind, Param, method
from imc.service.inbound import Act


class ServerMethods:
    """What `imc.manage.methods.Methods` takes over from here."""

    _manager: Manager

    @method(
        "imc.status",
        returns=(
            '`{"version": text, "started": unix seconds, "uptime": seconds, "listen": [text, …], "database": text, '
            '"rooms": number, "users_registered": number, "contacts": number, "subscriptions": number, "connections": '
            '{"tcp": number, …}, "waiting": number, "dead": number}`; `dead`: copies that became dead '
            "letters since the start"
        ),
        role="viewer",
    )
    async def _status(self) -> object:
        """Tell how the daemon does, in a few figures."""
        return self._manager.operations.status()

    @method(
        "imc.reload",
        returns=(
            '`{"changed": [setting, …], "needs_restart": [setting, …], "certificates": "read"|"unchanged: why"}`: what '
            "is in force now, and what differs from the file and will be in force after a restart"
        ),
        errors=(
            (500, "the configuration is not good; all is as before"),
            (500, "this daemon was not started from one"),
        ),
        is_reading=False,
        role="admin",
    )
    async def _reload(self, act: Act) -> object:
        """Read the configuration and the certificates again, as SIGHUP does. What `imc.set_limit` set is gone then."""
        return await self._manager.operations.reload()

    @method(
        "imc.limits",
        returns=(
            '`[{"limit": name, "value": number|boolean, "used": number|null, "hits": number|null, "reload": boolean}, '
            "…]`: `used` is what the fullest has, as far as that is known; `hits` how often it has refused something "
            "since the start, null where that is not counted by itself; `reload` whether it can be set while "
            "the daemon runs"
        ),
        role="viewer",
    )
    async def _limits(self) -> object:
        """List all of `[limits]`: what is in force, what is used of it, and how often it was hit."""
        return list(self._manager.operations.limits())

    @method(
        "imc.set_limit",
        Param("limit", Kind.TEXT, "Its name in `[limits]`."),
        Param("value", Kind.TEXT, "Its value, as in the file."),
        returns='`{"limit": name, "value": number|boolean, "before": number|boolean}`',
        errors=((500, "there is no such limit, it needs a restart, or the value is not good"),),
        is_reading=False,
        role="operator",
    )
    async def _set_limit(self, limit: str, value: str, act: Act) -> object:
        """Set a limit until the next reload or start. To keep it, write it into the configuration as well."""
        return self._manager.operations.set_limit(limit, value)


def not_reloadable() -> RpcError:
    return RpcError("this daemon has no configuration to read again")
