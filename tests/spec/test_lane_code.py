"""The code of lanes and backlogs (stack, engine, outbox) under what their model, spec/lane.pml, is put under; the same
must hold.

A daemon with three recipients: bob at one contact over a channel that loses, doubles, delays and reorders, alice at two
such, carol at one over streams that break. A writer that takes its time, may fail, and may fail though all is written;
readings that lag. Crashes and shutdowns at any point, after which a new daemon starts with the rows that are there. The
recipients are stacks of their own, and outlive them. Packets live for less than T1, as the model has it.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from imc.aor import Aor
from imc.delivery.backlog import BacklogOptions
from imc.delivery.hops import Contact
from imc.delivery.job import Dispatch
from imc.sip.events import Event, RequestReceived
from imc.sip.flow import Flow
from imc.sip.ids import Ids
from imc.sip.stack import Stack, StackConfig
from imc.sip.uas import UasPolicy
from tests.delivery.fakes import message
from tests.spec.lane_daemon import HERE, Copy, Daemon, contact, listed
from tests.store.model import Tables

ALICE, BOB, CAROL = (Aor(name, "example.com") for name in ("alice", "bob", "carol"))
PLACES: dict[Aor, tuple[Contact, ...]] = {
    ALICE: (contact("alice-1", 5071), contact("alice-2", 5072)),
    BOB: (contact("bob", 5073),),
    CAROL: (contact("carol", 5074, "tcp"),),
}
SINGLE = (BOB, CAROL)
LIFETIME = 0.4  # seconds
UNBOUNDED = BacklogOptions(retry_first=5.0, retry_longest=40.0, keep_for=1e9, page=2, readers=1)
BOUNDED = BacklogOptions(retry_first=5.0, retry_longest=40.0, keep_for=200.0, per_recipient=3, total=5, page=2)
ROOMY = 1000
WALKS, STEPS = 40, 250


@dataclass(frozen=True)
class Said:
    """A message: to whom, which part of which job, when it ends."""

    recipients: tuple[Aor, ...]
    seq: int
    part: int
    expires: float | None


class Lanes(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.tables = Tables()
        self.contacts: dict[Aor, list[Contact]] = {aor: list(places) for aor, places in PLACES.items()}
        self.packets: list[tuple[float, Flow, bytes]] = []  # since when, the flow as its receiver sees it
        ports = [5071, 5072, 5073, 5074]
        self.peers = {port: Stack(StackConfig(), Ids(random.Random(port)), UasPolicy()) for port in ports}
        self.unanswered: list[tuple[int, RequestReceived]] = []
        self.said: dict[int, Said] = {}
        self.promised: set[Copy] = set()
        self.committed: set[int] = set()
        self.failed: set[Copy] = set()  # settled with a status that is not 2xx: for good, dead, or expired
        self.reached: set[Copy] = set()
        self.shown: Counter[tuple[int, int]] = Counter()  # (message, port)
        self.taken: set[Copy] = set()
        self.refused: set[Copy] = set()
        self.unknown: Counter[Copy] = Counter()
        self.tries: dict[bytes, Copy] = {}
        self.names: dict[Copy, bytes] = {}
        self.cseqs: dict[Copy, int] = {}
        self.lives = 0
        self.set_up((UNBOUNDED, ROOMY))

    @initialize(options=st.sampled_from([(UNBOUNDED, ROOMY), (UNBOUNDED, 2), (BOUNDED, ROOMY)]))
    def set_up(self, options: tuple[BacklogOptions, int]) -> None:
        self.options, self.lane_queue = options
        self.daemon = self._start()

    def _start(self) -> Daemon:
        self.lives += 1
        self.cseqs.clear()
        return Daemon(
            self.lives,
            self.tables,
            self.options,
            self.lane_queue,
            clock=lambda: self.now,
            contacts=self.contacts,
            settled=self.settled,
            unknown=self.unknown,
        )

    # -- the room -----------------------------------------------------------------------------------------------------

    @rule(
        lists=st.lists(
            st.lists(st.sampled_from([BOB, BOB, CAROL, ALICE]), min_size=1, unique=True), min_size=1, max_size=2
        ),
        brief=st.sampled_from([None, None, None, 20.0]),
        is_committed=st.sampled_from([True, True, False]),
        count=st.integers(1, 3),
    )
    def send(self, lists: list[list[Aor]], brief: float | None, is_committed: bool, count: int = 1) -> None:
        """Decisions, with one or two notices each."""
        for _ in range(count):
            self._send(lists, brief)
            while is_committed and self.daemon.writer.waiting:
                self.commit("good")

    def _send(self, lists: list[list[Aor]], brief: float | None) -> None:
        expires = None if brief is None else self.now + brief
        dispatches = [self._message(len(self.said) + part, aors, expires) for part, aors in enumerate(lists)]
        daemon = self.daemon
        job = daemon.outbox.job(dispatches, is_durable=True)
        assert job is not None
        copies: set[Copy] = set()
        for part, aors in enumerate(lists):
            copies |= {(len(self.said), aor) for aor in aors}
            self.said[len(self.said)] = Said(tuple(aors), job.seq, part, expires)

        def done(error: Exception | None) -> None:
            if error is None:
                self.promised |= copies
                daemon.outbox.release(job)
            else:
                daemon.outbox.withdraw(job)

        if daemon.writer.is_full:
            return
        daemon.outbox.flush()
        daemon.writer.submit([daemon.outbox.put(job)], done)

    def _message(self, number: int, aors: list[Aor], expires: float | None) -> Dispatch:
        # odd ones want no result, and may take the short way through the engine
        is_told = self.options is BOUNDED or expires is not None or number % 2 == 0
        dispatch = message(b"%d" % number, *aors, kind=f"m{number}", wants_result=is_told)
        dispatch.expires = expires
        return dispatch

    @rule(aor=st.sampled_from([BOB, CAROL, ALICE]))
    def send_momentary(self, aor: Aor) -> None:
        """What is not kept (spec S-LANE-16). Its number is below zero."""
        number = -1 - sum(1 for each in self.said if each < 0)
        self.said[number] = Said((aor,), 0, 0, None)
        job = self.daemon.outbox.job([message(b"%d" % number, aor, wants_result=False)], is_durable=False)
        self.daemon.outbox.release(job)
        self._wake()

    def settled(self, dispatch: Dispatch, aor: Aor, status: int) -> None:
        if status >= 300:
            self.failed.add((int(dispatch.body), aor))

    # -- the database -------------------------------------------------------------------------------------------------

    @rule(outcome=st.sampled_from(["good", "good", "good", "good", "fails", "written"]))
    def commit(self, outcome: str) -> None:
        if not self.daemon.writer.waiting:
            self._run(self.now + 0.06)  # what becomes of copies is written after a moment
        if self.daemon.writer.waiting:
            self.daemon.writer.commit(is_written=outcome != "fails", is_told=outcome == "good")
            self._note_committed()
            self._wake()

    def _note_committed(self) -> None:
        seqs = {put.seq for put in self.tables.outbox.values()}
        self.committed |= {number for number, said in self.said.items() if said.seq in seqs}

    @rule(rounds=st.integers(1, 4))
    def good_times(self, rounds: int) -> None:
        for _ in range(rounds):
            self._go_well()

    @rule(is_full=st.sampled_from([False, False, True]))
    def fill_writer(self, is_full: bool) -> None:
        self.daemon.writer.is_full = is_full

    @precondition(lambda self: self.daemon.tasks)
    @rule(which=st.integers(0, 3))
    def proceed(self, which: int) -> None:
        """A reading or an opening goes on."""
        self.daemon.proceed(which % len(self.daemon.tasks))
        self._wake()

    # -- troubles -----------------------------------------------------------------------------------------------------

    @rule(is_written=st.booleans(), is_now=st.sampled_from([False, False, True]))
    def crash(self, is_written: bool, is_now: bool = True) -> None:
        if not is_now:
            return
        if is_written and self.daemon.writer.waiting:
            self.daemon.writer.commit(is_written=True, is_told=False)
            self._note_committed()
        self._begin_anew()

    @rule(fails=st.lists(st.booleans(), max_size=3), is_now=st.sampled_from([False, False, True]))
    def shut_down(self, fails: list[bool], is_now: bool = True) -> None:
        """An orderly end, with a database that may fail."""
        if not is_now:
            return
        self.daemon.writer.is_full = False
        self.daemon.outbox.leave()
        for _ in range(20):
            if not self.daemon.writer.waiting:
                break
            is_good = not (fails and fails.pop())
            self.daemon.writer.commit(is_written=is_good, is_told=is_good)
            self._note_committed()
        self._begin_anew()

    def _begin_anew(self) -> None:
        for number, aor in set(self.tries.values()):
            self.unknown[number, aor] += 1  # whatever it knew may not have been on the disk
        # what had failed and is on the disk still is tried again
        self.failed = {copy for copy in self.failed if copy[0] < 0 or not self._is_kept(copy, or_dead=False)}
        self.packets = [packet for packet in self.packets if packet[1].transport == "udp"]
        for flow in list(self.daemon.wires.open):
            self._peer_loses(flow)
        self.daemon.end()
        self.daemon = self._start()
        self._turn()

    @rule(aor=st.sampled_from([BOB, CAROL, ALICE]), which=st.sampled_from([(), (0,), (0,), (1,), (0, 1)]))
    def register(self, aor: Aor, which: tuple[int, ...]) -> None:
        """At other contacts, or none: what was in flight to those that are gone may have arrived there."""
        places = [PLACES[aor][index] for index in which if index < len(PLACES[aor])]
        gone = {place.uri for place in self.contacts[aor]} - {place.uri for place in places}
        for lane in self.daemon.in_flight():
            if lane.aor == aor and lane.contact.uri in gone and lane.current is not None:
                self.unknown[int(lane.current.dispatch.body), aor] += 1
        self.contacts[aor] = places
        self.daemon.engine.contacts_changed(aor)
        self._turn()

    @rule(aor=st.sampled_from([BOB, CAROL, ALICE]))
    def sign_of_life(self, aor: Aor) -> None:
        self.daemon.engine.backlogs.seen(aor)
        self._turn()

    @rule(is_refusing=st.booleans())
    def break_streams(self, is_refusing: bool) -> None:
        daemon = self.daemon
        daemon.wires.refusing = {5074} if is_refusing else set()
        for flow in list(daemon.wires.open):
            del daemon.wires.open[flow]
            self._peer_loses(flow)
            daemon.engine.flow_closed(flow)
            daemon.take(daemon.stack.flow_closed(flow, self.now))
        self._turn()

    def _peer_loses(self, flow: Flow) -> None:
        self.packets = [packet for packet in self.packets if packet[1][3] != flow[3] or not flow[3]]
        self._take_peer(flow.remote[1], self.peers[flow.remote[1]].flow_closed(_seen_from_there(flow), self.now))

    # -- the channel --------------------------------------------------------------------------------------------------

    def _pick(self, which: int, *, is_any: bool) -> int | None:
        """The index of a packet; of each stream only the first can be had, and only where ``is_any``."""
        streams: set[Flow] = set()
        found = []
        for index, (_, flow, _) in enumerate(self.packets):
            if flow.transport == "udp" or (is_any and flow not in streams):
                found.append(index)
            streams.add(flow)
        return found[which % len(found)] if found else None

    @rule(which=st.integers(0, 9))
    def deliver(self, which: int) -> None:
        index = self._pick(which, is_any=True)
        if index is not None:
            _, flow, data = self.packets.pop(index)
            self._arrive(flow, data)

    @rule(which=st.integers(0, 9), is_doubled=st.booleans())
    def spoil(self, which: int, is_doubled: bool) -> None:
        index = self._pick(which, is_any=False)
        if index is not None:
            if is_doubled:
                self.packets.append(self.packets[index])
            else:
                self.packets.pop(index)

    @rule(seconds=st.sampled_from([0.06, 0.1, 0.5, 1.0, 4.0, 8.0, 33.0]))
    def wait(self, seconds: float) -> None:
        self._run(self.now + seconds)

    # -- the recipients -----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.unanswered)
    @rule(which=st.integers(0, 9), status=st.sampled_from([200, 200, 200, 480, 486, 503, 603]), after=st.booleans())
    def answer(self, which: int, status: int, after: bool = False) -> None:
        port, event = self.unanswered.pop(which % len(self.unanswered))
        copy = _copy(event)
        if status == 200:
            self.taken.add(copy)
            self.shown[copy[0], port] += 1
            assert self.shown[copy[0], port] <= 1 + self.unknown[copy]  # spec S-LANE-8
        elif status == 603:
            self.refused.add(copy)
        headers = [("Retry-After", "3")] if after and status in (480, 486, 503) else []
        peer = self.peers[port]
        peer.respond(event, peer.build(event.request, status, headers=headers), self.now)
        self._turn()

    def _hand_over(self, port: int, event: RequestReceived) -> None:
        copy = number, aor = _copy(event)
        if number >= 0:
            assert number in self.committed  # spec S-LANE-6: nothing leaves before its row
        if aor in SINGLE and number >= 0 and copy not in self.reached:
            for earlier, said in self.said.items():  # spec S-LANE-2, S-LANE-7, S-LANE-12, S-LANE-13
                before = earlier, aor
                if 0 <= earlier < number and aor in said.recipients and before in self.promised:
                    assert before in self.taken | self.refused | self.failed, (before, copy)
        self.reached.add(copy)
        self.unanswered.append((port, event))

    # -- time and wires -----------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if self.daemon.is_awake:
            self._turn()

    def _turn(self) -> None:
        daemon = self.daemon
        for flow, data in daemon.turn():
            self._note_try(flow, data)
            if daemon.wires.is_open(flow):
                self.packets.append((self.now, _seen_from_there(flow), data))
        for port in self.peers:
            self._send_back(port)
        self.packets = [one for one in self.packets if one[0] > self.now - LIFETIME or one[1].transport != "udp"]

    def _send_back(self, port: int) -> None:
        for flow, data in self.peers[port].output():
            assert flow.remote == HERE
            here = Flow(flow.transport, HERE, flow.local, *flow[3:])
            if self.daemon.wires.is_open(here):
                self.packets.append((self.now, here, data))

    def _note_try(self, flow: Flow, data: bytes) -> None:
        branch = part(data, b";branch=")
        if branch in self.tries:
            return
        number = int(data.rpartition(b"\r\n\r\n")[2])
        aor = Aor.parse(part(data, b"\r\nTo: <").decode().partition(">")[0])
        copy = self.tries[branch] = number, aor
        expires = self.said[number].expires
        assert expires is None or self.now < expires  # spec S-LANE-15
        assert self.names.setdefault(copy, part(data, b"Call-ID: ")) == part(data, b"Call-ID: ")  # spec S-LANE-9
        if aor in SINGLE:
            cseq = int(part(data, b"CSeq: ").split()[0])
            before = self.cseqs.get(copy)
            if before is not None:
                assert cseq == before + (copy in self.daemon.last_final)  # spec S-LANE-9
            self.cseqs[copy] = cseq
        self.daemon.last_final.discard(copy)

    def _arrive(self, flow: Flow, data: bytes) -> None:
        if flow.local == HERE:
            daemon = self.daemon
            others: list[int] = [0]
            if flow.transport == "udp":
                others, events = daemon.stack.receive_usual([data], self.now)
                daemon.take(events)
            if others:
                daemon.take(daemon.stack.receive(data, flow, self.now))
        else:
            port = flow.local[1]
            self._take_peer(port, self.peers[port].receive(data, flow, self.now))
        self._turn()

    def _take_peer(self, port: int, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, RequestReceived) and self.peers[port].accept(event, self.now):
                self._hand_over(port, event)

    def _run(self, until: float) -> None:
        while True:
            at = min(self._deadlines(), default=math.inf)
            if at > until:
                break
            self.now = max(self.now, at)
            self.daemon.take(self.daemon.stack.tick(self.now))
            for port, peer in self.peers.items():
                self._take_peer(port, peer.tick(self.now))
            self._turn()
        self.now = until

    # -- what holds ---------------------------------------------------------------------------------------------------

    def _is_kept(self, copy: Copy, *, or_dead: bool) -> bool:
        """Whether it is on the disk, to be sent after a start (or as a dead letter)."""
        number, aor = copy
        said = self.said[number]
        put = next((put for put in self.tables.outbox.values() if put.seq == said.seq), None)
        row = self.tables.waiting.get((aor, said.seq, said.part))
        if put is None:
            return False
        return (or_dead or not row.is_dead) if row is not None else listed(put, said.part, aor)

    @invariant()
    def one_is_in_flight(self) -> None:
        """Spec S-LANE-1."""
        lanes = Counter((lane.aor, lane.contact.uri) for lane in self.daemon.in_flight())
        assert max(lanes.values(), default=0) <= 1

    @invariant()
    def what_was_promised_is_kept(self) -> None:
        """Spec S-LANE-6."""
        for copy in self.promised - self.taken - self.refused - self.failed:
            assert self._is_kept(copy, or_dead=True), copy

    @invariant()
    def every_row_has_its_entry(self) -> None:
        """Spec S-LANE-6."""
        assert {seq for _, seq, _ in self.tables.waiting} <= {put.seq for put in self.tables.outbox.values()}

    @invariant()
    def counters_are_right(self) -> None:
        """What the engine counts is what is there."""
        figures, backlogs = self.daemon.engine.statistics(), self.daemon.engine.backlogs
        lanes = [lane for recipient in self.daemon.engine._recipients.values() for lane in recipient.lanes()]
        assert figures["queued"] == sum(len(lane.queue) for lane in lanes)
        assert figures["waiting"] == sum(one.rows + one.held for one in backlogs.of.values())
        assert all(
            one.rows >= 0 and one.held >= 0 and one.rows + one.held + one.is_reading for one in backlogs.of.values()
        )
        assert all(
            not lane.is_busy or lane.current or lane.queue or lane in self.daemon.engine._ready for lane in lanes
        )

    def teardown(self) -> None:
        """No more trouble: everything comes to its end, and no row stays. Spec S-LANE-4."""
        self.daemon.writer.is_full = False
        self.break_streams(False)
        for aor in PLACES:
            self.register(aor, (0,))
        until = self.now + 120 * (len(self.said) + 2)
        self._settle_down()
        while self.now < until and not self._is_over():
            deadlines = self._deadlines()
            if not deadlines:
                break
            self._run(max(self.now, min(deadlines)))
            self._settle_down()
        assert all(row.is_dead for row in self.tables.waiting.values())
        assert {put.seq for put in self.tables.outbox.values()} == {seq for _, seq, _ in self.tables.waiting}
        assert self.daemon.engine.is_idle
        assert self.daemon.engine.backlogs.of == {}
        figures = self.daemon.engine.statistics()
        assert [figures[name] for name in ("jobs", "queued", "ready", "waiting")] == [0, 0, 0, 0]
        for copy in self.promised:
            assert copy in self.taken | self.refused | self.failed, copy
        self.daemon.end()

    def _settle_down(self) -> None:
        """Everything that needs no time."""
        while self.packets or self.unanswered or self.daemon.writer.waiting or self.daemon.tasks:
            self._go_well()

    def _go_well(self) -> None:
        for _ in range(len(self.packets)):
            self.deliver(0)
        while self.unanswered:
            self.answer(0, 200)
        for _ in range(len(self.daemon.writer.waiting)):
            self.commit("good")
        for _ in range(len(self.daemon.tasks)):
            self.proceed(0)

    def _deadlines(self) -> list[float]:
        peers = [at for peer in self.peers.values() if (at := peer.next_deadline()) is not None]
        return [*self.daemon.deadlines(), *peers]

    def _is_over(self) -> bool:
        daemon = self.daemon
        is_empty = not [row for row in self.tables.waiting.values() if not row.is_dead]
        held = {seq for _, seq, _ in self.tables.waiting}
        is_empty &= all(put.seq in held and not put.recipients for put in self.tables.outbox.values())
        is_still = not (daemon.writer.waiting or daemon.in_flight() or daemon.deadlines() or self.packets)
        return is_empty and is_still and daemon.engine.is_idle


TestLanes = Lanes.TestCase
TestLanes.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def _walk(chance: random.Random, steps: int) -> Lanes:
    """Many steps, most of them useful: this goes deeper than what is drawn rule by rule."""
    lanes = Lanes()
    lanes.set_up(chance.choice([(UNBOUNDED, ROOMY), (UNBOUNDED, ROOMY), (UNBOUNDED, 2), (BOUNDED, ROOMY)]))
    aors, small = list(PLACES), partial(chance.randrange, 4)

    def send() -> None:
        lists = [chance.sample(aors, chance.randint(1, 3)) for _ in range(chance.choice([1, 1, 2]))]
        brief = chance.choice([None] * 9 + [20.0])
        lanes.send(lists, brief, is_committed=chance.random() < 0.7, count=chance.randint(1, 3))

    def answer() -> None:
        if lanes.unanswered:
            status = chance.choice([200] * 8 + [480, 486, 503, 603])
            lanes.answer(chance.randrange(10), status, after=chance.random() < 0.5)

    def proceed() -> None:
        if lanes.daemon.tasks:
            lanes.proceed(small())

    moves: list[tuple[int, Callable[[], object]]] = [
        (8, send),
        (2, lambda: lanes.send_momentary(chance.choice(aors))),
        (12, lambda: lanes.commit(chance.choice(["good"] * 5 + ["fails", "written"]))),
        (1, lambda: lanes.fill_writer(is_full=chance.random() < 0.3)),
        (8, proceed),
        (4, lambda: lanes.good_times(chance.randint(1, 3))),
        (1, lambda: lanes.crash(is_written=chance.random() < 0.5)),
        (1, lambda: lanes.shut_down([chance.random() < 0.5 for _ in range(small())])),
        (4, lambda: lanes.register(chance.choice(aors), chance.choice([(), (0,), (0,), (1,), (0, 1), (0, 1)]))),
        (2, lambda: lanes.sign_of_life(chance.choice(aors))),
        (2, lambda: lanes.break_streams(is_refusing=chance.random() < 0.3)),
        (25, lambda: lanes.deliver(chance.randrange(10))),
        (4, lambda: lanes.spoil(chance.randrange(10), is_doubled=chance.random() < 0.4)),
        (20, answer),
        (8, lambda: lanes.wait(chance.choice([0.06, 0.1, 0.5, 0.5, 1.0, 4.0, 8.0, 33.0]))),
    ]
    weights = [weight for weight, _ in moves]
    for _ in range(steps):
        chance.choices(moves, weights)[0][1]()
        lanes.one_is_in_flight()
        lanes.what_was_promised_is_kept()
        lanes.every_row_has_its_entry()
        lanes.counters_are_right()
    return lanes


@pytest.mark.parametrize("seed", range(WALKS))
def test_a_long_walk(seed: int) -> None:
    # spec S-LANE-1, S-LANE-2, S-LANE-4, S-LANE-6, S-LANE-7, S-LANE-8, S-LANE-12, S-LANE-13, S-LANE-16, S-LANE-17
    # spec S-LANE-18
    lanes = _walk(random.Random(seed), STEPS)
    lanes.teardown()


def _seen_from_there(flow: Flow) -> Flow:
    return Flow(flow.transport, flow.remote, flow.local, *flow[3:])


def _copy(event: RequestReceived) -> Copy:
    return int(event.request.body), Aor.parse(str(event.request.to.uri))


def part(data: bytes, name: bytes) -> bytes:
    return data.partition(name)[2].partition(b"\r\n")[0]


def _said_to_bob(count: int) -> Lanes:
    lanes = Lanes()
    lanes.send([[BOB]], None, is_committed=True, count=count)
    return lanes


def test_a_copy_that_arrived_unheard_is_had_twice_at_most() -> None:
    """The trace that needs ``unknown``: the recipient has it, every answer is lost, the daemon crashes."""
    lanes = _said_to_bob(1)
    lanes.deliver(0)
    lanes.answer(0, 200)
    lanes.packets.clear()
    lanes.wait(33.0)  # the recipient has forgotten the first by then, and imc has given up; nothing more is written
    lanes.crash(is_written=False)
    lanes.deliver(0)
    lanes.answer(0, 200)
    assert lanes.shown[0, 5073] == 2
    lanes.teardown()


def test_a_repeat_after_a_crash_is_known_by_its_call_id() -> None:
    """Spec S-LANE-7, S-LANE-9. While the recipient remembers the first copy the repeat gets 482, and waits."""
    lanes = _said_to_bob(1)
    first = lanes.packets[0][2]
    lanes.deliver(0)
    lanes.answer(0, 200)
    lanes.packets.clear()
    lanes.crash(is_written=False)
    again = lanes.packets[0][2]
    assert first != again
    names = (b"Call-ID: ", b"From: ", b"CSeq: ")
    assert [part(first, name) for name in names] == [part(again, name) for name in names]
    lanes.deliver(0)
    assert lanes.packets[0][2].startswith(b"SIP/2.0 482")
    lanes.teardown()


def test_a_provisional_answer_settles_nothing() -> None:
    """Spec S-LANE-1, S-LANE-4. The recipient has it, and is slow: 100, and the next one still waits for the 200."""
    lanes = _said_to_bob(2)
    lanes.deliver(0)
    lanes.packets.clear()
    lanes.wait(3.5)  # RFC 4320 §4.1: a 100 leaves after Timer E has reached T2
    while not any(data.startswith(b"SIP/2.0 100") for _, _, data in lanes.packets):
        assert lanes.packets, "no 100 came"
        lanes.deliver(0)
    lanes.deliver(next(n for n, (_, _, data) in enumerate(lanes.packets) if data.startswith(b"SIP/2.0 100")))
    assert set(lanes.tries.values()) == {(0, BOB)}
    lanes.teardown()
    assert lanes.taken == {(0, BOB), (1, BOB)}


def test_a_shutdown_that_trims_an_entry_leaves_the_copies_that_have_rows() -> None:
    """Spec S-LANE-6. Bob has a row; carol, the only one who is listed still, has hers after the start."""
    lanes = Lanes()
    lanes.register(BOB, ())
    lanes.daemon.wires.refusing = set()
    lanes.send([[BOB, CAROL]], None, is_committed=True)
    lanes.shut_down([])
    assert [put.recipients for put in lanes.tables.outbox.values()] == [b"carol@example.com"]
    lanes.good_times(8)
    lanes.wait(0.1)
    lanes.commit("good")
    assert lanes.taken == {(0, CAROL)}
    lanes.every_row_has_its_entry()
    lanes.teardown()
    assert (0, BOB) in lanes.taken
