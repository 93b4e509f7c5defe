"""OpenSIPS 3 with its module imc, with a configuration of our own: `opensips.cfg`.

Written from OpenSIPS' documentation alone: Debian has no package of it, and nobody has run this yet. Where the first
run shows something else, it is right and this is wrong.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from conformance.drivers.imc_module import DATABASE, DOMAIN, IP, ModuleDriver, ModuleTarget, Setup, tables_in
from conformance.drivers.spawn import find_binary
from conformance.suite.case import Case
from conformance.suite.conversation import Lacks, Options

CONFIG = Path(__file__).with_name("opensips.cfg")
TABLES = ("standard", "imc")
FOLDERS = (Path("/usr/share/opensips/sqlite"), Path("/usr/local/share/opensips/sqlite"))
_LIBRARIES = (Path("/usr/lib"), Path("/usr/lib64"), Path("/usr/local/lib"), Path("/usr/local/lib64"))
_FIXED = {"delivery.keep_for": 0, "room_pattern": "chat-*", "create_on_join": True, "check_on_create": False}
"""What its module has no parameter for, and does as documented."""


class OpensipsDriver(ModuleDriver):
    name = "opensips"
    profile = "opensips-3"

    def describe(self) -> str:
        return "OpenSIPS with its module imc, spawned with SQLite (by its documentation; not run yet)"

    def why_not(self) -> str | None:
        if find_binary("opensips") is None:
            return "opensips is not installed (Debian has no package of it; OpenSIPS has its own)"
        if modules() is None:
            return "OpenSIPS' module imc is not installed"
        if tables_in(FOLDERS, TABLES) is None:
            return f"OpenSIPS' tables for SQLite are not in {FOLDERS[0]}"
        return None

    def version(self) -> str:
        return installed_version()

    def target(self, options: Options, folder: Path) -> ModuleTarget:
        return OpensipsTarget(name=self.name, options=options, domain=options.domain or DOMAIN, folder=folder)


class OpensipsTarget(ModuleTarget):
    """See `ModuleTarget`."""

    def command(self, setup: Setup, folder: Path, port: int) -> list[str]:
        binary = find_binary("opensips")
        assert binary is not None
        path = folder / "opensips.cfg"
        path.write_text(self.config(setup, folder, port))
        return [binary, "-F", "-f", str(path), "-m", "512", "-M", "8", "-w", str(folder)]

    def config(self, setup: Setup, folder: Path, port: int) -> str:
        """`opensips.cfg` for a server that listens on this port."""
        manager = (self.manager or "").partition("@")[0]
        values = {
            "MODULES": f"{modules() or ''}/",
            "IP": IP,
            "PORT": str(port),
            "DATABASE": str(folder / DATABASE),
            "ROOMS": f"^({re.escape(self.room_prefix)}|{re.escape(manager)}$)",
            "START_CHAR": "#",
            **dict(setup.defines),
        }
        return re.sub(r"@([A-Z_]+)@", lambda match: values[match[1]], CONFIG.read_text())

    def tables(self) -> str:
        return "\n".join(path.read_text() for path in tables_in(FOLDERS, TABLES) or ())

    def defines(self, case: Case) -> dict[str, str]:
        """Values for `opensips.cfg`. Lacks."""
        found = {}
        for name, value in case.settings.items():
            if name == "imc_cmd_start_char":
                found["START_CHAR"] = str(value)
            elif _FIXED.get(name) != value:
                raise Lacks(f"the setting {name} = {value!r}")
        return found


def modules() -> Path | None:
    """The folder of its modules."""
    for library in _LIBRARIES:
        for pattern in ("opensips/modules/imc.so", "*/opensips/modules/imc.so"):
            for path in sorted(library.glob(pattern)):
                return path.parent
    return None


def installed_version() -> str:
    """As ``opensips -V`` tells it: "3.4.5"."""
    binary = find_binary("opensips")
    assert binary is not None
    said = subprocess.run(  # noqa: S603 - the program that the driver is for
        [binary, "-V"], capture_output=True, text=True, timeout=10, check=False
    )
    found = re.search(r"opensips (\d+(?:\.\d+)+)", said.stdout + said.stderr)
    return found[1] if found is not None else ""
