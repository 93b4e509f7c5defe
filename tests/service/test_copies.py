"""Copies: what marks them, and that what comes back is known."""

from __future__ import annotations

from imc.aor import Aor
from imc.delivery.job import Job
from imc.service.copies import Copies
from imc.service.inbound import Inbound
from imc.sip.message import Headers, Request, parse_message

COPIES = Copies(hop="here", extra=(), wall=lambda: 1_000_000_000.0)


def test_a_relayed_message_is_known_when_it_comes_back_here() -> None:
    inbound = Inbound(
        sender=Aor("alice", "example.com"),
        to=Aor("bob", "example.com"),
        content_type="text/plain",
        body=b"hi",
        call_id="c",
        is_automatic=False,
        headers=(),
        answer=lambda _outcome: None,
    )
    dispatch = COPIES.of_relay(inbound)
    Job("j", 1.0, (dispatch,))
    head = (
        b"MESSAGE sip:bob@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n"
        b"To: <sip:bob@example.com>\r\nCall-ID: c\r\n"
    )
    request = parse_message(head + dispatch.shared, is_datagram=True)
    assert isinstance(request, Request)
    assert request.body == b"hi"
    assert COPIES.has_come_back(request.headers)
    elsewhere = Copies(hop="elsewhere", extra=(), wall=lambda: 0.0)
    assert not elsewhere.has_come_back(request.headers)


def test_what_any_room_sent_is_known_everywhere() -> None:
    """Spec S-RELAY-4."""
    assert COPIES.has_come_back(Headers([("IMC-Hop", "elsewhere")]))
    assert not COPIES.has_come_back(Headers([("IMC-Relay", "elsewhere"), ("Subject", "x")]))
