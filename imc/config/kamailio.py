"""A kamailio.cfg as imc's settings: what its ``modparam("imc", …)`` lines say, and what of them imc cannot take.

Only what is needed for that is read: comments, the preprocessor's definitions and conditions, and modparam lines (Core
Cookbook, "Comments", "Config Pre-Processor Directives", "modparam"). Routes are passed over; files that are included
are not opened, but named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from imc.config.render import toml_value
from imc.config.settings import Settings
from imc.errors import ConfigError

MODULE = "imc"
_FLAGS = ("create_on_join", "check_on_create")  # 0 or 1 there, false or true here
_TEXTS = ("db_url", "rooms_table", "members_table", "imc_cmd_start_char", "outbound_proxy", "extra_hdrs")
_UNNEEDED = {"db_mode": "imc always writes before it answers; it has no other mode"}

_STRING = r'"(?:[^"\\]|\\.)*"|\'[^\']*\''
_TOKEN = re.compile(
    rf"(?P<string>{_STRING})|(?P<blank>/\*.*?\*/|//[^\n]*|\#[^\n]*|\s+)|(?P<word>[A-Za-z0-9_.\-]+)|(?P<sign>.)",
    re.DOTALL,
)
_DIRECTIVE = re.compile(r"[#!]!(\w+)[ \t]*(.*)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


class Given(NamedTuple):
    """One modparam: the line, from 1, that it begins on; ``value`` is a text, a number, or None for an unknown name."""

    line: int
    name: str
    value: str | int | None
    raw: str


class Translation(NamedTuple):
    """``settings`` of the section [imc], each with its line; ``notes`` say what could not be taken, and why."""

    settings: dict[str, tuple[Any, int]]
    notes: list[str]

    def toml(self, file: str) -> str:
        """A configuration for imc: to be read over, since domains and listeners stand elsewhere in a kamailio.cfg."""
        lines = ["[imc]", *(f"{key} = {toml_value(value)}" for key, (value, _) in self.settings.items())]
        return "\n".join((f"# Made from {file}; domains, [sip] listen and [auth] are yours to say.", *lines)) + "\n"


def translate(text: str, *, defines: Iterable[str] = (), module: str = MODULE) -> Translation:
    """Read a kamailio.cfg. ``defines`` are as after Kamailio's -A: ``NAME`` or ``NAME=VALUE``. ConfigError."""
    settings: dict[str, tuple[Any, int]] = {}
    notes: list[str] = []
    known = dict(_define(one) for one in defines)
    for given in _modparams(_preprocess(text, known, notes), known, module):
        if given.name in settings:
            notes.append(f"{given.line}: {given.name}: stands there again; the last one counts")
        try:
            settings[given.name] = (_checked(given), given.line)
        except ConfigError as error:
            settings.pop(given.name, None)
            notes.append(f"{given.line}: {given.name}: {error}")
    return Translation(settings, notes)


def _checked(given: Given) -> Any:
    """The value as imc has it. ConfigError with the reason where it cannot."""
    name, value = given.name, given.value
    if name in _UNNEEDED:
        raise ConfigError(_UNNEEDED[name])
    if name != "hash_size" and name not in (*_FLAGS, *_TEXTS):
        raise ConfigError("imc has no such parameter")
    if value is None:
        raise ConfigError(f"{given.raw} is defined nowhere in this file")
    if isinstance(value, str) != (name in _TEXTS):
        raise ConfigError(f"{given.raw} is not a {'text' if name in _TEXTS else 'number'}")
    if name in _FLAGS:
        value = bool(value)
    try:
        Settings.model_validate({"imc": {name: value}})
    except ValidationError as error:
        details = error.errors()[0]
        why = details.get("ctx", {}).get("error", details["msg"])
        raise ConfigError(str(why).replace("Input should be", "must be")) from None
    return value


