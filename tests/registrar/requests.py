"""REGISTER requests for the tests of the registrar."""

from __future__ import annotations

from imc.aor import Aor
from imc.sip.flow import Flow
from imc.sip.message import Request, parse_message

ALICE = Aor("alice", "example.com")
UDP = Flow("udp", ("192.0.2.1", 5060), ("198.51.100.7", 5062))
TCP = Flow("tcp", ("192.0.2.1", 5060), ("198.51.100.7", 40000), 1)
WALL = 1_000_000.0


def register(
    *contacts: str,
    cseq: int = 1,
    call_id: str = "c1",
    expires: str | None = None,
    uri: str = "sip:example.com",
    to: str = "<sip:alice@example.com>",
    vias: tuple[str, ...] = ("SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bK1",),
    extra: tuple[str, ...] = (),
) -> Request:
    """A REGISTER as it comes from the wire, one Contact header for each of ``contacts``."""
    lines = [f"REGISTER {uri} SIP/2.0", *(f"Via: {via}" for via in vias)]
    lines += ["From: <sip:alice@example.com>;tag=f", f"To: {to}", f"Call-ID: {call_id}", f"CSeq: {cseq} REGISTER"]
    lines += [f"Contact: {contact}" for contact in contacts]
    lines += [] if expires is None else [f"Expires: {expires}"]
    message = parse_message("\r\n".join([*lines, *extra, "", ""]).encode(), is_datagram=True)
    assert isinstance(message, Request)
    return message
