"""Programs that people use, with a real daemon: they log in with digest, meet in a private room, and hear each other.

Each program is one of Debian, driven at its prompt; docs/support-matrix.md says of each what was seen here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from tests.daemon import Daemon, running
from tests.e2e.baresip import Baresip
from tests.e2e.linphone import Linphone
from tests.e2e.program import free_port, need
from tests.e2e.sipsak import sipsak_message, sipsak_register, sipsak_usrloc
from tests.e2e.twinkle import Twinkle
from tests.e2e.user_agent import Account, meet, registered, talk
from tests.transport.secure import Authority

DOMAIN = "example.com"
PASSWORDS = {"alice": "wonderland", "bob": "b0b-s3cret", "mallory": "guess"}
CONFIG = """
[imc]
domains = ["example.com", "127.0.0.1"]
manager_uri = "sip:chat-manager@example.com"
[sip]
listen = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0", "tls:127.0.0.1:0"]
[tls]
certificate = "{certificate}"
[auth]
mode = "digest"
[manage]
listen = ""
"""
MANAGER = f"sip:chat-manager@{DOMAIN}"
LARGE = " ".join(["large"] * 300)  # 1,799 bytes

_rooms = count(1)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Daemon]:
    """`imc serve`, with accounts made by `imc user add`."""
    config = CONFIG.format(certificate=authority.issue("127.0.0.1", "localhost", DOMAIN))
    users = {f"sip:{user}@{DOMAIN}": password for user, password in PASSWORDS.items()}
    with running(tmp_path_factory.mktemp("imc"), config, {**users, "sip:alice@127.0.0.1": "numeric"}) as found:
        yield found


@pytest.fixture
def room() -> str:
    return f"sip:chat-{next(_rooms)}@{DOMAIN}"


@pytest.fixture
async def account(daemon: Daemon, authority: Authority) -> Callable[..., Account]:
    """Accounts by user part; whatever was registered in the test before is not any more."""

    def of(user: str, transport: str = "udp", *, password: str | None = None, login: str = "") -> Account:
        return Account(
            user=user,
            domain=DOMAIN,
            password=PASSWORDS[user] if password is None else password,
            server=daemon.address(transport),
            transport=transport,
            login=login,
            ca=authority.path if transport == "tls" else None,
        )

    need("sipsak")
    for user in ("alice", "bob"):
        assert (await sipsak_register(of(user), "*", 0)).status == 200
    return of


@pytest.mark.parametrize(
    ("owner", "owner_over", "guest", "guest_over"),
    [
        (Twinkle, "udp", Linphone, "udp"),  # two of it must not start in the same second: the other one is the last
        (Baresip, "udp", Linphone, "udp"),
        (Linphone, "udp", Baresip, "tcp"),
        (Baresip, "tcp", Linphone, "tcp"),
        (Linphone, "tcp", Baresip, "udp"),
        (Baresip, "udp", Baresip, "udp"),
        (Linphone, "udp", Linphone, "udp"),
        (Baresip, "tls", Linphone, "tls"),
        (Linphone, "tls", Baresip, "tls"),
        (Baresip, "udp", Baresip, "tls"),
        (Baresip, "tcp", Twinkle, "tcp"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__.lower(),
)
async def test_they_meet_in_a_private_room(
    tmp_path: Path,
    account: Callable[..., Account],
    room: str,
    owner: type[Baresip | Linphone | Twinkle],
    owner_over: str,
    guest: type[Baresip | Linphone | Twinkle],
    guest_over: str,
) -> None:
    alice = owner.running(tmp_path, account("alice", owner_over), room)
    bob = guest.running(tmp_path, account("bob", guest_over), room)
    async with registered(alice, bob) as (first, second):
        await meet(first, second)
        await first.quit()
        await second.quit()


async def test_a_phone_with_two_flows_shows_each_message_once(
    tmp_path: Path, daemon: Daemon, account: Callable[..., Account], room: str
) -> None:
    """RFC 5626 as baresip has it: one contact by TCP, one by TLS, of one instance; and one copy."""
    # spec S-OUT-2
    # spec S-OUT-4
    second = account("bob", "tls")
    phone = Baresip.running(
        tmp_path, replace(account("bob", "tcp"), ca=second.ca), room, second=second.server_uri, is_traced=True
    )
    async with registered(Baresip.running(tmp_path, account("alice"), room), phone) as (alice, bob):
        await bob.program.wait_output(r"reg-id=2[^\n]*\n")
        await meet(alice, bob)
        found = bob.program.output
        assert re.search(r"^Require: outbound\r?$", found, re.MULTILINE)
        blocks = re.findall(r"^MESSAGE (?:[^\n]+\n)+", found, re.MULTILINE)
        incoming = [block for block in blocks if "\nIMC-Event: " in block]
        calls = re.findall(r"\nCall-ID: (\S+)", "".join(incoming))
        assert len(calls) == len(incoming) == len(set(calls)) > 1


@pytest.mark.parametrize("program", [Baresip, Linphone])
async def test_a_server_of_an_unknown_authority_is_not_talked_to(
    tmp_path: Path, account: Callable[..., Account], room: str, program: type[Baresip | Linphone]
) -> None:
    """So they do verify: the certificates above are not just taken."""
    stranger = Authority(tmp_path)
    async with program.running(tmp_path, replace(account("alice", "tls"), ca=stranger.path), room) as agent:
        await agent.wait_no_tls()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("program", [Baresip, Linphone, Twinkle])
async def test_a_wrong_password_opens_nothing(
    tmp_path: Path,
    account: Callable[..., Account],
    room: str,
    program: type[Baresip | Linphone | Twinkle],
    transport: str,
) -> None:
    """A program with bob's address and a wrong password is not registered, and what it says is not heard."""
    stranger = program.running(tmp_path, account("bob", transport, password="guess"), room, name="stranger")
    async with registered(Baresip.running(tmp_path, account("alice"), room)) as (alice,), stranger as agent:
        await agent.wait_refused(401)
        assert (await sipsak_message(account("alice"), room, "#create")).status == 200
        await alice.wait_text("")
        assert (await sipsak_message(account("bob", transport, password="guess"), room, "#join")).status == 401
        # An invitation to bob finds nobody, so that no one with the wrong password has come in by it.
        await alice.say(f"#invite bob@{DOMAIN}")
        await alice.wait_text(r"[^\n]*invited")
        await alice.wait_text(r"[^\n]*bob@example\.com[^\n]*")
        assert not agent.has_seen("")


