from __future__ import annotations

from typing import Any

import pytest

from conformance.drivers.core import CoreDriver, policy_of
from conformance.suite.case import Case
from conformance.suite.conversation import Lacks, Options, Sent
from conformance.suite.profile import load_profile
from conformance.suite.room_case import play
from conformance.suite.verdict import CaseVerdict
from imc.rooms import UNLIMITED

HEAD: dict[str, Any] = {"id": "a/b", "clause": "R-JOIN-1", "quotation": "q", "level": "must", "title": "t"}
OPTIONS = Options(profile=load_profile("core"))


async def played(step: dict[str, Any], **more: Any) -> CaseVerdict:
    case = Case.model_validate({**HEAD, "room": {"alice": "owner"}, "step": [{"by": "alice", **step}], **more})
    async with CoreDriver().open(OPTIONS, [case]) as target:
        return await play(case, target)


def test_settings_are_those_of_the_rules() -> None:
    policy = policy_of({"create_on_join": False, "imc.imc_cmd_start_char": "!", "limits.max_members": 3})
    assert (policy.create_on_join, policy.start_char, policy.limits.max_members) == (False, "!", 3)
    assert policy_of({"limits.enabled": False}).limits == UNLIMITED
    with pytest.raises(Lacks, match=r"the setting auth\.mode"):
        policy_of({"auth.mode": "none"})


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ({"text": "hello", "to": "user:mary", "status": 200}, "a server that relays messages from one user to another"),
        ({"base64": "/w==", "status": 202}, "other charsets: converting them is not of the rules of rooms"),
        (
            {"text": "x", "body_type": "text/plain;charset=koi8-r", "status": 202},
            "other charsets: converting them is not of the rules of rooms",
        ),
        ({"text": "x", "status": 202, "response": {"Warning": True}}, "headers: they are the service's"),
        (
            {"text": "x", "status": 403, "claims": "sip:example.com"},
            "addresses without a user part: they do not come as far as the rules of rooms",
        ),
        (
            {"text": "x", "status": 403, "claims": "sip:a@example.org"},
            "users of other domains: who may speak is a matter of the service",
        ),
        ({"do": "retransmit", "text": None}, "a transaction layer below it, so that a request can be repeated"),
        ({"do": "unregister"}, "a registrar"),
    ],
)
async def test_what_is_not_of_the_rules_is_skipped(step: dict[str, Any], why: str) -> None:
    verdict = await played(step)
    assert (verdict.outcome, verdict.why) == ("skipped", f"needs: {why}")


async def test_an_address_that_nobody_has() -> None:
    step = {"text": "x", "to": "sip:chat-1@example.org", "status": 404}
    assert (await played(step)).outcome == "passed"


async def test_a_room_that_cannot_stand_so_is_told() -> None:
    verdict = await played({"text": "x", "status": 202}, settings={"limits.max_rooms": 0})
    assert verdict.outcome == "skipped"
    assert verdict.why == "needs: a room that stands so: alice: create: 503"


async def test_an_automatic_request_is_known_by_header_and_type() -> None:
    for more in ({"headers": {"Auto-Submitted": "auto-replied"}}, {"body_type": "message/imdn+xml"}):
        step = {"text": "#nonsense", "status": 400 if "headers" in more else 202, "gets": {}, **more}
        assert (await played(step)).why == ""


async def test_a_conversation_keeps_its_rooms_to_itself() -> None:
    case = Case.model_validate({**HEAD, "step": [{"by": "alice", "text": "x", "status": 200}]})
    async with CoreDriver().open(OPTIONS, [case]) as target:
        for _ in range(2):
            async with target.conversation(case) as one:
                answer = await one.send(Sent(by="alice", to=f"sip:{one.room()}", body=b"#create"))
                assert answer.status == 200
                assert [each.event for each in (await one.settle({"alice": 1}))["alice"]] == ["room-created"]
