"""The driver of servers that run already, against imc in a process of its own."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from conformance.drivers.external import ExternalDriver, ExternalTarget
from conformance.drivers.spawn import free_port
from conformance.suite import runner
from conformance.suite.case import Case
from conformance.suite.conversation import CannotStart, Lacks, Options, User
from conformance.suite.profile import Lack, Profile
from conformance.suite.selection import all_cases, select
from conformance.suite.users import SENTINEL
from tests.daemon import Daemon, running

DOMAIN = "example.com"
MANAGER = f"chat-manager@{DOMAIN}"
CONFIG = """
[imc]
domains = ["{domain}"]
manager_uri = "sip:{manager}"
db_url = "sqlite:///imc.db"
room_pattern = "chat-*"
{imc}
[sip]
listen = ["udp:127.0.0.1:{port}", "tcp:127.0.0.1:{port}"]
[auth]
mode = "{mode}"
{auth}
[registrar]
enabled = {registrar}
[limits]
enabled = false
[manage]
listen = ""
"""
PLAIN = Profile(target="sip")


def _config(mode: str, *, imc: str = "", auth: str = "", registrar: str = "true") -> str:
    port = free_port("127.0.0.1")  # a URI names one, for both transports
    return CONFIG.format(domain=DOMAIN, manager=MANAGER, mode=mode, imc=imc, auth=auth, registrar=registrar, port=port)


@pytest.fixture
def anyone(tmp_path: Path) -> Iterator[Daemon]:
    """imc that takes everybody's word."""
    with running(tmp_path, _config("none")) as daemon:
        yield daemon


def _uri(daemon: Daemon, transport: str = "udp") -> str:
    ip, port = daemon.address(transport)
    return f"sip:{ip}:{port}" + (";transport=tcp" if transport == "tcp" else "")


def _options(uri: str, **more: Any) -> Options:
    return Options(**{"profile": PLAIN, "uri": uri, "domain": DOMAIN, "manager": MANAGER, **more})


async def _outcomes(options: Options, *selectors: str) -> dict[str, tuple[str, str]]:
    """Case id → outcome and why."""
    verdict = await runner.run(ExternalDriver(), options, select(all_cases(), selectors))
    return {each.id: (each.outcome, each.why) for each in verdict.cases}


CASES = (
    "source/private-only-by-invitation",
    "source/message-to-all",
    "message/long",
    "join/former-admin-comes-back-as-member",
    "join/create-on-join-off",
    "durable/private-flag",
)
LACKING = {
    "join/create-on-join-off": (
        "skipped",
        "needs: the settings of the case, which cannot be changed in a running server",
    ),
    "durable/private-flag": (
        "skipped",
        "needs: a restart, which a server that was not started for the run is not given",
    ),
}
PASSING = dict.fromkeys(CASES, ("passed", ""))


async def test_a_server_by_its_uri(anyone: Daemon) -> None:
    assert await _outcomes(_options(_uri(anyone)), *CASES) == {**PASSING, **LACKING}


async def test_over_tcp(anyone: Daemon) -> None:
    found = await _outcomes(_options(_uri(anyone, "tcp")), *CASES[:4])
    assert found == dict.fromkeys(CASES[:4], ("passed", ""))


async def test_wire_cases_too(anyone: Daemon) -> None:
    found = await _outcomes(_options(_uri(anyone)), "rfc3261/20.14-length-is-hex", "rfc3261/8.1.1-no-cseq")
    assert set(found.values()) == {("passed", "")}


async def test_accounts_with_passwords(tmp_path: Path) -> None:
    names = ("alice", "mary", "rita", "adam", "x1", SENTINEL)
    addresses = {name: f"{name}-of-ours@{DOMAIN}" for name in names}
    users = {name: User(address=address, password=f"secret of {name}") for name, address in addresses.items()}
    accounts = {f"sip:{user.address}": user.password or "" for user in users.values()}
    with running(tmp_path, _config("digest"), accounts) as daemon:
        found = await _outcomes(_options(_uri(daemon), users=users, domain=None), *CASES[:4], "message/label-escaped")
    assert found == {
        **dict.fromkeys(CASES[:4], ("passed", "")),
        "message/label-escaped": ("skipped", "needs: an account of mary whose user part is 'm%C3%A4ry'"),
    }


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_we_are_its_proxy(tmp_path: Path, transport: str) -> None:
    address = "127.0.0.1", free_port("127.0.0.1")
    config = _config(
        "trusted",
        imc=f'outbound_proxy = "sip:127.0.0.1:{address[1]}"',
        auth='trusted_peers = ["127.0.0.1/32"]',
        registrar="false",
    )
    with running(tmp_path, config) as daemon:
        found = await _outcomes(
            _options(_uri(daemon, transport), as_proxy=address), *CASES, "identity/anonymous", "invite/to-who-is-away"
        )
    assert found == {
        **PASSING,
        **LACKING,
        "identity/anonymous": ("passed", ""),
        "invite/to-who-is-away": ("skipped", "needs: a registrar"),
    }


