"""``imc demo``: something to try in a minute. One folder holds all of it, and can be thrown away.

The folder's configuration is written anew by each start; accounts, rooms and passwords stay. The passwords are in a
file that only its owner reads, since the database holds none that could be shown.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import socket
import sys
import time
from pathlib import Path
from urllib.parse import quote

from imc.config.render import toml_value
from imc.errors import ListenError

DOMAIN = "127.0.0.1"
USERS = ("alice", "bob")
OPERATOR = "operator"

_CONFIG = """\
# Written by `imc demo` at each start: what is changed here is lost. To keep it, copy this file and use `imc serve -c`.
[imc]
db_url = "sqlite://{database}"
domains = ["{domain}"]

[sip]
listen = ["udp:{domain}:{port}", "tcp:{domain}:{port}", "ws:{domain}:{page}"]

[manage]
listen = "{domain}:{manage}"
token = "{token}"
socket = {socket}
"""

# Where Debian, and a build of one's own, put baresip's modules.
_BARESIP_MODULES = ("/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules")

# Account, contacts and menu are all that chatting takes. Port 0 is any free one.
_BARESIP = """\
sip_listen 127.0.0.1:0
module_path {modules}
module stdio.so
module_app account.so
module_app contact.so
module_app menu.so
"""

_BARESIP_ACCOUNT = "<sip:{user}@{domain}:{port};transport=udp>;auth_pass={password};regint=300\n"

_BARESIP_CONTACTS = """\
"Lobby" <sip:chat-lobby@{domain}:{port}>
"Manager" <sip:chat-manager@{domain}:{port}>
"""

# Port -1 is any free one: 5060 is imc's.
_LINPHONE = """\
[sip]
sip_port=-1
sip_tcp_port=-1
default_proxy=0

[auth_info_0]
username={user}
realm={domain}
passwd={password}

[proxy_0]
reg_proxy=<sip:{domain}:{port};transport=udp>
reg_route=<sip:{domain}:{port};transport=udp;lr>
reg_identity=sip:{user}@{domain}
reg_expires=600
reg_sendregister=1
"""

_GREETING = """\
Chat here, in a browser on this machine:

    http://{domain}:{page}/

Two accounts to try it with; log in as one, and in a second window as the other:

{accounts}

See what goes on, and act on it: log in as {operator}, password {operator_password}

    http://{domain}:{manage}/operate/

Programs call it by /RPC, /metrics and so on, with the token that is in {folder}/imc.toml:

    curl -H "Authorization: Bearer $(sed -n 's/^token = "\\(.*\\)"/\\1/p' {folder}/imc.toml)" http://{domain}:{manage}/metrics

imc listens on {domain}:{port}, UDP and TCP, for SIP programs too. Any will do, or these, each in a terminal of its own
(Debian: baresip-core, linphone-cli, sipsak):

    baresip -f {folder}/baresip-alice
        /message #create                  to the contact that is chosen, at first the room chat-lobby
        /message #invite sip:bob@{domain}
        /message hello                    what is no command goes to everybody in the room

    mkdir -p ~/.local/share/linphone; linphonec -c {folder}/linphone-bob
        chat {lobby} #accept
        chat {lobby} hello alice

    sipsak -U -x 60 -s sip:alice@{at} -u alice -a {password}
        logs in; prints nothing, and ends with exit status 0, where the password is right

