"""The recordings of tests/conformance/oracle, played again through the Kamailio driver: all come out as recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from conformance.drivers.kamailio import KamailioDriver
from conformance.suite.case import Case
from conformance.suite.conversation import Conversation, Options, Sent, User
from conformance.suite.profile import load_profile
from tests.conformance.drivers.kamailio56 import needs_kamailio

RECORDINGS = Path(__file__).parents[1] / "oracle" / "kamailio-5.6.3.jsonl"
DOMAIN = "imc.test"
# Whom the recordings know, by actor.
ACTORS = {
    **{name: name for name in ("alice", "adam", "mary", "ivan", "rita", "olga", "otto")},
    "x1": "john",
    "x2": "nina",
}
NAMES = {name: actor for actor, name in ACTORS.items()}
STOOD = {"alice": "owner", "adam": "admin", "mary": "member", "ivan": "invited"}


def _recordings() -> Iterator[dict[str, Any]]:
    for line in RECORDINGS.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def _case(number: int, recording: dict[str, Any]) -> Case:
    """A case with the actors of a recording, somebody besides, and the room that stood."""
    room = None
    if "kind" in recording:
        room = {"kind": recording["kind"], **STOOD, **({"olga": "owner"} if recording.get("second") else {})}
    return Case.model_validate({
        "id": f"oracle/{number}",
        "clause": "R-CMD-1",
        "quotation": "-",
        "level": "must",
        "title": recording["id"],
        "room": room,
        "actors": sorted({"olga", *_actors(recording)}),
        "step": [{"do": "settle"}],
    })  # fmt: skip


def _actors(recording: dict[str, Any]) -> set[str]:
    """Who did or got something."""
    steps = recording["steps"]
    return {NAMES[name] for step in steps for name in (step["by"], *(name for name, _ in step["gets"]))}


def _status(step: dict[str, Any]) -> int:
    """What kamailio.cfg makes of a return code."""
    rc = step["rc"]
    if rc is None:
        return 404
    if rc > 0:
        return 200 if step["body"].startswith("#") else 202
    return 400 if rc in (-1, -20, -130) else 403


async def _play(recording: dict[str, Any], people: Sequence[str], conversation: Conversation) -> list[str]:
    """What is not as it was recorded."""
    problems: list[str] = []
    stood = conversation.room().partition("@")[0] if "kind" in recording else None
    for name, status in recording.get("answers", {}).items():
        conversation.answer_with(NAMES[name], status)
    for step in recording["steps"]:
        answer = await conversation.send(
            Sent(
                by=NAMES[step["by"]],
                to=f"sip:{stood or step['to']}@{DOMAIN}",
                body=step["body"].encode(),
                content_type=step.get("type", "text/plain"),
            )
        )
        awaited = dict.fromkeys(people, 0)
        for name, _ in step["gets"]:
            awaited[NAMES[name]] += 1
        came = await conversation.settle(awaited)
        seen = sorted([ACTORS[actor], one.event or "other"] for actor, got in came.items() for one in got)
        if answer.status != _status(step) or seen != step["gets"]:
            problems.append(f"{recording['id']}: {step['body']!r}: {answer.status} {seen}, not {step}")
        if "members" in step:
            lists = [one.body for got in came.values() for one in got if one.event == "member-list"]
            shown = sorted(lists[0].decode().splitlines()[1:]) if lists else []
            if shown != step["members"]:
                problems.append(f"{recording['id']}: {step['body']!r}: {shown}, not {step['members']}")
    return problems


@needs_kamailio
async def test_all_is_as_recorded() -> None:
    recordings = list(_recordings())
    cases = [_case(number, each) for number, each in enumerate(recordings, 1)]
    users = {actor: User(address=f"{name}@{DOMAIN}") for actor, name in ACTORS.items()}
    users["sentinel"] = User(address=f"sentinel@{DOMAIN}")
    options = Options(profile=load_profile("kamailio-5.6"), users=users, domain=DOMAIN)
    problems: list[str] = []
    async with KamailioDriver().open(options, cases) as target:
        for recording, case in zip(recordings, cases, strict=True):
            async with target.conversation(case) as conversation:
                problems += await _play(recording, case.people, conversation)
    assert not problems, "\n".join(problems)


def test_the_recordings_are_of_every_command_and_standing() -> None:
    ids = [each["id"] for each in _recordings()]
    matrix = [each.split("/")[1:] for each in ids if each.startswith("matrix/")]
    assert len(ids) == len(set(ids)) == 231
    assert len(matrix) == 192
    assert {standing for _, standing, _ in matrix} == {"owner", "admin", "member", "invited", "removed", "outsider"}
