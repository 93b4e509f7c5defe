from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio

from conformance.drivers import kamailio
from conformance.drivers.imc_module import Setup, tables_in
from conformance.drivers.kamailio import KamailioDriver, KamailioTarget
from conformance.suite import runner
from conformance.suite.case import Case
from conformance.suite.conversation import CannotStart, Lacks, Options, Sent
from conformance.suite.profile import load_profile
from conformance.suite.selection import all_cases, select
from tests.conformance.drivers.kamailio56 import needs_kamailio


def _case(name: str, **more: object) -> Case:
    return Case.model_validate({
        "id": f"test/{name}", "clause": "R-LIST-1", "quotation": "-", "level": "must", "title": "-",
        "step": [{"do": "settle"}], **more,
    })  # fmt: skip


ROOM = {"kind": "private", "alice": "owner", "otto": "owner", "adam": "admin", "mary": "member", "ivan": "invited"}
STANDING = _case("standing", room=ROOM)


def _options() -> Options:
    return Options(profile=load_profile("kamailio-5.6"))


def _target(*cases: Case) -> KamailioTarget:
    target = KamailioTarget(name="kamailio", options=_options(), domain="example.com")
    target.take(cases)
    return target


async def _members(target: KamailioTarget, case: Case, actor: str) -> tuple[int | None, list[str]]:
    """The status of #members, and the names in the list."""
    async with target.conversation(case) as conversation:
        room = conversation.room()
        answer = await conversation.send(Sent(by=actor, to=f"sip:{room}", body=b"#members"))
        came = await conversation.settle(dict.fromkeys(case.people, 0))
    lines = [line for one in came[actor] for line in one.body.decode().splitlines()[1:]]
    return answer.status, sorted(lines)


@needs_kamailio
async def test_a_room_stands_as_the_case_says() -> None:
    async with KamailioDriver().open(_options(), [STANDING]) as target:
        assert isinstance(target, KamailioTarget)
        assert target.version.startswith("5.6.")
        found = await _members(target, STANDING, "mary")
    assert found == (200, ["*[alice-1]", "*[otto-1]", "[mary-1]", "~[adam-1]"])


@needs_kamailio
async def test_a_case_that_nobody_announced_has_a_server_of_its_own() -> None:
    async with KamailioDriver().open(_options(), []) as target:
        assert isinstance(target, KamailioTarget)
        assert (await _members(target, STANDING, "mary"))[0] == 200
        assert list(target.servers) == [Setup()]  # the other one has ended


@needs_kamailio
async def test_a_server_that_died_is_started_again_with_its_rooms() -> None:
    async with KamailioDriver().open(_options(), [STANDING]) as target:
        assert isinstance(target, KamailioTarget)
        server = target.servers[Setup()]
        process = server._process
        assert process is not None
        process.send_signal(signal.SIGKILL)
        with trio.fail_after(10):
            await process.wait()
        assert (await _members(target, STANDING, "mary"))[0] == 200
        assert target.servers[Setup()] is not server
        await server.stop(signal.SIGKILL)


@needs_kamailio
async def test_what_is_played_comes_out_as_the_profile_declares() -> None:
    chosen = select(all_cases(), ["source/*", "durable/private-flag", "create/check-on-create", "order/merged-message"])
    verdict = await runner.run(KamailioDriver(), _options(), chosen)
    assert [(case.id, case.outcome, case.why) for case in verdict.failing(is_strict=True)] == []
    assert verdict.counts()["passed"] > 10
    assert verdict.counts()["deviates"] > 10


@pytest.mark.parametrize(
    ("settings", "defines"),
    [
        ({}, {}),
        ({"check_on_create": True, "create_on_join": False}, {"CHECK_ON_CREATE": "1", "CREATE_ON_JOIN": "0"}),
        ({"imc_cmd_start_char": "!"}, {"START_CHAR": '"!"'}),
        ({"add_requires_consent": False, "room_pattern": "chat-*"}, {}),
    ],
)
def test_settings_are_parameters_of_the_module(settings: dict[str, object], defines: dict[str, str]) -> None:
    case = _case("settings", settings=settings)
    assert _target(case).setup(case) == Setup(tuple(sorted(defines.items())))


@pytest.mark.parametrize("settings", [{"limits.max_members": 2}, {"add_requires_consent": True}, {"room_pattern": "*"}])
def test_a_setting_without_a_parameter(settings: dict[str, object]) -> None:
    case = _case("settings", settings=settings)
    with pytest.raises(Lacks, match=next(iter(settings))):
        _target(case).setup(case)


def test_a_case_that_ends_its_server_has_one_for_itself() -> None:
    case = _case("restart", step=[{"do": "kill"}])
    assert _target(case).setup(case) == Setup(alone="test/restart")


@pytest.mark.skipif(tables_in(kamailio.FOLDERS, kamailio.TABLES) is None, reason="Kamailio's tables are not installed")
def test_the_database_holds_the_rooms_of_its_setup_alone(tmp_path: Path) -> None:
    other = _case("other", room={"alice": "owner"}, settings={"check_on_create": True})
    target = _target(STANDING, other)
    target.fill(tmp_path / "database", Setup())
    with closing(sqlite3.connect(tmp_path / "database")) as database:
        rooms = database.execute("SELECT name, domain, flag FROM imc_rooms").fetchall()
        members = database.execute("SELECT username, flag FROM imc_members ORDER BY username").fetchall()
    assert rooms == [(target.room(STANDING, "room").partition("@")[0], "example.com", 1)]
    assert members == [("adam-1", 2), ("alice-1", 1), ("ivan-1", 4), ("mary-1", 0), ("otto-1", 1)]


async def test_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kamailio, "find_binary", lambda name: None)
    assert "apt install kamailio" in (KamailioDriver().why_not() or "")
    with pytest.raises(CannotStart, match="not installed"):
        async with KamailioDriver().open(_options(), []):
            pass
