"""Reading settings: flags over environment over file over defaults, validated as one.

Whatever is wrong is a `ConfigError` that says where: ``imc.toml:7: [sip] listen: …``, or the variable, or the flag.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError, create_model
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsError

from imc.config.base import Section
from imc.config.settings import Settings
from imc.errors import ConfigError

DEFAULT_FILE = Path("imc.toml")
PREFIX = "IMC_"
DELIMITER = "__"

_WANTED = {"bool": "true or false", "int": "a whole number", "float": "a number", "string": "a text"}


def find_file(path: Path | None) -> Path | None:
    """The file to read: the one that was named, else ``imc.toml`` of this folder, else None for built-in defaults."""
    if path is not None:
        return path
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def load(path: Path | None = None, flags: Iterable[str] = ()) -> Settings:
    """The settings in force. ``flags`` are texts of the form ``section.key=value``.

    ConfigError for a file that cannot be read, an unknown key, and every value that does not fit.
    """
    return Loader(path, flags).load()


def differences(old: Settings, new: Settings) -> tuple[list[str], list[str]]:
    """Which settings differ, as ``section.key``: those that a reload can take, and those that need a restart."""
    can: list[str] = []
    cannot: list[str] = []
    for section in Settings.model_fields:
        before, after = getattr(old, section), getattr(new, section)
        for key, field in type(before).model_fields.items():
            if getattr(before, key) != getattr(after, key):
                (can if is_reloadable(field) else cannot).append(f"{section}.{key}")
    return can, cannot


def is_reloadable(field: Any) -> bool:
    return bool(field.json_schema_extra["reload"])


def is_secret(field: Any) -> bool:
    return bool(field.json_schema_extra["secret"])


class Loader:
    """One reading. Keeps what each source said, so that an error, and `source_of`, can name the place."""

    def __init__(self, path: Path | None = None, flags: Iterable[str] = ()) -> None:
        self.path = path
        self._text = "" if path is None else read_text(path)
        self._file = {} if path is None else _parse(path, self._text)
        self._environment = _from_environment()
        self._flags = _from_flags(flags)

    def load(self) -> Settings:
        lines = list(self._not_sections())
        merged: dict[str, dict[str, Any]] = {}
        for source in (self._file, self._environment, self._flags):
            for section, values in source.items():
                if section in Settings.model_fields and isinstance(values, dict):
                    merged.setdefault(section, {}).update(values)
        try:
            settings = Settings.model_validate(merged)
        except ValidationError as error:
            lines += [
                self._complain(_location(details), _explain(details))
                for details in error.errors()
                if details["type"] != "default_factory_not_called"  # follows from another error
            ]
        if lines:
            raise ConfigError("\n".join(lines))
        return settings

    def _not_sections(self) -> Iterator[str]:
        for key, table in self._file.items():
            if key not in Settings.model_fields:
                yield self._complain((key,), _unknown_section(key))
            elif not isinstance(table, dict):
                yield self._complain((key,), f"{key} is a table: write [{key}] on a line of its own")

    def source_of(self, section: str, key: str) -> str:
        """Where a setting's value comes from: ``--set``, the variable, ``imc.toml:7`` or ``default``."""
        if key in self._flags.get(section, {}):
            return "--set"
        if key in self._environment.get(section, {}):
            return variable(section, key)
        if key in self._file.get(section, {}):
            return f"{self.path}:{line_of(self._text, (section, key))}"
        return "default"

    def _complain(self, loc: tuple[int | str, ...], message: str) -> str:
        names = tuple(part for part in loc if isinstance(part, str))
        if len(names) < 2:
            line = line_of(self._text, names) if names and names[0] in self._file else 0
            return f"{self._place(line)}{message}" if names else message
        section, key = names[:2]
        source = self.source_of(section, key)
        label = "" if source in ("--set", variable(section, key)) else f"[{section}] {key}: "
        if source == "--set":
            source = f"--set {section}.{key}"
        return f"{label}{message}" if source == "default" else f"{source}: {label}{message}"

    def _place(self, line: int) -> str:
        return f"{self.path}:{line}: " if line else ""


