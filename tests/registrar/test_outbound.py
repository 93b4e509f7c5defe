"""RFC 5626 and sips at the registrar: flows, what they replace, and what leads to nobody when they end."""

from __future__ import annotations

import pytest

from imc.registrar.bindings import Binding, Bindings, next_hop, split_key
from imc.sip.flow import Flow
from tests.registrar.requests import ALICE, TCP, UDP, WALL, register
from tests.registrar.test_registrar import Desk, headers

PHONE = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"'
TABLET = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-000000000002>"'
OUTBOUND = ("Supported: path, outbound",)
TLS = Flow("tls", ("192.0.2.1", 5061), ("198.51.100.7", 40001), 2)
WSS = Flow("wss", ("192.0.2.1", 443), ("198.51.100.7", 40002), 3)
C = "<sip:alice@10.0.0.2;transport=tcp>"
WEB = "<sip:x7@n4.invalid;transport=ws>"
WEB_VIA = ("SIP/2.0/WSS n4.invalid;branch=z9hG4bK1",)


def other(flow: Flow, conn: int) -> Flow:
    return flow._replace(conn=conn, remote=("198.51.100.7", 41000 + conn))


def test_a_flow_is_bound_and_the_answer_says_so() -> None:
    # spec S-OUT-1
    # spec S-OUT-5
    desk = Desk()
    outcome = desk.ask(register(f"{C};reg-id=1;{PHONE}", extra=OUTBOUND), flow=TCP)
    assert (headers(outcome, "Require"), headers(outcome, "Flow-Timer")) == (["outbound"], ["120"])
    assert headers(outcome, "Contact") == [f"{C};expires=3600;{PHONE};reg-id=1"]
    binding = desk.only()
    assert (binding.reg_id, binding.flow, binding.needs_flow) == (1, TCP, True)
    assert binding.key == "sip:alice@10.0.0.2;transport=tcp 1 <urn:uuid:00000000-0000-1000-8000-000A95A0E128>"
    assert split_key(binding.key) == ("sip:alice@10.0.0.2;transport=tcp", 1)
    assert next_hop(binding).next_hop.startswith("flow:")


def test_a_later_flow_of_the_same_number_takes_its_place() -> None:
    # spec S-OUT-2
    desk = Desk()
    desk.ask(register(f"{C};reg-id=1;{PHONE}", extra=OUTBOUND), flow=TCP)
    moved = "<sip:alice@10.9.9.9:5099;transport=tcp>"
    outcome = desk.ask(register(f"{moved};reg-id=1;{PHONE}", extra=OUTBOUND, call_id="c2"), flow=other(TCP, 9))
    assert len(outcome.deletes) == 1
    assert (desk.bound(), desk.only().flow) == ([moved[1:-1]], other(TCP, 9))


def test_each_flow_and_each_instance_is_a_binding() -> None:
    """Two phones in two private networks may have the same contact."""
    # spec S-OUT-2
    desk = Desk()
    for conn, (number, instance) in enumerate(((1, PHONE), (2, PHONE), (1, TABLET)), 10):
        request = register(f"{C};reg-id={number};{instance}", extra=OUTBOUND, call_id=f"c{conn}")
        assert desk.ask(request, flow=other(TCP, conn)).status == 200
    assert desk.bound() == [C[1:-1]] * 3
    assert desk.bindings.on_flow(other(TCP, 11)) == [ALICE]
    desk.ask(register(f"{C};reg-id=2;{PHONE};expires=0", extra=OUTBOUND, call_id="c9"), flow=TCP)
    assert [binding.reg_id for binding in desk.bindings.lookup(ALICE, WALL)] == [1, 1]
    assert desk.bindings.on_flow(other(TCP, 11)) == []
    desk.ask(register("*", expires="0", call_id="c10", cseq=9), flow=TCP)
    assert desk.bound() == []
    assert desk.bindings.on_flow(other(TCP, 10)) == []