def _define(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not re.fullmatch(r"\w+", name):
        raise ConfigError(f"{text!r} is not NAME or NAME=VALUE")
    return name, value if equals else "1"


# --- the preprocessor -------------------------------------------------------------------------------------------------


def _preprocess(text: str, known: dict[str, str], notes: list[str]) -> str:
    """The text with what is conditioned away left out, as many lines as before. ``known`` gets the definitions."""
    kept: list[str] = []
    conditions: list[bool] = []
    for number, line in enumerate(text.splitlines(), 1):
        directive = _DIRECTIVE.match(line)
        kept.append(line if directive is None and all(conditions) else "")
        if directive is None:
            include = re.match(r"\s*(?:include_file|import_file)\b\s*(.*)", line)
            if include is not None and all(conditions):
                notes.append(f"{number}: {include[1]} is not read: translate it too")
                kept[-1] = ""
            continue
        word, rest = directive[1].lower(), directive[2].strip()
        if word in ("ifdef", "ifndef"):
            conditions.append((rest in known) == (word == "ifdef"))
        elif word in ("else", "endif"):
            if not conditions:
                raise ConfigError(f"{number}: #!{word} without #!ifdef")
            was = conditions.pop()
            if word == "else":
                conditions.append(not was)
        elif all(conditions):
            _take(word, rest, known, notes, number)
    if conditions:
        raise ConfigError(f"{text.count(chr(10)) + 1}: an #!ifdef without its #!endif")
    return "\n".join(kept)


def _take(word: str, rest: str, known: dict[str, str], notes: list[str], number: int) -> None:
    """A directive that is no condition."""
    name, _, value = rest.partition(" ")
    if word in ("define", "redefine", "trydef", "trydefine") and name:
        if word in ("define", "redefine") or name not in known:
            known[name] = value.strip() or "1"
    elif word in ("undef", "undefine"):
        known.pop(name, None)
    elif word in ("substdef", "substdefs"):
        parts = rest.strip("\"'")
        fields = parts[1:].split(parts[:1]) if parts else []
        if len(fields) >= 2:
            known[fields[0]] = f'"{fields[1]}"' if word == "substdefs" or not fields[1].isdigit() else fields[1]
    elif word in ("include_file", "import_file"):
        notes.append(f"{number}: {rest} is not read: translate it too")
    elif word in ("subst", "defenv", "defexp", "defexps", "ifexp"):
        notes.append(f"{number}: #!{word} is not followed")


# --- modparam ---------------------------------------------------------------------------------------------------------


def _modparams(text: str, known: Mapping[str, str], module: str) -> Iterator[Given]:
    """Those of the module; a first parameter names several with | between them."""
    tokens = [
        (found.lastgroup, found[0], found.start()) for found in _TOKEN.finditer(text) if found.lastgroup != "blank"
    ]
    for index, (_, word, start) in enumerate(tokens):
        if word not in ("modparam", "modparamx") or len(tokens) < index + 8:
            continue
        signs = [tokens[index + offset][1] for offset in (1, 3, 5)]
        modules, name, value = (tokens[index + offset] for offset in (2, 4, 6))
        if signs != ["(", ",", ","] or module not in _text(modules[1]).split("|"):
            continue
        yield Given(text.count("\n", 0, start) + 1, _text(name[1]), _value(value[0], value[1], known), value[1])


def _value(kind: str | None, raw: str, known: Mapping[str, str]) -> str | int | None:
    """A text, a number, or what a defined name stands for."""
    for _ in range(len(known) + 1):
        if kind == "string":
            text = _text(raw)
            return known[text].strip("\"'") if text in known else text
        if re.fullmatch(r"-?[0-9]+", raw):
            return int(raw)
        if raw not in known:
            return None
        raw = known[raw]
        kind = "string" if raw[:1] in ('"', "'") else "word"
    return None


def _text(raw: str) -> str:
    """What stands between the quotes."""
    if raw[:1] == "'":
        return raw[1:-1]
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), raw.strip('"'), flags=re.DOTALL)
