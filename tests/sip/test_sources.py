"""What an address that showed no password is given (spec S-SRC-1, S-SRC-2), in the table and in the stack."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.sip.events import RequestReceived
from imc.sip.flow import Flow
from imc.sip.ids import Ids
from imc.sip.sources import SourceOptions, Sources
from imc.sip.stack import Stack, StackConfig
from imc.sip.uas import UasPolicy

LOCAL = ("192.0.2.1", 5060)


def udp(ip: str = "198.51.100.7", port: int = 5060) -> Flow:
    return Flow("udp", LOCAL, (ip, port))


def tcp(ip: str = "198.51.100.7", conn: int = 1) -> Flow:
    return Flow("tcp", LOCAL, (ip, 40_000), conn)


def sources(**options: float) -> Sources:
    return Sources(SourceOptions(**options), lambda ip: ip == "192.0.2.200")  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 2_000), st.integers(0, 5_000)), max_size=60))
def test_no_more_goes_out_than_came_in_and_the_allowance(steps: list[tuple[float, int, int]]) -> None:
    some = sources(byte_burst=3_000, byte_rate=100.0)
    now = came = gone = 0.0
    for pause, size, answer in steps:
        now += pause
        came += size
        gone += answer if some.may_answer(udp(port=1_024 + int(now)), size, answer, now) else 0
        assert gone <= came + 3_000 + now * 100 + 1e-6


def test_what_came_pays_for_what_goes() -> None:
    some = sources(byte_burst=2_100, byte_rate=1.0)
    assert some.may_answer(udp(), 100, 2_200, 0.0)
    assert not some.may_answer(udp(), 100, 500, 0.0)
    assert some.may_answer(udp(), 500, 500, 0.0)
    assert some.may_answer(udp("198.51.100.8"), 100, 500, 0.0)  # each address for itself
    assert some.statistics() == {"sources_known": 2, "messages_muted": 0, "answers_withheld": 1}


@pytest.mark.parametrize("flow", [tcp(), udp("192.0.2.200")])
def test_connections_and_trusted_peers_are_answered(flow: Flow) -> None:
    some = sources(byte_burst=2_100)
    assert all(some.may_answer(flow, 1, 2_000, 0.0) for _ in range(100))


def test_an_address_that_wastes_is_muted_for_a_moment() -> None:
    some = sources(burst=5, rate=10.0)
    for number in range(5):
        assert not some.is_muted(udp(port=number), 0.0), number
        some.waste(udp(port=number), 0.0)
    assert some.is_muted(udp(), 0.0)
    assert some.is_muted(tcp(), 0.0)
    assert not some.is_muted(udp("198.51.100.8"), 0.0)
    assert not some.is_muted(udp(), 0.3)  # three tokens by then
    some.waste(udp(), 0.3)
    some.waste(udp(), 0.3)
    assert not some.is_muted(udp(), 0.3)
    some.waste(udp(), 0.3)
    assert some.is_muted(udp(), 0.3)


def test_who_showed_a_password_goes_on_and_is_muted_alone() -> None:
    some = sources(burst=5, rate=10.0)
    some.prove(udp(port=7))
    for _ in range(9):
        some.waste(udp(port=8), 0.0)
    assert some.is_muted(udp(port=8), 0.0)
    assert not some.is_muted(udp(port=7), 0.0)
    for _ in range(9):
        some.waste(udp(port=7), 0.5)
    assert some.is_muted(udp(port=7), 0.5)
    assert not some.is_muted(udp(port=8), 0.5)


def test_a_trusted_peer_is_never_muted() -> None:
    some = sources(burst=5)
    for _ in range(20):
        some.waste(udp("192.0.2.200"), 0.0)
        assert some.may_answer(udp("192.0.2.200"), 1, 9_000, 0.0)
    assert not some.is_muted(udp("192.0.2.200"), 0.0)


def test_an_ipv6_customer_is_one_source() -> None:
    some = sources(burst=5)
    for number in range(9):
        some.waste(udp(f"2001:db8::{number:x}"), 0.0)
    assert some.is_muted(udp("2001:db8::ffff:1"), 0.0)
    assert not some.is_muted(udp("2001:db8:0:1::1"), 0.0)


def test_the_table_is_bounded() -> None:
    some = Sources(SourceOptions(max_sources=10))
    for number in range(50):
        some.waste(udp(f"10.0.0.{number}"), 0.0)
        some.prove(udp(f"10.0.0.{number}"))
    assert len(some) == 10
    assert len(some._proven) == 10


# --- the stack --------------------------------------------------------------------------------------------------------


def request(number: int, method: str = "MESSAGE") -> bytes:
    return (
        f"{method} sip:a@example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK{number};rport\r\n"
        f"From: <sip:b@h>;tag=1\r\nTo: <sip:a@example.com>\r\nCall-ID: {number}\r\nCSeq: 1 {method}\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


def stack(**options: float) -> Stack:
    return Stack(StackConfig(), Ids(random.Random(1)), UasPolicy(), sources(**options))


def test_every_stateless_answer_is_paid_for() -> None:
    """The stack's own refusals, the service's challenges, and the answers to what is malformed."""
    some = stack(byte_burst=2_100, byte_rate=1.0)
    came = gone = 0
    for number in range(300):
        data = request(number, ("INVITE", "MESSAGE", "MESSAGE")[number % 3])
        data = data.replace(b"CSeq: 1", b"CSeq: x") if number % 3 == 2 else data
        came += len(data)
        for event in some.receive(data, udp(), 0.0):
            assert isinstance(event, RequestReceived)
            assert event.size == len(data)
            padding = [("WWW-Authenticate", "x" * 600)]
            some.reply_stateless(event, some.build(event.request, 401, headers=padding))
        gone += sum(len(out) for _, out in some.output())
    assert 0 < gone <= came + 2_100
    assert some.statistics()["answers_withheld"] > 0


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"SIP/2.0 200 OK\r\n\r\n",
        request(1).replace(b"MESSAGE", b"ACK"),
        request(1).replace(b"MESSAGE", b"CANCEL"),
        request(1).replace(b"MESSAGE", b"INVITE"),
        request(1).replace(b"Via", b"X-Via"),
    ],
)
def test_whoever_sends_nonsense_is_not_read_any_more(data: bytes) -> None:
    some = stack(burst=5)
    for _ in range(20):
        assert some.receive(data, udp(), 0.0) == []
    assert some.statistics()["messages_muted"] == 15
    assert len(some.receive(request(9), udp("198.51.100.8"), 0.0)) == 1


def test_what_is_accepted_is_not_counted() -> None:
    some = stack(burst=5)
    for number in range(50):
        (event,) = some.receive(request(number), udp(), 0.0)
        assert isinstance(event, RequestReceived)
        assert some.accept(event, 0.0)
        some.respond(event, some.build(event.request, 202), 0.0)
    assert some.statistics()["messages_muted"] == 0
    assert some.statistics()["sources_known"] == 0


def test_all_strangers_together_are_bounded() -> None:
    # spec S-SRC-3
    some = sources(strangers_burst=5, strangers_rate=10.0)
    user, peer = udp("198.51.100.7", 6_000), udp("192.0.2.200")
    some.prove(user)
    for number in range(5):
        assert not some.is_muted(udp(f"203.0.113.{number}"), 0.0)
        some.waste(udp(f"203.0.113.{number}"), 0.0)
    assert some.is_muted(udp("203.0.113.99"), 0.1)
    assert some.is_muted(udp("198.51.100.7", 6_001), 0.1)
    for known in (user, peer, tcp("203.0.113.98")):
        assert not some.is_muted(known, 0.1)
    assert not some.is_muted(udp("203.0.113.99"), 0.3)
    some.waste(udp("203.0.113.99"), 0.3)
    assert not some.is_muted(udp("203.0.113.97"), 0.3)  # some came back in time


def test_users_and_connections_cost_strangers_nothing() -> None:
    # spec S-SRC-3
    some = sources(strangers_burst=5)
    some.prove(udp())
    for _ in range(100):
        some.waste(udp(), 0.0)
        some.waste(tcp("203.0.113.98"), 0.0)
    assert not some.is_muted(udp("203.0.113.99"), 0.0)
