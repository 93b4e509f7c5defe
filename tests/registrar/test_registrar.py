from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.aor import Aor
from imc.errors import BadMessage
from imc.registrar.bindings import Binding, Bindings, next_hop
from imc.registrar.registrar import RegisterOutcome, Registrar, RegistrarOptions
from imc.sip.flow import Flow
from imc.sip.headers import parse_contacts, parse_date
from imc.sip.message import Request, parse_message
from imc.sip.uas import build_response
from imc.sip.uri import parse_uri
from tests.registrar.requests import ALICE, TCP, UDP, WALL, register

C1 = "<sip:alice@198.51.100.7:5062>"
C2 = "<sip:alice@198.51.100.7:6000>"


class Desk:
    """A registrar and its table; `ask` applies what was decided, as the service does after its commit."""

    def __init__(self, **options: object) -> None:
        settings = {"domains": ("example.com", "second.example"), "max_expires": 7200, **options}
        self.bindings = Bindings()
        self.registrar = Registrar(RegistrarOptions(**settings), self.bindings)  # type: ignore[arg-type]

    def ask(self, request: Request, *, aor: Aor = ALICE, flow: Flow = UDP, wall: float = WALL) -> RegisterOutcome:
        before = self.bindings.lookup(aor, wall)
        outcome = self.registrar.process(request, aor, flow, wall)
        assert self.bindings.lookup(aor, wall) == before, "process changes nothing"
        if outcome.status != 200:
            assert not outcome.is_change
        elif outcome.is_change:
            rows = {binding.key: binding for binding in before}
            for key in outcome.deletes:
                del rows[key]
            rows |= {binding.key: binding for binding in outcome.puts}
            assert rows == {binding.key: binding for binding in outcome.bindings_after}
            self.bindings.apply(aor, outcome.bindings_after)
        else:
            assert outcome.bindings_after == before
        return outcome

    def bound(self, wall: float = WALL) -> list[str]:
        return [binding.contact for binding in self.bindings.lookup(ALICE, wall)]

    def only(self) -> Binding:
        (binding,) = self.bindings.lookup(ALICE, WALL)
        return binding


def headers(outcome: RegisterOutcome, name: str) -> list[str]:
    return [value for key, value in outcome.headers if key == name]


def listed(outcome: RegisterOutcome) -> dict[str, int | None]:
    """The contacts of an answer and their intervals."""
    return {str(value.uri): value.expires for value in parse_contacts(headers(outcome, "Contact")) or []}


# -- a binding comes, stays and goes ----


def test_a_contact_is_bound_and_listed() -> None:
    # spec S-REG-7
    desk = Desk()
    outcome = desk.ask(register(C1, expires="600", extra=("User-Agent: phone/1",)))
    assert (outcome.status, outcome.reason) == (200, "OK")
    assert listed(outcome) == {"sip:alice@198.51.100.7:5062": 600}
    (date,) = headers(outcome, "Date")
    assert parse_date(date).timestamp() == WALL
    assert desk.only() == Binding(
        aor=ALICE,
        contact="sip:alice@198.51.100.7:5062",
        q=1000,
        expires_wall=WALL + 600,
        call_id="c1",
        cseq=1,
        flow=UDP,
        user_agent="phone/1",
        registered_wall=WALL,
    )


def test_without_contact_it_only_asks() -> None:
    desk = Desk()
    desk.ask(register(C1))
    outcome = desk.ask(register(cseq=2), wall=WALL + 600.5)
    assert listed(outcome) == {"sip:alice@198.51.100.7:5062": 3000}
    assert not outcome.is_change
    # even where the count is old: nothing is to be undone
    assert desk.ask(register(cseq=1)).status == 200


def test_refresh_replaces_and_keeps_one_row() -> None:
    desk = Desk()
    desk.ask(register(C1, expires="600"))
    outcome = desk.ask(register(C1, cseq=2, expires="900"), wall=WALL + 10)
    assert [binding.expires_wall for binding in outcome.puts] == [WALL + 910]
    assert outcome.deletes == ()
    assert len(desk.bindings) == 1


