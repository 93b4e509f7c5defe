from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from conformance.suite.case import ACTORS, EVENTS, MESSAGE, RELAYED, BadCase, Case, load, load_folder
from conformance.suite.features import FEATURES

HEAD = """
[[case]]
id = "join/one"
clause = "R-JOIN-1"
quotation = "An outsider of a public room becomes a member."
level = "must"
title = "An outsider joins"
"""
STEP = '[[case.step]]\nby = "alice"\ntext = "#join"\nstatus = 200\n'


def case(**more: Any) -> Case:
    given: dict[str, Any] = {
        "id": "join/one",
        "clause": "R-JOIN-1",
        "quotation": "q",
        "level": "must",
        "title": "t",
        "step": [{"by": "alice", "text": "#join", "status": 200}],
    }
    return Case.model_validate({**given, **more})


def step(**more: Any) -> Case:
    return case(step=[{"by": "alice", "text": "#join", "status": 200, **more}])


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "join.toml").write_text(HEAD + 'room = { kind = "private", mary = "owner" }\n' + STEP)
    (one,) = load_folder(tmp_path)
    assert (one.id, one.family, one.clause, one.level) == ("join/one", "join", "R-JOIN-1", "must")
    assert one.room is not None
    assert one.room.standings == {"mary": "owner"}
    assert one.people == ("mary", "alice")
    assert one.step[0].status == (200,)
    assert one.step[0].body_type == "text/plain;charset=UTF-8"


# What is written in place of the step, and what the error says besides file and case
WRONG = {
    "x = 1\n": "x: Extra inputs are not permitted",
    '[[case.step]]\nby = "alice"\ntext = "a"\n': "step 1: status is missing: what the request is answered",
    '[[case.step]]\ntext = "a"\nstatus = 200\n': "step 1: by is missing: the actor who does it",
    '[[case.step]]\nby = "alice"\nstatus = 200\n': "step 1: one of text and base64",
    '[[case.step]]\ndo = "kill"\nby = "alice"\n': "step 1: kill takes no by",
    '[[case.step]]\ndo = "wait"\n': "step 1: do: Input should be 'send'",
    STEP
    + 'gets = { rita = "joined" }\n': "step 1: gets.rita.1.event: 'joined' is no event of docs/reference/notices.md",
    STEP + 'gets = { rita = ["invitation", "joined"] }\n': "step 1: gets.rita.2.event: 'joined' is no event",
    STEP + 'gets = { rita = { event = "help", text = "x" } }\n': "step 1: gets.rita.1: text is for message and relayed",
    STEP + 'gets = { marry = "help" }\n': "no such actor: marry; there are alice, adam",
    STEP + "answers = { rita = 100 }\n": "step 1: answers.rita",
    STEP.replace("#join", "#invite {marry}"): "step 1: {marry} is no actor, nor a room of this case",
    STEP.replace("#join", "#invite {"): "a single {: write {{ for the character itself",
    STEP + 'to = "rom"\n': "step 1: 'rom' is no place",
    STEP.replace("200", "99"): "step 1: status.1",
    STEP.replace("200", '"7xx"'): "step 1: status.1",
    'room = { alice = "member" }\n' + STEP: "room: a room has an owner",
    'room = { alice = "king" }\n' + STEP: "room.alice: Input should be 'owner'",
    'requires = ["wings"]\n' + STEP: "requires.1: Input should be 'modify'",
    'level = "may"\n' + STEP: "",
    "": "step: Field required",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_told_with_file_case_and_key(tmp_path: Path, text: str) -> None:
    path = tmp_path / "join.toml"
    path.write_text(HEAD + text)
    with pytest.raises(BadCase) as caught:
        load(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    if "level" not in text:  # which is no TOML: twice the same key
        assert f"{path}: case join/one: {WRONG[text]}" in said


def test_a_case_belongs_to_its_file(tmp_path: Path) -> None:
    path = tmp_path / "leave.toml"
    path.write_text(HEAD + STEP)
    with pytest.raises(BadCase, match="case join/one: id: a case of this file begins with leave/"):
        load(path)


def test_an_id_is_there_once(tmp_path: Path) -> None:
    (tmp_path / "join.toml").write_text(HEAD + STEP + HEAD + STEP)
    with pytest.raises(BadCase, match="case join/one: id: there is another of this id"):
        load_folder(tmp_path)


def test_other_tables_are_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "join.toml"
    path.write_text("[cases]\n")
    with pytest.raises(BadCase, match="cases: a file of cases holds"):
        load(path)


def test_people_are_all_who_are_named() -> None:
    one = case(
        actors=["olga"],
        users={"x1": "al1ce"},
        room={"otto": "owner"},
        step=[
            {
                "by": "alice",
                "text": "#invite {rita}",
                "to": "user:mary",
                "status": 403,
                "answers": {"x2": 486},
                "gets": {"adam": {"event": "message", "by": "ivan", "text": "{x3}"}},
            }
        ],
    )
    assert set(one.people) == {"otto", "olga", "x1", "alice", "x2", "adam", "mary", "ivan", "rita", "x3"}


def test_rooms_are_all_that_are_named() -> None:
    one = case(
        rooms=["third"],
        step=[
            {
                "by": "alice",
                "text": "{third} {second.uri} {domain} {manager.address}",
                "to": "room:second",
                "status": 200,
                "gets": {"alice": {"event": "room-created", "sender": "room:fourth"}},
            }
        ],
    )
    assert one.further_rooms == ("third", "second", "fourth")
    assert one.people == ("alice",)


@pytest.mark.parametrize(
    ("one", "features"),
    [
        (case(), set()),
        (case(settings={"check_on_create": True}), {"settings"}),
        (case(room={"kind": "private", "alice": "owner"}), {"private"}),
        (case(room={"alice": "owner", "otto": "owner", "adam": "admin"}), {"owners", "admins"}),
        (case(step=[{"do": "kill"}]), {"restart"}),
        (case(step=[{"do": "unregister", "by": "alice"}]), {"register"}),
        (case(step=[{"do": "merge", "by": "alice", "status": 482}]), {"retransmission"}),
        (step(to="manager"), {"manager"}),
        (step(to="user:mary"), {"relay"}),
        (step(credentials="wrong"), {"digest"}),
        (case(requires=["cpim"]), {"cpim"}),
    ],
)
def test_what_follows_from_a_case(one: Case, features: set[str]) -> None:
    assert one.needs == features


def test_nothing_is_changed_afterwards() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        case().title = "another"  # type: ignore[misc]


def test_events_are_those_of_the_reference() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "notices.md"
    told = page.read_text(encoding="utf-8").partition("## Events")[2].partition("\n## ")[0]
    found = {word.strip("`") for word in told.replace("|", " ").replace(",", " ").split() if word.startswith("`")}
    assert found == EVENTS - {MESSAGE, RELAYED}


def test_actors_and_features_are_named_once() -> None:
    assert len(set(ACTORS)) == len(ACTORS)
    assert all(meaning and not meaning.endswith(".") for meaning in FEATURES.values())