async def test_twinkle_shows_why_a_text_was_refused(tmp_path: Path, account: Callable[..., Account], room: str) -> None:
    async with registered(Twinkle.running(tmp_path, account("alice"), room)) as (alice,):
        await alice.say("to nobody")
        await alice.wait_status(404)
        await alice.quit()


async def test_a_forged_from_is_refused(tmp_path: Path, account: Callable[..., Account], room: str) -> None:
    """Mallory has an account, and says to be alice: over sipsak, and with a baresip that logs in by another name."""
    mallory = account("alice", login="mallory", password=PASSWORDS["mallory"])
    alice = Baresip.running(tmp_path, account("alice"), room)
    bob = Linphone.running(tmp_path, account("bob"), room)
    async with registered(alice, bob) as (owner, guest):
        await meet(owner, guest)
        for transport in ("udp", "tcp"):
            over = account("mallory", transport)
            forged = await sipsak_message(over, room, "#destroy", sender=f"sip:alice@{DOMAIN}")
            assert (forged.statuses, forged.exit_status) == ([401, 403], 1)
            unknown = await sipsak_message(account("alice", transport, password=""), room, "#destroy")
            assert unknown.status == 401
        asserted = f"P-Asserted-Identity: <sip:alice@{DOMAIN}>\n"
        assert (await sipsak_message(account("mallory"), room, "#destroy", headers=asserted)).status == 404
        async with Baresip.running(tmp_path, mallory, room, name="forger") as forger:
            await forger.wait_refused(403)
            await forger.say("#destroy")
            await forger.wait_status(403)
            await talk(owner, guest, "still here")
            await talk(guest, owner, "so am I")
            assert not forger.has_seen("")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_sipsak_gives_commands(
    tmp_path: Path, account: Callable[..., Account], room: str, transport: str
) -> None:
    """A script sends commands with digest; the answers come to where its user is registered."""
    async with registered(Baresip.running(tmp_path, account("alice"), room)) as (alice,):
        script = account("alice", transport)
        done = await sipsak_message(script, MANAGER, f"#create {room} private")
        assert (done.statuses, done.exit_status) == ([401, 200], 0)
        await alice.wait_text(r"[^\n]*private")
        assert (await sipsak_message(script, MANAGER, "#help")).status == 200
        await alice.wait_text(r"[^\n]*", sender=MANAGER)
        assert (await sipsak_message(script, room, "#nonsense")).status == 400
        await alice.wait_text(r"[^\n]*nonsense")


