"""What a setting is made of: a typed value with a default, bounds, a description, and whether a reload takes it."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import NoDecode


class Section(BaseModel):
    """A table of the file. Its docstring opens the table's part of the reference."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, str_strip_whitespace=False)


def setting(description: str, default: Any = ..., *, reload: bool = False, secret: bool = False, **bounds: Any) -> Any:
    """A field of a `Section`.

    ``reload``: SIGHUP puts a new value in force. ``secret``: may hold a password, so it is masked where settings are
    shown, and refused on the command line. ``bounds`` are those of `pydantic.Field` (ge, le, min_length,
    default_factory …).
    """
    if "default_factory" not in bounds:
        bounds["default"] = default
    return Field(description=description, json_schema_extra={"reload": reload, "secret": secret}, **bounds)


def _split(value: Any) -> Any:
    """A list may be written in one text, as the environment and flags have it: JSON, or parted by commas."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [item.strip() for item in value.split(",") if item.strip()]


# NoDecode: pydantic-settings would take JSON only.
Texts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
