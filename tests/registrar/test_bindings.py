from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from imc.aor import Aor
from imc.registrar.bindings import Binding, Bindings, next_hop
from imc.registrar.registrar import Registrar, RegistrarOptions
from imc.sip.flow import Flow
from imc.sip.hosts import block_of
from tests.registrar.requests import ALICE, UDP, WALL, register

BOB = Aor("bob", "example.com")


def binding(contact: str = "sip:alice@198.51.100.7", **fields: object) -> Binding:
    given = {"aor": ALICE, "expires_wall": WALL + 100, "call_id": "c", "cseq": 1, "registered_wall": WALL, **fields}
    return Binding(contact=contact, **given)  # type: ignore[arg-type]


# -- next hops ----


@pytest.mark.parametrize(
    ("bound", "uri", "hop"),
    [
        (binding("sip:a@h;transport=tcp"), "sip:a@h;transport=tcp", "sip:a@h;transport=tcp"),
        (binding("sip:a@10.0.0.5", received="sip:192.0.2.9:1024"), "sip:a@10.0.0.5", "sip:192.0.2.9:1024"),
        (binding("sip:a@10.0.0.5", path=("<sip:p1;lr>;x=1", "<sip:p2;lr>")), "sip:a@10.0.0.5", "sip:p1;lr"),
        (binding("sip:a@h;Method=INVITE;x=1?Subject=hi"), "sip:a@h;x=1", "sip:a@h;x=1"),
    ],
)
def test_next_hop(bound: Binding, uri: str, hop: str) -> None:
    # spec S-HOP-3, S-HOP-4
    found = next_hop(bound)
    assert (found.uri, found.next_hop) == (uri, hop)
    assert (found.routes, found.flow, found.q) == (bound.path, bound.flow, 1000)


def test_next_hop_takes_the_flow_along() -> None:
    assert next_hop(binding(flow=UDP, q=300)).flow == UDP


def test_a_binding_is_to_a_sip_uri() -> None:
    with pytest.raises(TypeError):
        next_hop(binding("tel:+1234"))


# -- the table ----


@pytest.mark.parametrize(
    ("bound", "block"),
    [
        (binding("sip:a@10.0.0.5", flow=UDP), UDP.remote[0]),
        (binding("sip:a@10.0.0.5", received="sip:192.0.2.9:1024"), "192.0.2.9"),
        (binding("sip:a@192.0.2.10"), "192.0.2.10"),
        (binding("sip:a@[2001:db8::1:2]:5070"), block_of("2001:db8::7")),
        (binding("sip:a@10.0.0.5", path=("<sip:192.0.2.11;lr>",)), "192.0.2.11"),
    ],
)
def test_where_a_user_is_registered_from(bound: Binding, block: str) -> None:
    # spec S-AUTH-14
    table = Bindings()
    table.load([bound], WALL)
    assert table.is_at(ALICE, block, WALL)
    assert not table.is_at(ALICE, "192.0.2.99", WALL)
    assert not table.is_at(BOB, block, WALL)
    assert not table.is_at(ALICE, block, bound.expires_wall)


def test_load_leaves_out_what_is_past() -> None:
    table = Bindings()
    old = binding("sip:old", expires_wall=WALL)
    first, second, bobs = binding("sip:a", q=100), binding("sip:b", q=200), binding("sip:c", aor=BOB)
    assert table.load([first, old, bobs, second], WALL) == [old]
    assert table.lookup(ALICE, WALL) == (second, first)
    assert (len(table), table.users(), table.aors()) == (3, 2, [ALICE, BOB])
    assert table.next_expiry() == WALL + 100


def test_lookup_of_nobody() -> None:
    table = Bindings()
    assert table.lookup(ALICE, WALL) == ()
    assert table.next_expiry() is None
    assert table.expire(WALL) == []


