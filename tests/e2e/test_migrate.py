"""From imc to a real Kamailio with its module imc, and back: what was exported is what it lets people do."""

from __future__ import annotations

import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from conformance.agent.client import SipClient
from conformance.drivers.kamailio import CONFIG, KamailioDriver
from conformance.drivers.spawn import Spawned, find_binary
from imc.aor import Aor
from imc.rooms.model import Member, Role
from imc.service.silo import Silo
from imc.store.kamailio.read import Names
from imc.store.kamailio.transfer import Transfer, export_kamailio, import_kamailio
from imc.store.ops import PutMember, PutRoom
from imc.store.options import StoreOptions
from imc.store.store import Store
from tests.databases import Database

ROOM = Aor("chat-garden", "example.com")
ALICE, BOB, CAROL, ZOE = (Aor(name, "example.com") for name in ("alice", "bob", "carol", "zoe"))
IP = "127.0.0.1"
_SHARE = Path("/usr/share/kamailio")
_KINDS = {"sqlite": ("db_sqlite", "db_sqlite.so"), "mariadb": ("mysql", "db_mysql.so")}

pytestmark = pytest.mark.skipif(KamailioDriver().why_not() is not None, reason=str(KamailioDriver().why_not()))
# What is changed in the configuration for msilo.
_MSILO = {
    'loadmodule "imc.so"\n': 'loadmodule "imc.so"\nloadmodule "msilo.so"\n',
    'modparam("imc", "db_url", DB_URL)\n': (
        'modparam("imc", "db_url", DB_URL)\nmodparam("msilo", "db_url", DB_URL)\n'
        'modparam("msilo", "outbound_proxy", PROXY)\nmodparam("msilo", "add_date", 0)\n'
    ),
    't_reply("500", "Not Saved");\n\t\t}\n': 't_reply("500", "Not Saved");\n\t\t}\n\t\tm_dump();\n',
    't_reply("404", "Not Registered");\n': (
        'if (m_store()) {\n\t\t\tt_reply("202", "Accepted");\n\t\t\texit;\n\t\t}\n'
        '\t\tt_reply("404", "Not Registered");\n'
    ),
}


@asynccontextmanager
async def kamailio(database: Database, folder: Path, *, keeps_messages: bool = False) -> AsyncIterator[Spawned]:
    """As conformance/drivers/kamailio.cfg sets it up, with the module for this database. Ended by SIGTERM.

    ``keeps_messages``: for users who are not there, by its module msilo.
    """
    binary = find_binary("kamailio")
    assert binary is not None
    config = folder / "kamailio.cfg"
    text = CONFIG.read_text().replace("db_sqlite.so", _KINDS[database.kind][1])
    if keeps_messages:
        for old, new in _MSILO.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
    config.write_text(text)

    def command(port: int) -> list[str]:
        defines = {
            "LISTEN_UDP": f"udp:{IP}:{port}",
            "LISTEN_TCP": f"tcp:{IP}:{port}",
            "PROXY": f'"sip:{IP}:{port}"',
            "DB_URL": f'"{database.url}"',
            "RPC_SOCKET": f'"{folder}/rpc.sock"',
        }
        options = [part for name, value in defines.items() for part in ("-A", f"{name}={value}")]
        return [binary, "-f", str(config), "-DD", "-E", "-m", "32", "-M", "4", "-Y", str(folder), *options]

    server = Spawned(command, folder, ip=IP)
    await server.start()
    try:
        yield server
    finally:
        await server.stop(signal.SIGTERM)