def test_a_plain_binding_of_the_same_contact_gives_way() -> None:
    # spec S-OUT-2
    desk = Desk()
    desk.ask(register(C), flow=TCP)
    desk.ask(register(f"{C};reg-id=1;{PHONE}", extra=OUTBOUND, call_id="c2"), flow=other(TCP, 2))
    assert desk.only().reg_id == 1
    desk.ask(register(f"{C};{TABLET}", call_id="c3"), flow=other(TCP, 3))  # somebody else's, in another network
    assert len(desk.bound()) == 2
    desk.ask(register(f"{C};{PHONE}", call_id="c4"), flow=other(TCP, 4))  # the phone itself, without RFC 5626
    assert sorted(binding.reg_id for binding in desk.bindings.lookup(ALICE, WALL)) == [0]


@pytest.mark.parametrize(
    ("contact", "extra"),
    [
        (f"{C};reg-id=1;{PHONE}", ()),
        (f"{C};reg-id=1;{PHONE}", ("Supported: path",)),
        (f"{C};reg-id=1", OUTBOUND),
        (f"{C};{PHONE}", OUTBOUND),
    ],
)
def test_what_is_no_use_of_it(contact: str, extra: tuple[str, ...]) -> None:
    # spec S-OUT-1
    desk = Desk()
    outcome = desk.ask(register(contact, extra=extra), flow=TCP)
    assert (outcome.status, headers(outcome, "Require"), headers(outcome, "Flow-Timer")) == (200, [], [])
    assert (desk.only().reg_id, desk.only().needs_flow) == (0, False)


@pytest.mark.parametrize(
    ("contacts", "status"),
    [
        ((f"{C};reg-id=0;{PHONE}",), 400),
        ((f"{C};reg-id=x;{PHONE}",), 400),
        ((f"{C};reg-id=2147483648;{PHONE}",), 400),
        ((f"{C};reg-id=1;{PHONE}", "<sip:alice@10.0.0.3;transport=tcp>"), 400),
        ((f"<sip:{'a' * 470}@10.0.0.2>;reg-id=1;{PHONE}",), 400),
    ],
)
def test_what_is_refused(contacts: tuple[str, ...], status: int) -> None:
    # spec S-OUT-1
    assert Desk().ask(register(*contacts, extra=OUTBOUND), flow=TCP).status == status


TWO_VIAS = ("SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKp", "SIP/2.0/TCP 10.0.0.2;branch=z9hG4bK1")


@pytest.mark.parametrize(
    ("path", "status", "reg_id"),
    [
        ((), 439, None),
        (("Path: <sip:192.0.2.9;lr>",), 439, None),
        (("Path: <sip:192.0.2.9;lr;ob>, <sip:192.0.2.8;lr>",), 439, None),
        (("Path: <sip:192.0.2.9;lr>, <sip:tok@192.0.2.8;lr;ob>",), 200, 1),
    ],
)
def test_behind_a_proxy(path: tuple[str, ...], status: int, reg_id: int | None) -> None:
    # spec S-OUT-1
    desk = Desk()
    outcome = desk.ask(register(f"{C};reg-id=1;{PHONE}", vias=TWO_VIAS, extra=(*OUTBOUND, *path)), flow=UDP)
    assert outcome.status == status
    if reg_id is not None:
        assert (headers(outcome, "Require"), headers(outcome, "Flow-Timer")) == (["outbound"], [])
        binding = desk.only()
        assert (binding.reg_id, binding.flow, binding.needs_flow) == (1, None, False)
        assert next_hop(binding).next_hop == "sip:192.0.2.9;lr"


def test_over_udp_the_flow_is_the_socket() -> None:
    # spec S-OUT-3
    desk = Desk()
    desk.ask(register(f"<sip:alice@10.0.0.2>;reg-id=1;{PHONE}", extra=OUTBOUND), flow=UDP)
    assert (desk.only().flow, desk.only().needs_flow) == (UDP, False)


def test_the_flow_timer_is_a_setting() -> None:
    # spec S-OUT-5
    outcome = Desk(flow_timer=0).ask(register(f"{C};reg-id=1;{PHONE}", extra=OUTBOUND), flow=TCP)
    assert (headers(outcome, "Require"), headers(outcome, "Flow-Timer")) == (["outbound"], [])


# -- WebSocket ----