async def test_a_proxys_address_that_is_taken() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        options = _options("sip:127.0.0.1:9", as_proxy=taken.getsockname())
        with pytest.RaisesGroup(pytest.RaisesExc(CannotStart, match="no proxy on 127.0.0.1")):
            async with ExternalDriver().open(options, []):
                pass


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_port_where_nobody_listens(transport: str) -> None:
    port = free_port("127.0.0.1")
    options = _options(f"sip:127.0.0.1:{port};transport={transport}")
    words = f"no server at 127.0.0.1:{port} over {transport.upper()}: .*refused"
    with pytest.RaisesGroup(pytest.RaisesExc(CannotStart, match=words)):
        async with ExternalDriver().open(options, []):
            raise AssertionError


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_port_where_nobody_answers(transport: str) -> None:
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as silent:
        silent.bind(("127.0.0.1", 0))
        if transport == "tcp":
            silent.listen()
        options = _options(f"sip:127.0.0.1:{silent.getsockname()[1]};transport={transport}", patience=0.1)
        with pytest.RaisesGroup(pytest.RaisesExc(CannotStart, match="no answer to OPTIONS or REGISTER from .* 0.1 s")):
            async with ExternalDriver().open(options, []):
                raise AssertionError


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_any_answer_will_do(transport: str) -> None:
    async def refuse(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"SIP/2.0 403 Forbidden\r\n\r\n")

    async with trio.open_nursery() as nursery:
        if transport == "tcp":
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            port = listeners[0].socket.getsockname()[1]
            nursery.start_soon(trio.serve_listeners, refuse, listeners)
        else:
            sock = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            await sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
            nursery.start_soon(_refuse_datagram, sock)
        async with ExternalDriver().open(_options(f"sip:127.0.0.1:{port};transport={transport}"), []):
            pass
        nursery.cancel_scope.cancel()


async def _refuse_datagram(sock: trio.socket.SocketType) -> None:
    """The first one is lost, and one that is no answer comes before the answer."""
    with sock:
        for _ in range(3):
            _, sender = await sock.recvfrom(4096)
        await sock.sendto(b"\r\n\r\n", sender)
        await sock.sendto(b"SIP/2.0 403 Forbidden\r\n\r\n", sender)


@pytest.mark.parametrize("uri", ["sip:", "sips:127.0.0.1", "tel:+1234"])
async def test_what_is_no_sip_uri(uri: str) -> None:
    with pytest.raises(CannotStart, match=uri.partition(":")[0]):
        async with ExternalDriver().open(_options(uri), []):
            pass


async def test_a_host_that_is_nowhere() -> None:
    with pytest.raises(CannotStart, match=r"sip:nowhere\.invalid"):
        async with ExternalDriver().open(_options("sip:nowhere.invalid"), []):
            pass


def test_the_domain_is_told_or_that_of_the_accounts_or_the_host() -> None:
    from conformance.drivers.external import _domain, _parse

    user = {"alice": User(address="alice@chat.example.org")}
    for more, domain in (
        ({}, DOMAIN),
        ({"domain": None, "users": user}, "chat.example.org"),
        ({"domain": None}, "h.t"),
    ):
        options = _options("sip:h.t:5080", **more)
        assert _domain(options, _parse(options)) == domain


def test_an_account_may_have_the_user_part_that_a_case_wants() -> None:
    case = next(each for each in all_cases() if each.id == "address/users-with-case")
    assert isinstance(case, Case)
    accounts = {name: User(address=f"{name}@{DOMAIN}") for name in case.people}
    users = {**accounts, "rita": User(address=f"Mary@{DOMAIN}")}
    target = ExternalTarget(name="sip", options=_options("sip:h.t", users=users), domain=DOMAIN)
    assert target.account(case, "rita").address == f"Mary@{DOMAIN}"
    target = ExternalTarget(name="sip", options=_options("sip:h.t", users=accounts), domain=DOMAIN)
    with pytest.raises(Lacks, match="an account of rita whose user part is 'Mary'"):
        target.account(case, "rita")


def test_without_modify_no_room_can_have_admins_beforehand() -> None:
    profile = Profile(target="sip", lacks=(Lack(feature="modify", reason="none"),))
    target = ExternalTarget(name="sip", options=_options("sip:h.t", profile=profile), domain=DOMAIN)
    assert not {"modify", "admins", "owners"} & target.features
    assert "list" in target.features


def test_cases_with_shared_accounts_are_played_one_at_a_time() -> None:
    users = {"alice": User(address="alice@example.com")}
    target = ExternalTarget(name="sip", options=_options("sip:h.t", users=users, concurrency=8), domain=DOMAIN)
    assert target.concurrency == 1