All commands: send #help to a room. In another terminal: {imc} rooms -c {folder}/imc.toml
Everything is in {folder}/; remove it to begin anew. Stop with Ctrl-C.
"""


def run(folder: Path, port: int) -> None:
    """Prepare ``folder``, say how to log in, and serve. ListenError where the port is taken."""
    _check_port(port)
    folder.mkdir(parents=True, exist_ok=True)
    place = folder.resolve()
    _check_not_running(place / "imc.db")
    config = place / "imc.toml"
    _write_private(  # the token lets whoever has it do everything
        config,
        _CONFIG.format(
            database=quote(str(place / "imc.db")),
            domain=DOMAIN,
            port=port,
            page=page_port(port),
            manage=manage_port(port),
            token=secrets.token_hex(16),
            socket=toml_value(str(place / "imc.sock")),
        ),
    )
    passwords = _passwords(place / "passwords")
    operator = passwords.pop(OPERATOR)
    _set_accounts(config, passwords, operator)
    for user, password in passwords.items():
        names = {"user": user, "password": password, "domain": DOMAIN, "port": port}
        _write_private(place / f"linphone-{user}", _LINPHONE.format_map(names))
        _write_baresip(place / f"baresip-{user}", names)
    print(greeting(folder, port, passwords, operator), flush=True)

    from imc.cli.serve import run as serve

    serve(config)


def greeting(folder: Path, port: int, passwords: dict[str, str], operator: str) -> str:
    """What is printed: addresses, passwords, and what to type."""
    at = DOMAIN if port == 5060 else f"{DOMAIN}:{port}"
    width = len(f"sip:alice@{DOMAIN}")
    return _GREETING.format(
        accounts="\n".join(
            f"    {f'sip:{user}@{DOMAIN}':{width}}   password {word}" for user, word in passwords.items()
        ),
        domain=DOMAIN,
        port=port,
        page=page_port(port),
        manage=manage_port(port),
        operator=OPERATOR,
        operator_password=operator,
        folder=folder,
        lobby=f"sip:chat-lobby@{at}",
        at=at,
        password=passwords["alice"],
        imc=_called_as(sys.argv[0]),
    )


def _called_as(program: str) -> str:
    """What to type to run ``imc`` again, in the folder of this call: its name, where the shell finds it by that."""
    path = Path(program)
    found = shutil.which("imc")
    return "imc" if path.name != "imc" or (found is not None and Path(found).resolve() == path.resolve()) else program


def page_port(port: int) -> int:
    """Where the page is: 20 ports on, so that demos on ports of their own have pages of their own."""
    return port + 20 if port + 20 <= 65_535 else port - 20


def manage_port(port: int) -> int:
    """Where the operators' page is, likewise: 8060, imc's usual one, for 5060."""
    return port + 3_000 if port + 3_000 <= 65_535 else port - 3_000


def _check_port(port: int) -> None:
    """Before anything is said: the daemon itself would find out too late."""
    for kind, number in (
        (socket.SOCK_DGRAM, port),
        (socket.SOCK_STREAM, port),
        (socket.SOCK_STREAM, page_port(port)),
        (socket.SOCK_STREAM, manage_port(port)),
    ):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((DOMAIN, number))
            except OSError as error:
                hint = "; try another: imc demo --port 5070, or make run PORT=5070"
                hint = hint if error.errno == errno.EADDRINUSE else ""
                raise ListenError(f"port {number} on {DOMAIN}: {error.strerror}{hint}") from None


def _check_not_running(database: Path) -> None:
    """Before a file is written: those of a demo that runs in this folder are not to change. StoreLocked."""
    from imc.store.locks import FileLock

    lock = FileLock(database.with_name(database.name + ".lock"))
    lock.acquire(0.0)
    lock.release()


def _passwords(file: Path) -> dict[str, str]:
    """Those of the last start, or new ones."""
    known = {}
    if file.exists():
        known = dict(line.split(" ", 1) for line in file.read_text(encoding="utf-8").splitlines() if " " in line)
    passwords = {user: known.get(user) or secrets.token_hex(6) for user in (*USERS, OPERATOR)}
    _write_private(file, "".join(f"{user} {password}\n" for user, password in passwords.items()))
    return passwords


def _set_accounts(config: Path, passwords: dict[str, str], operator: str) -> None:
    from imc.aor import Aor
    from imc.cli.users import open_store
    from imc.config import load
    from imc.store.accounts import Account
    from imc.store.operators import Operator

    with open_store(load(config), may_create=True) as store:
        for user, password in passwords.items():
            account = Account.from_password(Aor(user, DOMAIN), password)
            change = store.add_account if store.get_account(account.aor) is None else store.set_account
            change(account)
        if store.get_operator(OPERATOR) is not None:
            store.remove_operator(OPERATOR)
        store.add_operator(Operator.from_password(OPERATOR, "admin", operator, time.time()))


def _write_baresip(folder: Path, names: dict[str, object]) -> None:
    folder.mkdir(exist_ok=True)
    modules = next((path for path in _BARESIP_MODULES if Path(path).is_dir()), _BARESIP_MODULES[0])
    (folder / "config").write_text(_BARESIP.format(modules=modules))
    _write_private(folder / "accounts", _BARESIP_ACCOUNT.format_map(names))
    (folder / "contacts").write_text(_BARESIP_CONTACTS.format_map(names))


def _write_private(path: Path, text: str) -> None:
    """A file that only its owner can read, from its first moment on."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)
