"""A file of users: the accounts by which the actors of a case speak to a server that somebody else runs.

TOML, an actor each: ``alice = "alice@example.com"``, or with a password
``alice = { address = "alice@example.com", password = "secret" }``. Or CSV, a line each:
``alice,alice@example.com,secret``. ``sentinel`` is one of them: it sends the barriers.
"""

from __future__ import annotations

import csv
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError, field_validator

from conformance.suite.case import ACTORS, describe
from conformance.suite.conversation import User
from imc.aor import Aor

SENTINEL = "sentinel"


class BadUsers(ValueError):
    """A file of users that cannot be used. The text names file and key."""


class _Account(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    address: str
    password: str | None = None

    @field_validator("address")
    @classmethod
    def _whole(cls, address: str) -> str:
        aor = Aor.parse(address)
        return f"{aor.user}@{aor.host}"


def _table(value: object) -> object:
    if not isinstance(value, str | dict):
        raise ValueError('must be "user@host", or { address = "user@host", password = "…" }')  # noqa: TRY004 - pydantic takes no other
    return {"address": value} if isinstance(value, str) else value


_FILE = TypeAdapter(dict[str, Annotated[_Account, BeforeValidator(_table)]])


def _rows(text: str) -> dict[str, dict[str, str]]:
    """Of lines ``actor,address,password``; a first line that says so is passed over, and so are empty ones."""
    rows = [[each.strip() for each in row] for row in csv.reader(text.splitlines()) if any(row)]
    if rows and rows[0][:2] == ["actor", "address"]:
        del rows[0]
    return {row[0]: dict(zip(("address", "password"), filter(None, row[1:]), strict=False)) for row in rows}


def load_users(path: Path) -> dict[str, User]:
    """Actor → account. BadUsers."""
    try:
        text = path.read_text(encoding="utf-8")
        found = _FILE.validate_python(_rows(text) if path.suffix == ".csv" else tomllib.loads(text))
    except OSError as error:
        raise BadUsers(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadUsers(f"{path}: {error}") from None
    except ValidationError as error:
        raise BadUsers("\n".join(f"{path}: {describe(each)}" for each in error.errors())) from None
    unknown = sorted(set(found) - {*ACTORS, SENTINEL})
    if unknown:
        raise BadUsers(f"{path}: {unknown[0]}: no such actor; there are {', '.join((*ACTORS, SENTINEL))}")
    if SENTINEL not in found:
        raise BadUsers(f"{path}: {SENTINEL} is missing: the account that sends the barriers")
    return {actor: User(address=each.address, password=each.password) for actor, each in found.items()}
