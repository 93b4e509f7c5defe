"""Connections that end, as the use cases see them: whose contacts go, and which way is left."""

from __future__ import annotations

import pytest

from imc.aor import Aor
from imc.registrar.bindings import Bindings
from imc.registrar.registrar import Registrar, RegistrarOptions
from imc.service.location import Location
from imc.sip.flow import Flow
from imc.store.ops import DeleteBinding
from tests.registrar.requests import ALICE, TCP, WALL, register
from tests.registrar.test_outbound import OUTBOUND, PHONE, TABLET, WEB, WEB_VIA, WSS, C, other
from tests.service.test_registration import Desk

BOB = Aor("bob", "example.com")


class Flows:
    """A registrar's table and the location over it; ``closed`` are the connections that have ended."""

    def __init__(self) -> None:
        self.bindings = Bindings()
        self.registrar = Registrar(RegistrarOptions(domains=("example.com",)), self.bindings)
        self.closed: set[Flow] = set()
        self.location = Location(
            self.bindings,
            domains=lambda: ("example.com",),
            outbound_proxy=None,
            wall=lambda: WALL,
            is_open=lambda flow: flow not in self.closed,
        )

    def register(self, contact: str, flow: Flow, **more: object) -> None:
        request = register(contact, extra=OUTBOUND, call_id=f"c{flow.conn}", **more)  # type: ignore[arg-type]
        outcome = self.registrar.process(request, ALICE, flow, WALL + flow.conn)
        assert outcome.status == 200
        self.bindings.apply(ALICE, outcome.bindings_after)

    def ways(self) -> list[tuple[Flow | None, list[Flow | None]]]:
        contacts = self.location.contacts(ALICE)
        return [(one.flow, [each.flow for each in one.others]) for one in contacts]


def test_of_one_instance_one_flow_comes_first_and_the_others_behind() -> None:
    # spec S-OUT-4
    flows = Flows()
    one, two, three, tablet = (other(TCP, conn) for conn in (1, 2, 3, 4))
    for number, flow in enumerate((one, two, three), 1):
        flows.register(f"{C};reg-id={number};{PHONE}", flow)
    flows.register(f"{C};reg-id=1;{TABLET}", tablet)
    assert flows.ways() == [(tablet, []), (three, [two, one])]  # the newest first
    flows.closed.add(three)
    assert flows.ways() == [(tablet, []), (two, [one])]
    flows.closed |= {two, one}
    assert flows.ways() == [(tablet, [])]
    assert flows.location.is_registered(ALICE)
    flows.closed.add(tablet)
    assert (flows.ways(), flows.location.is_registered(ALICE)) == ([], False)


def test_two_phones_with_the_same_contact_are_two() -> None:
    # spec S-OUT-2
    flows = Flows()
    flows.register(f"{C};reg-id=1;{PHONE}", other(TCP, 1))
    flows.register(f"{C};reg-id=1;{TABLET}", other(TCP, 2))
    contacts = flows.location.contacts(ALICE)
    assert len({contact.name for contact in contacts}) == 2
    assert {contact.uri for contact in contacts} == {C[1:-1]}


@pytest.mark.parametrize("contact", ["<sip:alice@192.0.2.77;transport=tcp>"])
def test_a_contact_that_leads_somewhere_survives_its_connection(contact: str) -> None:
    # spec S-HOP-6
    flows = Flows()
    flows.register(contact, TCP)
    flows.closed.add(TCP)
    assert flows.location.is_registered(ALICE)


def bound_desk() -> Desk:
    """Alice by a browser and a plain contact, both on one connection each; Bob by the browser's connection as well."""
    desk = Desk()
    for aor, contact, flow in ((ALICE, WEB, WSS), (ALICE, C, TCP), (BOB, WEB, WSS)):
        request = register(contact, to=f"<{aor}>", vias=WEB_VIA, call_id=f"{aor}{flow.conn}")
        desk.registration.register(
            request, aor, flow, answer=lambda outcome: desk.heard.append(outcome.status), fail=lambda _: None
        )
        desk.writer.finish()
    assert desk.heard == [200] * 3
    desk.changed.clear()
    return desk


def test_when_a_connection_ends_its_bindings_go_and_delivery_hears_at_once() -> None:
    # spec S-OUT-3
    # spec S-OUT-4
    desk = bound_desk()
    desk.registration.flow_closed(WSS)
    assert desk.changed == [ALICE, BOB]  # before the store has answered
    assert desk.writer.finish() == (DeleteBinding(ALICE, WEB[1:-1]),)
    assert desk.writer.finish() == (DeleteBinding(BOB, WEB[1:-1]),)
    assert [binding.flow for binding in desk.bindings.lookup(ALICE, WALL)] == [TCP]
    assert desk.bindings.lookup(BOB, WALL) == ()
    desk.registration.flow_closed(WSS)
    desk.registration.flow_closed(TCP)  # a contact that leads somewhere by itself stays
    assert desk.writer.waiting == []
    assert len(desk.bindings) == 1


def test_a_registration_that_is_under_way_goes_first() -> None:
    """The client was quick: its new connection has taken the place before the old one's end was seen."""
    # spec S-OUT-3
    desk = bound_desk()
    again = register(WEB, to=f"<{BOB}>", vias=WEB_VIA, call_id="again")
    desk.registration.register(again, BOB, other(WSS, 9), answer=lambda _: None, fail=lambda _: None)
    desk.registration.flow_closed(WSS)
    while desk.writer.waiting:
        desk.writer.finish()
    assert [binding.flow for binding in desk.bindings.lookup(BOB, WALL)] == [other(WSS, 9)]


def test_a_connection_that_ends_while_its_registration_is_on_the_way_to_the_disk_leaves_no_binding() -> None:
    # spec S-OUT-3
    desk = bound_desk()
    late = other(WSS, 9)
    again = register(WEB, to=f"<{BOB}>", vias=WEB_VIA, call_id="again")
    desk.registration.register(again, BOB, late, answer=lambda _: None, fail=lambda _: None)
    desk.registration._is_open = lambda flow: flow != late
    desk.registration.flow_closed(late)
    while desk.writer.waiting:
        desk.writer.finish()
    assert late not in [binding.flow for binding in desk.bindings.lookup(BOB, WALL)]
