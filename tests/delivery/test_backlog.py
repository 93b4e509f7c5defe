"""Store and forward: what waits, in which order, until when. The engine with its backlogs, against fakes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imc.aor import Aor
from imc.delivery.backlog import BacklogOptions, is_for_now
from imc.delivery.engine import DeliveryOptions
from tests.delivery.fakes import Bench, FakeTarget, Sent, contact, job, message

ALICE, BOB, CAROL = (Aor(name, "example.com") for name in ("alice", "bob", "carol"))
QUICK = BacklogOptions(retry_first=10.0, retry_longest=80.0, keep_for=1000.0, per_recipient=5, total=8, page=2)


def bench(options: BacklogOptions = QUICK, **more: int) -> Bench:
    return Bench(DeliveryOptions(backlog=options, **more), is_keeping=True)  # type: ignore[arg-type]


def say(on: Bench, number: int, *recipients: Aor, wants_result: bool = False) -> None:
    on.submit(job(f"j{number}", message(b"%d" % number, *(recipients or (BOB,)), wants_result=wants_result)))


def bodies(on: Bench) -> list[str]:
    return [sent.body.decode() for sent in on.stack.started]


def last(on: Bench) -> Sent:
    return on.stack.started[-1]


def call_id(sent: Sent) -> bytes:
    return sent.tail.split(b"\r\nCall-ID: ")[1].split(b"\r\n")[0]


async def deliver_all(on: Bench) -> None:
    """Answer with 200 whatever is in flight, until nothing is."""
    await on.run()
    while on.stack.open:
        for sent in list(on.stack.open.values()):
            on.answer(sent, 200)
        await on.run()


@pytest.mark.parametrize("status", [404, 408, 480, 482, 486, 500, 503, 504, 600, 401, 407, 423, 430, 491])
def test_for_now(status: int) -> None:
    # spec S-LANE-4
    assert is_for_now(status)


@pytest.mark.parametrize("status", [200, 302, 400, 403, 405, 410, 413, 415, 488, 501, 505, 513, 555, 603, 604, 606])
def test_for_good(status: int) -> None:
    # spec S-LANE-4
    assert not is_for_now(status)


async def test_what_is_said_while_somebody_is_away_comes_in_order_when_they_register() -> None:
    # spec S-LANE-12, S-LANE-13
    on = bench()
    for number in range(5):
        say(on, number)
        await on.run()
    assert on.done == [f"j{number}" for number in range(5)]  # each has a row of its own
    assert len(on.keeper.rows) == 5
    assert bodies(on) == []
    on.register(BOB, contact("bob"))
    await deliver_all(on)
    assert bodies(on) == ["0", "1", "2", "3", "4"]
    assert on.keeper.rows == {}
    assert on.engine.backlogs.of == {}
    say(on, 5)
    await deliver_all(on)
    assert bodies(on)[-1] == "5"
    assert on.keeper.read_counts == [2, 2, 1]


async def test_what_is_said_meanwhile_goes_behind() -> None:
    # spec S-LANE-12
    on = bench()
    for number in range(3):
        say(on, number)
    on.register(BOB, contact("bob"))
    await on.run()
    say(on, 3)
    await on.run()
    assert bodies(on) == ["0"]
    on.answer(last(on), 200)
    await on.run()
    say(on, 4)
    await deliver_all(on)
    assert bodies(on) == ["0", "1", "2", "3", "4"]


async def test_one_who_refuses_for_now_is_asked_again_with_a_higher_cseq_and_the_same_call_id() -> None:
    # spec S-LANE-9, S-LANE-13
    on = bench()
    on.register(BOB, contact("bob"))
    say(on, 0)
    say(on, 1)
    await on.run()
    on.answer(last(on), 480)
    await on.run()
    assert bodies(on) == ["0"]
    assert [kept.status for kept in on.keeper.rows.values()] == [480, 0]
    await on.pass_time(9.9)
    assert bodies(on) == ["0"]
    await on.pass_time(1.2)
    assert bodies(on) == ["0", "0"]
    first, second = on.stack.started
    assert b"CSeq: 1 MESSAGE" in first.tail
    assert b"CSeq: 2 MESSAGE" in second.tail
    assert (
        first.tail.split(b"\r\nCall-ID: ")[1].split(b"\r\n")[0]
        == second.tail.split(b"\r\nCall-ID: ")[1].split(b"\r\n")[0]
    )
    await deliver_all(on)
    assert bodies(on) == ["0", "0", "1"]


async def test_after_silence_the_cseq_is_the_same() -> None:
    # spec S-LANE-9
    on = bench()
    on.register(BOB, contact("bob"))
    say(on, 0)
    await on.run()
    on.time_out(last(on))
    await on.pass_time(11)
    assert b"CSeq: 1 MESSAGE" in last(on).tail
    assert len(on.stack.started) == 2


async def test_the_back_off_doubles_up_to_its_bound_and_a_success_resets_it() -> None:
    # spec S-LANE-13
    on = bench()
    on.register(BOB, contact("bob"))
    say(on, 0)
    say(on, 1)
    await on.run()
    waits = []
    for _ in range(6):
        on.answer(last(on), 480)
        await on.run()
        before, tries = on.now, len(on.stack.started)
        while len(on.stack.started) == tries:
            due = on.engine.next_deadline()
            assert due is not None
            await on.pass_time(due - on.now)
        waits.append(int((on.now - before) // 10.0))
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[4:] == [8, 8]
    on.answer(last(on), 200)
    await on.run()
    on.answer(last(on), 480)
    await on.run()
    due = on.engine.next_deadline()
    assert due is not None
    assert 10 <= due - on.now <= 11


@pytest.mark.parametrize(("says", "waits"), [(25.0, 25.0), (0.0, 1.0), (1e9, 80.0)])
async def test_retry_after_says_when(says: float, waits: float) -> None:
    # spec S-LANE-13
    on = bench()
    on.register(BOB, contact("bob"))
    say(on, 0)
    await on.run()
    on.answer(last(on), 486, says)
    await on.run()
    due = on.engine.next_deadline()
    assert due is not None
    assert waits <= due - on.now <= waits * 1.1


async def test_a_permanent_answer_ends_it() -> None:
    # spec S-LANE-4
    on = bench()
    say(on, 0)
    say(on, 1)
    on.register(BOB, contact("bob"))
    await on.run()
    on.answer(last(on), 410)
    await deliver_all(on)
    assert bodies(on) == ["0", "1"]
    assert on.keeper.rows == on.keeper.dead == {}


async def test_what_is_not_promised_is_not_kept() -> None:
    # spec S-LANE-16
    on = bench()
    on.submit(job("answer", message(b"a", BOB, kind="help"), is_durable=False))
    assert on.settled == [("help", BOB, 480)]
    say(on, 0)
    on.submit(job("composing", message(b"c", BOB), is_durable=False))
    assert on.settled[-1] == ("message", BOB, 480)
    on.register(BOB, contact("bob"))
    on.submit(job("composing2", message(b"c", BOB), is_durable=False))
    assert on.settled[-1] == ("message", BOB, 480)
    await deliver_all(on)
    assert bodies(on) == ["0"]


async def test_an_answer_does_not_wait_behind_a_backlog() -> None:
    # spec S-LANE-16
    on = bench()
    on.register(BOB, contact("bob"))
    say(on, 0)
    await on.run()
    on.answer(last(on), 503)
    await on.run()
    on.submit(job("answer", message(b"a", BOB, kind="help"), is_durable=False))
    await on.run()
    assert bodies(on) == ["0", "a"]


async def test_a_slow_lane_keeps_what_is_in_flight_and_unloads_the_rest() -> None:
    # spec S-LANE-17
    on = bench()
    on.register(BOB, contact("bob"))
    on.register(ALICE, contact("alice"))
    for number in range(3):
        say(on, number, BOB, ALICE)
    await on.run()
    silent = next(sent for sent in on.stack.started if sent.request_uri.startswith("sip:bob"))
    for _ in range(3):
        on.answer(next(s for s in on.stack.open.values() if s is not silent), 200)
        await on.run()
    assert on.done == []
    on.engine.on_slow(silent.token)
    on.engine.on_slow(silent.token)
    assert on.done == ["j0", "j1", "j2"]
    assert [key[0] for key in on.keeper.rows] == [BOB] * 3
    assert on.engine.statistics()["queued"] == 0
    say(on, 3)
    await on.run()
    assert on.keeper.read_counts == []  # nothing is read while one is held
    on.answer(silent, 200)
    await deliver_all(on)
    assert [s.body for s in on.stack.started if s.request_uri.startswith("sip:bob")] == [b"0", b"1", b"2", b"3"]
    assert on.keeper.rows == {}


async def test_a_slow_lane_that_stays_silent_waits_from_its_beginning() -> None:
    # spec S-LANE-17, S-LANE-13
    on = bench()
    on.register(BOB, contact("bob"))
    for number in range(3):
        say(on, number)
    await on.run()
    on.engine.on_slow(last(on).token)
    on.time_out(last(on))
    await on.run()
    assert bodies(on) == ["0"]
    await on.pass_time(11)
    await deliver_all(on)
    assert bodies(on) == ["0", "0", "1", "2"]


async def test_several_contacts_one_slow() -> None:
    # spec S-LANE-17
    on = bench()
    on.register(BOB, contact("bob-1"), contact("bob-2"))
    say(on, 0)
    await on.run()
    one, two = on.stack.started
    on.answer(one, 486)
    on.engine.on_slow(two.token)
    assert on.done == ["j0"]
    say(on, 1)
    on.answer(two, 200)
    await on.run()
    assert sorted(bodies(on)[2:]) == ["1", "1"]
    on.answer(on.stack.started[2], 200)
    assert on.keeper.rows == {}
    assert on.engine.backlogs.of == {}


@pytest.mark.parametrize("is_known_first", [False, True])
async def test_a_contact_that_comes_while_another_is_silent_is_asked_at_once(is_known_first: bool) -> None:
    # spec S-HOP-9
    on = bench()
    on.register(BOB, contact("old"))
    for number in range(3):
        say(on, number)
    await on.run()
    (silent,) = on.stack.started
    if is_known_first:
        on.register(BOB, contact("old"), contact("new"))
        on.engine.on_slow(silent.token)
    else:
        on.engine.on_slow(silent.token)
        on.register(BOB, contact("old"), contact("new"))
    await on.run()
    say(on, 3)
    for number in range(4):
        new = [s for s in on.stack.started if "new" in s.request_uri]
        assert [s.body for s in new] == [b"%d" % n for n in range(number + 1)]
        on.answer(new[-1], 200)
        await on.run()
    assert on.keeper.rows == {}
    on.time_out(silent)
    await deliver_all(on)
    assert on.keeper.rows == {}
    assert on.engine.backlogs.of == {}
    assert on.engine.statistics()["queued"] == 0


async def test_another_device_that_is_still_asked_keeps_the_backlog_from_being_read() -> None:
    # spec S-LANE-18
    on = bench()
    on.register(BOB, contact("bob-1"), contact("bob-2"))
    say(on, 0)
    say(on, 1)
    await on.run()
    one, two = on.stack.started
    on.engine.on_slow(one.token)
    on.register(BOB, contact("bob-1"), contact("bob-2"))  # again: all is there
    await on.run()
    assert on.keeper.read_counts == []
    on.answer(one, 480)
    on.answer(two, 480)
    await on.run()
    assert on.engine.backlogs.of[BOB].held == 0
    await on.pass_time(12)
    await deliver_all(on)
    by_contact = [s.body.decode() for s in on.stack.started if "bob-1" in s.request_uri]
    assert by_contact == ["0", "0", "1"]


async def test_a_full_lane_goes_on_in_rows() -> None:
    # spec S-LANE-5
    on = bench(replace(QUICK, per_recipient=100, total=100), lane_queue=2)
    on.register(BOB, contact("bob"))
    await on.run()
    for number in range(7):
        say(on, number)
        await on.run()
    assert on.engine.statistics()["overflowed"] == 1
    await deliver_all(on)
    assert bodies(on) == [str(number) for number in range(7)]
    assert on.keeper.rows == {}


async def test_beyond_the_bounds_there_are_dead_letters_and_who_asked_is_told() -> None:
    # spec S-LANE-14
    on = bench()
    for number in range(7):
        say(on, number, wants_result=True)
    assert len(on.keeper.rows) == 5
    assert [key[1] for key in on.keeper.dead] == sorted(key[1] for key in on.keeper.dead)
    assert len(on.keeper.dead) == 2
    assert on.settled == [("message", BOB, 480)] * 2
    for number in range(7, 11):
        say(on, number, ALICE)
    # the more there are of all, the fewer may be one recipient's, so that whoever fills it leaves something to others
    assert len(on.keeper.rows) == 7
    assert on.engine.statistics()["dead_letters"] == 4


async def test_too_old_is_a_dead_letter_and_expired_is_gone() -> None:
    # spec S-LANE-14, S-LANE-15
    on = bench()
    on.submit(job("j0", message(b"0", BOB)))
    brief = message(b"1", BOB)
    brief.expires = on.wall + 50
    on.submit(job("j1", brief))
    on.submit(job("j2", message(b"2", BOB), created=on.wall + 500))
    on.wall += 1000
    on.register(BOB, contact("bob"))
    await deliver_all(on)
    assert bodies(on) == ["2"]
    assert [kept.aor for kept in on.keeper.dead.values()] == [BOB]
    assert on.keeper.rows == {}
    assert on.engine.statistics()["expired"] == 1


async def test_what_expired_in_the_lane_is_not_sent() -> None:
    # spec S-LANE-15
    on = bench()
    on.register(BOB, contact("bob"))
    say(on, 0)
    brief = message(b"1", BOB)
    brief.expires = on.wall + 5
    on.submit(job("j1", brief))
    await on.run()
    on.wall += 5
    await deliver_all(on)
    assert bodies(on) == ["0"]
    assert on.done == ["j0", "j1"]


async def test_too_large_for_every_way_is_a_dead_letter() -> None:
    # spec S-LANE-14
    on = bench()
    on.carrier.targets["sip:bob@127.0.0.1:5070"] = [FakeTarget("udp", "127.0.0.1", 5070)]
    on.carrier.refusing.add(("127.0.0.1", 5070))
    on.register(BOB, contact("bob"))
    say(on, 0)
    await deliver_all(on)
    on.submit(job("large", message(b"x" * 2000, BOB)))
    await on.run()
    assert len(on.keeper.dead) == 1
    assert on.engine.backlogs.of == {}


async def test_a_database_that_cannot_be_read_is_asked_again_later() -> None:
    on = bench()
    say(on, 0)
    on.keeper.is_gone = True
    on.register(BOB, contact("bob"))
    await on.run()
    assert on.keeper.read_counts == [-1]
    on.keeper.is_gone = False
    await on.pass_time(12)
    await deliver_all(on)
    assert bodies(on) == ["0"]


async def test_rows_that_others_removed_are_not_waited_for() -> None:
    on = bench()
    say(on, 0)
    on.keeper.rows.clear()
    on.register(BOB, contact("bob"))
    await on.run()
    assert on.engine.backlogs.of == {}
    assert on.engine.statistics()["waiting"] == 0


async def test_a_copy_that_comes_back_from_another_lane_while_a_page_is_read_goes_first() -> None:
    # spec S-LANE-18
    on = bench()
    on.register(BOB, contact("bob-1"), contact("bob-2"))
    say(on, 0)
    await on.run()
    one, two = on.stack.started
    on.answer(one, 480)
    on.engine.on_slow(two.token)  # 0 is held
    say(on, 1)
    on.answer(two, 480)  # the backlog rests, 0 and 1 are rows
    on.engine.backlogs.seen(BOB)
    (reading,) = on.keeper.reads
    on.keeper.reads.clear()
    page = on.keeper.page(BOB, 2)
    assert [d.body for d in page] == [b"0", b"1"]
    reading[2](page)
    await deliver_all(on)
    assert on.keeper.rows == {}


async def test_a_sign_of_life_is_heeded_once_in_the_first_back_off() -> None:
    # spec S-LANE-13
    on = bench()
    on.register(BOB, contact("bob"))
    say(on, 0)
    await on.run()
    on.answer(last(on), 480)
    await on.run()
    for _ in range(3):
        on.engine.backlogs.seen(BOB)
        await on.run()
        if on.stack.open:
            on.answer(last(on), 480)
            await on.run()
    assert bodies(on) == ["0", "0"]
    on.engine.backlogs.seen(ALICE)  # who has none


async def test_a_start_with_rows() -> None:
    # spec S-LANE-7
    on = bench()
    say(on, 0)
    say(on, 1)
    again = bench()
    again.keeper.rows, again.keeper.jobs = on.keeper.rows, on.keeper.jobs
    again.contacts[BOB] = [contact("bob")]
    again.engine.backlogs.load([(BOB, 2)])
    say(again, 2)
    await again.run()
    assert bodies(again) == []
    await again.pass_time(2.1)
    await deliver_all(again)
    assert bodies(again) == ["0", "1", "2"]
    assert again.keeper.rows == {}


async def test_contacts_move_what_is_held() -> None:
    # spec S-HOP-8
    on = bench()
    say(on, 0)
    say(on, 1)
    on.register(BOB, contact("old"))
    await on.run()
    on.register(BOB, contact("new"))
    await deliver_all(on)
    assert [(s.request_uri.split("@")[0], s.body) for s in on.stack.started] == [
        ("sip:old", b"0"), ("sip:new", b"0"), ("sip:new", b"1"),
    ]  # fmt: skip
    on.register(BOB)
    say(on, 2)
    assert len(on.keeper.rows) == 1


async def test_who_waits_for_a_result_is_told_once_that_it_takes_longer() -> None:
    # spec R-INVITE-7
    on = bench()
    say(on, 0, wants_result=True)
    say(on, 1, wants_result=True)
    say(on, 2)
    assert on.waiting == [("message", BOB)] * 2
    on.register(BOB, contact("bob"))
    await on.run()
    on.answer(last(on), 480)
    await on.pass_time(12)
    on.time_out(last(on))
    await on.pass_time(23)
    await deliver_all(on)
    assert on.waiting == [("message", BOB)] * 2
    assert on.settled == [("message", BOB, 200)] * 2


async def test_while_others_change_rows_nothing_of_them_is_sent_and_what_is_said_goes_behind() -> None:
    # spec S-LANE-18
    on = bench()
    say(on, 0)
    say(on, 1)
    assert on.engine.backlogs.freeze(BOB)
    assert not on.engine.backlogs.freeze(BOB)
    on.register(BOB, contact("bob"))
    await on.run()
    say(on, 2)
    assert bodies(on) == []
    del on.keeper.rows[min(on.keeper.rows)]
    on.engine.backlogs.thaw(BOB, removed=1)
    await on.run()
    assert not on.engine.backlogs.freeze(BOB)  # one is held
    await deliver_all(on)
    assert bodies(on) == ["1", "2"]
    assert on.engine.backlogs.of == {}


async def test_who_had_no_backlog_does_not_wait_for_one_that_was_frozen() -> None:
    # spec S-LANE-18
    on = bench()
    on.register(BOB, contact("bob"))
    assert on.engine.backlogs.freeze(BOB)
    say(on, 0)
    await on.run()
    assert bodies(on) == []
    on.engine.backlogs.thaw(BOB)
    say(on, 1)
    await on.pass_time(0)
    await deliver_all(on)
    assert bodies(on) == ["0", "1"]
    assert on.engine.backlogs.freeze(BOB)
    on.engine.backlogs.thaw(BOB)
    assert on.engine.backlogs.of == {}
    assert on.engine.statistics()["waiting"] == 0


async def test_where_registrations_are_not_seen_what_is_new_is_a_reason_to_look() -> None:
    # spec S-LANE-13
    on = bench()
    dave = Aor("dave", "example.org")
    on.register(dave, contact("dave"))
    say(on, 0, dave)
    await on.run()
    on.answer(last(on), 404)
    say(on, 1, dave)
    await on.run()
    assert bodies(on) == ["0", "0"]
    on.answer(last(on), 404)
    say(on, 2, dave)
    await on.run()
    assert bodies(on) == ["0", "0"]  # once in the first back-off
    await on.pass_time(10)
    say(on, 3, dave)
    await deliver_all(on)
    assert bodies(on)[2:] == ["0", "1", "2", "3"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.sampled_from([BOB, ALICE])),
        st.tuples(st.just("answer"), st.sampled_from([200, 200, 200, 480, 503, 410, 482])),
        st.tuples(st.just("silence"), st.none()),
        st.tuples(st.just("slow"), st.none()),
        st.tuples(st.just("register"), st.tuples(st.sampled_from([BOB, ALICE]), st.integers(0, 2))),
        st.tuples(st.just("time"), st.floats(0.5, 40)),
        st.tuples(st.just("run"), st.none()),
        st.tuples(st.just("seen"), st.sampled_from([BOB, ALICE])),
    ),
    max_size=40,
)


@given(STEPS, st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
async def test_nothing_is_lost_or_overtaken_whatever_happens(steps: list[tuple[str, object]], random: object) -> None:
    """Single contacts: each copy is taken once per try that did not end in ignorance, in order, and none is left."""
    # spec S-LANE-2, S-LANE-8, S-LANE-12, S-LANE-13, S-LANE-17, S-LANE-18
    on = bench(BacklogOptions(retry_first=5.0, retry_longest=20.0, keep_for=1e9, page=2))
    taken: dict[Aor, list[int]] = {BOB: [], ALICE: []}
    ended: dict[Aor, set[int]] = {BOB: set(), ALICE: set()}
    said: dict[Aor, list[int]] = {BOB: [], ALICE: []}

    def someone() -> Sent | None:
        waiting = list(on.stack.open.values())
        return random.choice(waiting) if waiting else None  # type: ignore[attr-defined]

    def who(sent: Sent) -> Aor:
        return BOB if b"To: <sip:bob" in sent.tail else ALICE

    def answer(sent: Sent, status: int) -> None:
        if status == 200:
            taken[who(sent)].append(int(sent.body))
        if status in (200, 410):
            ended[who(sent)].add(int(sent.body))
        on.answer(sent, status)

    number = 0
    for what, detail in steps:
        sent = someone()
        if what == "say":
            assert isinstance(detail, Aor)
            said[detail].append(number)
            say(on, number, detail)
            number += 1
        elif what == "register":
            assert isinstance(detail, tuple)
            aor, count = detail
            on.register(aor, *([] if count == 0 else [contact(f"{aor.user}-{count}")]))
        elif what == "time":
            assert isinstance(detail, float)
            await on.pass_time(detail)
        elif what == "run":
            await on.run()
        elif what == "seen":
            assert isinstance(detail, Aor)
            on.engine.backlogs.seen(detail)
        elif sent is None:
            continue
        elif what == "answer":
            assert isinstance(detail, int)
            answer(sent, detail)
        elif what == "silence":
            on.time_out(sent)
        else:
            on.engine.on_slow(sent.token)
    for aor in (BOB, ALICE):
        on.register(aor, contact(aor.user))
    for _ in range(200):
        await on.run()
        for sent in list(on.stack.open.values()):
            answer(sent, 200)
        if not on.keeper.rows and not on.stack.open and on.engine.is_idle:
            break
        await on.pass_time(25.0)
    for aor in (BOB, ALICE):
        assert taken[aor] == sorted(set(taken[aor])), "in order, and none twice"
        assert ended[aor] == set(said[aor])
    assert on.keeper.rows == {}
    assert on.engine.backlogs.of == {}
    assert len(on.done) == number
    assert on.engine.is_idle
    statistics = on.engine.statistics()
    assert (statistics["queued"], statistics["waiting"], statistics["backlogs"]) == (0, 0, 0)


async def test_who_registers_anew_while_the_old_contact_is_tried_is_tried_there_at_once() -> None:
    # spec S-LANE-13
    on = bench()
    on.register(BOB, contact("old"))
    say(on, 0)
    await on.run()
    on.engine.on_slow(last(on).token)
    on.register(BOB, contact("old"), contact("new"))
    on.time_out(last(on))
    await on.pass_time(0)
    assert [sent.request_uri.split("@")[0] for sent in on.stack.started] == ["sip:old", "sip:new"]
    on.answer(on.stack.started[1], 480)
    await on.pass_time(9)
    assert len(on.stack.started) == 2  # nothing new: the back-off goes on
    await on.pass_time(40)
    await deliver_all(on)
    assert on.keeper.rows == {}


async def test_of_several_contacts_the_first_retry_after_counts() -> None:
    # spec S-LANE-13
    on = bench()
    on.register(BOB, contact("bob-1"), contact("bob-2"))
    say(on, 0)
    await on.run()
    one, two = on.stack.started
    on.answer(one, 480, 50.0)
    on.answer(two, 486, 3.0)
    await on.run()
    due = on.engine.next_deadline()
    assert due is not None
    assert 3 <= due - on.now <= 3.3


async def test_a_dead_letter_put_back_into_a_full_lane_waits_on() -> None:
    # spec S-LANE-5, S-LANE-14
    on = bench(replace(QUICK, per_recipient=2, total=100), lane_queue=1)
    for number in range(3):
        say(on, number)
    (dead,) = on.keeper.dead
    on.register(BOB, contact("bob"))
    for _ in range(3):
        await deliver_all(on)
        await on.pass_time(20)
    for number in (3, 4):
        say(on, number)
        await on.run()
    assert on.engine.backlogs.freeze(BOB)
    on.keeper.rows[dead] = on.keeper.dead.pop(dead)
    on.engine.backlogs.thaw(BOB, added=1)
    await on.run()
    assert bodies(on) == ["0", "1", "3"]
    for _ in range(4):
        await deliver_all(on)
        await on.pass_time(20)
    assert sorted(bodies(on)) == ["0", "1", "2", "3", "4"]
    assert on.keeper.rows == {}
    assert on.engine.backlogs.of == {}


async def test_what_expires_unsent_is_told() -> None:
    # spec S-LANE-15
    on = bench()
    brief = message(b"1", BOB)
    brief.expires = on.wall + 5
    on.submit(job("j1", brief))
    on.wall += 5
    on.register(BOB, contact("bob"))
    await on.run()
    assert on.settled == [("message", BOB, 480)]
    assert on.keeper.rows == {}


async def test_ten_thousand_who_are_away_come_back_at_once() -> None:
    # spec S-LANE-12, S-LANE-18
    on = bench(replace(QUICK, total=100_000), max_recipients=20_000)
    people = [Aor(f"u{number}", "example.com") for number in range(10_000)]
    say(on, 0, *people)
    assert len(on.keeper.rows) == len(people)
    assert on.engine.is_idle
    for aor in people:
        on.register(aor, contact("somebody"))
    assert len(on.keeper.reads) == QUICK.readers
    on.keeper.is_gone = True
    for _ in range(5):
        on.keeper.answer_reads()
    assert len(on.keeper.reads) == QUICK.readers
    assert on.engine.statistics()["waiting"] == len(people)