def test_a_refresh_in_other_words_replaces_the_row() -> None:
    desk = Desk()
    desk.ask(register("<sip:%61lice@198.51.100.7:5062;ob;x=1>"))
    outcome = desk.ask(register("<sip:alice@198.51.100.7:5062;x=1>", cseq=2))
    assert outcome.deletes == ("sip:%61lice@198.51.100.7:5062;ob;x=1",)
    assert desk.bound() == ["sip:alice@198.51.100.7:5062;x=1"]


def test_contacts_are_compared_by_the_uri_rules() -> None:
    # spec S-REG-6
    desk = Desk()
    desk.ask(register(C1, C2, "<sip:alice@198.51.100.7:5062;transport=tcp>", "<sip:Alice@198.51.100.7:5062>"))
    assert len(desk.bound()) == 4


def test_removal_by_expires_zero_leaves_the_others() -> None:
    desk = Desk()
    desk.ask(register(C1, C2))
    outcome = desk.ask(register(C1 + ";expires=0", cseq=2))
    assert outcome.deletes == ("sip:alice@198.51.100.7:5062",)
    assert list(listed(outcome)) == ["sip:alice@198.51.100.7:6000"]
    assert desk.ask(register(C2, cseq=3, expires="0")).headers[0][0] == "Date"
    assert desk.bound() == []


def test_removal_of_what_is_not_there_is_fine() -> None:
    outcome = Desk().ask(register(C1, expires="0"))
    assert (outcome.status, outcome.is_change, listed(outcome)) == (200, False, {})


def test_star_removes_all() -> None:
    desk = Desk()
    desk.ask(register(C1, C2))
    outcome = desk.ask(register("*", expires="0", cseq=2))
    assert set(outcome.deletes) == {"sip:alice@198.51.100.7:5062", "sip:alice@198.51.100.7:6000"}
    assert desk.bound() == []


@pytest.mark.parametrize(
    "request_",
    [
        register("*", cseq=2),
        register("*", cseq=2, expires="3600"),
        register("*", C1, cseq=2, expires="0"),
        register("*, *", cseq=2, expires="0"),
    ],
)
def test_star_otherwise_is_malformed(request_: Request) -> None:
    # spec S-REG-3
    desk = Desk()
    desk.ask(register(C1))
    assert desk.ask(request_).status == 400
    assert len(desk.bound()) == 1


def test_expired_bindings_are_gone_before_anyone_cleans_up() -> None:
    # spec S-REG-11
    desk = Desk()
    desk.ask(register(C1, expires="60"))
    assert desk.bound(WALL + 59.9) == ["sip:alice@198.51.100.7:5062"]
    assert desk.bound(WALL + 60) == []
    assert listed(desk.ask(register(cseq=2), wall=WALL + 60)) == {}


# -- order ----


@pytest.mark.parametrize("cseq", [4, 5])
@pytest.mark.parametrize("contact", [C1, C1 + ";expires=0", "*"])
def test_what_was_sent_earlier_is_refused(contact: str, cseq: int) -> None:
    # spec S-REG-4
    desk = Desk()
    desk.ask(register(C1, cseq=5, expires="600"))
    outcome = desk.ask(register(contact, cseq=cseq, expires="0" if contact == "*" else "900"))
    assert (outcome.status, outcome.reason) == (400, "CSeq Out Of Order")
    assert desk.only().expires_wall == WALL + 600


def test_another_call_id_is_another_client() -> None:
    desk = Desk()
    desk.ask(register(C1, cseq=5, expires="600"))
    assert desk.ask(register(C1, cseq=1, call_id="c2", expires="900")).status == 200
    assert (desk.only().call_id, desk.only().cseq) == ("c2", 1)
    assert desk.ask(register("*", cseq=1, call_id="c3", expires="0")).status == 200
    assert desk.bound() == []


