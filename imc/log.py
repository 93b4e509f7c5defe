"""Logs: one record a line on stderr, for people on a terminal, as JSON elsewhere.

- The level can change while the daemon runs (`set_level`); a record below it costs a comparison.
- What libraries log by `logging` takes the same way, from ``warning`` up, or all of it at level ``debug``.
- Control bytes never reach the output: they are escaped, so that no name or body can forge a record, colour the
  terminal or hide text (abuse 22). A value is cut at `MAX_VALUE` characters.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, TextIO

import structlog

LEVELS: Final = ("debug", "info", "warning", "error")
MAX_VALUE: Final = 2_000
MAX_TRACEBACK: Final = 20_000


def escape(text: str) -> str:
    """The text with what acts on a terminal, ends a line or shows nothing escaped, as ``\\x1b`` or ``\\u2028``."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


def _plain_values(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Every value a number, a truth value, None, or text of bounded length: no renderer sees an object of ours."""
    for key, value in event.items():
        if key != "exc_info" and not (value is None or isinstance(value, bool | int | float)):
            event[key] = _cut(str(value), MAX_VALUE)
    return event


def _exception_as_text(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """``exc_info`` to the text of a traceback, kept whole for JSON."""
    error = _current_error(event.pop("exc_info", None))
    if error is not None:
        event["exception"] = _cut("".join(traceback.format_exception(error)), MAX_TRACEBACK)
    return event


def _exception_in_one_line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """``exc_info`` to one line, innermost frame first: a record is a line for people, too."""
    error = _current_error(event.pop("exc_info", None))
    if error is not None:
        frames = traceback.extract_tb(error.__traceback__)[-6:]
        where = " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))
        # ConsoleRenderer would put a key called exception on lines of its own.
        event["error"] = _cut(f"{type(error).__name__}: {error}" + (f" at {where}" if where else ""), MAX_VALUE)
    return event


def _current_error(exc_info: Any) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if isinstance(exc_info[1], BaseException) else None
    return sys.exc_info()[1] if exc_info else None


def _escape_values(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = escape(value)
    return event


def _render_json(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
    ordered = {key: event[key] for key in ("timestamp", "level", "event") if key in event} | dict(event)
    # json.dumps escapes C0 and, as ensure_ascii, all that is not ASCII; DEL is ASCII.
    text = structlog.processors.JSONRenderer()(logger, method, ordered)
    return str(text).replace("\x7f", "\\u007f")


def _processors(is_terminal: bool) -> list[Any]:
    if is_terminal:
        renderer = structlog.dev.ConsoleRenderer(colors="NO_COLOR" not in os.environ, pad_event_to=30)
        return [_exception_in_one_line, _escape_values, renderer]
    return [_exception_as_text, _render_json]


def configure(level: str = "info", *, stream: TextIO | None = None, is_terminal: bool | None = None) -> None:
    """Send all logs to ``stream`` (stderr), from ``level`` up, one of `LEVELS`.

    ``is_terminal`` None finds out from the stream. May be called again; the last call holds.
    """
    out = sys.stderr if stream is None else stream
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _plain_values,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_processors(out.isatty() if is_terminal is None else is_terminal),
            ],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    set_level(level)


def set_level(level: str) -> None:
    """From now on, records from ``level`` up. Libraries speak from ``warning`` up unless it is ``debug``."""
    number = getattr(logging, level.upper())
    logging.getLogger("imc").setLevel(number)
    logging.getLogger().setLevel(number if level == "debug" else max(number, logging.WARNING))
