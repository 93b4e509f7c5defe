"""imc as a target, and with it all that a server over SIP has in common."""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from conformance.drivers.base import CannotPlay, Server, SipTarget
from conformance.drivers.imc import ImcDriver, ImcTarget, _Daemon, _Kind, config, kind_of
from conformance.suite.case import Case
from conformance.suite.conversation import Answer, BarrierLost, CannotStart, Lacks, Options, Sent, User
from conformance.suite.profile import Profile, load_profile
from conformance.suite.room_case import play
from conformance.suite.selection import all_cases, needs
from conformance.suite.wire_case import WireCase

HEAD: dict[str, Any] = {"clause": "R-JOIN-1", "quotation": "q", "level": "must", "title": "t"}
OPTIONS = Options(profile=load_profile("imc"))


def case(*steps: dict[str, Any], name: str = "a/b", **more: Any) -> Case:
    return Case.model_validate({**HEAD, "id": name, "step": list(steps), **more})


JOIN = {"by": "rita", "text": "#join", "status": 200, "gets": {"rita": "member-joined", "alice": "member-joined"}}
ROOM = {"alice": "owner", "adam": "admin", "ivan": "invited"}
JOINS = case(
    {**JOIN, "gets": {"rita": "member-joined", "alice": "member-joined", "adam": "member-joined"}},
    room=ROOM,
)
SAYS = {"by": "alice", "text": "hello", "status": 202}


@asynccontextmanager
async def imc(*cases: Case, options: Options = OPTIONS) -> AsyncIterator[ImcTarget]:
    async with ImcDriver().open(options, cases) as target:
        assert isinstance(target, ImcTarget)
        yield target


async def passes(target: ImcTarget, *cases: Case) -> None:
    for one in cases:
        verdict = await play(one, target)
        assert (verdict.outcome, verdict.why) == ("passed", ""), one.id


# --- the configuration ------------------------------------------------------------------------------------------------


def test_the_settings_of_a_case_are_in_the_configuration() -> None:
    one = case(JOIN, settings={"create_on_join": False, "limits.max_members": 3, "imc.room_pattern": 'a"\\*'})
    found = tomllib.loads(config(kind_of(one), 5071))
    assert found["imc"]["create_on_join"] is False
    assert found["imc"]["room_pattern"] == 'a"\\*'
    assert found["limits"] == {"max_members": 3}
    assert found["sip"]["listen"] == ["udp:127.0.0.1:5071", "tcp:127.0.0.1:5071"]
    assert found["auth"]["mode"] == "none"
    assert tomllib.loads(config(_Kind("{}", asks_passwords=True, is_alone=True), 0))["auth"]["mode"] == "digest"


def test_cases_of_the_same_settings_share_a_daemon() -> None:
    settings = {"create_on_join": False, "check_on_create": True}
    one, other = case(JOIN, settings=settings), case(SAYS, settings=dict(reversed(settings.items())))
    assert kind_of(one) == kind_of(other)
    assert kind_of(case(JOIN)) != kind_of(one)
    assert not kind_of(one).is_alone
    assert kind_of(case({"do": "kill"})).is_alone
    asks = kind_of(case({**SAYS, "credentials": "wrong"}))
    assert asks.is_alone
    assert asks.asks_passwords


# --- a conversation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_case_over_each_transport(transport: Any) -> None:
    async with imc(JOINS, options=replace(OPTIONS, transport=transport)) as target:
        assert target.pid is not None
        await passes(target, JOINS)


async def test_what_nobody_must_get_is_seen() -> None:
    forgetful = JOINS.model_copy(
        update={"step": (JOINS.step[0].model_copy(update={"gets": {"rita": JOINS.step[0].gets["rita"]}}),)}
    )
    async with imc(forgetful) as target:
        verdict = await play(forgetful, target)
    assert verdict.outcome == "failed"
    assert len(verdict.steps[0].problems) == 2
    assert all("gets what they must not: member-joined" in each for each in verdict.steps[0].problems)


async def test_what_must_come_and_does_not_is_seen() -> None:
    hopeful = case({**SAYS, "gets": {"ivan": "message", "adam": "message"}}, room=ROOM)
    async with imc(hopeful, options=replace(OPTIONS, patience=0.1)) as target:
        verdict = await play(hopeful, target)
    assert verdict.outcome == "failed"
    assert verdict.why.startswith("ivan must get message by alice-1@example.com says 'hello', and does not")


async def test_the_ladder_has_what_passed_and_nothing_of_the_barrier() -> None:
    async with imc(JOINS) as target:
        verdict = await play(JOINS, target)
    drawn = [(each.source, each.target, each.summary.partition(" sip:")[0]) for each in verdict.ladder]
    assert ("alice", "server", "MESSAGE #create") in drawn
    assert ("rita", "server", "MESSAGE #join") in drawn
    assert ("server", "rita", "200 OK") in drawn
    assert not any("sentinel" in str(each.data) for each in verdict.ladder)
    answers = [each for each in drawn if each[2] == "200 OK"]
    assert len(answers) * 2 == len(drawn)


