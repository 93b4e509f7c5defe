from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.errors import BadPacket
from imc.manage import binrpc
from imc.manage.binrpc import MAX_DEPTH, MAX_MARKS, MAX_REPLY, Kind, Packet

COOKIE = b"\x01\x02\x03\x04"

# What kamcmd of Debian's Kamailio 5.6.3 sent, and what that Kamailio answered.
CALLS: dict[str, tuple[str, list[Any]]] = {
    "a1030f12945680 910d636f72652e76657273696f6e00": ("core.version", []),
    "a103294a13edc5 91 11696d632e6c6973745f6d656d6265727300 9114 7369703a636861742d7740696d632e7465737400": (
        "imc.list_members", ["sip:chat-w@imc.test"],
    ),
    "a103423694b252 910a636f72652e6563686f00 1001 2209c4 213300 4161626300 20012c 00 71663a312e323500 300101d0"
    "4001312d00 407fffffff 4080000000 40ffffffff 40fffffffb": (
        "core.echo",
        [1, 2.5, "3", "abc", 300, 0, "f:1.25", 66_000, 20_000_000, 2**31 - 1, -(2**31), -1, -5],
    ),
    "a103234b8ae301 217800 82fffffffffffff63c 320f4240 02 2201f4 5202dfdc1aa4 6201f3fffffe0c 1100": (
        "x", [-2.5, 1_000.0, 0.0, 0.5, 12_345_678.5, 2_147_483_647.5, ""],
    ),
}  # fmt: skip
REPLIES: dict[str, tuple[Kind, list[Any]]] = {
    "a1132112945680 911f6b616d61696c696f20352e362e3320287838365f36342f6c696e7578292000": (
        Kind.REPLY, ["kamailio 5.6.3 (x86_64/linux) "],
    ),
    "a13314 2009ee3c 2001f4 910f526f6f6d206e6f7420666f756e6400": (Kind.FAULT, [500, "Room not found"]),
    "a1138b7f6d726d 0355726f6f6d00 91147369703a636861742d7340696d632e7465737400 95086d656d6265727300 1001"
    "656f776e657200 91127369703a6f6c676140696d632e7465737400 83 0355726f6f6d00"
    "91147369703a636861742d7740696d632e7465737400 95086d656d6265727300 1002"
    "656f776e657200 91137369703a616c69636540696d632e7465737400 83": (
        Kind.REPLY,
        [
            {"room": "sip:chat-s@imc.test", "members": 1, "owner": "sip:olga@imc.test"},
            {"room": "sip:chat-w@imc.test", "members": 2, "owner": "sip:alice@imc.test"},
        ],
    ),
    "a113534a13edc5 0355726f6f6d00 91147369703a636861742d7740696d632e7465737400 95086d656d6265727300"
    "03 91137369703a616c69636540696d632e7465737400 91127369703a6d61727940696d632e7465737400 83 83": (
        Kind.REPLY,
        [{"room": "sip:chat-w@imc.test", "members": ["sip:alice@imc.test", "sip:mary@imc.test"]}],
    ),
    "a1130019805dda": (Kind.REPLY, []),
}  # fmt: skip


def take(data: bytes, limit: int = 2**20) -> Packet | None:
    return binrpc.take(bytearray(data), limit)


def body(values: Iterable[object]) -> bytes:
    whole = take(binrpc.packet(Kind.REPLY, COOKIE, values))
    assert whole is not None
    return whole.body


@pytest.mark.parametrize("packet", CALLS)
def test_what_kamcmd_sends(packet: str) -> None:
    data = bytes.fromhex(packet)
    found = take(data)
    assert found is not None
    assert binrpc.read_call(found) == CALLS[packet]
    assert found.cookie == data[3:7]


@pytest.mark.parametrize("packet", REPLIES)
def test_what_kamailio_answers_is_what_is_written(packet: str) -> None:
    data = bytes.fromhex(packet)
    kind, values = REPLIES[packet]
    assert take(data) == Packet(kind, data[3:7], data[7:])
    assert binrpc.read(data[7:]) == values
    assert binrpc.packet(kind, data[3:7], values) == data


