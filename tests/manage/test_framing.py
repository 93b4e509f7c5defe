from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.manage.framing import HEAD_KEPT, Frame, Framer, JsonText, LineCall, Refused

MAX = 300


def _frames(*chunks: bytes, max_size: int = MAX) -> list[Frame]:
    framer = Framer(max_size)
    frames = [frame for chunk in chunks for frame in framer.feed(chunk)]
    assert not framer.is_mid_call
    return frames


ROOMS = b":imc_list_rooms:reply\n\n"
JSON = b'{"jsonrpc": "2.0", "method": "core.version", "reply_name": "reply", "id": 1}'

CASES: list[tuple[bytes, list[Frame]]] = [
    (JSON, [JsonText(JSON)]),
    (JSON + b"\n", [JsonText(JSON)]),
    (JSON + JSON, [JsonText(JSON), JsonText(JSON)]),
    (b"[" + JSON + b",\n" + JSON + b"]\n", [JsonText(b"[" + JSON + b",\n" + JSON + b"]")]),
    (b'{\n  "a": "}\\"{", \n"b": [1, {}]\n}\n', [JsonText(b'{\n  "a": "}\\"{", \n"b": [1, {}]\n}')]),
    (b'{"a": "\\\\"}{"b": "\\\\\\""}', [JsonText(b'{"a": "\\\\"}'), JsonText(b'{"b": "\\\\\\""}')]),
    (ROOMS, [LineCall((b":imc_list_rooms:reply",))]),
    (b"\n\r\n  " + ROOMS + b"\n" + ROOMS, [LineCall((b":imc_list_rooms:reply",))] * 2),
    (
        b":imc_list_members:reply\r\n sip:chat-1@imc.test \t\r\n\r\n",
        [LineCall((b":imc_list_members:reply", b"sip:chat-1@imc.test"))],
    ),
    (
        b":imc_list_members:reply\n::\n:x\n{\n\n" + JSON + ROOMS,
        [
            LineCall((b":imc_list_members:reply", b"::", b":x", b"{")),
            JsonText(JSON),
            LineCall((b":imc_list_rooms:reply",)),
        ],
    ),
    (
        b":imc_list_members:one\nchat-1\n" + ROOMS,
        [
            Refused("another call began before the empty line", b":imc_list_members:one\nchat-1"),
            LineCall((b":imc_list_rooms:reply",)),
        ],
    ),
    (
        b":imc_list_members:one\nchat-1\n" + JSON + b"\n",
        [Refused("another call began before the empty line", b":imc_list_members:one\nchat-1"), JsonText(JSON)],
    ),
    (
        b'{"method": \n' + JSON + b'\n{"method": [1,\n' + ROOMS,
        [
            Refused("another call began before its end", b'{"method": \n'),
            JsonText(JSON),
            Refused("another call began before its end", b'{"method": [1,\n'),
            LineCall((b":imc_list_rooms:reply",)),
        ],
    ),
    (
        b"[\n" + JSON + b",\n" + JSON + b'\n]{"x"\n:1\n,"y":\n{"json"\n:\n{}}}',
        [JsonText(b"[\n" + JSON + b",\n" + JSON + b"\n]"), JsonText(b'{"x"\n:1\n,"y":\n{"json"\n:\n{}}}')],
    ),
    (
        b"[[\n" + JSON + b"\n",
        [Refused("another call began before its end", b"[[\n"), JsonText(JSON)],
    ),
    (
        b"rubbish" + JSON + b"rubbish" + ROOMS + b'{"a": "rubb' + ROOMS + b'{"a": ' + JSON + b'{"a":' + ROOMS,
        [
            Refused("neither JSON nor a call that begins with a colon", b"rubbish"),
            JsonText(JSON),
            Refused("neither JSON nor a call that begins with a colon", b"rubbish"),
            LineCall((b":imc_list_rooms:reply",)),
            Refused("line break in a string", b'{"a": "rubb'),
            LineCall((b":imc_list_rooms:reply",)),
            Refused("another call began before its end", b'{"a": '),
            JsonText(JSON),
            Refused("another call began before its end", b'{"a":'),
            LineCall((b":imc_list_rooms:reply",)),
        ],
    ),
    (
        b"rubbish[" + JSON + b"]12:30:45\n" + JSON,
        [
            Refused("neither JSON nor a call that begins with a colon", b"rubbish"),
            JsonText(b"[" + JSON + b"]"),
            Refused("neither JSON nor a call that begins with a colon", b"12:30:45"),
            JsonText(JSON),
        ],
    ),
    (
        b":imc_list_members:" + ROOMS + b":imc_list_members:one\nchat-" + ROOMS,
        [
            Refused("another call began before the empty line", b":imc_list_members:"),
            LineCall((b":imc_list_rooms:reply",)),
            Refused("another call began before the empty line", b":imc_list_members:one\nchat-"),
            LineCall((b":imc_list_rooms:reply",)),
        ],
    ),
    (
        b"x" * 9000 + ROOMS,
        [
            Refused("neither JSON nor a call that begins with a colon", b"x" * HEAD_KEPT),
            LineCall((b":imc_list_rooms:reply",)),
        ],
    ),
    (
        b"what is this\n" + ROOMS,
        [
            Refused("neither JSON nor a call that begins with a colon", b"what is this"),
            LineCall((b":imc_list_rooms:reply",)),
        ],
    ),
    (
        b'{"a": "broken\n' + ROOMS,
        [Refused("line break in a string", b'{"a": "broken\n'), LineCall((b":imc_list_rooms:reply",))],
    ),
    (
        b"}}\n" + JSON,
        [Refused("neither JSON nor a call that begins with a colon", b"}}"), JsonText(JSON)],
    ),
    (
        b'{"a": "' + b"x" * MAX + b'"}\n' + JSON,
        [Refused("too large", b'{"a": "' + b"x" * MAX + b'"}'), JsonText(JSON)],
    ),
    (
        b":imc_list_members:reply\n" + b"x" * MAX + b"\ny\n\n" + ROOMS,
        [Refused("too large", b":imc_list_members:reply"), LineCall((b":imc_list_rooms:reply",))],
    ),
    (
        b":imc_list_members:reply\n" + b" " * MAX + b"\n\n" + ROOMS,
        [Refused("too large", b":imc_list_members:reply"), LineCall((b":imc_list_rooms:reply",))],
    ),
    (
        b":" + b"x" * (2 * HEAD_KEPT) + b"\ny\n\n" + ROOMS,
        [Refused("too large", b":" + b"x" * (HEAD_KEPT - 1)), LineCall((b":imc_list_rooms:reply",))],
    ),
    (
        b"{" * MAX + b"[" * 9000 + b"]" * 9000 + b"}" * MAX + ROOMS,
        [Refused("too large", b"{" * MAX + b"[" * (HEAD_KEPT - MAX)), LineCall((b":imc_list_rooms:reply",))],
    ),
]


