"""What is known of a server beforehand: what it lacks, how its notices are told apart, and where it deviates.

A deviation is a strict expected failure: a case that passes all the same, or fails in another way than declared, makes
the run fail, so that no profile goes stale.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from conformance.suite.case import EVENTS, Model, describe, one_or_more
from conformance.suite.features import Feature


class BadProfile(ValueError):
    """A profile that cannot be used. The text names file and key."""


class Lack(Model):
    """Cases that require ``feature`` are skipped."""

    feature: Feature
    reason: Annotated[str, Field(min_length=1)]
    link: str = ""


class Seen(Model):
    """How the case fails: the first step with a problem, and the status it was answered with."""

    step: Annotated[int | None, Field(ge=1)] = None
    status: int | None = None


class Deviation(Model):
    """``case``: ids, or globs of ids; of several deviations that fit a case, the first counts."""

    case: Annotated[tuple[str, ...], BeforeValidator(one_or_more), Field(min_length=1)]
    reason: Annotated[str, Field(min_length=1)]
    link: str = ""
    seen: Seen | None = None

    def fits(self, case_id: str) -> bool:
        return any(fnmatchcase(case_id, glob) for glob in self.case)


class Profile(Model):
    """``events``: event id → regular expressions for a notice's whole body, for servers without IMC-Event.

    In them ``{room}``, ``{user}`` and ``{address}`` stand for any address, see `conformance.drivers.base`.
    """

    name: str = ""
    target: Annotated[str, Field(min_length=1)]
    versions: str = ""
    lacks: tuple[Lack, ...] = ()
    events: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    deviation: tuple[Deviation, ...] = ()

    @field_validator("events")
    @classmethod
    def _patterns(cls, events: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for event, patterns in events.items():
            if event not in EVENTS:
                raise ValueError(f"{event!r} is no event")
            for pattern in patterns:
                try:
                    re.compile(pattern)
                except re.error as error:
                    raise ValueError(f"{event}: {pattern!r}: {error}") from None
        return events

    @model_validator(mode="after")
    def _once(self) -> Self:
        names = [each.feature for each in self.lacks]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"lacks: {', '.join(twice)} twice")
        return self

    def lack(self, needs: Iterable[Feature]) -> Lack | None:
        """What of these it lacks; the first as the profile lists them."""
        wanted = frozenset(needs)
        return next((each for each in self.lacks if each.feature in wanted), None)

    def deviation_of(self, case_id: str) -> Deviation | None:
        return next((each for each in self.deviation if each.fits(case_id)), None)

    def unused(self, case_ids: Iterable[str]) -> list[str]:
        """The globs of deviations that fit none of all the cases there are."""
        ids = list(case_ids)
        globs = [glob for each in self.deviation for glob in each.case]
        return [glob for glob in globs if not any(fnmatchcase(one, glob) for one in ids)]


def load_profile(name: str) -> Profile:
    """By name, of those that come with the suite, or a path that ends in .toml. BadProfile."""
    try:
        if name.endswith(".toml"):
            text = Path(name).read_text(encoding="utf-8")
        else:
            text = (files("conformance") / "profiles" / f"{name}.toml").read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadProfile(f"{name}: no such profile; there are {', '.join(profiles())}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadProfile(f"{name}: {error}") from None
    try:
        data = tomllib.loads(text)
        _check_order(name, data)
        return Profile.model_validate({"name": Path(name).stem if name.endswith(".toml") else name, **data})
    except tomllib.TOMLDecodeError as error:
        raise BadProfile(f"{name}: {error}") from None
    except ValidationError as error:
        raise BadProfile("\n".join(f"{name}: {describe(each)}" for each in error.errors())) from None


def _check_order(name: str, data: dict[str, Any]) -> None:
    """In TOML what stands behind [events] is one of the events. BadProfile."""
    events = data.get("events")
    for key in ("target", "versions", "lacks"):
        if isinstance(events, dict) and key in events:
            raise BadProfile(f"{name}: events: {key} is no event; put its line before [events]")


def profiles() -> list[str]:
    """The names of those that come with the suite."""
    folder = files("conformance") / "profiles"
    return sorted(each.name.removesuffix(".toml") for each in folder.iterdir() if each.name.endswith(".toml"))