@pytest.fixture(params=list(_KINDS))
def kamailios(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database with the tables that a Kamailio has without imc, by its own SQL."""
    folder, module = _KINDS[request.param]
    files = [_SHARE / folder / f"{part}-create.sql" for part in ("standard", "usrloc")]
    if not all(file.is_file() for file in files) or not list(Path("/usr/lib").glob(f"*/kamailio/modules/{module}")):
        pytest.skip(f"Kamailio's module {module} is not installed")
    found = Database("sqlite", f"sqlite:///{tmp_path}/kamailio.db")
    if request.param == "mariadb":
        server = request.getfixturevalue("mariadb_server")
        found = Database("mariadb", server.create_database(), server)
    for part in ("standard", "usrloc"):
        make_part(found, part)
    yield found
    if found.server is not None:
        found.server.drop_database(found.url)


def make_part(database: Database, part: str) -> None:
    """Some of Kamailio's tables, by its own SQL."""
    text = (_SHARE / _KINDS[database.kind][0] / f"{part}-create.sql").read_text()
    for statement in re.split(r";\s*\n", text):
        if statement.strip():
            database.execute(statement)


def transfer(url: str, own: StoreOptions, *, is_forced: bool = False) -> Transfer:
    return Transfer(url=url, options=own, names=Names(), codec=Silo(), is_writing=True, is_forced=is_forced)


async def test_a_kamailio_goes_on_with_the_rooms_and_imc_with_what_came_of_them(
    kamailios: Database, tmp_path: Path
) -> None:
    own = StoreOptions(url=f"sqlite:///{tmp_path}/imc.db")
    with Store.open(own) as store:
        people = {ALICE: Role.OWNER, BOB: Role.MEMBER, CAROL: Role.INVITED}
        store.commit(
            [PutRoom(ROOM, is_private=True), *(PutMember(ROOM, who, Member(role)) for who, role in people.items())]
        )
    export_kamailio(transfer(kamailios.url, own))

    async with kamailio(kamailios, tmp_path) as server, trio.open_nursery() as nursery:
        with trio.fail_after(20):
            alice, bob, carol, zoe = [
                await SipClient.open(nursery, str(who), server.address) for who in (ALICE, BOB, CAROL, ZOE)
            ]
            for client in (alice, bob, carol, zoe):
                assert (await client.register()).status == 200
            assert (await alice.message(str(ROOM), "good morning")).status == 202
            heard = await bob.wait_message()
            assert (heard.sender, "good morning" in heard.text) == (str(ROOM), True)
            # It knows the invitation, and that the room is private.
            assert (await carol.message(str(ROOM), "#accept")).status == 200
            assert (await zoe.message(str(ROOM), "anybody here?")).status == 403
            assert (await alice.message(str(ROOM), "#members")).status == 200
            told = await alice.wait_message(matches=lambda received: received.text.startswith("Members:"))
            assert set(told.text.split("\n")[1:]) == {"*[alice]", "[bob]", "[carol]"}
        nursery.cancel_scope.cancel()

    if kamailios.kind == "sqlite":
        # 5.6 writes its rooms when it ends, and with SQLite dies before they are there (docs/how-to/migrate.md).
        return
    assert import_kamailio(transfer(kamailios.url, own, is_forced=True)).is_done
    with Store.open(own) as store:
        room = store.load_room(ROOM)
    assert room is not None
    assert room.is_private
    assert dict(room.members) == {
        ALICE: Member(Role.OWNER),
        BOB: Member(Role.MEMBER),
        CAROL: Member(Role.MEMBER),
    }


async def test_what_msilo_keeps_waits_in_imc_and_what_waits_in_imc_is_sent_by_msilo(
    kamailios: Database, tmp_path: Path
) -> None:
    for part in ("imc", "msilo"):
        make_part(kamailios, part)
    async with kamailio(kamailios, tmp_path, keeps_messages=True) as server, trio.open_nursery() as nursery:
        with trio.fail_after(20):
            alice = await SipClient.open(nursery, str(ALICE), server.address)
            assert (await alice.register()).status == 200
            assert (await alice.message(str(BOB), "for later: é")).status == 202
            assert (await alice.message(str(CAROL), "<a/>", content_type="application/xml")).status == 202
        nursery.cancel_scope.cancel()
    own = StoreOptions(url=f"sqlite:///{tmp_path}/imc.db")
    report = import_kamailio(transfer(kamailios.url, own))
    messages = report.counts["messages"]
    assert (messages.read, messages.new) == (2, 2)
    assert import_kamailio(transfer(kamailios.url, own)).changes == 0
    # To a Kamailio that knows nothing of them: imc is where they are.
    kamailios.execute("DELETE FROM silo")
    assert export_kamailio(transfer(kamailios.url, own)).counts["messages"].new == 2

    async with kamailio(kamailios, tmp_path, keeps_messages=True) as server, trio.open_nursery() as nursery:
        with trio.fail_after(20):
            bob, carol = [await SipClient.open(nursery, str(who), server.address) for who in (BOB, CAROL)]
            for client, text in ((bob, "for later: é"), (carol, "<a/>")):
                assert (await client.register()).status == 200
                heard = await client.wait_message()
                assert (heard.sender, heard.text) == (str(ALICE), text)
            assert str(heard.request.headers.get("Content-Type")) == "application/xml"
        nursery.cancel_scope.cancel()