async def test_sipsak_registers_its_own_way(daemon: Daemon) -> None:
    alice = Account(user="alice", domain="127.0.0.1", password="numeric", server=daemon.address())
    done = await sipsak_usrloc(alice)
    assert (done.statuses, done.exit_status) == ([401, 200], 0), done.output


async def test_a_large_text_goes_by_tcp(tmp_path: Path, account: Callable[..., Account], room: str) -> None:
    """1,800 bytes reach who logged in over TCP, and who logged in over UDP and takes TCP at the same port."""
    alice = Linphone.running(tmp_path, account("alice", "tcp"), room)
    async with registered(alice, Linphone.running(tmp_path, account("bob", "tcp"), room)) as (owner, guest):
        await meet(owner, guest)
        await talk(owner, guest, LARGE)
        await talk(guest, owner, LARGE)
        await guest.program.kill()  # its contact stays, and refuses connections: that stops nobody's long text
        for transport, port in (("tcp", 0), ("udp", free_port())):
            again = Baresip.running(
                tmp_path, account("bob", transport), room, name=transport, port=port, is_traced=True
            )
            async with again as back:
                await back.wait_registered()
                await owner.say(LARGE)
                await back.wait_request("tcp", re.escape(f"[alice]: {LARGE}"))
                await back.quit()


async def test_a_large_text_to_who_takes_datagrams_only(
    tmp_path: Path, account: Callable[..., Account], room: str
) -> None:
    """The sender hears of it (413), nobody gets half of it, and shorter texts go on."""
    alice = Linphone.running(tmp_path, account("alice", "tcp"), room)
    bob = Linphone.running(tmp_path, account("bob"), room, takes_tcp=False)
    async with registered(alice, bob) as (owner, guest):
        await meet(owner, guest)
        await owner.say(LARGE)
        await owner.wait_status(413)
        await talk(owner, guest, "x" * 600)
        assert not guest.has_seen("large")


@pytest.mark.parametrize(("program", "other"), [(Baresip, Linphone), (Linphone, Baresip)])
async def test_who_goes_away_comes_back(
    tmp_path: Path,
    account: Callable[..., Account],
    room: str,
    program: type[Baresip | Linphone],
    other: type[Baresip | Linphone],
) -> None:
    """Bob's program is killed: what is said next reaches the new one, though the old contact is registered still.

    Then it leaves as it should, and is a member on its return.
    """
    start = partial(program.running, tmp_path, room=room)
    async with registered(Baresip.running(tmp_path, account("alice"), room)) as (alice,):
        async with registered(start(account=account("bob"), name="first")) as (bob,):
            await meet(alice, bob)
            await bob.program.kill()
        async with registered(start(account=account("bob"), name="second")) as (bob,):
            await talk(alice, bob, "back again?")
            await talk(bob, alice, "yes")
            await bob.quit()
        await alice.say("gone")
        async with registered(other.running(tmp_path, account("bob", "tcp"), room, name="third")) as (bob,):
            await talk(bob, alice, "with another program")
            await talk(alice, bob, "welcome")
