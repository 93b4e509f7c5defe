"""From imc to a real Kamailio with its module imc, and back: what was exported is what it lets people do."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import trio

from conformance.agent.client import SipClient
from conformance.drivers.imc_module import tables_in
from conformance.drivers.kamailio import CONFIG, FOLDERS, KamailioDriver
from conformance.drivers.spawn import Spawned, find_binary
from imc.aor import Aor
from imc.rooms.model import Member, Role
from imc.service.silo import Silo
from imc.store.kamailio.read import Names
from imc.store.kamailio.transfer import Transfer, export_kamailio, import_kamailio
from imc.store.ops import PutMember, PutRoom
from imc.store.options import StoreOptions
from imc.store.store import Store

ROOM = Aor("chat-garden", "example.com")
ALICE, BOB, CAROL, ZOE = (Aor(name, "example.com") for name in ("alice", "bob", "carol", "zoe"))
IP = "127.0.0.1"

pytestmark = pytest.mark.skipif(KamailioDriver().why_not() is not None, reason=str(KamailioDriver().why_not()))


@asynccontextmanager
async def kamailio(database: Path) -> AsyncIterator[Spawned]:
    """As conformance/drivers/kamailio.cfg sets it up. Ended by SIGTERM: 5.6 writes its rooms then."""
    binary = find_binary("kamailio")
    assert binary is not None
    folder = database.parent

    def command(port: int) -> list[str]:
        defines = {
            "LISTEN_UDP": f"udp:{IP}:{port}",
            "LISTEN_TCP": f"tcp:{IP}:{port}",
            "PROXY": f'"sip:{IP}:{port}"',
            "DB_URL": f'"sqlite:///{database}"',
            "RPC_SOCKET": f'"{folder}/rpc.sock"',
        }
        options = [part for name, value in defines.items() for part in ("-A", f"{name}={value}")]
        return [binary, "-f", str(CONFIG), "-DD", "-E", "-m", "32", "-M", "4", "-Y", str(folder), *options]

    server = Spawned(command, folder, ip=IP)
    await server.start()
    try:
        yield server
    finally:
        await server.stop(signal.SIGTERM)


def transfer(kamailios: Path, own: StoreOptions, *, is_forced: bool = False) -> Transfer:
    url = f"sqlite:///{kamailios}"
    return Transfer(url=url, options=own, names=Names(), codec=Silo(), is_writing=True, is_forced=is_forced)


async def test_a_kamailio_goes_on_with_the_rooms_and_imc_with_what_came_of_them(tmp_path: Path) -> None:
    own = StoreOptions(url=f"sqlite:///{tmp_path}/imc.db")
    with Store.open(own) as store:
        people = {ALICE: Role.OWNER, BOB: Role.MEMBER, CAROL: Role.INVITED}
        store.commit(
            [PutRoom(ROOM, is_private=True), *(PutMember(ROOM, who, Member(role)) for who, role in people.items())]
        )
    kamailios = tmp_path / "kamailio" / "kamailio.db"
    kamailios.parent.mkdir()
    with closing(sqlite3.connect(kamailios)) as raw:
        for path in tables_in(FOLDERS, ("standard", "usrloc")) or ():
            raw.executescript(path.read_text())
    export_kamailio(transfer(kamailios, own))

    async with kamailio(kamailios) as server, trio.open_nursery() as nursery:
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

    report = import_kamailio(transfer(kamailios, own, is_forced=True))
    assert report.is_done
    with Store.open(own) as store:
        room = store.load_room(ROOM)
    assert room is not None
    assert room.is_private
    assert dict(room.members) == {
        ALICE: Member(Role.OWNER),
        BOB: Member(Role.MEMBER),
        CAROL: Member(Role.MEMBER),
    }