def test_all_contacts_of_a_request_or_none() -> None:
    # spec S-REG-2
    desk = Desk()
    desk.ask(register(C1, cseq=5))
    assert desk.ask(register(C2, C1, cseq=4)).status == 400
    assert desk.ask(register(C2, "<sip:alice@198.51.100.7:7000>;q=2", cseq=6)).status == 400
    assert desk.bound() == ["sip:alice@198.51.100.7:5062"]


def test_of_two_values_that_match_the_later_counts() -> None:
    # spec S-REG-6
    desk = Desk()
    assert desk.ask(register(C1 + ";q=0.1", C1 + ";q=0.9")).status == 200
    assert desk.only().q == 900
    assert desk.ask(register(C1, C1 + ";expires=0", cseq=2)).status == 200
    assert desk.bound() == []


# -- intervals ----


@pytest.mark.parametrize(
    ("contact", "expires", "granted"),
    [
        (C1, None, 3600),
        (C1, "600", 600),
        (C1 + ";expires=700", "600", 700),
        (C1 + ";expires=60", None, 60),
        (C1 + ";expires=7201", None, 7200),
        (C1, "4294967295", 7200),
        (C1, "99999999999999999999", 7200),
        # RFC 3261 §20.10: "Malformed values SHOULD be treated as equivalent to 3600."
        (C1 + ";expires=soon", None, 3600),
        (C1 + ";expires", None, 3600),
    ],
)
def test_intervals(contact: str, expires: str | None, granted: int) -> None:
    # spec S-REG-5
    assert list(listed(Desk().ask(register(contact, expires=expires))).values()) == [granted]


@pytest.mark.parametrize(("contact", "expires"), [(C1 + ";expires=59", None), (C1, "1"), (C1 + ";expires=1", "600")])
def test_too_brief(contact: str, expires: str | None) -> None:
    # spec S-REG-5
    outcome = Desk().ask(register(contact, expires=expires))
    assert (outcome.status, outcome.reason) == (423, "Interval Too Brief")
    assert outcome.headers == (("Min-Expires", "60"),)


