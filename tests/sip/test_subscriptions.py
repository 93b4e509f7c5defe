"""What SUBSCRIBE says (RFC 6665), and the dialog that it makes."""

from __future__ import annotations

import pytest

from imc.errors import BadMessage
from imc.sip.dialogs import Dialog, DialogId, read_target
from imc.sip.message import Headers, Request
from imc.sip.subscriptions import Event, Intervals, accepts, read_event
from imc.sip.uas import Refusal, UasPolicy

POLICY = UasPolicy(methods=("MESSAGE", "SUBSCRIBE"), events=("conference",))


def subscribe(**headers: str) -> Request:
    """``_`` stands for a hyphen; an empty value takes a header away."""
    fields = {
        "Via": "SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1",
        "From": '"A \\"B" <sip:alice@example.com;x=y>;tag=a1;z',
        "To": "sip:chat-x@example.com",
        "Call-ID": "c1",
        "CSeq": "7 SUBSCRIBE",
        "Contact": "<sip:alice@192.0.2.7;method=INVITE?Subject=x>",
    }
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    given = [(name, value) for name, value in fields.items() if value]
    return Request("SUBSCRIBE", "sip:chat-x@example.com", Headers(given))


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("conference", Event("conference")),
        ("conference ; id=7", Event("conference", "7")),
        ("presence.winfo;x=y", Event("presence.winfo")),
        ("", None),
    ],
)
def test_events(text: str, event: Event | None) -> None:
    assert read_event(subscribe(Event=text)) == event


@pytest.mark.parametrize("text", ["a b", ";id=7", 'conference;id="a b"', "conference;;"])
def test_bad_events(text: str) -> None:
    with pytest.raises(BadMessage):
        read_event(subscribe(Event=text))


@pytest.mark.parametrize("text", ["presence", "", "Conference", "conference.winfo"])
def test_other_packages_are_refused(text: str) -> None:
    """S-EVT-1."""
    assert POLICY.check(subscribe(Event=text)) == Refusal(489, (("Allow-Events", "conference"),))
    assert POLICY.check(subscribe(Event="conference;id=x")) is None
    assert POLICY.answer_options(subscribe(), "t").headers.get("Allow-Events") == "conference"
    assert "Allow-Events" not in UasPolicy().answer_options(subscribe(), "t").headers


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 3600), ("0", 0), ("59", None), ("60", 60), ("3601", 3600), ("4294967295", 3600)]
)
def test_intervals(text: str, seconds: int | None) -> None:
    """S-EVT-5."""
    assert Intervals().read(subscribe(Expires=text)) == seconds
    assert Intervals(shortest=3600, longest=7200).read(subscribe(Expires="3600")) == 3600


@pytest.mark.parametrize(
    ("text", "is_accepted"),
    [
        ("", True),
        ("application/conference-info+xml", True),
        ("text/plain, application/*", True),
        ("application/conference-info+xml;q=0", False),
        ("application/pidf+xml", False),
    ],
)
def test_accept(text: str, is_accepted: bool) -> None:
    """S-EVT-5."""
    assert accepts(subscribe(Accept=text), "application/conference-info+xml") is is_accepted


def test_a_dialog() -> None:
    """S-EVT-8: addresses go back as they came, the route set as it stands (RFC 3261 §12.1.1, §12.2.1.1)."""
    request = subscribe(Record_Route="<sip:one.example;lr>, <sip:two.example;lr>")
    dialog = Dialog.begin(request, "b2")
    assert dialog.id == DialogId("c1", "b2", "a1")
    assert dialog.next_hop == "sip:one.example;lr"
    uri, tail = dialog.request("NOTIFY", [("Event", "conference")], b"xyz", sent_by="192.0.2.1")
    assert uri == "sip:alice@192.0.2.7"
    assert tail.decode() == (
        "\r\nRoute: <sip:one.example;lr>\r\nRoute: <sip:two.example;lr>\r\nMax-Forwards: 70\r\n"
        "From: sip:chat-x@example.com;tag=b2\r\n"
        'To: "A \\"B" <sip:alice@example.com;x=y>;tag=a1;z\r\nCall-ID: c1\r\nCSeq: 1 NOTIFY\r\n'
        "Contact: <sip:192.0.2.1>\r\nEvent: conference\r\nContent-Length: 3\r\n\r\nxyz"
    )


def test_what_comes_later_in_a_dialog() -> None:
    """RFC 3261 §12.2.2: in order, and with a new target perhaps."""
    dialog = Dialog.begin(subscribe(), "b2")
    assert dialog.next_hop == "sip:alice@192.0.2.7"
    assert not dialog.follow(subscribe(Contact="<sip:alice@192.0.2.9>"))
    assert dialog.next_hop == "sip:alice@192.0.2.7"
    assert dialog.follow(subscribe(CSeq="9 SUBSCRIBE", Contact="<sip:alice@192.0.2.9>"))
    assert dialog.follow(subscribe(CSeq="10 SUBSCRIBE", Contact=""))
    assert dialog.next_hop == "sip:alice@192.0.2.9"


@pytest.mark.parametrize(
    ("contact", "status"),
    [
        ("", 400),
        ("*", 400),
        ("<tel:1>", 400),
        ("<sip:a@192.0.2.1>, <sip:b@192.0.2.1>", 400),
        ("<sip:a@224.0.0.1>", 403),
        ("<sip:a@192.0.2.1;maddr=255.255.255.255>", 403),
        ("<sip:a@[ff02::1]>", 403),
    ],
)
def test_bad_targets(contact: str, status: int) -> None:
    """S-EVT-8."""
    with pytest.raises(BadMessage) as error:
        read_target(subscribe(Contact=contact))
    assert error.value.status == status


def test_no_dialog_without_a_tag() -> None:
    with pytest.raises(BadMessage):
        Dialog.begin(subscribe(From="<sip:alice@example.com>"), "b2")