def test_a_browser_is_bound_to_its_connection() -> None:
    # spec S-WS-6
    # spec S-OUT-3
    desk = Desk()
    assert desk.ask(register(WEB, vias=WEB_VIA), flow=WSS).status == 200
    binding = desk.only()
    assert (binding.flow, binding.needs_flow, binding.received) == (WSS, True, "")


@pytest.mark.parametrize("flow", [UDP, TCP, TLS])
def test_a_websocket_contact_is_registered_over_websocket(flow: Flow) -> None:
    # spec S-TLS-6
    assert Desk().ask(register(WEB), flow=flow).status == 400
    assert Desk().ask(register(WEB, vias=TWO_VIAS), flow=flow).status == 200  # a proxy's


def test_what_only_a_connection_led_to_is_not_read_back() -> None:
    # spec S-OUT-3
    common = {"aor": ALICE, "expires_wall": WALL + 60, "call_id": "c", "cseq": 1, "registered_wall": WALL}
    lost = [
        Binding(contact="sip:x@n.invalid;transport=ws", **common),  # type: ignore[arg-type]
        Binding(contact="sip:x@10.0.0.1;transport=tcp", reg_id=1, instance='"<i>"', **common),  # type: ignore[arg-type]
        Binding(contact="sip:y@n.invalid", **common),  # type: ignore[arg-type]
    ]
    kept = [
        Binding(contact="sip:x@10.0.0.1;transport=tcp", **common),  # type: ignore[arg-type]
        Binding(contact="sip:z@n.invalid", flow=UDP, **common),  # type: ignore[arg-type]
        Binding(contact="sip:w@n.invalid;transport=ws", path=("<sip:p;lr>",), **common),  # type: ignore[arg-type]
    ]
    table = Bindings()
    assert table.load([*lost, *kept], WALL) == lost
    assert set(table.lookup(ALICE, WALL)) == set(kept)


# -- sips ----

SIPS = "<sips:alice@198.51.100.7:5061>"


@pytest.mark.parametrize("flow", [TLS, WSS])
def test_a_sips_contact_over_tls(flow: Flow) -> None:
    # spec S-TLS-6
    desk = Desk()
    request = register(SIPS, uri="sips:example.com", vias=("SIP/2.0/TLS 198.51.100.7:5061;branch=z9hG4bK1",))
    assert desk.ask(request, flow=flow).status == 200
    assert desk.only().flow == flow
    assert next_hop(desk.only()).next_hop == SIPS[1:-1]


@pytest.mark.parametrize(
    ("contacts", "uri", "flow", "extra"),
    [
        ((SIPS,), "sip:example.com", TLS, ()),
        ((SIPS, "<sip:alice@198.51.100.7>"), "sips:example.com", TLS, ()),
        ((SIPS,), "sips:example.com", TCP, ()),
        ((SIPS,), "sips:example.com", UDP, ()),
        ((SIPS,), "sips:example.com", TLS, ("Supported: path", "Path: <sip:192.0.2.9;lr>")),
    ],
)
def test_a_sips_contact_that_is_not_safe_all_the_way(
    contacts: tuple[str, ...], uri: str, flow: Flow, extra: tuple[str, ...]
) -> None:
    # spec S-TLS-6
    assert Desk().ask(register(*contacts, uri=uri, extra=extra), flow=flow).status == 400


@pytest.mark.parametrize("contact", ["<sip:alice@10.0.0.2;transport=tls>", "<sip:alice@10.0.0.2>"])
def test_a_contact_over_tls_is_reached_by_its_connection(contact: str) -> None:
    # spec S-HOP-6
    desk = Desk()
    desk.ask(register(contact, vias=("SIP/2.0/TLS 10.0.0.2;branch=z9hG4bK1",)), flow=TLS)
    assert (desk.only().flow, desk.only().needs_flow) == (TLS, False)


def test_a_contact_at_this_server_s_own_tls_port() -> None:
    # spec S-REG-9
    desk = Desk(own_addresses=frozenset({("192.0.2.1", 5061)}))
    for contact in ("<sip:alice@192.0.2.1;transport=tls>", "<sip:alice@192.0.2.1:5061>"):
        assert desk.ask(register(contact), flow=TLS).status == 403
    request = register("<sips:alice@192.0.2.1>", uri="sips:example.com")
    assert desk.ask(request, flow=TLS).status == 403