async def test_a_daemon_is_started_again_on_what_it_kept() -> None:
    told = {**SAYS, "gets": {"adam": "message"}}
    one = case({"do": "restart"}, told, {"do": "kill"}, told, room=ROOM)
    async with imc(one) as target:
        await passes(target, one)


async def test_a_restart_over_tcp_is_lacking() -> None:
    one = case({"do": "kill"}, room=ROOM)
    async with imc(one, options=replace(OPTIONS, transport="tcp")) as target:
        verdict = await play(one, target)
    assert verdict.outcome == "skipped"


COMES = {"event": "message", "by": "alice", "text": "hello"}
REFUSED = {
    "by": "alice",
    "text": "#invite {rita}",
    "status": 200,
    "answers": {"rita": 410},
    "gets": {"rita": "invitation", "alice": ["invitation-sent", "invitation-failed"]},
}
STEPS: dict[str, tuple[dict[str, Any], ...]] = {
    "repeated": (
        {**JOIN, "gets": {"rita": "member-joined", "alice": "member-joined", "adam": "member-joined"}},
        {"do": "retransmit", "by": "rita", "status": 200},
        {"do": "merge", "by": "rita", "status": 482},
    ),
    "refused": (REFUSED,),
    "away": ({"do": "unregister", "by": "adam"}, SAYS, {"do": "register", "by": "adam", "gets": {"adam": COMES}}),
    "too-large-for-a-datagram": ({**SAYS, "text": "{long:60000}", "gets": {"adam": "message"}},),
    "between-users": ({**SAYS, "to": "user:rita", "status": 200, "gets": {"rita": "relayed"}},),
    "to-the-server": ({**SAYS, "to": "server", "status": 404},),
    "claims": ({**SAYS, "claims": "ivan", "status": 403},),
    "no-type": ({**SAYS, "body_type": "", "gets": {"adam": "message"}},),
    "at-the-end": (SAYS, {**SAYS, "gets": {"adam": ["message", "message"]}}),
}


async def test_what_a_step_can_be() -> None:
    cases = [
        case(*steps, name=f"a/{name}", room=ROOM, barrier="end" if name == "at-the-end" else "each")
        for name, steps in STEPS.items()
    ]
    overlooked = case({**REFUSED, "gets": {"rita": "invitation", "alice": "invitation-sent"}}, room=ROOM)
    async with imc(*cases, overlooked) as target:
        await passes(target, *cases)
        verdict = await play(overlooked, target)
    assert verdict.outcome == "failed"
    assert "alice gets what they must not: invitation-failed" in verdict.why


async def test_passwords() -> None:
    one = case(
        {"by": "alice", "text": "#create", "status": 200, "gets": {"alice": "room-created"}},
        {**SAYS, "credentials": "wrong", "status": 401},
        {**SAYS, "credentials": "none", "status": 401},
        SAYS,
        requires=["digest"],
    )
    async with imc(one) as target:
        await passes(target, one, one.model_copy(update={"id": "a/c"}))
        assert target.shares_accounts(one)


async def test_a_start_that_failed_is_tried_again_in_an_empty_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    async def killed(self: _Daemon, user: User) -> None:
        monkeypatch.undo()
        await self._add(user)  # it is there, and whoever added it ended by a signal
        raise CannotStart("killed")

    one = case(
        {"by": "alice", "text": "#create", "status": 200, "gets": {"alice": "room-created"}}, requires=["digest"]
    )
    monkeypatch.setattr(_Daemon, "_add", killed)
    async with imc(one) as target:
        assert (await play(one, target)).why == "CannotStart: killed"
        await passes(target, one)


async def test_a_daemon_of_unusual_settings_ends_behind_the_last_case() -> None:
    settings = {"check_on_create": True}
    cases = [case(JOIN, name=f"a/{each}", room={"alice": "owner"}, settings=settings) for each in "bc"]
    async with imc(*cases) as target:
        for one, is_there in zip(cases, (True, False), strict=True):
            await passes(target, one)
            daemon = target._daemons[kind_of(one)]
            assert (daemon.server is not None) is is_there


async def test_settings_that_imc_does_not_know() -> None:
    one = case(JOIN, settings={"create_on_joy": True})
    async with imc(one) as target:
        verdict = await play(one, target)
    assert verdict.outcome == "error"
    assert "create_on_joy" in verdict.why


async def test_an_imc_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMC_SIP__MAX_BODY", "much")
    with pytest.raises(CannotStart, match="IMC_SIP__MAX_BODY: must be a whole number"):
        async with imc(JOINS):
            raise AssertionError


