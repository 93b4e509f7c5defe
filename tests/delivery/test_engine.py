"""The delivery engine against fakes: order, one in flight, every copy settled once, failover, forks, bounds."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from imc.aor import Aor
from imc.delivery.engine import DeliveryOptions
from imc.delivery.hops import LEAST_WINDOW, REFILL, WINDOW, Contact
from imc.delivery.job import Dispatch
from imc.delivery.lanes import Lane
from imc.sip.flow import Flow
from tests.delivery.fakes import LOCAL, Bench, FakeTarget, contact, job, message

ALICE, BOB, CAROL = (Aor(name, "example.com") for name in ("alice", "bob", "carol"))


async def test_a_copy_is_a_whole_message() -> None:
    # spec S-HOP-4, S-LANE-10
    bench = Bench(DeliveryOptions(host="imc.example.com"))
    bench.register(BOB, Contact("sip:bob@10.0.0.1", next_hop="sip:bob@10.0.0.1", routes=("<sip:edge;lr>",)))
    bench.engine.submit(job("j1", message(b"[alice]: hi", BOB)))
    await bench.run()
    (sent,) = bench.stack.started
    raw = sent.head + sent.branch + sent.tail
    assert raw.decode().split("\r\n") == [
        "MESSAGE sip:bob@10.0.0.1 SIP/2.0",
        "Via: SIP/2.0/UDP 127.0.0.1:5060;rport;branch=z9hG4bK0",
        "Route: <sip:edge;lr>",
        "To: <sip:bob@example.com>",
        raw.decode().split("\r\n")[4],
        'From: "alice" <sip:chat-1@example.com>;tag=j1',
        "CSeq: 1 MESSAGE",
        "Max-Forwards: 70",
        "Content-Type: text/plain",
        "Content-Length: 11",
        "",
        "[alice]: hi",
    ]
    assert raw.decode().split("\r\n")[4].startswith("Call-ID: j1.0.")
    assert raw.decode().split("\r\n")[4].endswith("@imc.example.com")


async def test_one_in_flight_and_in_order() -> None:
    # spec S-LANE-2, S-LANE-1
    bench = Bench()
    bench.register(BOB, contact("bob"))
    for number in range(5):
        bench.engine.submit(job(f"j{number}", message(b"%d" % number, BOB)))
    await bench.run()
    for number in range(5):
        assert [sent.body for sent in bench.stack.started] == [b"%d" % n for n in range(number + 1)]
        bench.answer(bench.stack.started[-1], 200)
        await bench.run()
    assert bench.done == [f"j{n}" for n in range(5)]
    assert bench.engine.is_idle


async def test_a_silent_recipient_delays_nobody_else() -> None:
    # spec S-LANE-3
    bench = Bench()
    bench.register(ALICE, contact("alice"))
    bench.register(BOB, contact("bob"))
    for number in range(3):
        bench.engine.submit(job(f"j{number}", message(b"%d" % number, ALICE, BOB)))
        await bench.run()
        for sent in [s for s in bench.stack.open.values() if s.request_uri.startswith("sip:bob")]:
            bench.answer(sent, 200)
            await bench.run()
    assert [(aor.user, status) for _, aor, status in bench.settled] == [("bob", 200)] * 3
    silent = next(iter(bench.stack.open.values()))
    bench.time_out(silent)
    await bench.run()
    assert bench.settled[-1] == ("message", ALICE, 408)
    assert bench.stack.started[-1].body == b"1"


async def test_no_contact_is_480_at_once() -> None:
    # spec S-LANE-4
    bench = Bench()
    bench.engine.submit(job("j", message(b"x", BOB)))
    assert bench.settled == [("message", BOB, 480)]
    assert bench.done == ["j"]


async def test_an_empty_job_is_done_at_once() -> None:
    bench = Bench()
    bench.engine.submit(job("j", message(b"x")))
    assert bench.done == ["j"]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [((200, 200), 200), ((486, 200), 200), ((486, 480), 480), ((603, 480), 603), ((404, 603), 603)],
)
async def test_several_contacts_are_settled_by_the_best(answers: tuple[int, int], expected: int) -> None:
    # spec S-HOP-7
    bench = Bench()
    bench.register(BOB, contact("bob-1"), contact("bob-2"))
    bench.engine.submit(job("j", message(b"x", BOB)))
    await bench.run()
    first, second = bench.stack.started
    bench.answer(first, answers[0])
    bench.answer(second, answers[1])
    await bench.run()
    assert [status for *_, status in bench.settled] == [expected]
    assert bench.done == ["j"]


async def test_lower_q_is_tried_when_the_higher_failed() -> None:
    # spec S-HOP-7
    bench = Bench()
    bench.register(BOB, contact("low", q=100), contact("high", q=900), contact("mid", q=500))
    bench.engine.submit(job("j", message(b"x", BOB)))
    await bench.run()
    for status, uri in ((480, "high"), (408, "mid")):
        assert bench.stack.started[-1].request_uri.startswith(f"sip:{uri}")
        bench.answer(bench.stack.started[-1], status)
        await bench.run()
    assert bench.stack.started[-1].request_uri.startswith("sip:low")
    bench.answer(bench.stack.started[-1], 200)
    assert bench.settled == [("message", BOB, 200)]


async def test_6xx_ends_the_search_for_contacts() -> None:
    # spec S-HOP-7
    bench = Bench()
    bench.register(BOB, contact("low", q=100), contact("high", q=900))
    bench.engine.submit(job("j", message(b"x", BOB)))
    await bench.run()
    bench.answer(bench.stack.started[-1], 603)
    await bench.run()
    assert bench.settled == [("message", BOB, 603)]
    assert len(bench.stack.started) == 1


async def test_the_next_target_is_tried_after_silence_or_503() -> None:
    # spec S-DNS-5
    bench = Bench()
    where = contact("bob")
    bench.carrier.targets[where.next_hop] = [FakeTarget("udp", f"127.0.0.{n}", 5060) for n in (2, 3, 4)]
    bench.register(BOB, where)
    bench.engine.submit(job("j", message(b"x", BOB)))
    await bench.run()
    bench.time_out(bench.stack.started[-1])
    await bench.run()
    bench.answer(bench.stack.started[-1], 503)
    await bench.run()
    assert [sent.flow.remote[0] for sent in bench.stack.started] == ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
    bench.answer(bench.stack.started[-1], 503)
    assert bench.settled == [("message", BOB, 503)]


@pytest.mark.parametrize(
    "sent_by", ["192.0.2.1:5060", "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535", "n" * 253 + ":65535"]
)
async def test_no_datagram_is_larger_than_1300_bytes(sent_by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # spec S-NET-9
    bench = Bench(DeliveryOptions(longest_sent_by=max(47, len(sent_by))))
    monkeypatch.setattr(bench.carrier, "sent_by", lambda _flow: sent_by)
    bench.register(BOB, contact("bob"))
    sizes: dict[str, list[int]] = {"udp": [], "tcp": []}
    for length in range(600, 1200):
        bench.engine.submit(job("0123456789abcdef", message(b"x" * length, BOB)))
        await bench.run()
        sent = bench.stack.started[-1]
        branch = b"z9hG4bKffffffff.0123456789abcdef"
        sizes[sent.flow.transport].append(len(sent.head + branch + sent.tail))
        bench.answer(sent, 200)
    assert max(sizes["udp"]) <= 1300
    assert min(sizes["tcp"]) > 1250  # nor is much room given away


async def test_large_copies_go_by_tcp() -> None:
    # spec S-NET-9
    bench = Bench()
    bench.register(BOB, contact("bob"))
    bench.engine.submit(job("small", message(b"x" * 600, BOB)))
    bench.engine.submit(job("large", message(b"x" * 1300, BOB)))
    await bench.run()
    bench.answer(bench.stack.started[-1], 200)
    await bench.run()
    assert [sent.flow.transport for sent in bench.stack.started] == ["udp", "tcp"]
    assert b"Via: SIP/2.0/TCP " in bench.stack.started[-1].head


async def test_a_large_copy_without_a_stream_is_513_and_small_ones_still_go() -> None:
    # spec S-NET-9
    bench = Bench()
    bench.register(BOB, contact("bob"))
    bench.carrier.refusing.add(("127.0.0.1", 5070))
    large = message(b"x" * 1300, BOB)
    bench.engine.submit(job("large", large))
    bench.engine.submit(job("small", message(b"x", BOB)))
    await bench.run()
    assert bench.settled == [("message", BOB, 503)]  # no flow of any kind was known yet
    bench.answer(bench.stack.started[-1], 200)
    bench.engine.submit(job("large-2", message(b"x" * 1300, BOB)))
    await bench.run()
    assert bench.settled[-1] == ("message", BOB, 513)
    (((hop, size),),) = bench.engine.ways_for(large)
    assert not await bench.engine.hops.can_open(hop, size)
    assert await bench.engine.hops.can_open(hop, 500)


async def can_carry(bench: Bench, body: bytes, *recipients: Aor) -> bool:
    """As the daemon asks before it accepts a large message, which is in no job yet."""
    return all([await bench.engine.hops.can_carry(ways) for ways in bench.engine.ways_for(message(body, *recipients))])


async def test_a_large_copy_is_refused_where_only_short_ones_can_go() -> None:
    bench = Bench()
    bench.carrier.refusing.add(("127.0.0.1", 5070))
    bench.register(BOB, contact("bob"))
    assert await can_carry(bench, b"x" * 500, BOB)
    assert not await can_carry(bench, b"x" * 1300, BOB)
    bench.carrier.targets[contact("tablet").next_hop] = [FakeTarget("tcp", "10.0.0.1", 5060)]
    bench.register(BOB, contact("bob"), contact("tablet"))
    assert await can_carry(bench, b"x" * 1300, BOB)  # one of the contacts takes it


async def test_who_cannot_be_reached_at_all_does_not_stop_a_large_text() -> None:
    bench = Bench()
    assert await can_carry(bench, b"x" * 1300, ALICE)  # not registered
    bench.carrier.targets[contact("bob").next_hop] = [FakeTarget("tcp", "10.0.0.1", 5060)]
    bench.carrier.refusing.add(("10.0.0.1", 5060))
    bench.register(BOB, contact("bob"))  # over TCP, and its program is not running any more
    bench.carrier.unresolvable.add(contact("carol").next_hop)
    bench.register(CAROL, contact("carol"))
    assert await can_carry(bench, b"x" * 1300, ALICE, BOB, CAROL)


async def test_a_stream_that_was_had_is_tried_again_soon() -> None:
    """A proxy is started again: a large text that comes in between must not turn away those that follow."""
    bench = Bench()
    bench.register(BOB, contact("bob"))
    assert await can_carry(bench, b"x" * 1300, BOB)
    bench.engine.flow_closed(Flow("tcp", LOCAL, ("127.0.0.1", 5070), 1))
    bench.carrier.refusing.add(("127.0.0.1", 5070))
    bench.engine.submit(job("while it is away", message(b"x" * 1300, BOB)))
    await bench.run()
    assert not await can_carry(bench, b"x" * 1300, BOB)
    bench.carrier.refusing.clear()
    assert await can_carry(bench, b"x" * 1300, BOB)
    bench.engine.submit(job("when it is back", message(b"y" * 1300, BOB)))
    await bench.run()
    assert [sent.flow.transport for sent in bench.stack.started] == ["tcp"]


async def test_recipients_behind_one_proxy_are_asked_about_once() -> None:
    bench = Bench()
    for aor in (ALICE, BOB, CAROL):
        bench.register(aor, Contact(str(aor), next_hop="sip:proxy"))
    (ways,) = bench.engine.ways_for(message(b"x" * 1300, ALICE, BOB, CAROL))
    assert len(ways) == 1


async def test_an_address_that_does_not_resolve_is_503() -> None:
    bench = Bench()
    where = contact("bob")
    bench.carrier.unresolvable.add(where.next_hop)
    bench.register(BOB, where)
    bench.engine.submit(job("j", message(b"x", BOB)))
    bench.engine.submit(job("k", message(b"y", BOB)))
    await bench.run()
    assert [status for *_, status in bench.settled] == [503, 503]
    assert bench.carrier.resolved == [where.next_hop]


async def test_the_connection_of_the_registration_is_used_and_its_death_survived() -> None:
    # spec S-HOP-6
    bench = Bench()
    flow = Flow("tcp", LOCAL, ("10.9.9.9", 40000), 7)
    bench.register(BOB, contact("bob", flow=flow))
    bench.engine.submit(job("j", message(b"x" * 2000, BOB)))
    await bench.run()
    assert bench.stack.started[-1].flow == flow
    bench.carrier.closed.add(flow)
    sent = bench.stack.started[-1]
    bench.stack.open.pop(sent.branch)
    bench.engine.on_flow_failed(sent.token)
    await bench.run()
    assert bench.stack.started[-1].flow.remote == ("127.0.0.1", 5070)
    bench.answer(bench.stack.started[-1], 200)
    assert bench.settled == [("message", BOB, 200)]


async def test_a_udp_registration_keeps_its_socket_but_for_large_copies() -> None:
    bench = Bench()
    flow = Flow("udp", ("127.0.0.9", 5060), ("10.9.9.9", 40000))
    bench.register(BOB, contact("bob", flow=flow))
    bench.engine.submit(job("small", message(b"x", BOB)))
    bench.engine.submit(job("large", message(b"x" * 1300, BOB)))
    await bench.run()
    assert bench.stack.started[-1].flow == flow
    bench.answer(bench.stack.started[-1], 200)
    await bench.run()
    assert bench.stack.started[-1].flow.transport == "tcp"
    bench.answer(bench.stack.started[-1], 200)
    bench.carrier.refusing.add(("127.0.0.1", 5070))
    bench.register(BOB, Contact("sip:bob@new", next_hop="sip:bob@new", flow=flow))
    bench.engine.submit(job("large-2", message(b"x" * 1300, BOB)))
    await bench.run()
    assert bench.settled[-1] == ("message", BOB, 513)


async def test_what_waits_for_a_lost_contact_goes_to_the_new_one() -> None:
    # spec S-HOP-8
    bench = Bench()
    bench.register(BOB, contact("old"))
    for number in range(3):
        bench.engine.submit(job(f"j{number}", message(b"%d" % number, BOB)))
    await bench.run()
    bench.register(BOB, contact("new"))
    assert bench.stack.abandoned == [bench.stack.started[0].branch]
    for _ in range(3):
        await bench.run()
        bench.answer(bench.stack.started[-1], 200)
    assert [(s.request_uri[4:7], s.body) for s in bench.stack.started] == [
        ("old", b"0"), ("new", b"0"), ("new", b"1"), ("new", b"2"),
    ]  # fmt: skip
    assert bench.done == ["j0", "j1", "j2"]


async def test_one_of_two_contacts_goes_away() -> None:
    # spec S-HOP-8
    bench = Bench()
    bench.register(BOB, contact("a"), contact("b"))
    bench.engine.submit(job("j", message(b"x", BOB)))
    await bench.run()
    bench.register(BOB, contact("a"))
    assert bench.settled == []
    bench.answer(next(iter(bench.stack.open.values())), 200)
    assert bench.settled == [("message", BOB, 200)]


@pytest.mark.parametrize(
    ("refusal", "contacts", "asked", "settled"),
    [
        (486, ("bob-2",), [], [486]),
        (486, ("bob-2", "bob-3"), ["bob-3"], []),
        (603, ("bob-2", "bob-3"), [], [603]),
        (486, (), [], [486]),
    ],
)
async def test_who_has_refused_is_not_asked_again_when_another_contact_goes_away(
    refusal: int, contacts: tuple[str, ...], asked: list[str], settled: list[int]
) -> None:
    # spec S-HOP-7, S-HOP-8
    bench = Bench()
    bench.register(BOB, contact("bob-1"), contact("bob-2"))
    bench.engine.submit(job("j", message(b"x", BOB)))
    await bench.run()
    bench.answer(next(s for s in bench.stack.started if "bob-2" in s.request_uri), refusal)
    bench.register(BOB, *(contact(name) for name in contacts))
    await bench.run()
    assert [sent.request_uri for sent in bench.stack.started[2:]] == [f"sip:{name}@127.0.0.1:5070" for name in asked]
    assert [status for *_, status in bench.settled] == settled
    if asked:
        bench.answer(bench.stack.started[-1], 500)
        assert [status for *_, status in bench.settled] == [refusal]
    assert bench.engine.is_idle


# -- taken back, with several contacts ----


def is_hers(dispatch: Dispatch) -> bool:
    return dispatch.body == b"hers"


@pytest.mark.parametrize(("answers", "expected"), [((480, 200), 200), ((480, 503), 480), ((486, 408), 408)])
@pytest.mark.parametrize("is_slow", [False, True])
async def test_what_is_taken_back_in_flight_to_two_contacts_is_not_tried_again(
    answers: tuple[int, int], expected: int, is_slow: bool
) -> None:
    # spec R-HISTORY-9
    bench = Bench(is_keeping=True)
    bench.register(BOB, contact("bob-1"), contact("bob-2"))
    bench.submit(job("hers", message(b"hers", BOB)))
    await bench.run()
    first, second = bench.stack.started
    if is_slow:
        bench.engine.on_slow(first.token)
        assert len(bench.keeper.rows) == 1
    bench.engine.withdraw(is_hers)
    for sent, status in zip((first, second), answers, strict=True):
        bench.answer(sent, status)
        await bench.run()
    await bench.pass_time(100_000.0)
    assert bench.settled == [("message", BOB, expected)]
    assert (len(bench.stack.started), bench.keeper.rows, bench.keeper.dead) == (2, {}, {})
    assert (bench.done, bench.engine.is_idle) == (["hers"], True)


async def test_what_is_taken_back_goes_to_no_contact_of_a_lower_q() -> None:
    # spec R-HISTORY-9, S-HOP-7
    bench = Bench(is_keeping=True)
    bench.register(BOB, contact("low", q=100), contact("high", q=900))
    bench.submit(job("hers", message(b"hers", BOB)))
    bench.submit(job("other", message(b"other", BOB)))
    await bench.run()
    bench.engine.withdraw(is_hers)
    bench.answer(bench.stack.started[0], 486)
    await bench.run()
    assert bench.settled == [("message", BOB, 480)]
    assert [(sent.request_uri.partition("@")[0], sent.body) for sent in bench.stack.started] == [
        ("sip:high", b"hers"),
        ("sip:high", b"other"),
    ]


async def test_what_is_taken_back_while_it_waits_in_two_lanes_ends_once_and_what_is_behind_it_goes() -> None:
    # spec R-HISTORY-9
    bench = Bench(is_keeping=True)
    bench.register(BOB, contact("bob-1"), contact("bob-2"))
    for name in (b"first", b"hers", b"last"):
        bench.submit(job(name.decode(), message(name, BOB)))
    await bench.run()
    bench.engine.withdraw(is_hers)
    for sent in list(bench.stack.started):
        bench.answer(sent, 200)
        await bench.run()
    for sent in list(bench.stack.open.values()):
        bench.answer(sent, 200)
    assert [sent.body for sent in bench.stack.started] == [b"first", b"first", b"last", b"last"]
    assert [status for *_, status in bench.settled] == [200, 480, 200]
    assert sorted(bench.done) == ["first", "hers", "last"]
    assert (bench.keeper.rows, bench.engine.is_idle) == ({}, True)


async def test_what_is_taken_back_does_not_go_to_the_contact_that_takes_over() -> None:
    # spec R-HISTORY-9, S-HOP-8
    bench = Bench(is_keeping=True)
    bench.register(BOB, contact("bob-1"), contact("bob-2"))
    bench.submit(job("hers", message(b"hers", BOB)))
    await bench.run()
    bench.engine.withdraw(is_hers)
    bench.register(BOB, contact("bob-3"))
    await bench.run()
    assert (len(bench.stack.started), bench.keeper.rows) == (2, {})
    assert (bench.done, bench.engine.is_idle) == (["hers"], True)


async def test_all_contacts_go_away() -> None:
    bench = Bench()
    bench.register(BOB, contact("a"), contact("b"))
    bench.engine.submit(job("j", message(b"x", BOB)))
    await bench.run()
    bench.register(BOB)
    assert bench.settled == [("message", BOB, 480)]
    assert bench.done == ["j"]


async def test_bounds_settle_with_503() -> None:
    # spec S-LANE-5
    bench = Bench(DeliveryOptions(lane_queue=2, total_queue=3))
    for aor in (ALICE, BOB):
        bench.register(aor, contact(aor.user))
    for number in range(4):
        bench.engine.submit(job(f"j{number}", message(b"x", ALICE)))
    assert bench.settled == [("message", ALICE, 503)] * 2
    assert bench.engine.has_room_for(1)
    assert not bench.engine.has_room_for(2)


async def test_a_full_transaction_table_only_delays() -> None:
    # spec S-TXC-5
    bench = Bench(bound=2)
    people = [Aor(f"user{n}", "example.com") for n in range(5)]
    for aor in people:
        bench.register(aor, contact(aor.user))
    bench.engine.submit(job("j", message(b"x", *people)))
    while not bench.done:
        await bench.run()
        assert len(bench.stack.open) <= 2
        bench.answer(next(iter(bench.stack.open.values())), 200)
    assert Counter(status for *_, status in bench.settled) == {200: 5}


async def test_recipients_are_forgotten_when_idle() -> None:
    bench = Bench(DeliveryOptions(max_recipients=10))
    for number in range(50):
        aor = Aor(f"user{number}", "example.com")
        bench.contacts[aor] = [contact(aor.user)]
        bench.engine.submit(job(f"j{number}", message(b"x", aor)))
        await bench.run()
        bench.answer(bench.stack.started[-1], 200)
    assert len(bench.engine._recipients) <= 10
    assert len(bench.done) == 50


async def test_unfinished_names_who_is_left() -> None:
    bench = Bench()
    for aor in (ALICE, BOB, CAROL):
        bench.register(aor, contact(aor.user))
    bench.register(CAROL, contact("carol-1"), contact("carol-2"))
    bench.engine.submit(job("j", message(b"x", ALICE, BOB, CAROL), message(b"y", BOB)))
    await bench.run()
    bench.answer(next(s for s in bench.stack.open.values() if "alice" in s.request_uri), 200)
    left = bench.engine.unfinished()
    assert {key: [set(row) for row in rows] for key, rows in left.items()} == {"j": [{BOB, CAROL}, {BOB}]}


PEOPLE = [Aor(f"u{n}", "example.com") for n in range(4)]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_history_keeps_order_and_settles_each_copy_once(data: st.DataObject) -> None:
    # spec S-LANE-4
    async def history() -> None:
        bench = Bench(bound=data.draw(st.integers(1, 6)))
        expected: Counter[tuple[str, Aor]] = Counter()
        jobs = 0
        for _ in range(data.draw(st.integers(1, 40))):
            step = data.draw(st.sampled_from(["submit", "submit", "answer", "answer", "time out", "register", "run"]))
            if step == "submit":
                people = tuple(data.draw(st.lists(st.sampled_from(PEOPLE), unique=True, max_size=4)))
                expected.update((f"m{jobs}", aor) for aor in people)
                bench.engine.submit(job(f"j{jobs}", message(b"%d" % jobs, *people, kind=f"m{jobs}")))
                jobs += 1
            elif step == "register":
                aor = data.draw(st.sampled_from(PEOPLE))
                names = data.draw(st.lists(st.sampled_from("abc"), unique=True, max_size=3))
                bench.register(
                    aor, *(contact(f"{aor.user}{n}", q=data.draw(st.sampled_from([500, 1000]))) for n in names)
                )
            elif step == "run":
                await bench.run()
            elif bench.stack.open:
                sent = data.draw(st.sampled_from(list(bench.stack.open.values())))
                if step == "answer":
                    bench.answer(sent, data.draw(st.sampled_from([200, 202, 404, 480, 503, 603])))
                else:
                    bench.time_out(sent)
            in_flight = Counter(id(sent.token) for sent in bench.stack.open.values())
            assert all(count == 1 for count in in_flight.values())
        await bench.run()
        while bench.stack.open:
            bench.answer(next(iter(bench.stack.open.values())), 200)
            await bench.run()
        assert Counter((kind, aor) for kind, aor, _ in bench.settled) == expected
        assert sorted(bench.done) == sorted(f"j{n}" for n in range(jobs))
        assert bench.engine.is_idle

    trio.run(history)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_lane_never_lets_one_copy_overtake_another(data: st.DataObject) -> None:
    # spec S-LANE-2
    async def history() -> None:
        bench = Bench(bound=data.draw(st.integers(1, 6)))
        for aor in PEOPLE:
            bench.register(aor, *(contact(f"{aor.user}{n}") for n in range(data.draw(st.integers(1, 2)))))
        for number in range(data.draw(st.integers(1, 30))):
            people = data.draw(st.lists(st.sampled_from(PEOPLE), unique=True))
            bench.engine.submit(job(f"j{number}", message(b"%d" % number, *people)))
            for _ in range(data.draw(st.integers(0, 3))):
                await bench.run()
                if bench.stack.open:
                    sent = data.draw(st.sampled_from(list(bench.stack.open.values())))
                    bench.answer(sent, data.draw(st.sampled_from([200, 404])))
        await bench.run()
        by_lane: defaultdict[int, list[int]] = defaultdict(list)
        for sent in bench.stack.started:
            assert isinstance(sent.token, Lane)
            by_lane[id(sent.token)].append(int(sent.body))
        for bodies in by_lane.values():
            assert bodies == sorted(bodies)

    trio.run(history)


# -- the window -------------------------------------------------------------------------------------------------------


def shared_hop(bench: Bench, count: int) -> list[Aor]:
    """So many recipients behind one proxy."""
    users = [Aor(f"user{number}", "example.com") for number in range(count)]
    for user in users:
        bench.register(user, Contact(f"sip:{user.user}@192.0.2.1", next_hop="sip:127.0.0.1:5070"))
    return users


async def test_a_burst_to_one_next_hop_is_bounded_and_answers_open_it() -> None:
    # spec S-LANE-11
    bench = Bench()
    users = shared_hop(bench, 400)
    bench.engine.submit(job("j1", message(b"hi", *users)))
    await bench.run()
    assert len(bench.stack.open) == WINDOW
    most = WINDOW
    while bench.stack.open:
        bench.answer(next(iter(bench.stack.open.values())), 200)
        await bench.run()
        most = max(most, len(bench.stack.open))
    assert most == WINDOW + (400 - WINDOW) // 2  # each answer lets two go, as long as there are two
    assert bench.done == ["j1"]
    assert len({sent.request_uri for sent in bench.stack.started}) == len(bench.stack.started) == 400


async def test_answers_of_one_wake_up_open_it_too() -> None:
    # spec S-LANE-11
    bench = Bench()
    users = shared_hop(bench, 300)
    bench.engine.submit(job("j1", message(b"hi", *users)))
    await bench.run()
    while bench.stack.open:
        answers = [(sent.token, 200) for sent in bench.stack.open.values()]
        bench.stack.open.clear()
        bench.engine.on_finals(answers)
        await bench.run()
    assert bench.done == ["j1"]
    assert len(bench.stack.started) == 300
    assert bench.engine.statistics()["delivered"] == 300


async def test_who_is_silent_holds_others_back_for_a_moment_only() -> None:
    # spec S-LANE-3, S-LANE-11
    bench = Bench()
    users = shared_hop(bench, 300)
    bench.engine.submit(job("j1", message(b"hi", *users)))
    await bench.run()
    assert bench.engine.next_deadline() == REFILL
    for number, started in enumerate((2 * WINDOW, 300), 1):
        bench.engine.tick(bench.now)  # too early
        await bench.run()
        assert len(bench.stack.started) < started
        bench.now = number * REFILL
        bench.engine.tick(bench.now)
        await bench.run()
        assert len(bench.stack.started) == started
    bench.now = 3 * REFILL
    bench.engine.tick(bench.now)
    assert bench.engine.next_deadline() is None


async def test_a_request_that_had_to_be_repeated_halves_it() -> None:
    # spec S-LANE-11
    bench = Bench()
    users = shared_hop(bench, 1000)
    bench.engine.submit(job("j1", message(b"hi", *users)))
    await bench.run()
    tokens = [sent.token for sent in bench.stack.started]
    hop = bench.engine.hops.get("sip:127.0.0.1:5070")
    bench.now = 0.5
    bench.engine.on_repeated(tokens, bench.now)
    assert hop.window == LEAST_WINDOW
    bench.engine.on_repeated(tokens, bench.now)
    bench.now = 1.0
    bench.engine.on_repeated(tokens, bench.now)
    assert hop.window == LEAST_WINDOW
    bench.engine.tick(bench.now)
    await bench.run()
    assert len(bench.stack.started) == WINDOW + LEAST_WINDOW


async def test_a_lane_that_waits_for_the_window_and_loses_its_contact_goes_to_the_new_one() -> None:
    # spec S-HOP-8
    bench = Bench()
    users = shared_hop(bench, WINDOW + 2)
    bench.engine.submit(job("j1", message(b"hi", *users)))
    await bench.run()
    gone, moved = users[-2:]
    bench.register(gone)
    bench.register(moved, contact("elsewhere"))
    await bench.run()
    assert bench.stack.started[-1].request_uri == "sip:elsewhere@127.0.0.1:5070"
    assert [(aor, status) for _, aor, status in bench.settled] == [(gone, 480)]
    for sent in list(bench.stack.open.values()):
        bench.answer(sent, 200)
        await bench.run()
    assert bench.done == ["j1"]
    assert len(bench.stack.started) == WINDOW + 1
    bench.engine.submit(job("j2", message(b"hi", moved, users[0])))
    await bench.run()
    assert len(bench.stack.open) == 2


# -- flows of one instance (RFC 5626) ----


def flow_of(number: int) -> Flow:
    return Flow("tls", ("127.0.0.1", 5061), ("198.51.100.7", 40000 + number), number)


def phone(*numbers: int, name: str = "phone") -> Contact:
    """One instance with these flows, the first to be tried first."""
    first, *rest = (
        Contact("sip:alice@10.0.0.2", next_hop=f"flow:{number}", flow=flow_of(number), key=name) for number in numbers
    )
    return replace(first, others=tuple(rest))


async def test_one_flow_of_an_instance_is_tried_at_a_time() -> None:
    # spec S-OUT-4
    bench = Bench()
    bench.register(ALICE, phone(3, 2, 1))
    bench.engine.submit(job("a", message(b"one", ALICE)))
    await bench.run()
    assert [sent.flow for sent in bench.stack.started] == [flow_of(3)]
    bench.time_out(bench.stack.started[0])
    await bench.run()
    bench.answer(bench.stack.started[1], 430)
    await bench.run()
    assert [sent.flow for sent in bench.stack.started] == [flow_of(3), flow_of(2), flow_of(1)]
    bench.answer(bench.stack.started[2], 200)
    bench.engine.submit(job("b", message(b"two", ALICE)))
    await bench.run()
    assert bench.stack.started[3].flow == flow_of(1)  # the way that served
    assert bench.settled == [("message", ALICE, 200)]


async def test_an_answer_of_the_phone_itself_is_not_asked_again_elsewhere() -> None:
    # spec S-OUT-4
    bench = Bench()
    bench.register(ALICE, phone(2, 1))
    bench.engine.submit(job("a", message(b"one", ALICE)))
    await bench.run()
    bench.answer(bench.stack.started[0], 486)
    await bench.run()
    assert (len(bench.stack.started), bench.settled) == (1, [("message", ALICE, 486)])


async def test_a_flow_that_ends_hands_on_at_once_in_order() -> None:
    # spec S-OUT-4
    bench = Bench()
    bench.register(ALICE, phone(2, 1))
    bench.engine.submit(job("a", message(b"one", ALICE)))
    bench.engine.submit(job("b", message(b"two", ALICE)))
    await bench.run()
    lost = bench.stack.started[0]
    bench.carrier.closed.add(flow_of(2))
    bench.stack.open.pop(lost.branch)
    bench.engine.flow_closed(flow_of(2))  # as `imc.loop.Loop.flow_closed` does, in this order
    bench.engine.on_flow_failed(lost.token)
    bench.register(ALICE, phone(1))
    await bench.run()
    assert [(sent.flow, sent.body[-3:]) for sent in bench.stack.started[1:]] == [(flow_of(1), b"one")]
    bench.answer(bench.stack.started[1], 200)
    await bench.run()
    assert [(sent.flow, sent.body[-3:]) for sent in bench.stack.started[2:]] == [(flow_of(1), b"two")]


async def test_a_browser_that_is_gone_leaves_it_to_the_other_contact() -> None:
    # spec S-OUT-4
    bench = Bench()
    bench.register(ALICE, phone(2, name="browser"), contact("desk", q=500))
    bench.engine.submit(job("a", message(b"one", ALICE)))
    await bench.run()
    (lost,) = bench.stack.started
    bench.carrier.closed.add(flow_of(2))
    bench.stack.open.pop(lost.branch)
    bench.engine.flow_closed(flow_of(2))
    bench.engine.on_flow_failed(lost.token)
    bench.register(ALICE, contact("desk", q=500))
    await bench.run()
    assert bench.stack.started[-1].request_uri == "sip:desk@127.0.0.1:5070"
    bench.answer(bench.stack.started[-1], 200)
    assert (len(bench.stack.started), bench.settled) == (2, [("message", ALICE, 200)])
