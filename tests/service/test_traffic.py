"""Who sends how much, and which limits were hit by whom; and that the tables stay small."""

from __future__ import annotations

import pytest

from imc.aor import Aor
from imc.rooms.outcome import Decision, Refused
from imc.service import traffic as module
from imc.service.rates import Rate, RateOptions, Rates
from imc.service.traffic import Talker, Traffic
from imc.sip.flow import Flow
from imc.sip.sources import SourceOptions, Sources

ALICE, BOB, ROOM = (Aor(name, "example.com") for name in ("alice", "bob", "chat-1"))


class Wall:
    now = 6_000_030.0

    def __call__(self) -> float:
        return self.now


def decision(*recipients: Aor, event: str = "", room: Aor = ROOM) -> Decision:
    refusal = Refused(event, 403, "R-LIMIT-1") if event else None
    return Decision(
        address=room,
        room=None,
        status=403 if event else 202,
        clause="R-MSG-1",
        code=1,
        recipients=recipients,
        refusal=refusal,
    )


def test_talkers_of_the_last_minutes() -> None:
    wall = Wall()
    traffic = Traffic(wall)
    traffic.judged(ALICE, decision(BOB, ALICE), 10, is_command=False)
    wall.now += 120
    for _ in range(2):
        traffic.judged(BOB, decision(ALICE), 5, is_command=False)
    traffic.limited(BOB, ROOM, 7)
    senders, rooms = traffic.talkers(60, 10)
    assert senders == [Talker(str(BOB), 2, 2, 17, 1), Talker(str(ALICE), 1, 2, 10, 0)]
    assert rooms == [Talker(str(ROOM), 3, 4, 27, 1)]
    assert traffic.talkers(1, 10)[0] == senders[:1]
    assert traffic.talkers(60, 1)[0] == senders[:1]
    wall.now += 3_600
    assert traffic.talkers(60, 10) == ([], [])
    found = traffic.statistics()
    assert (found["room_messages"], found["room_copies"], found["refusals"]) == (3, 4, 1)


def test_a_clock_that_is_set_back_does_no_harm() -> None:
    wall = Wall()
    traffic = Traffic(wall)
    traffic.judged(ALICE, decision(), 1, is_command=True)
    wall.now -= 4_000
    traffic.judged(ALICE, decision(), 1, is_command=True)
    assert traffic.talkers(1, 1)[0][0].messages == 2
    assert traffic.statistics()["room_commands"] == 2


def test_tables_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_NAMES", 3)
    monkeypatch.setattr(module, "MOST_HITS", 3)
    traffic = Traffic(Wall())
    for number in range(10):
        traffic.judged(Aor(f"u{number}", "example.com"), decision(BOB), 1, is_command=False)
        traffic.hit("room_rate", f"sip:r{number}@example.com")
    senders, _ = traffic.talkers(60, 100)
    assert len(senders) <= 4
    assert sum(one.messages for one in senders) == 10
    assert senders[0] == Talker("", 7, 7, 7, 0)
    assert [hit.who for hit in traffic.hits(100)] == [f"sip:r{number}@example.com" for number in (9, 8, 7)]
    assert traffic.totals() == {"room_rate": 10}


def test_refusals_that_are_limits() -> None:
    wall = Wall()
    traffic = Traffic(wall)
    traffic.judged(ALICE, decision(event="room-full"), 1, is_command=True)
    traffic.judged(ALICE, decision(event="not-permitted"), 1, is_command=True)
    wall.now += 1
    traffic.judged(ALICE, decision(event="room-full"), 1, is_command=True)
    (hit,) = traffic.hits(10)
    assert (hit.limit, hit.who, hit.times, hit.last - hit.first) == ("max_members", str(ALICE), 2, 1.0)
    assert traffic.statistics()["refusals"] == 3


def test_rates_tell_which_limit_it_was() -> None:
    one = Rate(1, 0.001)
    options = RateOptions(
        per_sender=one, per_room=one, per_inviter=one, per_invitee=Rate(9, 1), per_invitation=Rate(9, 1),
        max_rejections=1, rejections_last=60.0, per_founder=one,
    )  # fmt: skip
    traffic = Traffic(Wall())
    rates = Rates(options, lambda: 5.0, traffic.hit)
    for _ in range(2):
        rates.may_send(ALICE)
        rates.may_speak(ROOM)
        rates.may_found(ALICE)
    assert rates.may_invite(ROOM, ALICE, BOB)
    assert not rates.may_invite(ROOM, ALICE, Aor("carol", "example.com"))
    rates.note_rejection(ROOM, BOB)
    assert not rates.may_invite(ROOM, ALICE, BOB)
    assert {(hit.limit, hit.who) for hit in traffic.hits(10)} == {
        ("sender_rate", str(ALICE)),
        ("room_rate", str(ROOM)),
        ("founding_rate", str(ALICE)),
        ("inviter_rate", str(ALICE)),
        ("max_rejections", str(ALICE)),
    }


def test_sources_tell_of_addresses() -> None:
    traffic = Traffic(Wall())
    sources = Sources(SourceOptions(burst=2, byte_burst=100), on_hit=traffic.hit)
    flow = Flow("udp", ("127.0.0.1", 5060), ("192.0.2.7", 5060))
    assert not sources.may_answer(flow, 10, 1_000, 1.0)
    for _ in range(5):
        sources.waste(flow, 1.0)
    assert [(hit.limit, hit.who, hit.times) for hit in traffic.hits(10)] == [
        ("unproven_rate", "192.0.2.7", 1),
        ("unproven_byte_rate", "192.0.2.7", 1),
    ]
