"""The texts of a case: ``#invite {rita.address}`` becomes ``#invite rita@example.com``.

{rita} user part · {rita.address} user@host · {rita.uri} sip:user@host     for an actor, a room, or the manager
{domain} · {domain.upper} in capitals · {long:700} (700 letters) · {{ and }} for the braces themselves
"""

from __future__ import annotations

import re
from collections.abc import Callable

_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME = re.compile(r"([a-z][a-z0-9_]*)(?:\.(address|uri|upper))?")
_LONG = re.compile(r"long:([1-9][0-9]{0,5})")


class BadTemplate(ValueError):
    """A text with a placeholder that is none."""


def names(text: str) -> list[str]:
    """The names that a text refers to, "domain" among them. BadTemplate."""
    found: list[str] = []

    def note(name: str) -> str:
        found.append(name)
        return ""

    render(text, note)
    return found


def render(text: str, address: Callable[[str], str]) -> str:
    """``address`` gives the user@host of a name; of "domain", the domain. BadTemplate."""

    def replace(match: re.Match[str]) -> str:
        if match[0] in ("{{", "}}"):
            return match[0][0]
        if match[1] is None:
            raise BadTemplate(f"a single {match[0]}: write {match[0] * 2} for the character itself")
        return _value(match[1], address)

    return _PLACE.sub(replace, text)


def _value(inner: str, address: Callable[[str], str]) -> str:
    long = _LONG.fullmatch(inner)
    if long is not None:
        return "x" * int(long[1])
    name = _NAME.fullmatch(inner)
    if name is None:
        raise BadTemplate(f"{{{inner}}} is no placeholder")
    whole = address(name[1])
    if name[2] == "upper":
        return whole.upper()
    if name[2] == "address" or name[1] == "domain":
        return whole
    if name[2] == "uri":
        return f"sip:{whole}"
    return whole.partition("@")[0]
