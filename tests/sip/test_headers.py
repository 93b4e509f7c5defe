from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.errors import BadMessage
from imc.sip import headers
from imc.sip.headers import (
    CSeq,
    NameAddr,
    Via,
    _parse_name_addr,
    parse_contacts,
    parse_cseq,
    parse_name_addr,
    parse_name_addrs,
    parse_via,
    parse_vias,
    salvage_vias,
)
from imc.sip.uri import OtherUri, SipUri, TelUri, parse_uri
from tests import strategies as sip

ALICE = SipUri("sip", "alice", None, "example.com")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("<sip:alice@example.com>", NameAddr(None, ALICE)),
        ("sip:alice@example.com", NameAddr(None, ALICE)),
        ("  <sip:alice@example.com> ", NameAddr(None, ALICE)),
        ("Alice <sip:alice@example.com>", NameAddr("Alice", ALICE)),
        ("A. Lice\t <sip:alice@example.com>;tag=1", NameAddr("A. Lice", ALICE, (("tag", "1"),))),
        ("caller<sip:alice@example.com>", NameAddr("caller", ALICE)),
        ('"Alice"<sip:alice@example.com>', NameAddr("Alice", ALICE)),
        ('"A \\"<\\\\ é" <sip:alice@example.com> ; a = b', NameAddr('A "<\\ é', ALICE, (("a", "b"),))),
        ('"" <sip:alice@example.com>', NameAddr("", ALICE)),
        ('"a\\\0" <sip:alice@example.com>', NameAddr("a\0", ALICE)),
        # RFC 4475 §3.3.12: a parameter of the header, not of the URI
        ("sip:alice@example.com;tag=1;x", NameAddr(None, ALICE, (("tag", "1"), ("x", None)))),
        ("sip:alice@example.com ; tag=1", NameAddr(None, ALICE, (("tag", "1"),))),
        (
            "<sip:alice@example.com;x>",
            NameAddr(None, SipUri("sip", "alice", None, "example.com", None, (("x", None),))),
        ),
        ("tel:+1;tag=2", NameAddr(None, TelUri("+1"), (("tag", "2"),))),
        ("<name:John_Smith>", NameAddr(None, OtherUri("name", "John_Smith"))),
    ],
)
def test_reading_an_address(text: str, value: NameAddr) -> None:
    assert parse_name_addr(text) == value
    assert parse_name_addr(str(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "", "<>", "<", ">", "alice", "<sip:alice@example.com", "sip:alice@example.com>", "< sip:alice@example.com >",
        '"Alice <sip:alice@example.com>', '"Alice', '"Alice"', '"Alice" sip:alice@example.com',
        '"Alice" x <sip:alice@example.com>', '"Alice\\" <sip:alice@example.com>', "Bell, A <sip:alice@example.com>",
        "Zoë <sip:alice@example.com>", "sip:alice@example.com?a=b", "<sip:alice@example.com>;", "sip:a@example.com;",
        "<sip:alice@example.com>x", "<sip:alice@example.com> x", "<sip:alice@example.com>;tag=1;tag=2",
        "<sip:alice@example.com>,<sip:bob@example.com>", "<sip:alice@example.com><sip:bob@example.com>", "*",
        "sip:a,b@example.com", "x sip:alice@example.com",
    ],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(BadMessage):
        parse_name_addr(text)


def test_the_parts_of_a_contact() -> None:
    contact = parse_name_addr('<sip:alice@example.com>;q=0.5;expires=60;+sip.instance="<urn:x>"')
    assert (contact.q, contact.expires, contact.tag) == (500, 60, None)
    assert contact.param("+sip.instance") == "<urn:x>"
    assert contact.sip_uri is contact.uri


def test_a_contact_without_parameters() -> None:
    contact = parse_name_addr("<tel:+1>")
    assert (contact.q, contact.expires) == (1000, None)
    with pytest.raises(BadMessage):
        _ = contact.sip_uri


@pytest.mark.parametrize(("value", "seconds"), [("0", 0), ("280297596632815", 2**32 - 1), ("soon", 3600), ("-1", 3600)])
def test_the_expires_parameter_of_a_contact(value: str, seconds: int) -> None:
    # RFC 3261 §20.10
    assert parse_name_addr(f"<sip:a@b>;expires={value}").expires == seconds


def test_a_bad_q_is_refused_when_it_is_asked_for() -> None:
    with pytest.raises(BadMessage):
        _ = parse_name_addr("<sip:a@b>;q=2").q


def test_a_display_name_cannot_break_its_line() -> None:
    with pytest.raises(ValueError, match="CR and LF"):
        str(NameAddr("a\r\nVia: x", ALICE))


def test_a_tag_is_added() -> None:
    assert str(parse_name_addr("sip:alice@example.com").with_param("tag", "1")) == "<sip:alice@example.com>;tag=1"


@pytest.mark.parametrize(
    ("text", "via"),
    [
        ("SIP/2.0/UDP host", Via("SIP/2.0", "UDP", "host")),
        (
            "SIP/2.0/tcp Host.Example.com:5060;branch=z9hG4bK1;rport",
            Via("SIP/2.0", "TCP", "host.example.com", 5060, (("branch", "z9hG4bK1"), ("rport", None))),
        ),
        ("SIP/2.0/UDP [2001:db8::9:1]:6050", Via("SIP/2.0", "UDP", "[2001:db8::9:1]", 6050)),
        ("sip/2.0/UDP host", Via("SIP/2.0", "UDP", "host")),
        ("SIP/7.0/UDP host", Via("SIP/7.0", "UDP", "host")),
        (
            " SIP  /   2.0\t/ UDP \t host : 5060 ; branch = x ; y ",
            Via("SIP/2.0", "UDP", "host", 5060, (("branch", "x"), ("y", None))),
        ),
        ('SIP/2.0/UNKNOWN host;a="b,;c"', Via("SIP/2.0", "UNKNOWN", "host", None, (("a", '"b,;c"'),))),
        (f"SIP/2.0/UDP {'a' * 100};x", Via("SIP/2.0", "UDP", "a" * 100, None, (("x", None),))),
    ],
)
def test_reading_a_via(text: str, via: Via) -> None:
    assert parse_via(text) == via
    assert parse_via(str(via)) == via


@pytest.mark.parametrize(
    "text",
    [
        "", "SIP/2.0/UDP", "SIP/2.0/UDP ", "SIP/2.0 host", "SIP/2.0/UDP/host", "SIP/2.0/U(DP host",
        "SIP/2.0/UDP;x host",
        "SIP/2.0/UDP host host", "SIP/2.0/UDP host:", "SIP/2.0/UDP host:0", "SIP/2.0/UDP a:x", "SIP/2.0/UDP host;",
        "SIP/2.0/UDP host;;", "SIP/2.0/UDP host,", "SIP/2.0/UDP host;branch=", "SIP/2.0/UDP host;branch=a;branch=b",
        "SIP/2.0/UDP 2001:db8::1", "SIP/2.0/UDP [::1", "SIP/2.0/UDP <host>", 'SIP/2.0/UDP "host"', "SIP/2.0/UDP ho\0st",
        "SIP//UDP host", "/2.0/UDP host", "é/2.0/UDP host", "SIP/2.0/UDP, SIP/2.0/UDP host",
    ],
)  # fmt: skip
def test_what_is_no_via(text: str) -> None:
    with pytest.raises(BadMessage):
        parse_via(text)


def test_the_parts_of_a_via() -> None:
    via = parse_via("SIP/2.0/UDP host:5070;branch=z9hG4bK1;received=[2001:db8::1];rport=5080;maddr=192.0.2.1;x")
    assert (via.branch, via.received, via.rport, via.maddr) == ("z9hG4bK1", "2001:db8::1", 5080, "192.0.2.1")
    assert via.sent_by == "host:5070"
    assert via.param("x") == ""


def test_the_parts_of_a_bare_via() -> None:
    via = parse_via("SIP/2.0/UDP Host")
    assert (via.branch, via.received, via.rport, via.maddr, via.sent_by) == (None, None, None, None, "host")


def test_rport_without_value_asks_for_one() -> None:
    # RFC 3581 §3, §4
    via = parse_via("SIP/2.0/UDP host;rport;branch=x")
    assert via.rport == 0
    answered = via.with_param("received", "192.0.2.1").with_param("rport", "4711")
    assert str(answered) == "SIP/2.0/UDP host;rport=4711;branch=x;received=192.0.2.1"


@pytest.mark.parametrize("value", ["x", "65536", "-1"])
def test_a_bad_rport_is_refused_when_it_is_asked_for(value: str) -> None:
    with pytest.raises(BadMessage):
        _ = parse_via(f"SIP/2.0/UDP host;rport={value}").rport


@pytest.mark.parametrize(
    ("text", "cseq"),
    [
        ("1 MESSAGE", CSeq(1, "MESSAGE")),
        ("0009 \t INVITE", CSeq(9, "INVITE")),
        (f"{2**31 - 1} a.b", CSeq(2**31 - 1, "a.b")),
        ("0 RE%47IST%45R", CSeq(0, "RE%47IST%45R")),
        ("000000000000000000001 MESSAGE", CSeq(1, "MESSAGE")),
    ],
)
def test_reading_a_cseq(text: str, cseq: CSeq) -> None:
    assert parse_cseq(text) == cseq
    assert parse_cseq(str(cseq)) == cseq


@pytest.mark.parametrize(
    "text",
    ["", "1", "MESSAGE", "1MESSAGE", "MESSAGE 1", "1 MESSAGE x", "-1 MESSAGE", "+1 MESSAGE", "1.0 MESSAGE", "1 ME;SS",
     f"{2**31} MESSAGE", "36893488147419103232 REGISTER", "١ MESSAGE", "1\xa0MESSAGE", "1 MÉS", "1 ",
     "9" * 5000 + " A"],
)  # fmt: skip
def test_what_is_no_cseq(text: str) -> None:
    with pytest.raises(BadMessage):
        parse_cseq(text)


def test_lists_go_over_several_lines() -> None:
    values = ['"A, B" <sip:a@example.com>, <sip:b,c@example.com>;x=","', "sip:d@example.com"]
    assert [str(item.uri) for item in parse_name_addrs(values)] == [
        "sip:a@example.com", "sip:b,c@example.com", "sip:d@example.com",
    ]  # fmt: skip
    assert [via.host for via in parse_vias(['SIP/2.0/UDP a, SIP/2.0/TCP b;x=","', "SIP/2.0/TCP c"])] == ["a", "b", "c"]


@pytest.mark.parametrize("values", [[""], ["<sip:a@b>,"], [",<sip:a@b>"], ["<sip:a@b>,,<sip:a@b>"], ["<sip:a@b>", ""]])
def test_lists_have_no_empty_elements(values: list[str]) -> None:
    with pytest.raises(BadMessage):
        parse_name_addrs(values)


def test_contacts() -> None:
    assert parse_contacts([]) == []
    assert parse_contacts(["*"]) is None
    assert parse_contacts(["<sip:a@b>", "c <sip:c@d>"]) == [
        NameAddr(None, parse_uri("sip:a@b")),
        NameAddr("c", parse_uri("sip:c@d")),
    ]


@pytest.mark.parametrize("values", [["*", "*"], ["*,*"], ["*", "<sip:a@b>"], ["<sip:a@b>,*"], ["*;expires=0"], [""]])
def test_a_star_is_alone(values: list[str]) -> None:
    with pytest.raises(BadMessage):
        parse_contacts(values)


@pytest.mark.parametrize(
    ("lines", "good"),
    [
        (["SIP/2.0/UDP a;branch=x"], ["SIP/2.0/UDP a;branch=x"]),
        # RFC 4475 §3.1.2.1
        (["SIP/2.0/UDP 192.0.2.15;;,;,,"], ["SIP/2.0/UDP 192.0.2.15"]),
        (
            ["SIP/2.0/UDP a;=;branch=x;branch=y;b c", "rubbish", "SIP/2.0/TCP b"],
            ["SIP/2.0/UDP a;branch=x", "SIP/2.0/TCP b"],
        ),
        (["rubbish", "SIP/2.0/TCP b"], []),
        (['SIP/2.0/UDP a;x="y'], []),
        ([], []),
    ],
)
def test_salvaging_vias(lines: list[str], good: list[str]) -> None:
    assert salvage_vias(lines) == good


PIECES = st.text(st.sampled_from('<>";,=\\*@:/ \tabSIPsip2.0[]%') | sip.header_chars, max_size=30)


@pytest.mark.parametrize("parse", [parse_name_addr, parse_via, parse_cseq])
@given(text=PIECES | sip.name_addrs() | sip.vias())
def test_only_bad_message_escapes(parse: Callable[[str], Any], text: str) -> None:
    try:
        value = parse(text)
    except BadMessage:
        return
    assert parse(str(value)) == value
    assert str(parse(str(value))) == str(value)


@given(PIECES, sip.vias())
def test_only_good_vias_are_salvaged(text: str, via: str) -> None:
    for good in salvage_vias([text, via + text]):
        parse_via(good)


@given(sip.name_addrs())
def test_every_address_is_read(text: str) -> None:
    value = parse_name_addr(text)
    assert parse_name_addr(str(value)) == value


@given(sip.vias())
def test_every_via_is_read(text: str) -> None:
    assert parse_via(str(parse_via(text))) == parse_via(text)


@pytest.mark.parametrize("tail", [",", "<", '"', "\r\nx", " x", "=", "\\"])
@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_name_addr, '"Alice" <sip:alice@example.com>;tag=1'),
        (parse_name_addr, "sip:alice@example.com;tag=1"),
        (parse_via, "SIP/2.0/UDP host;branch=x"),
        (parse_cseq, "1 MESSAGE"),
    ],
)
def test_nothing_may_trail(parse: Callable[[str], Any], text: str, tail: str) -> None:
    parse(text)
    with pytest.raises(BadMessage):
        parse(text + tail)