def test_expire_takes_out_what_is_past_and_only_that() -> None:
    table = Bindings()
    table.apply(ALICE, [binding("sip:a", expires_wall=WALL + 1), binding("sip:b", expires_wall=WALL + 2)])
    table.apply(BOB, [binding("sip:c", aor=BOB, expires_wall=WALL + 1)])
    assert table.expire(WALL + 0.5) == []
    assert {gone.contact for gone in table.expire(WALL + 1)} == {"sip:a", "sip:c"}
    assert (len(table), table.aors()) == (1, [ALICE])
    assert [gone.contact for gone in table.expire(WALL + 5)] == ["sip:b"]
    assert (len(table), table.users(), table.next_expiry()) == (0, 0, None)


def test_expire_in_portions() -> None:
    table = Bindings()
    for number in range(10):
        user = Aor(f"u{number}", "example.com")
        table.apply(user, [binding("sip:a", aor=user, expires_wall=WALL + number)])
    assert [len(table.expire(WALL + 20, limit=4)) for _ in range(4)] == [4, 4, 2, 0]


def test_a_refresh_outlives_its_old_time() -> None:
    table = Bindings()
    old = binding("sip:a", expires_wall=WALL + 1)
    table.apply(ALICE, [old])
    table.apply(ALICE, [replace(old, expires_wall=WALL + 9)])
    assert table.expire(WALL + 5) == []
    assert len(table.expire(WALL + 9)) == 1


def test_refreshes_do_not_let_the_heap_grow() -> None:
    table = Bindings()
    for number in range(10_000):
        table.apply(ALICE, [binding("sip:a", expires_wall=WALL + number)])
    assert len(table._heap) < 100
    assert len(table.expire(WALL + 9999)) == 1


# -- model: the whole registrar against a naive one ----

# Each row is one contact in the eyes of RFC 3261 §19.1.4, in two spellings.
SPELLINGS = [
    ("sip:alice@198.51.100.7:5062", "sip:%61lice@198.51.100.7:5062;ob"),
    ("sip:alice@198.51.100.7:5062;transport=tcp", "sip:alice@198.51.100.7:5062;Transport=TCP"),
    ("sip:alice@198.51.100.7", "sip:alice@198.51.100.7"),
    ("sip:ALICE@198.51.100.7", "sip:ALICE@198.51.100.7;unknown=1"),
]
MAX_CONTACTS = 3


@dataclass
class Naive:
    """What a user's contact is to be, by its row in `SPELLINGS`."""

    text: str
    q: int
    until: float
    since: float
    call_id: str
    cseq: int


wanted = st.tuples(
    st.integers(0, len(SPELLINGS) - 1),
    st.integers(0, 1),
    st.sampled_from([None, 0, 59, 60, 100, 9000]),
    st.sampled_from(["0", "0.5", "1"]),
)