async def test_byte_exact_cases() -> None:
    wires = [each for each in all_cases() if isinstance(each, WireCase)]
    asking = next(each for each in wires if "digest" in needs(each))
    plain = next(each for each in wires if not needs(each))
    async with imc() as target:
        async with target.wire_place(plain) as place:
            assert place.domain == target.domain
            assert place.addresses.keys() == {"udp", "tcp", "ws"}
            assert not place.accounts
        async with target.wire_place(asking) as place:
            assert place.accounts["alice"] == ("alice", "alice secret")


# --- what other servers need ------------------------------------------------------------------------------------------


class Elsewhere(SipTarget):
    """imc, as somebody else's server: its features are those of a profile, its users those of a file."""

    server: Server

    def serving(self, case: Case | WireCase) -> Any:
        @asynccontextmanager
        async def given() -> AsyncIterator[Server]:
            yield self.server

        return given()


@asynccontextmanager
async def elsewhere(*cases: Case, lacks: Sequence[str] = (), users: Sequence[str] = ()) -> AsyncIterator[Elsewhere]:
    profile = Profile.model_validate({"target": "x", "lacks": [{"feature": each, "reason": "r"} for each in lacks]})
    accounts = {each: User(address=f"{each}.smith@example.com") for each in users}
    async with imc(*cases) as behind:
        options = Options(profile=profile, users=accounts, patience=0.3)
        target = Elsewhere(name="x", options=options, domain="example.com", manager=behind.manager)
        async with behind.serving(JOINS) as target.server:
            yield target


async def test_a_server_that_relays_nothing_has_a_barrier_room() -> None:
    hopeful = case({**SAYS, "gets": {"ivan": "message"}}, name="a/c", room=ROOM)
    async with elsewhere(JOINS, lacks=["relay"]) as target:
        assert "relay" not in target.features
        assert target.patience == 0.3
        verdict = await play(JOINS, target)
        assert (verdict.outcome, verdict.why) == ("passed", "")
        verdict = await play(hopeful, target)
        assert verdict.why.splitlines()[0].startswith("adam gets what they must not: message")


async def test_accounts_of_a_file_are_used_and_left_as_they_were() -> None:
    async with elsewhere(JOINS, users=["alice", "adam", "ivan", "rita", "sentinel"]) as target:
        for _ in range(2):
            verdict = await play(JOINS.model_copy(update={"id": f"a/{_}"}), target)
            assert (verdict.outcome, verdict.why) == ("passed", "")
        async with target.conversation(JOINS) as one:
            assert one.address("rita") == "rita.smith@example.com"
        fresh = Elsewhere(name="x", options=OPTIONS, domain="example.com")
        fresh.server = target.server
        async with fresh.conversation(case(SAYS)) as two:
            answer = await two.send(Sent(by="alice", to="sip:rita.smith@example.com", body=b"x"))
            assert answer.status == 404


async def test_an_account_that_is_not_in_the_file() -> None:
    async with elsewhere(JOINS, users=["alice", "sentinel"]) as target:
        verdict = await play(JOINS, target)
    assert (verdict.outcome, verdict.why) == ("skipped", "needs: an account for adam in the file of users")


async def test_a_barrier_that_is_refused_or_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    for status, kind in ((403, CannotPlay), (408, BarrierLost), (None, BarrierLost)):
        async with elsewhere(JOINS) as target, target.conversation(JOINS) as one:
            ask = AsyncMock(return_value=Answer(status=status, reason="so"))
            monkeypatch.setattr(one, "_ask", ask)
            words = "so" if status is None else f"{status} so"
            with pytest.RaisesGroup(pytest.RaisesExc(kind, match=f"the barrier's message to rita: {words}$")):
                await one.pass_barrier(["rita"])
            monkeypatch.undo()


async def test_a_server_where_nobody_can_register() -> None:
    async with elsewhere(JOINS) as target:
        target.domain = "example.org"
        with pytest.raises(ExceptionGroup) as caught:
            async with target.conversation(JOINS):
                raise AssertionError
    assert caught.group_contains(CannotPlay, match="REGISTER of .*@example.org: 404")


async def test_a_transport_that_is_not_there() -> None:
    async with elsewhere(JOINS) as target:
        target.server = Server({"tcp": target.server.addresses["tcp"]})
        with pytest.raises(Lacks, match="SIP over UDP"):
            async with target.conversation(JOINS):
                raise AssertionError


def test_a_case_that_is_played_again_has_rooms_that_nobody_has_had() -> None:
    target = ImcTarget(name="imc", options=OPTIONS, domain="example.com")
    one, other = case(SAYS), case(SAYS, name="a/c")
    target.take([one, other])
    for again in (one, other, one):
        before = {target.room(each, "room") for each in (one, other)}
        target.again(again)
        assert target.room(again, "room") not in before
    assert target._left[kind_of(one)] == 5


def test_what_it_is() -> None:
    assert "imc" in ImcDriver().describe()
    assert ImcDriver().why_not() is None
