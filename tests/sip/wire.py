"""Bytes for the stack's tests: a client's requests, and answers to what the stack sends."""

from __future__ import annotations

from collections.abc import Iterable

from imc.sip.flow import Flow
from imc.sip.message import Request, Response, parse_message
from imc.sip.uas import build_response

LOCAL = ("192.0.2.1", 5060)
UDP = Flow("udp", LOCAL, ("192.0.2.9", 5070))
TCP = Flow("tcp", LOCAL, ("192.0.2.9", 40000), 7)

HEAD = b"MESSAGE sip:bob@192.0.2.9:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;rport;branch="
TAIL = (
    b"\r\nFrom: <sip:chat-a@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: c1\r\nCSeq: 1 MESSAGE\r\n"
    b"Max-Forwards: 70\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"
)


def request(
    method: str = "MESSAGE",
    uri: str = "sip:chat-a@example.com",
    *,
    via: str = "SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bKa;rport",
    from_: str = "<sip:alice@example.com>;tag=f",
    to: str = "<sip:chat-a@example.com>",
    call_id: str = "call",
    cseq: str | None = None,
    headers: Iterable[str] = (),
    body: bytes = b"hi",
) -> bytes:
    """A request, in one order of headers. A part given as "" is left out."""
    lines = [f"{method} {uri} SIP/2.0"]
    parts = {
        "Via": via,
        "From": from_,
        "To": to,
        "Call-ID": call_id,
        "CSeq": cseq if cseq is not None else f"1 {method}",
    }
    lines += [f"{name}: {value}" for name, value in parts.items() if value]
    lines += ["Max-Forwards: 70", *headers]
    if body and not any(line.startswith("Content-Type") for line in headers):
        lines.append("Content-Type: text/plain")
    lines.append(f"Content-Length: {len(body)}\r\n\r\n")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + body


def answer_to(data: bytes, status: int) -> bytes:
    """A peer's response to a request that the stack sent."""
    message = parse_message(data, is_datagram=True)
    assert isinstance(message, Request)
    return build_response(message, status, to_tag="peer").render()


def read_response(data: bytes) -> Response:
    message = parse_message(data, is_datagram=True)
    assert isinstance(message, Response)
    return message
