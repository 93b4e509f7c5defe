"""imc.store.bindings, on every kind of database."""

from __future__ import annotations

from imc.registrar.bindings import Binding
from imc.sip.flow import Flow
from imc.store.ops import DeleteBinding, DeleteBindings, DeleteExpiredBindings, PutBinding
from imc.store.store import Store
from tests.databases import Database
from tests.store.samples import ALICE, BOB, binding


def load(store: Store) -> dict[tuple[str, str], Binding]:
    return {(one.aor.user, one.contact): one for one in store.load_bindings()}


def test_a_binding_is_read_as_it_was_written(store: Store) -> None:
    plain = binding(BOB, "sip:b@h", path=(), received="", flow=None, instance="", user_agent="", q=0, cseq=0)
    store.commit([PutBinding(binding()), PutBinding(plain)])
    assert load(store) == {("alice", binding().contact): binding(), ("bob", "sip:b@h"): plain}


def test_the_flow_of_a_connection_is_not_kept(store: Store) -> None:
    flow = Flow("tcp", ("192.0.2.9", 5060), ("198.51.100.7", 40000), 7)
    store.commit([PutBinding(binding(flow=flow))])
    assert store.load_bindings() == [binding(flow=None)]


def test_a_refresh_replaces_the_binding(store: Store) -> None:
    store.commit([PutBinding(binding())])
    newer = binding(expires_wall=1_700_009_999.0, cseq=2, path=(), flow=None, q=1000, received="")
    store.commit([PutBinding(newer)])
    assert store.load_bindings() == [newer]


def test_deleting_one_all_and_the_expired(store: Store) -> None:
    a, b, c = (
        binding(ALICE, f"sip:{name}@192.0.2.1", expires_wall=float(ends))
        for name, ends in zip("abc", (1, 2, 3), strict=True)
    )
    other = binding(BOB, "sip:a@192.0.2.1", expires_wall=2.5)
    store.commit([PutBinding(one) for one in (a, b, c, other)])
    store.commit([DeleteBinding(ALICE, c.contact)])
    assert set(load(store)) == {("alice", a.contact), ("alice", b.contact), ("bob", a.contact)}
    store.commit([DeleteExpiredBindings(2.0)])
    assert set(load(store)) == {("bob", a.contact)}
    store.commit([PutBinding(a), PutBinding(b)])
    store.commit([DeleteBindings(ALICE)])
    assert set(load(store)) == {("bob", a.contact)}
    store.commit([DeleteBindings(BOB), PutBinding(b)])
    assert set(load(store)) == {("alice", b.contact)}


def test_flows_of_one_contact_are_told_apart(store: Store) -> None:
    # spec S-OUT-2
    flow = Flow("udp", ("192.0.2.9", 5060), ("198.51.100.7", 40000))
    one, two, other = (
        binding(ALICE, "sip:a@10.0.0.1", instance=f"<urn:uuid:{name} x>", reg_id=number, flow=flow)
        for name, number in (("1", 1), ("1", 2), ("2", 1))
    )
    plain = binding(ALICE, "sip:a@10.0.0.1")
    store.commit([PutBinding(each) for each in (one, two, other, plain)])
    assert sorted(store.load_bindings(), key=lambda each: each.key) == [plain, one, other, two]
    store.commit([DeleteBinding(ALICE, one.key), DeleteBinding(ALICE, plain.key)])
    assert sorted(store.load_bindings(), key=lambda each: each.key) == [other, two]


def test_contacts_are_told_apart_exactly(store: Store) -> None:
    contacts = ["sip:A@h", "sip:a@h", "sip:a@h;x='1'", "sip:%25@h", "sip:a_@h", "sip:" + "c" * 508]
    store.commit([PutBinding(binding(ALICE, contact)) for contact in contacts])
    assert {one.contact for one in store.load_bindings()} == set(contacts)
    store.commit([DeleteBinding(ALICE, "sip:A@h"), DeleteBinding(ALICE, contacts[-1])])
    assert {one.contact for one in store.load_bindings()} == set(contacts[1:-1])


def test_a_row_that_cannot_be_read_is_left_out(store: Store, database: Database) -> None:
    store.commit([PutBinding(binding(BOB))])
    for column, value in (
        ("path", "x"),
        ("path", "5"),
        ("flow", "[1]"),
        ("flow", '{"a": 1}'),
        ("domain", "exa mple"),
    ):
        store.commit([PutBinding(binding(ALICE))])
        database.execute(f"UPDATE imc_bindings SET {column} = :value WHERE username = 'alice'", {"value": value})
        assert [one.aor for one in store.load_bindings()] == [BOB]
        database.execute("DELETE FROM imc_bindings WHERE username = 'alice'")