class RegistrarMachine(RuleBasedStateMachine):
    """Requests, commits that work or fail, time, cleaning up and restarts, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.wall = WALL
        self.options = RegistrarOptions(domains=("example.com",), max_expires=7200, max_contacts=MAX_CONTACTS)
        self.rows: dict[str, Binding] = {}
        self.naive: dict[int, Naive] = {}
        self.start()

    def start(self) -> None:
        self.table = Bindings()
        self.registrar = Registrar(self.options, self.table)

    def forget(self) -> None:
        self.naive = {row: known for row, known in self.naive.items() if known.until > self.wall}

    def naively(
        self, call_id: str, cseq: int, contacts: list[tuple[int, int, int | None, str]], header: int | None
    ) -> int:
        """RFC 3261 §10.3, step 7, word for word, on the naive bindings; the status."""
        self.forget()
        intervals = [next((e for e in (own, header) if e is not None), 3600) for _, _, own, _ in contacts]
        if any(0 < expires < 60 for expires in intervals):
            return 423
        after = dict(self.naive)
        for (row, spelling, _, q), expires in zip(contacts, intervals, strict=True):
            known = self.naive.get(row)
            if known is not None and known.call_id == call_id and cseq <= known.cseq:
                return 400
            after.pop(row, None)
            if expires:
                text, until = SPELLINGS[row][spelling], self.wall + min(expires, 7200)
                after[row] = Naive(text, round(float(q) * 1000), until, self.wall, call_id, cseq)
        if len(after) > MAX_CONTACTS and any(intervals):
            return 403
        self.naive = after
        return 200

    @rule(
        call_id=st.sampled_from(["c1", "c2"]),
        cseq=st.integers(1, 6),
        contacts=st.lists(wanted, max_size=4),
        header=st.sampled_from([None, 0, 30, 300]),
        fails=st.booleans(),
    )
    def register(
        self,
        call_id: str,
        cseq: int,
        contacts: list[tuple[int, int, int | None, str]],
        header: int | None,
        fails: bool,
    ) -> None:
        kept = dict(self.naive)
        status = self.naively(call_id, cseq, contacts, header)
        values = [
            f"<{SPELLINGS[row][spelling]}>;q={q}" + ("" if expires is None else f";expires={expires}")
            for row, spelling, expires, q in contacts
        ]
        request = register(*values, call_id=call_id, cseq=cseq, expires=None if header is None else str(header))
        outcome = self.registrar.process(request, ALICE, UDP, self.wall)
        # which of several reasons a refusal names is not the model's business
        assert (outcome.status == 200) == (status == 200)
        if fails or status != 200:
            self.naive = kept if status == 200 else self.naive
            return
        for contact in outcome.deletes:
            del self.rows[contact]
        self.rows |= {put.contact: put for put in outcome.puts}
        self.table.apply(ALICE, outcome.bindings_after)

    @rule(call_id=st.sampled_from(["c1", "c2"]), cseq=st.integers(1, 6))
    def remove_all(self, call_id: str, cseq: int) -> None:
        self.forget()
        is_old = any(known.call_id == call_id and cseq <= known.cseq for known in self.naive.values())
        outcome = self.registrar.process(register("*", expires="0", call_id=call_id, cseq=cseq), ALICE, UDP, self.wall)
        assert outcome.status == (400 if is_old else 200)
        if not is_old:
            self.naive = {}
            for contact in outcome.deletes:
                del self.rows[contact]
            self.table.apply(ALICE, outcome.bindings_after)

    @rule(seconds=st.sampled_from([0.5, 59.5, 60, 100, 3600]))
    def pass_time(self, seconds: float) -> None:
        self.wall += seconds

    @rule()
    def clean_up(self) -> None:
        for gone in self.table.expire(self.wall):
            assert gone.expires_wall <= self.wall
        self.rows = {contact: row for contact, row in self.rows.items() if row.expires_wall > self.wall}

    @precondition(lambda self: self.rows)
    @rule()
    def restart(self) -> None:
        self.start()
        self.table.load([replace(row, flow=None) for row in self.rows.values()], self.wall)

    @invariant()
    def users_are_where_they_said(self) -> None:
        self.forget()
        found = self.table.lookup(ALICE, self.wall)
        assert [(one.contact, one.q, one.expires_wall, one.cseq, one.call_id) for one in found] == [
            (known.text, known.q, known.until, known.cseq, known.call_id)
            for known in sorted(self.naive.values(), key=lambda known: (-known.q, -known.since, known.text))
        ]

    @invariant()
    def the_store_says_so_too(self) -> None:
        self.forget()
        live = {row.contact: row.expires_wall for row in self.rows.values() if row.expires_wall > self.wall}
        assert live == {known.text: known.until for known in self.naive.values()}

    @invariant()
    def the_count_is_right(self) -> None:
        assert len(self.table) == sum(len(group) for group in self.table._by_aor.values())
        assert len(self.table._heap) >= len(self.table)


RegistrarMachine.TestCase.settings = settings(max_examples=120, stateful_step_count=30, deadline=None)
TestRegistrarMachine = RegistrarMachine.TestCase


def test_a_flow_survives_in_memory_only() -> None:
    flow = Flow("tcp", ("192.0.2.1", 5060), ("192.0.2.9", 1024), 7)
    assert replace(binding(flow=flow), flow=None) == binding()