@pytest.mark.parametrize(("data", "frames"), CASES)
def test_whole(data: bytes, frames: list[Frame]) -> None:
    assert _frames(data) == frames


@pytest.mark.parametrize(("data", "frames"), CASES)
def test_byte_by_byte(data: bytes, frames: list[Frame]) -> None:
    assert _frames(*(bytes([byte]) for byte in data)) == frames


@pytest.mark.parametrize(("data", "frames"), [case for case in CASES if len(case[0]) < 1000])
def test_every_split_point(data: bytes, frames: list[Frame]) -> None:
    for at in range(len(data)):
        assert _frames(data[:at], data[at:]) == frames


@pytest.mark.parametrize(
    ("data", "head"),
    [
        (JSON[:-1], JSON[:-1]),
        (ROOMS[:-1], ROOMS[:-1]),
        (ROOMS[:-3], ROOMS[:-3]),
        (ROOMS[:-1] + b"chat-1", b":imc_list_rooms:reply\nchat-1"),
        (b"rubbish", b"rubbish"),
        (b'{"a": "\\', b'{"a": "\\'),
    ],
)
def test_cut_off(data: bytes, head: bytes) -> None:
    framer = Framer(MAX)
    assert framer.feed(data) == []
    assert framer.is_mid_call
    assert framer.cut_off() == [Refused("cut off before its end", head)]
    assert not framer.is_mid_call
    assert framer.feed(ROOMS) == [LineCall((b":imc_list_rooms:reply",))]


def test_cut_off_between_calls_is_nothing() -> None:
    framer = Framer(MAX)
    framer.feed(ROOMS + b"\n  ")
    assert framer.cut_off() == []


@pytest.mark.parametrize("data", [b'{"a": "', b"{" * 10, b":a:b\nx", b":a:b\nx\n", b"xyz", b'{"' + b"\\\\" * 9])
def test_memory_is_bounded(data: bytes) -> None:
    framer = Framer(MAX)
    framer.feed(data)
    for _ in range(100):
        framer.feed(data[-1:] * 1000)
    assert len(framer._buffer) <= MAX + HEAD_KEPT + 1000
    assert sum(map(len, framer._lines)) <= MAX + HEAD_KEPT


_pieces = st.lists(
    st.sampled_from(
        [
            b"{",
            b"}",
            b"[",
            b"]",
            b'"',
            b"\\",
            b"\n",
            b"\r",
            b" ",
            b":",
            b"a",
            b":a:b\n",
            b"\n\n",
            JSON,
            ROOMS,
            b"x" * 99,
        ]
    )
    | st.binary(max_size=5),
    max_size=40,
).map(b"".join)


@given(_pieces, st.lists(st.integers(0, 400)))
def test_splits_never_matter(data: bytes, cuts: list[int]) -> None:
    whole = Framer(MAX)
    expected = [*whole.feed(data), *whole.cut_off()]
    points = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    parts = Framer(MAX)
    got = [frame for start, end in itertools.pairwise(points) for frame in parts.feed(data[start:end])]
    assert [*got, *parts.cut_off()] == expected


@given(_pieces)
def test_after_anything_cut_off_a_call_is_read(data: bytes) -> None:
    framer = Framer(MAX)
    framer.feed(data)
    framer.cut_off()
    assert framer.feed(JSON) == [JsonText(JSON)]
