"""imc's chat page, served by imc, with Kamailio's own module imc behind it: docs/how-to/kamailio-websocket.cfg."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

import pytest

from conformance.drivers.imc_module import tables_in
from conformance.drivers.kamailio import FOLDERS
from tests.daemon import running
from tests.e2e.chat_page import Chromium
from tests.e2e.kamailio import DOMAIN, wait_answer
from tests.e2e.program import Program, free_port, home_of, need

CONFIG = Path(__file__).parents[2] / "docs" / "how-to" / "kamailio-websocket.cfg"
USERS = {"alice": "wonderland", "bob": "b0b-s3cret"}
IMC = """
[imc]
domains = ["{domain}"]
[sip]
listen = ["ws:127.0.0.1:0"]
[page]
server = "ws://127.0.0.1:{port}/"
[manage]
listen = ""
"""


def with_websocket() -> str:
    """Kamailio, where it has its module websocket; else the test is skipped."""
    if not list(Path("/usr/lib").glob("*/kamailio/modules/websocket.so")):
        pytest.skip("kamailio-websocket-modules is not installed")
    return need("kamailio")


def database(path: Path) -> None:
    tables = tables_in(FOLDERS, ("standard", "usrloc", "imc", "auth_db"))
    if tables is None:
        pytest.skip("Kamailio's tables for SQLite are not installed")
    with sqlite3.connect(path) as connection:
        for table in tables:
            connection.executescript(table.read_text())
        for user, password in USERS.items():
            ha1 = hashlib.md5(f"{user}:{DOMAIN}:{password}".encode()).hexdigest()
            row = (user, DOMAIN, ha1)
            connection.execute("INSERT INTO subscriber (username, domain, ha1) VALUES (?, ?, ?)", row)


async def test_two_people_talk_through_kamailio(tmp_path: Path) -> None:
    kamailio = with_websocket()
    home, env = home_of(tmp_path, "kamailio")
    database(home / "kamailio.sqlite")
    udp, web = free_port(), free_port()
    with running(tmp_path, IMC.format(domain=DOMAIN, port=web)) as daemon:
        ip, port = daemon.address("ws")
        defines = {
            "DOMAIN": f'"{DOMAIN}"',
            "LISTEN_UDP": f"udp:127.0.0.1:{udp}",
            "LISTEN_WS": f"tcp:127.0.0.1:{web}",
            "SELF": f'"sip:127.0.0.1:{udp}"',
            "ORIGIN": f'"^http://{ip}:{port}$"',
            "DBURL": f'"sqlite:///{home}/kamailio.sqlite"',
        }
        command = [kamailio, "-f", str(CONFIG), "-DD", "-E", "-m", "32", "-M", "4", "-Y", str(home)]
        for name, value in defines.items():
            command += ["-A", f"{name}={value}"]
        async with Program.running(command, env=env, cwd=home) as program, Chromium.running(tmp_path) as browser:
            await wait_answer(("127.0.0.1", udp), program)
            url = f"http://{ip}:{port}/"
            alice, bob = await browser.tab("alice", url), await browser.tab("bob", url)
            await bob.log_in("bob", "guess")
            await bob.see("#login-error", "Wrong name or password.")
            await alice.enter("alice", USERS["alice"])
            await bob.enter("bob", USERS["bob"])
            await alice.create("lobby")
            await alice.see("#members li, #log .notice", "Room was created")
            await alice.invite("bob")
            await bob.do("click", {"css": "#room-lists button", "text": "chat-lobby"})
            await bob.click("Accept")
            await bob.see("#entry-form")
            await alice.see("#log .notice", "has joined the room")
            await alice.say("hello bob")
            await bob.see("#log .talk.theirs", "hello bob")
            await bob.say("good morning: €")
            await alice.see("#log .talk.theirs", "good morning: €")
            await alice.see("#members li", "bob")
            assert await alice.texts("#log .talk .text") == ["hello bob", "good morning: €"]
            for tab in (alice, bob):
                await tab.is_clean()
