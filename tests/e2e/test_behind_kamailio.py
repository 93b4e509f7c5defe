"""Kamailio in front: it authenticates, imc trusts it, and copies go back through it to phones that it registered.

All of it is set up as docs/how-to/behind-kamailio.md says, by the files and commands of that page.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import trio

from conformance.agent.client import SipClient
from tests.daemon import Daemon
from tests.e2e.baresip import Baresip
from tests.e2e.kamailio import DOMAIN, IMC_CONFIG, Kamailio, commands, install
from tests.e2e.linphone import Linphone
from tests.e2e.program import Program, free_port
from tests.e2e.sipsak import sipsak_message, sipsak_register
from tests.e2e.user_agent import Account, meet, registered, talk

PASSWORDS = {"alice": "PASSWORD-OF-ALICE", "bob": "PASSWORD-OF-BOB"}
LARGE = " ".join(["large"] * 300)  # 1,799 bytes
_rooms = count(1)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Kamailio:
    """Kamailio's folder with its database, and accounts made by the commands of the page."""
    return install(tmp_path_factory.mktemp("site"), ("127.0.0.1", free_port()), ("127.0.0.2", free_port("127.0.0.2")))


@pytest.fixture(scope="module")
def imc(site: Kamailio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The daemon, with the configuration of the page."""
    daemon = Daemon(tmp_path_factory.mktemp("imc"), IMC_CONFIG.read_text(), site.imc_environment)
    daemon.start()
    yield daemon
    daemon.kill()


@pytest.fixture
async def proxy(site: Kamailio, imc: Daemon) -> AsyncIterator[Program]:
    """Kamailio, anew for each test; imc stays, and finds its way to each."""
    async with site.running() as program:
        yield program


@pytest.fixture
def room() -> str:
    return f"sip:chat-{next(_rooms)}@{DOMAIN}"


@pytest.fixture
async def account(site: Kamailio, proxy: Program) -> Callable[..., Account]:
    """Accounts by user part; whatever was registered in the test before is not any more."""

    def of(user: str, transport: str = "udp", *, password: str | None = None, login: str = "") -> Account:
        return Account(
            user=user,
            domain=DOMAIN,
            password=PASSWORDS[user] if password is None else password,
            server=site.address,
            transport=transport,
            login=login,
        )

    for user in PASSWORDS:
        assert (await sipsak_register(of(user), "*", 0)).status == 200
    return of


@pytest.mark.parametrize(
    ("owner", "owner_over", "guest", "guest_over"),
    [
        (Baresip, "udp", Linphone, "udp"),
        (Linphone, "tcp", Baresip, "tcp"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__.lower(),
)
async def test_they_meet_in_a_private_room(
    tmp_path: Path,
    site: Kamailio,
    account: Callable[..., Account],
    room: str,
    owner: type[Baresip | Linphone],
    owner_over: str,
    guest: type[Baresip | Linphone],
    guest_over: str,
) -> None:
    """And Kamailio's commands of the page show who is there."""
    alice = owner.running(tmp_path, account("alice", owner_over), room)
    bob = guest.running(tmp_path, account("bob", guest_over), room)
    async with registered(alice, bob) as (first, second):
        await meet(first, second)
        shown = await site.shell(commands("5 See that it works"))
        assert f"AoR: alice@{DOMAIN}" in shown
        assert f"AoR: bob@{DOMAIN}" in shown
        await first.quit()
        await second.quit()


async def test_nobody_speaks_as_somebody_else(
    tmp_path: Path, account: Callable[..., Account], room: str, site: Kamailio
) -> None:
    """Bob is a member, and tries to be alice: by From, by P-Asserted-Identity, and past the proxy."""
    alice = Baresip.running(tmp_path, account("alice"), room)
    guest = Linphone.running(tmp_path, account("bob"), room)
    async with registered(alice, guest) as (owner, member):
        await meet(owner, member)
        asserted = f"<sip:alice@{DOMAIN}>"
        for transport in ("udp", "tcp"):
            bob = account("bob", transport)
            forged = await sipsak_message(bob, room, "#destroy", sender=f"sip:alice@{DOMAIN}")
            assert (forged.statuses, forged.exit_status) == ([407, 403], 1)
            foreign = await sipsak_message(bob, room, "#destroy", sender="sip:bob@example.org")
            assert foreign.statuses == [403]
            wrong = await sipsak_message(account("alice", transport, password="guess"), room, "#destroy")
            assert wrong.statuses == [407, 407]
            # It is bob all the same, who may not destroy the room.
            for name in ("P-Asserted-Identity:", "p-asserted-identity:", "P-Asserted-Identity :"):
                spoofed = await sipsak_message(bob, room, "#destroy", headers=f"{name} {asserted}\n")
                assert spoofed.statuses == [407, 403]
            # imc itself hears the proxy only.
            outsider = replace(account("alice", transport, password=""), server=site.imc)
            for headers in ("", f"P-Asserted-Identity: {asserted}\n"):
                direct = await sipsak_message(outsider, room, "#destroy", headers=headers, ip="127.0.0.3")
                assert direct.statuses == [403]
        await talk(owner, member, "still here")
        await talk(member, owner, "so am I")
        assert not member.has_seen("closed")


@pytest.mark.parametrize("program", [Baresip, Linphone])
async def test_a_wrong_password_opens_nothing(
    tmp_path: Path, account: Callable[..., Account], room: str, program: type[Baresip | Linphone]
) -> None:
    """Bob is not registered so: an invitation to him waits, and his program shows nothing."""
    stranger = program.running(tmp_path, account("bob", password="guess"), room, name="stranger")
    async with registered(Baresip.running(tmp_path, account("alice"), room)) as (alice,), stranger as agent:
        await agent.wait_refused(401)
        await alice.say("#create")
        await alice.wait_text(r"[^\n]*open")
        await alice.say(f"#invite bob@{DOMAIN}")
        await alice.wait_text(r"[^\n]*invited")
        await alice.wait_text(r"[^\n]*cannot be reached now")
        assert not agent.has_seen("")


async def test_nobody_registers_as_somebody_else(account: Callable[..., Account], site: Kamailio) -> None:
    bob = account("bob")
    contact = "<sip:bob@127.0.0.1:9>"
    assert (await sipsak_register(replace(bob, user="alice", login="bob"), contact)).status == 403
    assert (await sipsak_register(replace(bob, domain="example.org"), contact)).status == 403
    assert "AoR: alice" not in await site.shell(commands("5 See that it works"))


async def test_a_large_text_goes_by_tcp(tmp_path: Path, account: Callable[..., Account], room: str) -> None:
    """From phone to Kamailio to imc to Kamailio to phone; the last way by UDP where the phone refuses TCP."""
    alice = Linphone.running(tmp_path, account("alice", "tcp"), room)
    async with registered(alice, Linphone.running(tmp_path, account("bob", "tcp"), room)) as (owner, guest):
        await meet(owner, guest)
        await talk(owner, guest, LARGE)
        await talk(guest, owner, LARGE)
        await guest.quit()
        again = Linphone.running(tmp_path, account("bob"), room, name="datagrams", takes_tcp=False)
        async with registered(again) as (back,):
            await talk(owner, back, LARGE)


async def test_who_is_reached_by_their_own_connection_only(
    site: Kamailio, account: Callable[..., Account], room: str
) -> None:
    """A client over TCP whose contact is the port of its connection, where nobody listens: as behind a NAT."""
    async with trio.open_nursery() as nursery:
        clients = {}
        for user, password in PASSWORDS.items():
            address = f"sip:{user}@{DOMAIN}"
            clients[user] = await SipClient.open(nursery, address, site.address, password=password, transport="tcp")
            assert (await clients[user].register()).status == 200
        assert (await clients["alice"].message(room, "#create private")).status == 200
        assert (await clients["alice"].message(room, "#invite bob")).status == 200
        await clients["bob"].wait_message(event="invitation")
        assert (await clients["bob"].message(room, "#accept")).status == 200
        await clients["alice"].wait_message(event="member-joined")
        assert (await clients["alice"].message(room, LARGE)).status == 202
        received = await clients["bob"].wait_message(event="message")
        assert received.text == f"[alice]: {LARGE}"
        # One to one is Kamailio's own, and passes no notice of a user's making.
        notice = [("IMC-Event", "room-destroyed")]
        assert (await clients["alice"].message(f"sip:bob@{DOMAIN}", "psst", headers=notice)).status == 200
        assert (await clients["bob"].wait_message(text="psst")).event is None
        nursery.cancel_scope.cancel()


async def test_registrations_outlive_a_restart_of_the_proxy(
    tmp_path: Path, site: Kamailio, imc: Daemon, room: str
) -> None:
    alice = Account(user="alice", domain=DOMAIN, password=PASSWORDS["alice"], server=site.address)
    async with site.running() as proxy, Baresip.running(tmp_path, alice, room) as agent:
        await agent.wait_registered()
        proxy.process.send_signal(signal.SIGTERM)
        await proxy.wait_end(10)
        async with site.running():
            assert (await sipsak_message(alice, room, "#create")).status == 200
            await agent.wait_text(r"[^\n]*open")


async def test_an_account_of_imcs_making(site: Kamailio, proxy: Program, tmp_path: Path) -> None:
    """`imc user add` on Kamailio's database, as the page has it: Kamailio knows the account."""
    tool = Daemon(tmp_path, "", {"IMC_IMC__DB_URL": f"sqlite:///{site.database}"})
    await trio.to_thread.run_sync(tool.add_user, f"sip:carol@{DOMAIN}", "caroline")
    carol = Account(user="carol", domain=DOMAIN, password="caroline", server=site.address)
    assert (await sipsak_register(carol, "<sip:carol@127.0.0.1:9>", 60)).statuses == [401, 200]
