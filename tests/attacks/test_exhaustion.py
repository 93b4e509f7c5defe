"""Rows 2, 7, 9: tables, nonces, memory, descriptors."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from imc.sip.digest import authorize, choose_challenge
from imc.sip.message import parse_message
from tests.attacks.attacker import BYSTANDER, Attacker, Gain, request
from tests.attacks.process import MIB, Peer, descriptors, process_config, resident
from tests.daemon import running
from tests.e2e.stage import settings, stage

ACCOUNTS = {"alice": "wonder", "mallory": "evil"}
ROOM = "sip:chat-x@example.com"
_DATABASE = 20  # descriptors that connections to it may take meanwhile
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a close that is a reset, which the other side sees at once


@pytest.fixture
def peers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


# --- row 7 ------------------------------------------------------------------------------------------------------------


async def test_the_table_of_transactions_is_filled(tmp_path: Path) -> None:
    """503 with Retry-After for a while, then silence; nothing that was accepted is forgotten."""
    config = settings(tmp_path, "sip.max_server_transactions=300")
    async with stage(config) as on, Attacker.open(on, "127.0.0.66") as mallory:
        gain = Gain(7, "3,000 requests into a table of 300")
        first = request("MESSAGE", ROOM, "c:text/plain", body=b"#help")
        await mallory.attack(gain, [first])
        rest = [request("MESSAGE", ROOM, "c:text/plain", body=b"#help") for _ in range(2_999)]
        answers = await mallory.attack(gain, rest)
        statistics = on.daemon.statistics()
        assert statistics["server_transactions"] == 300
        assert set(gain.statuses) <= {"200", "503"}
        assert gain.statuses["200"] <= 300
        assert sum(gain.statuses.values()) < 2_000
        refused = [data for data in answers if data.startswith(b"SIP/2.0 503 ")]
        assert all(b"Retry-After: " in data for data in refused)
        again = Gain(7, "a copy of what was accepted before")
        assert (await mallory.ask(again, first)).startswith(b"SIP/2.0 200 ")


def test_memory_has_a_ceiling(tmp_path: Path, peers: ExitStack) -> None:
    """What a transaction costs, in a process of its own: the default table of 200,000 has a size that can be told."""
    count = 4_000
    with running(tmp_path, process_config(tmp_path, '[auth]\nmode = "none"', "[limits]\nenabled = false")) as daemon:
        peer = peers.enter_context(Peer(daemon))
        for _ in range(200):
            peer.ask(request("MESSAGE", ROOM, "c:text/plain", user="warm", body=b"#nonsense"))
        before = resident(daemon)
        for number in range(count):
            status = peer.ask(request("MESSAGE", ROOM, "c:text/plain", user=f"u{number}", body=b"#nonsense")).status
            assert status == 400
        each = (resident(daemon) - before) / count
        print(
            f"row 7, {count} transactions of as many users: {each:.0f} bytes each, 200,000: {each * 2e5 / MIB:.0f} MiB"
        )
        assert each < 8_192


def test_requests_without_a_password_cost_no_memory(tmp_path: Path, peers: ExitStack) -> None:
    """Rows 2 and 7: a challenge leaves nothing behind, whoever is named."""
    with running(tmp_path, process_config(tmp_path), {"sip:alice@example.com": "wonder"}) as daemon:
        peer = peers.enter_context(Peer(daemon))
        bystander = peers.enter_context(Peer(daemon, BYSTANDER))
        for number in range(60):
            assert peer.ask(request("MESSAGE", ROOM, user=f"w{number}")).status == 401
        before = resident(daemon)
        answered = 0
        for number in range(5_000):
            peer.sock.send(request("MESSAGE", ROOM, user=f"u{number}", body=b"x" * 900))
            if number % 50 == 0:
                bystander.options()
        peer.sock.setblocking(False)
        try:
            while peer.sock.recv(65_535):
                answered += 1
        except BlockingIOError:
            pass
        grown = resident(daemon) - before
        print(f"rows 2 and 7, 5,000 requests without a password: {answered} answers, {grown / 1024:.0f} KiB grown")
        assert grown < 8 * MIB


# --- row 2 ------------------------------------------------------------------------------------------------------------


async def test_a_flood_of_nonces(tmp_path: Path) -> None:
    """Asking for nonces takes none away from anybody; using many costs the one who does it their own oldest."""
    config = settings(tmp_path, "auth.max_nonces=50", mode="digest")
    async with (
        stage(config, ACCOUNTS) as on,
        Attacker.open(on, "127.0.0.66") as attacker,
        Attacker.open(on, "127.0.0.67") as mallory,  # of an address that still has credit
    ):
        alice = await on.client("alice", password="wonder")
        gain = Gain(2, "1,000 nonces asked for")
        await attacker.attack(gain, [request("MESSAGE", ROOM) for _ in range(1_000)])
        assert on.daemon.statistics()["auth_ok"] == 1
        assert (await alice.message(ROOM, "#create")).status == 200
        assert on.daemon.statistics()["auth_stale"] == 0
        await spend_nonces(mallory, 60)
        assert on.daemon._verifier.statistics()["nonces_in_use"] == 50
        assert (await alice.message(ROOM, "#members")).status == 200  # challenged anew, and let in
        await alice.wait_message(event="member-list")


async def spend_nonces(attacker: Attacker, count: int) -> None:
    """Mallory, who has an account, uses a new nonce for each request."""
    gain = Gain(2, f"{count} nonces used")
    for _ in range(count):
        asked = parse_message(await attacker.ask(Gain(2, "a nonce"), request("MESSAGE", ROOM)), is_datagram=True)
        challenge = choose_challenge(asked.headers.all("WWW-Authenticate"))
        assert challenge is not None
        value = authorize(challenge, "MESSAGE", ROOM, "mallory", "evil")
        answer = await attacker.ask(gain, request("MESSAGE", ROOM, f"Authorization:{value}", "c:text/plain"))
        assert not answer.startswith(b"SIP/2.0 401"), answer


# --- row 9 ------------------------------------------------------------------------------------------------------------


def test_fifteen_hundred_connections(tmp_path: Path, peers: ExitStack) -> None:
    """One address holds 1,024 at the most, another still gets in, UDP is served, and all descriptors come back."""
    unlimited = "[limits]\nunproven_burst = 10000000\nunproven_byte_burst = 1000000000"  # for who looks on
    with running(tmp_path, process_config(tmp_path, unlimited)) as daemon:
        peer = peers.enter_context(Peer(daemon))
        assert peer.options().status == 200
        before = descriptors(daemon)
        held: list[socket.socket] = []
        for number in range(1_500):
            sock = socket.socket()
            peers.callback(sock.close)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            sock.bind(("127.0.0.66", 0))
            sock.connect(daemon.address("tcp"))
            held.append(sock)
            if number % 100 == 0:
                assert peer.options().status == 200
        other = socket.create_connection(daemon.address("tcp"), source_address=("127.0.0.67", 0), timeout=30)
        peers.callback(other.close)
        other.sendall(request("OPTIONS", "sip:example.com").replace(b"/UDP", b"/TCP"))
        assert other.recv(65_535).startswith(b"SIP/2.0 200 ")
        open_now = descriptors(daemon) - before
        print(f"row 9, 1,500 connections from one address: {open_now - 1} of them open, UDP and another address served")
        assert 1_025 <= open_now <= 1_025 + _DATABASE
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        for sock in (*held, other):
            sock.close()
        peer.wait_until(lambda: descriptors(daemon) <= before + _DATABASE)
