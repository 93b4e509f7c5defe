from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.manage import mi
from imc.manage.caller import LOOPBACK
from imc.manage.methods import Methods
from imc.manage.mi import LineRequest
from imc.manage.registry import METHODS
from tests.manage.fakes import FakeManager, make_options


async def _answer(*lines: str, manager: FakeManager | None = None) -> str:
    methods = Methods(manager or FakeManager(), make_options(version="imc 1.2.3"))
    request = mi.parse(tuple(line.encode() for line in lines))
    return (await mi.execute(request, methods.by(LOOPBACK))).decode()


@pytest.mark.parametrize(
    ("lines", "request_"),
    [
        ([b":imc_list_rooms:reply"], LineRequest("imc_list_rooms", "reply", [])),
        ([b":imc_list_rooms:"], LineRequest("imc_list_rooms", "", [])),
        ([b":x:r", b"one", b"two"], LineRequest("x", "r", ["one", "two"])),
        ([b":x:r", b"room::chat-1"], LineRequest("x", "r", {"room": "chat-1"})),
        ([b":x:r", b"room ::  chat-1 "], LineRequest("x", "r", {"room": "chat-1"})),
        ([b":x:r", b"room::"], LineRequest("x", "r", {"room": ""})),
        ([b":x:r", b'"one \\"two\\" \\\\"'], LineRequest("x", "r", ['one "two" \\'])),
        ([b":x:r", b'room::"a :: b"'], LineRequest("x", "r", {"room": "a :: b"})),
        ([b":x:r", b"sip:chat-1@[2001:db8::1]"], LineRequest("x", "r", ["sip:chat-1@[2001:db8::1]"])),
        ([b":x:r", "é".encode()], LineRequest("x", "r", ["é"])),
    ],
)
def test_parse(lines: list[bytes], request_: LineRequest) -> None:
    assert mi.parse(tuple(lines)) == request_


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b""],
        [b"imc_list_rooms:reply"],
        [b":imc_list_rooms"],
        [b"::reply"],
        [b":x:r", b'"open'],
        [b":x:r", b'a"b'],
        [b":x:r", b'"a" b'],
        [b":x:r", b"\xff"],
        [b":x:r", b"one", b"room::two"],
    ],
)
async def test_what_cannot_be_parsed_is_answered_400(lines: list[bytes]) -> None:
    request = mi.parse(tuple(lines))
    assert request.fault is not None
    answer = await mi.execute(request, Methods(FakeManager(), make_options()).by(LOOPBACK))
    assert re.fullmatch(rb"400 parse error: [^\n]+\n\n", answer)


async def test_list_rooms() -> None:
    assert await _answer(":imc_list_rooms:reply") == (
        "200 OK\n"
        "ROOM::  URI=sip:chat-s@imc.test MEMBERS=1 OWNER=sip:olga@imc.test\n"
        "ROOM::  URI=sip:chat-w@imc.test MEMBERS=3 OWNER=sip:alice@imc.test\n"
        "\n"
    )


async def test_no_rooms() -> None:
    manager = FakeManager()
    manager.rooms = {}
    assert await _answer(":imc_list_rooms:reply", manager=manager) == "200 OK\n\n"


@pytest.mark.parametrize("room", ["sip:chat-w@imc.test", "room::sip:chat-w@imc.test", '"chat-w"'])
async def test_list_members(room: str) -> None:
    assert await _answer(":imc_list_members:reply", room) == (
        "200 OK\n"
        "ROOM:: sip:chat-w@imc.test NR_OF_MEMBERS=3\n"
        "\tMEMBER:: sip:alice@imc.test\n"
        "\tMEMBER:: sip:adam@imc.test\n"
        "\tMEMBER:: sip:mary@imc.test\n"
        "\n"
    )


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        ([":imc_list_members:r", "sip:chat-none@imc.test"], "404 Room not found"),
        ([":imc_list_members:r"], "400 No room name"),
        ([":imc_list_members:r", "."], "400 Empty room name"),
        ([":imc_list_members:r", "a b"], "400 Invalid room name"),
        ([":imc_list_members:r", "a", "b"], "400 Invalid params: 1 at most: imc.list_members room"),
        ([":imc_list_rooms:r", "a"], "400 Invalid params: 0 at most: imc.list_rooms"),
        ([":which:r", "a"], "400 no arguments are taken"),
        ([":imc.list_rooms:r"], "500 command 'imc.list_rooms' not available"),
        ([":nothing:r", "a"], "500 command 'nothing' not available"),
        ([":no\x1bthing\x7f:r", "a"], "500 command 'no?thing?' not available"),
    ],
)
async def test_refusals(lines: list[str], answer: str) -> None:
    assert await _answer(*lines) == f"{answer}\n\n"


async def test_a_failure_below_is_500() -> None:
    manager = FakeManager()
    manager.failure = RuntimeError()
    assert await _answer(":imc_list_rooms:r", manager=manager) == "500 Internal error\n\n"


async def test_the_other_commands() -> None:
    assert await _answer(":get_statistics:r", "imc:") == "200 OK\nimc:active_rooms = 2\n\n"
    assert (await _answer(":version:r")).startswith("200 OK\nServer:: imc 1.2.3 ")
    assert await _answer(":which:r") == "\n".join(["200 OK", *sorted(mi.COMMANDS), "", ""])
    assert await _answer(":imc_room_active:r", "chat-w") == "200 OK\n1\n\n"
    assert await _answer(":imc_room_member:r", "chat-w", "ivan") == "200 OK\n0\n\n"
    assert await _answer(":imc_manager:r", "sip:alice@imc.test", "sip:chat-w@imc.test", "#list") == "200 OK\n1\n\n"


def test_commands_have_the_names_of_methods() -> None:
    assert {name for name in mi.COMMANDS if name.startswith("imc_")} <= set(METHODS)


@given(st.lists(st.binary(max_size=30), max_size=6), st.sampled_from([b"", *(f":{c}:r".encode() for c in mi.COMMANDS)]))
async def test_any_lines_get_one_well_formed_answer(lines: list[bytes], first: bytes) -> None:
    request = mi.parse(tuple([first, *lines] if first else lines))
    answer = await mi.execute(request, Methods(FakeManager(), make_options()).by(LOOPBACK))
    assert re.fullmatch(rb"(200|400|404|500) [^\n]*\n([^\n]+\n)*\n", answer)
