"""Methods about operators: who may log in on the operators' page."""

from __future__ import annotations

from imc.manage.caller import ROLES
from imc.manage.ports import Manager
from imc.manage.registry import Kind, Param, method
from imc.service.inbound import Act

_NAME = Param("name", Kind.TEXT, "The operator's name: a-z, 0-9, `.`, `_` and `-`, 32 at most.")
_ROLE = Param("role", Kind.TEXT, "`viewer`, `operator` or `admin`.", choices=ROLES)
_PASSWORD = Param("password", Kind.TEXT, "The password, of 8 characters at least.", is_secret=True)
_NONE = (500, "there is no such operator")
_LAST = (500, "no admin would be left")
_RETURNS = '`{"name": text}`'


class OperatorMethods:
    """What `imc.manage.methods.Methods` takes over from here."""

    _manager: Manager

    @method("imc.operators", returns='`[{"name": text, "role": text, "created": unix seconds}, …]`, sorted')
    async def _operators(self) -> object:
        """List who may log in on the operators' page."""
        return [
            {"name": one.name, "role": one.role, "created": one.created} for one in await self._manager.operators.list()
        ]

    @method(
        "imc.operator_add",
        _NAME,
        _ROLE,
        _PASSWORD,
        returns=_RETURNS,
        errors=((500, "there is one already, or name, role or password are not good"),),
        is_reading=False,
    )
    async def _operator_add(self, name: str, role: str, password: str, act: Act) -> object:
        """Add an operator."""
        await self._manager.operators.add(name, role, password)
        return {"name": name}

    @method(
        "imc.operator_password",
        _NAME,
        _PASSWORD,
        returns=_RETURNS,
        errors=(_NONE, (500, "the password is too short")),
        is_reading=False,
    )
    async def _operator_password(self, name: str, password: str, act: Act) -> object:
        """Change an operator's password. Their sessions end."""
        await self._manager.operators.set_password(name, password)
        return {"name": name}

    @method("imc.operator_role", _NAME, _ROLE, returns=_RETURNS, errors=(_NONE, _LAST), is_reading=False)
    async def _operator_role(self, name: str, role: str, act: Act) -> object:
        """Give an operator another role. Their sessions end."""
        await self._manager.operators.set_role(name, role)
        return {"name": name}

    @method("imc.operator_remove", _NAME, returns=_RETURNS, errors=(_NONE, _LAST), is_reading=False)
    async def _operator_remove(self, name: str, act: Act) -> object:
        """Remove an operator. Their sessions end."""
        await self._manager.operators.remove(name)
        return {"name": name}
