"""Kamailio with its module imc, as it is installed, and with a configuration of our own: `kamailio.cfg`."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from conformance.drivers.imc_module import DATABASE, DOMAIN, IP, ModuleDriver, ModuleTarget, Setup, tables_in
from conformance.drivers.spawn import find_binary
from conformance.suite.case import Case
from conformance.suite.conversation import Lacks, Options

CONFIG = Path(__file__).with_name("kamailio.cfg")
SHARED_MEMORY = "512"
"""MB: a transaction stays for 5 s after its answer (RFC 3261 timer K), and there are thousands a second."""
TABLES = ("standard", "usrloc", "imc")
FOLDERS = (Path("/usr/share/kamailio/db_sqlite"), Path("/usr/local/share/kamailio/db_sqlite"))
_PARAMETERS = {"create_on_join": "CREATE_ON_JOIN", "check_on_create": "CHECK_ON_CREATE"}
_FIXED = {"delivery.keep_for": 0, "add_requires_consent": False, "room_pattern": "chat-*"}
"""What no parameter changes: `add` asks nobody, and the script tells rooms from users by their names."""


class KamailioDriver(ModuleDriver):
    name = "kamailio"
    profile = "kamailio-5.6"

    def describe(self) -> str:
        return "Kamailio with its module imc: the installed one, spawned with SQLite"

    def why_not(self) -> str | None:
        if find_binary("kamailio") is None:
            return "kamailio is not installed (Debian: apt install kamailio kamailio-sqlite-modules)"
        if tables_in(FOLDERS, TABLES) is None:
            return "Kamailio's tables for SQLite are not installed (Debian: apt install kamailio-sqlite-modules)"
        return None

    def version(self) -> str:
        return installed_version()

    def target(self, options: Options, folder: Path) -> ModuleTarget:
        return KamailioTarget(name=self.name, options=options, domain=options.domain or DOMAIN, folder=folder)


class KamailioTarget(ModuleTarget):
    """See `ModuleTarget`."""

    def command(self, setup: Setup, folder: Path, port: int) -> list[str]:
        binary = find_binary("kamailio")
        assert binary is not None
        manager = (self.manager or "").partition("@")[0]
        defines = {
            "LISTEN_UDP": f"udp:{IP}:{port}",
            "LISTEN_TCP": f"tcp:{IP}:{port}",
            "PROXY": f'"sip:{IP}:{port}"',
            "DB_URL": f'"sqlite:///{folder / DATABASE}"',
            "RPC_SOCKET": f'"{folder}/rpc.sock"',
            "ROOMS": f'"^({re.escape(self.room_prefix)}|{re.escape(manager)}$)"',
            "LOCATION_MODE": "1" if setup.alone else "0",
            **dict(setup.defines),
        }
        options = [part for name, value in defines.items() for part in ("-A", f"{name}={value}")]
        return [binary, "-f", str(CONFIG), "-DD", "-E", "-m", SHARED_MEMORY, "-M", "8", "-Y", str(folder), *options]

    def tables(self) -> str:
        return "\n".join(path.read_text() for path in tables_in(FOLDERS, TABLES) or ())

    def defines(self, case: Case) -> dict[str, str]:
        """Definitions for `kamailio.cfg`. Lacks."""
        found = {}
        for name, value in case.settings.items():
            if name in _PARAMETERS:
                found[_PARAMETERS[name]] = str(int(bool(value)))
            elif name == "imc_cmd_start_char":
                found["START_CHAR"] = f'"{value}"'
            elif _FIXED.get(name) != value:
                raise Lacks(f"the setting {name} = {value!r}")
        return found


def installed_version() -> str:
    """As ``kamailio -v`` tells it: "5.6.3"."""
    binary = find_binary("kamailio")
    assert binary is not None
    said = subprocess.run(  # noqa: S603 - the program that the driver is for
        [binary, "-v"], capture_output=True, text=True, timeout=10, check=False
    ).stdout
    found = re.search(r"kamailio (\d+(?:\.\d+)+)", said)
    return found[1] if found is not None else ""
