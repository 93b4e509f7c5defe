"""The servers that a run can have: a driver each, by name. A new server is one file here, and a line below."""

from __future__ import annotations

from importlib import import_module

from conformance.suite.conversation import Driver

_DRIVERS = {
    "core": "conformance.drivers.core:CoreDriver",
    "imc": "conformance.drivers.imc:ImcDriver",
    "kamailio": "conformance.drivers.kamailio:KamailioDriver",
    "opensips": "conformance.drivers.opensips:OpensipsDriver",
    "sip": "conformance.drivers.external:ExternalDriver",
}
"""``sip`` is any server that runs already, given by its URI."""


class NoDriver(ValueError):
    """No server of that name."""


def names() -> list[str]:
    """All drivers."""
    return list(_DRIVERS)


def driver(name: str) -> Driver:
    """By name, or by a ``sip:`` or ``sips:`` URI: the one of external servers. NoDriver."""
    key = "sip" if name.startswith(("sip:", "sips:")) else name
    if key not in _DRIVERS:
        raise NoDriver(
            f"no target {name!r}; there are {', '.join(each for each in _DRIVERS if each != 'sip')}, sip:HOST:PORT"
        )
    module, _, attribute = _DRIVERS[key].partition(":")
    found: Driver = getattr(import_module(module), attribute)()
    return found