def test_vias_are_bounded() -> None:
    vias = ["SIP/2.0/UDP a;branch=x"] * 70
    assert len(parse_vias(vias)) == len(parse_vias([",".join(vias)])) == 70
    assert len(salvage_vias(vias)) == len(salvage_vias([",".join(vias)])) == 70
    for more in ([*vias, vias[0]], [",".join([*vias, vias[0]])], [",".join(vias), vias[0]]):
        assert salvage_vias(more) == []
        with pytest.raises(BadMessage):
            parse_vias(more)
    long = "SIP/2.0/UDP a;branch=x;y=" + "z" * 4071  # 4,096
    assert len(parse_vias([long, long])) == 2
    with pytest.raises(BadMessage):
        parse_vias([long, long + "z"])


@pytest.mark.parametrize("rest", [",", ";", ";a", ";=", ';"', ';""', ',"",', ",<>", ",SIP/2.0/UDP b;;;", " x"])
@pytest.mark.parametrize("is_split", [False, True])
def test_what_is_read_of_vias_is_bounded(rest: str, is_split: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []
    for name in ("parse_via", "parse_params"):
        monkeypatch.setattr(headers, name, _counting(getattr(headers, name), looked_at))
    top = "SIP/2.0/UDP a;branch=z"
    for count in (300, 2500, 60_000):
        lines = [top, *[rest] * count] if is_split else [top + rest * count]
        salvage_vias(lines)
        with contextlib.suppress(BadMessage):
            parse_vias(lines)
    assert len(looked_at) < 3 * 2 * (256 + 70)


def _counting(parse: Callable[[str], Any], seen: list[str]) -> Callable[[str], Any]:
    def count(text: str) -> Any:
        seen.append(text)
        return parse(text)

    return count


_PIECES = st.sampled_from(
    [
        "<",
        ">",
        ";tag=",
        ">;tag=",
        "sip:a@b.example",
        '"',
        "A",
        " ",
        ";",
        "=",
        ",",
        "x",
        "t1",
        "<sip:a@b>",
        "\\",
        "%",
        ":",
    ]
)


@given(st.lists(_PIECES, max_size=9).map("".join))
def test_the_short_way_reads_addresses_as_the_long_one_does(text: str) -> None:
    def read(parse: Callable[[str], NameAddr]) -> NameAddr | str:
        try:
            return parse(text)
        except BadMessage as error:
            return error.reason

    assert read(parse_name_addr) == read(_parse_name_addr)