@pytest.mark.parametrize(
    "options",
    [
        {"min_expires": 3601},
        {"min_expires": -1},
        {"max_expires": 59},
        {"default_expires": 59},
        {"default_expires": 7201},
        {"max_contacts": 0},
        {"max_bindings": 0},
    ],
)
def test_options_that_cannot_be(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Desk(**options)


# -- q and parameters ----


def test_best_first() -> None:
    desk = Desk()
    desk.ask(register("<sip:a@198.51.100.7:1>;q=0.5", "<sip:a@198.51.100.7:2>;q=0.75", "<sip:a@198.51.100.7:3>"))
    desk.ask(register("<sip:a@198.51.100.7:4>;q=0.5", cseq=2), wall=WALL + 1)
    assert [uri[-1] for uri in desk.bound(WALL + 1)] == ["3", "2", "4", "1"]


@pytest.mark.parametrize(
    ("q", "stored", "shown"),
    [("0", 0, ";q=0"), ("0.5", 500, ";q=0.5"), ("0.125", 125, ";q=0.125"), ("1.000", 1000, "")],
)
def test_q(q: str, stored: int, shown: str) -> None:
    desk = Desk()
    outcome = desk.ask(register(f"{C1};q={q}"))
    assert desk.only().q == stored
    assert headers(outcome, "Contact") == [f"{C1};expires=3600{shown}"]


@pytest.mark.parametrize("q", ["1.001", "2", "-1", "0.1234", "high", ".5"])
def test_bad_q(q: str) -> None:
    assert Desk().ask(register(f"{C1};q={q}")).status == 400


def test_instance_is_kept_and_shown() -> None:
    desk = Desk()
    urn = "<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"
    outcome = desk.ask(register(f'{C1};+sip.instance="{urn}";reg-id=1'))
    assert desk.only().instance == urn
    assert headers(outcome, "Contact") == [f'{C1};expires=3600;+sip.instance="{urn}"']


def test_texts_for_information_are_cut_and_cleaned() -> None:
    desk = Desk()
    desk.ask(register(C1 + ';+sip.instance="a\tb\xe9"', extra=("User-Agent: é" + "x" * 300,)))
    assert desk.only().instance == "ab"
    assert desk.only().user_agent == "x" * 255


def test_uri_parameters_without_brackets_are_the_headers() -> None:
    desk = Desk()
    desk.ask(register("sip:alice@198.51.100.7:5062;expires=120;transport=tcp"))
    assert (desk.only().contact, desk.only().expires_wall) == ("sip:alice@198.51.100.7:5062", WALL + 120)


# -- whose, and which domain ----


@pytest.mark.parametrize(
    ("uri", "to", "status"),
    [
        ("sip:example.com", "<sip:alice@example.com>", 200),
        ("sip:EXAMPLE.com:5070;transport=udp", "<sip:%61lice@Example.Com:5090;x=y>;tag=t", 200),
        ("sip:192.0.2.1", "<sip:alice@example.com>", 200),
        ("sip:alice@example.com", "<sip:alice@example.com>", 200),
        ("sips:example.com", "<sips:alice@example.com>", 200),
        ("sip:example.com", "<sip:bob@example.com>", 403),
        ("sip:example.com", "<sip:Alice@example.com>", 403),
        ("sip:other.example", "<sip:alice@example.com>", 404),
        ("sip:other.example", "<sip:alice@other.example>", 404),
        ("sip:example.com", "<sip:alice@other.example>", 404),
        ("sip:second.example", "<sip:alice@example.com>", 404),
        ("sip:192.0.2.9:5070", "<sip:alice@example.com>", 200),
        ("sip:[2001:db8::1]", "<sip:alice@example.com>", 200),
        ("sip:chat.example.net", "<sip:alice@example.com>", 200),
        ("sip:192.0.2.9", "<sip:alice@other.example>", 404),
        ("tel:+1234", "<sip:alice@example.com>", 404),
        ("sip:example.com", "<sip:example.com>", 404),
        ("sip:example.com", "<tel:+1234>", 400),
    ],
)
def test_domains(uri: str, to: str, status: int) -> None:
    # spec S-REG-1
    desk = Desk(own_hosts=frozenset({"chat.example.net"}))
    request = register(C1, uri=uri, to=to)
    assert desk.ask(request).status == status
    refusal = desk.registrar.check_domain(request)
    assert (None if refusal is None else refusal.status) == (status if status in (400, 404) else None)


def test_the_same_user_of_two_domains_is_two_users() -> None:
    desk = Desk()
    other = Aor("alice", "second.example")
    desk.ask(register(C1))
    desk.ask(register(C2, uri="sip:second.example", to="<sip:alice@second.example>"), aor=other)
    assert desk.bound() == ["sip:alice@198.51.100.7:5062"]
    assert [binding.contact for binding in desk.bindings.lookup(other, WALL)] == ["sip:alice@198.51.100.7:6000"]


def test_domains_can_change() -> None:
    desk = Desk()
    request = register(C1, uri="sip:new.example", to="<sip:alice@new.example>")
    new = Aor("alice", "new.example")
    assert desk.ask(request, aor=new).status == 404
    desk.registrar.reload(RegistrarOptions(domains=("new.example",)))
    assert desk.ask(request, aor=new).status == 200
    assert desk.ask(register(C1)).status == 404


# -- contacts that cannot be ----


@pytest.mark.parametrize(
    ("contact", "status", "reason"),
    [
        ("<tel:+1234>", 400, "Unsupported Contact Scheme"),
        ("<mailto:alice@example.com>", 400, "Unsupported Contact Scheme"),
        ("<sips:alice@198.51.100.7>", 400, "Bad Request"),  # not over TLS
        ("<sip:alice@198.51.100.7;transport=ws>", 400, "Bad Request"),  # not over WebSocket
        (f"<sip:{'a' * 520}@198.51.100.7>", 400, "Bad Request"),
        ("<sip:alice@>", 400, None),
        ("alice", 400, None),
        ("<sip:alice@198.51.100.7", 400, None),
        ("<sip:alice@192.0.2.1:5060>", 403, "Forbidden"),
        ("<sip:alice@192.0.2.1>", 403, "Forbidden"),
        ("<sip:alice@[2001:DB8:0::1]:5060;transport=tcp>", 403, "Forbidden"),
        ("<sip:alice@198.51.100.7;maddr=192.0.2.1>", 403, "Forbidden"),
        ("<sip:alice@example.com>", 403, "Forbidden"),
        ("<sip:alice@224.0.1.75>", 403, "Forbidden"),
        ("<sip:alice@[ff02::1]>", 403, "Forbidden"),
        ("<sip:alice@255.255.255.255>", 403, "Forbidden"),
    ],
)
def test_contacts_that_are_refused(contact: str, status: int, reason: str | None) -> None:
    # spec S-REG-9
    desk = Desk(own_addresses=frozenset({("192.0.2.1", 5060), ("2001:db8::1", 5060)}))
    outcome = desk.ask(register(contact))
    assert outcome.status == status
    assert reason is None or outcome.reason == reason
    assert reason is None or headers(outcome, "Warning")[0].startswith('399 imc "')


def test_other_ports_of_our_host_are_other_programs() -> None:
    desk = Desk(own_addresses=frozenset({("192.0.2.1", 5060)}), domains=("example.com", "192.0.2.1"))
    assert desk.ask(register("<sip:alice@192.0.2.1:5062>")).status == 200
    assert desk.ask(register("<sip:alice@example.com:5062>", cseq=2)).status == 200


def test_schemes_are_a_setting() -> None:
    desk = Desk(contact_schemes=frozenset({"sip"}))
    assert desk.ask(register("<sips:alice@198.51.100.7>")).reason == "Unsupported Contact Scheme"


# -- bounds ----


def test_a_user_has_so_many_contacts() -> None:
    # spec S-REG-10
    desk = Desk(max_contacts=2)
    assert desk.ask(register(C1, C2)).status == 200
    refused = desk.ask(register("<sip:alice@198.51.100.7:7000>", cseq=2))
    assert (refused.status, headers(refused, "Warning")) == (403, ['399 imc "at most 2 contacts for a user"'])
    assert desk.ask(register(C1, cseq=3)).status == 200
    assert desk.ask(register(C1 + ";expires=0", "<sip:alice@198.51.100.7:7000>", cseq=4)).status == 200
    assert len(desk.bindings) == 2


def test_there_are_so_many_bindings() -> None:
    # spec S-REG-10
    desk = Desk(max_bindings=1)
    assert desk.ask(register(C1)).status == 200
    bob = Aor("bob", "example.com")
    refused = desk.ask(register(C2, to="<sip:bob@example.com>"), aor=bob)
    assert (refused.status, headers(refused, "Retry-After")) == (503, ["60"])
    assert desk.ask(register(C1, cseq=2)).status == 200
    assert desk.ask(register(C1, cseq=3, expires="0")).status == 200
    assert desk.ask(register(C2, to="<sip:bob@example.com>"), aor=bob).status == 200


def test_what_does_not_fit_the_columns_is_refused() -> None:
    # spec S-REG-10
    long = Aor("a" * 65, "example.com")
    assert Desk().ask(register(C1, to=f"<{long}>"), aor=long).status == 400
    assert Desk().ask(register(C1, call_id="c" * 256)).status == 400


# -- Path (RFC 3327) ----


PATH = ("Path: <sip:p3.example.net;lr>,<sip:p1.example.org;lr>", "Path: <sip:edge@198.51.100.7:5080;lr>")


def test_path_is_kept_and_returned() -> None:
    # spec S-REG-8
    desk = Desk()
    outcome = desk.ask(register("<sip:alice@10.0.0.5>", extra=(*PATH, "Supported: 100rel, path")))
    assert headers(outcome, "Path") == [line.removeprefix("Path: ") for line in PATH]
    assert desk.only().path == ("<sip:p3.example.net;lr>", "<sip:p1.example.org;lr>", "<sip:edge@198.51.100.7:5080;lr>")
    assert (desk.only().received, desk.only().flow) == ("", None)
    # the next one comes without, and is reached without
    desk.ask(register("<sip:alice@10.0.0.5>", cseq=2))
    assert desk.only().path == ()


def test_path_that_the_client_does_not_support() -> None:
    # spec S-REG-8
    outcome = Desk().ask(register(C1, extra=PATH))
    assert (outcome.status, headers(outcome, "Unsupported")) == (420, ["path"])


@pytest.mark.parametrize(
    "path",
    ["<tel:+1234>", "<sip:p1.example.org", "<sip:" + "p" * 60 + ".example.org;lr>, " * 16 + "<sip:p>", '<sip:p>;x="é"'],
)
def test_path_that_cannot_be(path: str) -> None:
    assert Desk().ask(register(C1, extra=(f"Path: {path}", "Supported: path"))).status == 400


# -- where the client is ----

HERE = "SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bK1"
NATTED = "SIP/2.0/UDP 10.0.0.5:5060;rport;branch=z9hG4bK1"
V6 = Flow("udp", ("2001:db8::1", 5060), ("2001:db8::7", 5062))
LOOPBACK = Flow("udp", ("127.0.0.1", 5060), ("127.0.0.1", 40000))
AT_SOURCE = "sip:198.51.100.7:5062"


@pytest.mark.parametrize(
    ("flow", "via", "contact", "keeps_flow", "received"),
    [
        # over UDP: the contact is the source; another port of it, given by address or by name; behind a NAT
        (UDP, HERE, "sip:alice@198.51.100.7:5062", True, ""),
        (UDP, HERE, "sip:alice@198.51.100.7:6000", False, ""),
        (UDP, HERE, "sip:alice@pc.example.net:5062", False, ""),
        (UDP, NATTED, "sip:alice@10.0.0.5", True, AT_SOURCE),
        (UDP, HERE, "sip:alice@203.0.113.1:5062", True, AT_SOURCE),
        (UDP, HERE, "sip:alice@198.51.100.7:5062;maddr=203.0.113.1", True, AT_SOURCE),
        (UDP, HERE, "sip:x7v@q3k.invalid", True, AT_SOURCE),
        (UDP, "SIP/2.0/UDP 198.51.100.7:5070;rport", "sip:alice@198.51.100.7:5070", True, AT_SOURCE),
        (UDP, "SIP/2.0/UDP 198.51.100.7;rport", "sip:alice@198.51.100.7", True, AT_SOURCE),
        (UDP, "SIP/2.0/UDP 198.51.100.7:5070", "sip:alice@198.51.100.7:5070", False, ""),
        (UDP, "SIP/2.0/UDP 198.51.100.7:5070;rport", "sip:alice@198.51.100.7:5071", False, ""),
        (UDP, NATTED, "sip:alice@10.0.0.5;transport=tcp", False, ""),
        (V6, "SIP/2.0/UDP [2001:db8::7]:5062", "sip:alice@[2001:DB8::0:7]:5062", True, ""),
        (V6, "SIP/2.0/UDP [fd00::7]:5062", "sip:alice@[fd00::7]:5062", True, "sip:[2001:db8::7]:5062"),
        (LOOPBACK, "SIP/2.0/UDP 127.0.0.1:40000", "sip:alice@127.0.0.2:5062", False, ""),
        # over TCP: the connection, but for contacts that want another transport
        (TCP, "SIP/2.0/TCP 198.51.100.7:5062", "sip:alice@198.51.100.7:5062;transport=tcp", True, ""),
        (TCP, "SIP/2.0/TCP 10.0.0.5:5060", "sip:alice@10.0.0.5;transport=TCP", True, ""),
        (TCP, "SIP/2.0/TCP 198.51.100.7:5062", "sip:alice@198.51.100.7:5062", True, ""),
        (TCP, "SIP/2.0/TCP 198.51.100.7:5062", "sip:alice@198.51.100.7:5062;transport=udp", False, ""),
    ],
)
def test_where_the_client_is(flow: Flow, via: str, contact: str, keeps_flow: bool, received: str) -> None:
    # spec S-HOP-5
    desk = Desk()
    desk.ask(register(f"<{contact}>", vias=(via,)), flow=flow)
    assert (desk.only().flow, desk.only().received) == (flow if keeps_flow else None, received)


def test_behind_a_proxy_the_source_says_nothing() -> None:
    # spec S-HOP-5
    desk = Desk()
    desk.ask(register("<sip:alice@10.0.0.5>", vias=("SIP/2.0/UDP 198.51.100.7:5062", "SIP/2.0/UDP 10.0.0.5")))
    assert (desk.only().flow, desk.only().received) == (None, "")


def test_one_connection_is_one_client() -> None:
    # spec S-HOP-6
    desk = Desk()
    vias = ("SIP/2.0/TCP 198.51.100.7:5062",)
    own, other = "<sip:alice@198.51.100.7:5062;transport=tcp>", "<sip:alice@198.51.100.7:7000;transport=tcp>"
    desk.ask(register(own, other, vias=vias), flow=TCP)
    assert {binding.uri.port: binding.flow for binding in desk.bindings.lookup(ALICE, WALL)} == {5062: TCP, 7000: None}
    # one that is moved: the old contact goes in the same request
    desk.ask(register(own + ";expires=0", other, cseq=2, vias=vias), flow=TCP)
    assert desk.only().flow == TCP


# -- whatever comes ----

PIECES = st.sampled_from(
    [
        *(
            "sip:",
            "sips:",
            "tel:",
            "<",
            ">",
            "alice",
            "@",
            "198.51.100.7",
            "[::1]",
            "example.com",
            ":",
            "5062",
            "*",
            ",",
        ),
        *(";", "q=", "expires=", "0", "0.5", "99999999999", "transport=", "tcp", "maddr=", "+sip.instance=", '"', "lr"),
        *("?", "Subject=x", "%41", "%0d%0a", "é", " ", "\t", "=", "-1"),
    ]
)
TEXTS = st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=30)


@given(
    contacts=st.lists(TEXTS, max_size=3),
    expires=st.none() | TEXTS,
    path=st.none() | TEXTS,
    flow=st.sampled_from([UDP, TCP]),
)
def test_any_text_is_decided(contacts: list[str], expires: str | None, path: str | None, flow: Flow) -> None:
    extra = ("Supported: path",) if path is None else ("Supported: path", f"Path: {path}")
    try:
        request = register(*contacts, expires=expires, extra=extra)
    except BadMessage:
        return
    desk = Desk()
    outcome = desk.ask(request, flow=flow)
    assert outcome.status in (200, 400, 403, 423)
    response = build_response(request, outcome.status, outcome.reason, to_tag="t", headers=outcome.headers)
    again = parse_message(response.render(), is_datagram=True)
    assert len(again.contacts) == len(desk.bound())
    for binding in desk.bindings.lookup(ALICE, WALL):
        hop = next_hop(binding)
        assert all(str(parse_uri(uri)) == uri for uri in (hop.uri, hop.next_hop))
