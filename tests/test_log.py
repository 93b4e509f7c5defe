"""One record a line, whatever is in it; the level can change; libraries speak through it too."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from imc import log
from imc.aor import Aor


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, imc_level = root.handlers[:], root.level, logging.getLogger("imc").level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("imc").setLevel(imc_level)
    structlog.reset_defaults()


def configure(level: str = "info", stream: io.StringIO | None = None) -> io.StringIO:
    out = io.StringIO() if stream is None else stream
    log.configure(level, stream=out)
    return out


def records(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_json_where_it_is_no_terminal() -> None:
    out = configure()
    structlog.get_logger("imc.test").info("room made", room=Aor("chat-a", "b"), members=3, is_private=True, owner=None)
    (record,) = records(out)
    assert record.pop("timestamp").endswith("Z")
    assert record == {
        "level": "info",
        "event": "room made",
        "room": "sip:chat-a@b",
        "members": 3,
        "is_private": True,
        "owner": None,
        "logger": "imc.test",
    }


@pytest.mark.parametrize("make", [io.StringIO, Terminal])
@given(text=st.text(st.characters(codec=None), max_size=30))
def test_one_record_a_line_whatever_is_in_it(make: type[io.StringIO], text: str) -> None:
    out = configure("debug", make())
    structlog.get_logger("imc.test").info(text, value=text, number=1)
    logging.getLogger("library").warning("%s", text)
    lines = out.getvalue().split("\n")
    assert len(lines) == 3
    assert lines[2] == ""
    own_colours = {"\x1b"} if make is Terminal else set()
    assert {char for char in lines[0] + lines[1] if not char.isprintable()} <= own_colours


@pytest.mark.parametrize("text", ["\x1b[2J", "a\r\nb", "\x7f", "\x9b31m", "\u2028", "\u202e", "\udc80", "\x00"])
def test_a_terminal_gets_no_character_that_acts_on_it(text: str) -> None:
    out = configure(stream=Terminal())
    structlog.get_logger("imc.test").info("said", body=text)
    assert text not in out.getvalue()
    assert log.escape(text).strip("ab") in out.getvalue()


def test_an_exception_is_one_line_for_people_and_whole_in_json() -> None:
    for make in (Terminal, io.StringIO):
        out = configure(stream=make())
        try:
            raise ValueError("of\nno use")
        except ValueError:
            structlog.get_logger("imc.test").exception("it failed")
            logging.getLogger("library").exception("it failed")
        lines = out.getvalue().splitlines()
        assert len(lines) == 2
        assert all("ValueError: of" in line and "test_log.py" in line for line in lines)
    assert [record["exception"].splitlines()[0] for record in records(out)] == [
        "Traceback (most recent call last):"
    ] * 2


def test_an_exception_that_was_not_raised_can_be_logged() -> None:
    out = configure()
    structlog.get_logger("imc.test").warning("it failed", exc_info=ValueError("x"))
    assert records(out)[0]["exception"] == "ValueError: x\n"


def test_the_level_can_change() -> None:
    out = configure("warning")
    logger = structlog.get_logger("imc.test")
    logger.info("one")
    log.set_level("info")
    logger.info("two")
    logger.debug("three")
    log.set_level("debug")
    logger.debug("four")
    log.set_level("error")
    logger.warning("five")
    assert [record["event"] for record in records(out)] == ["two", "four"]


def test_libraries_are_heard_from_warning_up_and_wholly_at_debug() -> None:
    out = configure("info")
    library = logging.getLogger("a.library")
    library.info("one")
    library.warning("two")
    log.set_level("debug")
    library.info("three")
    log.set_level("error")
    library.warning("four")
    assert [(record["event"], record["level"]) for record in records(out)] == [("two", "warning"), ("three", "info")]


def test_a_long_value_is_cut() -> None:
    out = configure()
    structlog.get_logger("imc.test").info("said", body="x" * 100_000)
    assert records(out)[0]["body"] == "x" * log.MAX_VALUE + "… (100000 characters)"


def test_configuring_again_replaces() -> None:
    first, second = configure(), configure()
    structlog.get_logger("imc.test").info("one")
    assert first.getvalue() == ""
    assert len(records(second)) == 1