def test_every_boundary() -> None:
    first, second = (bytes.fromhex(packet) for packet in list(REPLIES)[2:4])
    for cut in range(len(first) + len(second) + 1):
        buffer = bytearray((first + second)[:cut])
        found = []
        while (packet := binrpc.take(buffer, 1_000)) is not None:
            found.append(packet)
        assert len(found) == (cut >= len(first)) + (cut >= len(first) + len(second))
        assert len(buffer) == cut - sum(len(each) for each in (first, second)[: len(found)])


@pytest.mark.parametrize("packet", [*CALLS, *REPLIES])
def test_every_body_that_is_cut(packet: str) -> None:
    whole = bytes.fromhex(packet)[7:]
    values = binrpc.read(whole)
    for cut in range(len(whole)):
        try:
            found = binrpc.read(whole[:cut])
        except BadPacket:
            continue
        assert found == values[: len(found)]
        assert len(found) < len(values)


@pytest.mark.parametrize("octets", [1, 2, 3, 4])
def test_heads(octets: int) -> None:
    """Lengths and cookies of one to four octets."""
    text = "x" * (2 ** (8 * octets - 4) if octets < 4 else 2**24)
    for size in (1, 2, 3, 4):
        packet = take(binrpc.packet(Kind.CALL, COOKIE[:size], [text]), 2**25)
        assert packet is not None
        assert packet.cookie == COOKIE[:size]
        assert binrpc.read(packet.body) == [text]


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("00", "not BINRPC"),
        ("7b22", "not BINRPC"),
        ("a203", "not BINRPC"),
        ("a123", "neither a call nor a reply nor a fault"),
        ("a1f3", "neither a call nor a reply nor a fault"),
        ("a103ff01020304", "longer than 200 bytes"),
        ("a10fffffffff01020304", "longer than 200 bytes"),
    ],
)
def test_bad_heads(head: str, reason: str) -> None:
    with pytest.raises(BadPacket, match=reason):
        take(bytes.fromhex(head), 200)


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        ("10", "goes beyond"),
        ("91", "goes beyond"),
        ("91ff00", "goes beyond"),
        ("f1ffffffffffffff", "goes beyond"),
        ("40010203", "goes beyond"),
        ("500102030405", "more than 4"),
        ("9209 00 01020304050607 08", "more than 8"),
        ("01", "only NUL"),
        ("2161 62", "only NUL"),
        ("41 610062 00", "only NUL"),
        ("31 c3 28 00", "not UTF-8"),
        ("83", "without a beginning"),
        ("84", "without a beginning"),
        ("80", "without a beginning"),
        ("03", "goes beyond"),
        ("0384", "without a beginning"),
        ("0483", "without a beginning"),
        ("13", "type 3 and size 1"),
        ("25 6100 00", "type 5 and size 2"),
        ("03 256100 83", "without a beginning"),
        ("03 256100 256200 00 83", "type 5"),
        ("03 256100 00 256100 00 83", "a name twice"),
        ("03 256100 00 00 83", "with names and without"),
        ("04 256100 00 84", "type 5"),
        ("07", "type 7"),
        ("0f", "type 15"),
        ("8f", "without a beginning"),
    ],
)
def test_bad_bodies(octets: str, reason: str) -> None:
    with pytest.raises(BadPacket, match=reason):
        binrpc.read(bytes.fromhex(octets))
    with pytest.raises(BadPacket, match=reason) as caught:
        binrpc.read_call(Packet(Kind.CALL, COOKIE, bytes.fromhex("217800" + octets)))
    assert caught.value.cookie == COOKIE


def test_the_depth_is_bounded() -> None:
    for begin, end in ((b"\x03", b"\x83"), (b"\x04", b"\x84"), (b"\x03\x25a\0", b"\x83")):
        binrpc.read(begin * MAX_DEPTH + b"\0" + end * MAX_DEPTH)
        for depth in (MAX_DEPTH + 1, 10_000):
            with pytest.raises(BadPacket, match="within each other"):
                binrpc.read(begin * depth + b"\0" + end * depth)


