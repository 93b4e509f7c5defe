"""``imc demo``: something to try in a minute. One folder holds all of it, and can be thrown away.

The folder's configuration is written anew by each start; accounts, rooms and passwords stay. The passwords are in a
file that only its owner reads, since the database holds none that could be shown.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from urllib.parse import quote

DOMAIN = "127.0.0.1"
USERS = ("alice", "bob")

_CONFIG = """\
# Written by `imc demo` at each start: what is changed here is lost. To keep it, copy this file and use `imc serve -c`.
[imc]
db_url = "sqlite://{database}"
domains = ["{domain}"]

[sip]
listen = ["udp:{domain}:{port}", "tcp:{domain}:{port}"]

[manage]
listen = ""
socket = "{socket}"
"""

# baresip 1.0 to 3: account, contacts and menu are all that chatting takes. Port 0 is any free one.
_BARESIP = """\
sip_listen 127.0.0.1:0
module_path {modules}
module stdio.so
module_app account.so
module_app contact.so
module_app menu.so
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
imc on {domain}:{port}, udp and tcp. Two accounts to try it with:

{accounts}

Log in, each in a terminal of its own, with any SIP program, or with one of these (apt install baresip-core linphone-cli sipsak):

    baresip -f {folder}/baresip-alice
        M #help              M sends a text to the contact that is chosen, first the room sip:chat-lobby@{domain}
        M #create
        M #invite sip:bob@{domain}
        M hello              what is no command goes to everybody in the room; /contact_next chooses another contact

    linphonec -c {folder}/linphone-bob
        chat sip:chat-lobby@{domain}{port_part} "#join"
        chat sip:chat-lobby@{domain}{port_part} "hello alice"

    sipsak -M -s sip:chat-manager@{domain}:{port} -c sip:alice@{domain} -u alice -a {password} -B '#rooms'

More accounts: {imc} user add sip:carol@{domain} -c {folder}/imc.toml        Rooms: {imc} rooms -c {folder}/imc.toml
Stop with Ctrl-C. Everything is in {folder}/; remove it to begin anew.
"""


def run(folder: Path, port: int) -> None:
    """Prepare ``folder``, say how to log in, and serve."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder.resolve()
    config = place / "imc.toml"
    config.write_text(
        _CONFIG.format(database=quote(str(place / "imc.db")), domain=DOMAIN, port=port, socket=place / "imc.sock")
    )
    passwords = _accounts(config, place / "passwords")
    for user, password in passwords.items():
        _write_baresip(place / f"baresip-{user}", user, password, port)
        _write_private(
            place / f"linphone-{user}", _LINPHONE.format(user=user, domain=DOMAIN, password=password, port=port)
        )
    print(_greeting(folder, port, passwords), flush=True)

    from imc.cli.serve import run as serve

    serve(config)