def variable(section: str, key: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{section}{DELIMITER}{key}".upper()


def read_text(path: Path) -> str:
    """A file's text. ConfigError."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: is not UTF-8") from None


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"line (\d+)", str(error))
        line = int(where[1]) if where else text.count("\n") + 1
        raise ConfigError(f"{path}:{line}: is not TOML: {error}") from None


def line_of(text: str, names: tuple[str, ...]) -> int:
    """The line, from 1, on which the statement begins that first gives a value to the key path ``names``; 0 if none.

    TOML's own parser decides. For each line that holds the last name: the longest whole document above it, and the
    shortest one with it; where only the latter has the key, the statement begins right after the former.
    """
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        if names[-1] not in line:
            continue
        above = next(end for end in range(number, -1, -1) if _has_key(lines[:end], ()) is not None)
        below = (_has_key(lines[:end], names) for end in range(number + 1, len(lines) + 1))
        if next((has_it for has_it in below if has_it is not None), False) and not _has_key(lines[:above], names):
            return above + 1
    return 0


def _has_key(lines: list[str], names: tuple[str, ...]) -> bool | None:
    """Whether the document has the key path; None where it is no whole document."""
    try:
        table: Any = tomllib.loads("".join(lines))
    except tomllib.TOMLDecodeError:
        return None
    for name in names:
        if not isinstance(table, dict) or name not in table:
            return False
        table = table[name]
    return True


# The settings as pydantic-settings wants them; only its fields are looked at.
_FIELDS: dict[str, Any] = {name: (field.annotation, field) for name, field in Settings.model_fields.items()}
_ENVIRONMENT = create_model("_Environment", __base__=BaseSettings, **_FIELDS)


def _from_environment() -> dict[str, dict[str, Any]]:
    for name in os.environ:
        section, delimiter, _ = name.upper().removeprefix(PREFIX).partition(DELIMITER)
        if name.upper().startswith(PREFIX) and delimiter and section.lower() not in Settings.model_fields:
            raise ConfigError(f"{name}: {_unknown_section(section.lower())}")
    try:
        values = EnvSettingsSource(_ENVIRONMENT, env_prefix=PREFIX, env_nested_delimiter=DELIMITER)()
    except SettingsError as error:
        raise ConfigError(f"environment: {error}") from None
    return {section: table for section, table in values.items() if isinstance(table, dict)}


def _from_flags(flags: Iterable[str]) -> dict[str, dict[str, Any]]:
    values: dict[str, dict[str, Any]] = {}
    for flag in flags:
        name, equals, value = flag.partition("=")
        section, dot, key = name.strip().partition(".")
        if not (equals and dot):
            raise ConfigError(f"--set {name}: write it as section.key=value")
        table = Settings.model_fields.get(section)
        if table is None:
            raise ConfigError(f"--set {name}: {_unknown_section(section)}")
        field = section_type(table.annotation).model_fields.get(key)
        if field is not None and is_secret(field):
            raise ConfigError(
                f"--set {name}: everyone on this machine could read it in the process list; "
                f"use the file, or {variable(section, key)}"
            )
        values.setdefault(section, {})[key] = value
    return values


def section_type(annotation: Any) -> type[Section]:
    """The class of a section, from its field's annotation."""
    assert isinstance(annotation, type)
    assert issubclass(annotation, Section)
    return annotation


def _unknown_section(name: str) -> str:
    return f"unknown section {name!r}{_did_you_mean(name, Settings.model_fields)}"


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f", did you mean {close[0]!r}?" if close else f"; there are {', '.join(names)}"


def _location(details: ErrorDetails) -> tuple[int | str, ...]:
    # What is wrong between several settings names the one to look at.
    return tuple(details["ctx"]["name"].split(".")) if details["type"] == "settings" else details["loc"]


def _explain(details: ErrorDetails) -> str:
    """A pydantic error in our words. The value itself is not repeated where it may be a secret."""
    kind, loc = details["type"], details["loc"]
    if kind == "extra_forbidden":
        if len(loc) == 1:
            return _unknown_section(str(loc[0]))
        fields = section_type(Settings.model_fields[str(loc[0])].annotation).model_fields
        return f"unknown setting{_did_you_mean(str(loc[1]), fields)}"
    if kind in ("value_error", "assertion_error"):
        return str(details.get("ctx", {}).get("error", details["msg"]))
    wanted = _WANTED.get(kind.partition("_")[0])
    if wanted is not None and kind.endswith(("_type", "_parsing", "_from_float")):
        return f"must be {wanted}"
    return details["msg"].replace("Input should be", "must be")
