"""The cases find faults: the rules of rooms are broken in one place each, and a case must fail."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from conformance.drivers import core
from conformance.suite.case import load_folder
from conformance.suite.conversation import Options
from conformance.suite.profile import load_profile
from conformance.suite.runner import run
from conformance.suite.selection import CASES_FOLDER, select
from imc.rooms import commands, replies
from imc.rooms.case import Case
from imc.rooms.effects import EFFECTS
from imc.rooms.model import Role, Room
from imc.rooms.outcome import Decision, Notice
from imc.rooms.permissions import PERMISSIONS, YES
from imc.rooms.policy import Policy

CASES = load_folder(CASES_FOLDER)
DECIDE = sys.modules["imc.rooms.decide"]  # the package has a function of that name
NO_ROOM = "a room that stands so"  # why a case is skipped whose room the broken rules do not make
SILENT = ("created", "already", "unchanged")  # effects that tell nobody but the sender


async def failing(*selectors: str, is_first_enough: bool = True) -> set[str]:
    """The ids of the cases, among these, that fail, or whose room cannot be made to stand."""
    options = Options(profile=load_profile("core"))
    verdict = await run(core.CoreDriver(), options, select(CASES, selectors), is_fail_fast=is_first_enough)
    return {case.id for case in verdict.cases if case.outcome in ("failed", "error") or NO_ROOM in case.why}


async def test_nothing_fails_unbroken() -> None:
    assert await failing("standing", "status/message*", "command", "message") == set()


@pytest.mark.parametrize("standing", ["owner", "admin", "member", "invited", "outsider"])
@pytest.mark.parametrize("name", sorted(PERMISSIONS))
async def test_a_wrong_permission(monkeypatch: pytest.MonkeyPatch, name: str, standing: str) -> None:
    """Whoever may does not, or whoever may not does: the cell of the status table says so."""
    right = PERMISSIONS[name]
    wrong = right._replace(**{standing: "not-permitted" if getattr(right, standing) == YES else YES})
    monkeypatch.setitem(PERMISSIONS, name, wrong)
    found = await failing(f"status/{name}*", is_first_enough=False)
    assert standing in {case.split(".")[1] for case in found}


def told_nobody(case: Case, notices: Iterator[Notice]) -> Iterator[Notice]:
    return (notice for notice in notices if notice.is_answer)


def told_the_sender_too(case: Case, notices: Iterator[Notice]) -> Iterator[Notice]:
    for one in notices:
        yield one if one.is_answer else replace(one, recipients=(*one.recipients, case.sender))


@pytest.mark.parametrize("how", [told_nobody, told_the_sender_too], ids=lambda how: how.__name__)
@pytest.mark.parametrize("name", sorted(set(EFFECTS) - set(SILENT)))
async def test_wrong_recipients(
    monkeypatch: pytest.MonkeyPatch, name: str, how: Callable[..., Iterator[Notice]]
) -> None:
    effect = EFFECTS[name]
    monkeypatch.setitem(EFFECTS, name, lambda case, after: how(case, effect(case, after)))
    assert await failing("status", "invite/refused*", "standing/added*", "invite/inviter-gone")


def _privacy_lost(original: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    def changes(*args: Any) -> tuple[Any, ...]:
        found = original(*args)
        return tuple(one._replace(is_private=False) if hasattr(one, "is_private") else one for one in found)

    return changes


def _inviter_lost(original: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    def changes(*args: Any) -> tuple[Any, ...]:
        found = original(*args)
        return tuple(
            one._replace(member=one.member._replace(invited_by=None)) if hasattr(one, "member") else one
            for one in found
        )

    return changes


def _unlimited(original: Callable[..., Decision]) -> Callable[..., Decision]:
    return lambda *args, size, **rest: original(*args, size=0, **rest)


def _one_line(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda body, *rest: original(body.replace("\r", " ").replace("\n", " "), *rest)


FAULTS: dict[str, tuple[object, str, Callable[[Any], Any], str]] = {
    "the sender hears it": (Room, "audience_without", lambda _: lambda room, user: room.audience, "message"),
    "the invited hear it": (
        Room,
        "audience",
        lambda _: property(lambda room: tuple(sorted(room.members))),
        "message",
    ),
    "no room has a last owner": (Room, "is_last_owner", lambda _: lambda room, user: False, "leave"),
    "every owner is the last": (
        Room,
        "is_last_owner",
        lambda _: lambda room, user: room.role(user) is Role.OWNER,
        "leave",
    ),
    "no label is whole": (Room, "label", lambda _: lambda room, user: user.user, "message"),
    "rooms are people": (Policy, "is_reserved", lambda _: lambda policy, aor: False, "address"),
    "any name is a room's": (Policy, "may_be_room", lambda _: lambda policy, aor: True, "address"),
    "invisible names": (commands, "is_visible", lambda _: lambda user: True, "address"),
    "long names": (commands, "is_too_long_for_room", lambda _: lambda room: False, "address"),
    "no prefix": (core, "format_room_text", lambda _: lambda label, text: text, "message"),
    "no marks": (core, "format_room_text", lambda _: lambda label, text: f"[{label}]: {text}", "message"),
    "all lines are the command": (core, "parse_command", _one_line, "command"),
    "blanks before a command": (
        core,
        "is_command",
        lambda original: lambda body, policy: original(body.lstrip(), policy),
        "command",
    ),
    "texts of any length": (core, "decide_message", _unlimited, "message"),
    "nothing is left off": (replies, "_left_off", lambda _: lambda notice: [], "members"),
    "all rooms are public": (DECIDE, "_changes", _privacy_lost, "create"),
    "nobody knows who invited": (DECIDE, "_changes", _inviter_lost, "reject"),
    "machines are answered": (DECIDE, "without_answers", lambda _: lambda decision: decision, "answer"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    where, name, wrong, family = FAULTS[fault]
    monkeypatch.setattr(where, name, wrong(vars(where)[name]))
    assert await failing(family)
