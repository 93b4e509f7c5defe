from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.transport.addresses import (
    ListenAddress,
    canonical_ip,
    choose_listener,
    ip_family,
    join_host_port,
    parse_advertise,
    parse_listen,
    socket_address,
    source_for,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("udp:127.0.0.1:5060", ListenAddress("udp", "127.0.0.1", 5060)),
        ("tcp:[::1]:5060", ListenAddress("tcp", "::1", 5060)),
        ("udp:0.0.0.0:5060", ListenAddress("udp", "0.0.0.0", 5060)),
        ("TCP:[0:0::0001]:0", ListenAddress("tcp", "::1", 0)),
        ("udp:192.0.2.1", ListenAddress("udp", "192.0.2.1", 5060)),
        ("udp:[2001:DB8::1]", ListenAddress("udp", "2001:db8::1", 5060)),
        ("TLS:192.0.2.1", ListenAddress("tls", "192.0.2.1", 5061)),
        ("ws:192.0.2.1", ListenAddress("ws", "192.0.2.1", 80)),
        ("wss:[::1]", ListenAddress("wss", "::1", 443)),
        (" udp:127.0.0.1:65535 ", ListenAddress("udp", "127.0.0.1", 65535)),
        ("udp:[fe80::1%eth0]:5060", ListenAddress("udp", "fe80::1%eth0", 5060)),
    ],
)
def test_parse_listen(text: str, expected: ListenAddress) -> None:
    assert parse_listen(text) == expected
    assert parse_listen(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "TRANSPORT:IP:PORT"),
        ("5060", "TRANSPORT:IP:PORT"),
        ("127.0.0.1:5060", "TRANSPORT:IP:PORT"),
        ("udp:", "not an IP address"),
        ("sctp:127.0.0.1:5060", "none of udp, tcp"),
        ("udp:localhost:5060", "not an IP address"),
        ("udp:*:5060", "not an IP address"),
        ("udp:127.1:5060", "not an IP address"),
        ("udp:127.0.0.01:5060", "not an IP address"),
        ("udp:::1:5060", "TRANSPORT:IP:PORT"),
        ("udp:[::1:5060", "TRANSPORT:IP:PORT"),
        ("udp:[127.0.0.1]:5060", "not an IP address"),
        ("udp:[]:5060", "not an IP address"),
        ("udp:127.0.0.1:65536", "at most 65535"),
        ("udp:127.0.0.1:", "TRANSPORT:IP:PORT"),
        ("udp:127.0.0.1:-1", "TRANSPORT:IP:PORT"),
        ("udp:127.0.0.1:١", "TRANSPORT:IP:PORT"),
        ("udp:127.0.0.1:5060\nx", "TRANSPORT:IP:PORT"),
    ],
)
def test_parse_listen_says_what_is_wrong(text: str, part: str) -> None:
    with pytest.raises(ValueError, match=part.replace("[", r"\[")):
        parse_listen(text)


@given(st.text(alphabet="udptc:[]0123456789.af%x ", max_size=30))
def test_parse_listen_raises_only_value_error(text: str) -> None:
    try:
        address = parse_listen(text)
    except ValueError:
        return
    assert parse_listen(str(address)) == address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chat.Example.com", ("chat.example.com", None)),
        ("203.0.113.5:5080", ("203.0.113.5", 5080)),
        ("[2001:db8::5]", ("2001:db8::5", None)),
        ("[2001:DB8::5]:5060", ("2001:db8::5", 5060)),
    ],
)
def test_parse_advertise(text: str, expected: tuple[str, int | None]) -> None:
    assert parse_advertise(text) == expected


@pytest.mark.parametrize("text", ["", "a b", "::1", "[::g]", "host:0", "host:99999", "host:x", "-x-", "a:1:2"])
def test_parse_advertise_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="not"):
        parse_advertise(text)


def test_properties() -> None:
    assert ListenAddress("udp", "127.0.0.9", 1).is_loopback
    assert ListenAddress("udp", "::1", 1).is_loopback
    assert not ListenAddress("udp", "0.0.0.0", 1).is_loopback
    assert ListenAddress("udp", "0.0.0.0", 1).is_wildcard
    assert ListenAddress("udp", "::", 1).is_wildcard
    assert not ListenAddress("udp", "192.0.2.1", 1).is_wildcard
    assert ListenAddress("udp", "::", 1).family == 6
    assert ip_family("192.0.2.1") == 4


def test_canonical_ip() -> None:
    assert canonical_ip("[2001:DB8:0::1]") == "2001:db8::1"
    assert canonical_ip("192.0.2.1") == "192.0.2.1"
    assert canonical_ip("example.com") is None
    assert canonical_ip("") is None


def test_join_host_port() -> None:
    assert join_host_port("192.0.2.1", 5060) == "192.0.2.1:5060"
    assert join_host_port("::1", 5060) == "[::1]:5060"


def test_socket_address_gives_a_scope_its_field() -> None:
    assert socket_address("127.0.0.1", 5) == ("127.0.0.1", 5)
    assert socket_address("fe80::1%lo", 5) == ("fe80::1", 5, 0, socket.if_nametoindex("lo"))
    assert socket_address("fe80::1%7", 5) == ("fe80::1", 5, 0, 7)
    with pytest.raises(OSError, match="interface"):
        socket_address("fe80::1%nosuch0", 5)


LOOPBACK = ListenAddress("udp", "127.0.0.1", 5060)
OUTSIDE = ListenAddress("udp", "192.0.2.1", 5060)
ALL = ListenAddress("udp", "0.0.0.0", 5062)
SIX = ListenAddress("udp", "::1", 5060)


@pytest.mark.parametrize(
    ("listeners", "ip", "source", "expected"),
    [
        ([LOOPBACK, OUTSIDE], "198.51.100.1", "192.0.2.1", OUTSIDE),
        ([LOOPBACK, ALL], "198.51.100.1", "192.0.2.1", ALL),
        ([ALL, LOOPBACK], "127.0.0.2", "127.0.0.1", LOOPBACK),
        ([LOOPBACK], "198.51.100.1", "192.0.2.1", None),
        ([LOOPBACK], "192.0.2.1", "192.0.2.1", LOOPBACK),  # this machine's own address
        ([OUTSIDE], "127.0.0.1", "127.0.0.1", OUTSIDE),
        ([OUTSIDE], "203.0.113.9", "192.0.2.77", OUTSIDE),
        ([LOOPBACK, OUTSIDE, ALL], "::1", "::1", None),
        ([LOOPBACK, SIX], "::1", "::1", SIX),
        ([OUTSIDE], "198.51.100.1", None, None),
        ([], "198.51.100.1", "192.0.2.1", None),
    ],
)
def test_choose_listener(
    listeners: list[ListenAddress], ip: str, source: str | None, expected: ListenAddress | None
) -> None:
    assert choose_listener(listeners, ip, source) == expected


def test_source_for() -> None:
    assert source_for("127.0.0.1", 5060) == "127.0.0.1"
    assert source_for("127.0.0.1", 0) == "127.0.0.1"
    assert source_for("fe80::1%nosuch0", 5060) is None
