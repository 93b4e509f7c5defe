"""The servers that a run can have: a driver each, by name, or by the path of a file that holds one.

A new server is one file, anywhere; one that is here has a line below too.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

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
    """By name; by a ``sip:`` or ``sips:`` URI, the one of external servers; by path, the one in a ``.py``. NoDriver."""
    if name.endswith(".py"):
        return _from_file(Path(name))
    key = "sip" if name.startswith(("sip:", "sips:")) else name
    if key not in _DRIVERS:
        known = ", ".join([*(each for each in _DRIVERS if each != "sip"), "sip:HOST:PORT", "PATH.py"])
        raise NoDriver(f"no target {name!r}; there are {known}")
    module, _, attribute = _DRIVERS[key].partition(":")
    found: Driver = getattr(import_module(module), attribute)()
    return found


def _from_file(path: Path) -> Driver:
    """The one driver that a file of Python defines; its module is named as the file. NoDriver."""
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise NoDriver(f"{path}: no such file")
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise NoDriver(f"{path}: {type(error).__name__}: {error}") from error
    found = [
        each
        for _, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, Driver) and each.__module__ == path.stem and not inspect.isabstract(each)
    ]
    if len(found) != 1:
        raise NoDriver(f"{path}: it must define one Driver, and has {len(found)}")
    made: Driver = found[0]()
    return made