def test_the_values_are_bounded() -> None:
    assert binrpc.read(b"\0" * MAX_MARKS) == [0] * MAX_MARKS
    for body_ in (
        b"\0" * (MAX_MARKS + 1),
        b"\x03\x83" * (MAX_MARKS // 2) + b"\0",
        b"\x04" + b"\0" * MAX_MARKS + b"\x84",
    ):
        with pytest.raises(BadPacket, match="more than 1000 values"):
            binrpc.read(body_)


@pytest.mark.parametrize("packet", [Packet(Kind.REPLY, COOKIE, b"\x21x\0"), Packet(Kind.CALL, COOKIE, b"")])
def test_no_call(packet: Packet) -> None:
    with pytest.raises(BadPacket) as caught:
        binrpc.read_call(packet)
    assert caught.value.cookie == COOKIE


@pytest.mark.parametrize("first", [1, 1.5, b"octets", ["list"], {"a": 1}])
def test_a_method_is_a_text(first: object) -> None:
    with pytest.raises(BadPacket, match="name of a method"):
        binrpc.read_call(Packet(Kind.CALL, COOKIE, body([first])))


def test_what_json_has_and_binrpc_has_not() -> None:
    values: list[object] = [
        None,
        True,
        False,
        2**31,
        -(2**31) - 1,
        0.0001,
        1e300,
        "a\0b",
        "\ud800",
        (1, 2),
        {"a\0": []},
        {},
    ]
    read = ["", 1, 0, "2147483648", "-2147483649", "0.0001", "1e+300", "a?b", "?", [1, 2], {"a?": {}}, {}]
    assert binrpc.read(body(values)) == read
    with pytest.raises(TypeError):
        body([object()])


def test_arrays_are_read() -> None:
    assert binrpc.read(b"\x04\x10\x05\x21a\0\x04\x84\x84") == [[5, "a", []]]


def test_a_reply_has_the_items_of_a_list() -> None:
    for result, values in (([1, [2]], [1, [2]]), ({"a": 1}, [{"a": 1}]), (None, [""]), ([], []), (True, [1])):
        packet = take(binrpc.reply(COOKIE, result))
        assert packet is not None
        assert (packet.kind, packet.cookie, binrpc.read(packet.body)) == (Kind.REPLY, COOKIE, values)


def test_a_reply_that_is_too_long() -> None:
    longest = "x" * (MAX_REPLY - 9 - 4 - 1)
    assert len(binrpc.reply(COOKIE, longest)) == MAX_REPLY
    for result in (longest + "x", [["y"] * 100_000], [{"z": "z"}] * 100_000):
        packet = take(binrpc.reply(COOKIE, result))
        assert packet is not None
        assert packet.kind is Kind.FAULT
        code, text = binrpc.read(packet.body)
        assert code == 500
        assert isinstance(text, str)
        assert "more than 131072 bytes" in text


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
_SCALARS = (
    st.integers(-(2**31), 2**31 - 1)
    | st.integers(-(10**12), 10**12).map(lambda n: n / 1_000)
    | _TEXT
    | st.binary(max_size=300)
)
_VALUES = st.recursive(
    _SCALARS,
    lambda each: st.lists(each, min_size=1, max_size=5) | st.dictionaries(_TEXT, each, max_size=5),
    max_leaves=30,
)


@given(st.lists(_VALUES, max_size=5))
def test_round_trips(values: list[Any]) -> None:
    found = binrpc.read(body(values))
    assert found == values
    assert repr(found).replace("-0.0", "0.0") == repr(values).replace("-0.0", "0.0")  # 1 == 1.0, and is another type


@given(st.binary(max_size=200) | st.lists(st.sampled_from([*b"\x00\x03\x04\x83\x84\x25\x21a\x91\x82"])).map(bytes))
def test_no_octets_raise_anything_else(data: bytes) -> None:
    for whole in (data, b"\xa1\x03" + data):
        buffer = bytearray(whole)
        try:
            while (packet := binrpc.take(buffer, 300)) is not None:
                binrpc.read_call(packet)
        except BadPacket:
            pass
    try:
        values = binrpc.read(data)
    except BadPacket:
        return
    again = binrpc.read(body(values))
    assert len(again) == len(values)
