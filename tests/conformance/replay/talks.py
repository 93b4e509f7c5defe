"""Messages and small conversations, as they are recorded."""

from __future__ import annotations

from conformance.replay.recording import Address, Recorded, Recording

SERVER = Address("192.0.2.1", 5060)
ALICE = Address("192.0.2.7", 5062)
BOB = Address("192.0.2.8", 5064)


def request(
    method: str = "MESSAGE",
    uri: str = "sip:chat-a@example.com",
    *,
    sender: str = "alice",
    to: str | None = None,
    via: Address = ALICE,
    transport: str = "UDP",
    branch: str = "z9hG4bK1",
    call_id: str = "c1",
    cseq: int = 1,
    tag: str = "t1",
    headers: str = "",
    body: str = "",
) -> bytes:
    content = f"Content-Type: text/plain\r\nContent-Length: {len(body.encode())}\r\n\r\n{body}"
    if "Content-Type:" in headers:
        content = content.partition("\r\n")[2]
    return (
        f"{method} {uri} SIP/2.0\r\n"
        f"Via: SIP/2.0/{transport} {via};branch={branch};rport\r\n"
        f"From: <sip:{sender}@example.com>;tag={tag}\r\n"
        f"To: <{to or uri}>\r\n"
        f"Call-ID: {call_id}\r\n"
        f"CSeq: {cseq} {method}\r\n"
        f"{headers}{content}"
    ).encode()


def response(of: bytes, status: int = 200, reason: str = "OK", *, headers: str = "", body: str = "") -> bytes:
    """A response to what `request` made."""
    head = of.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    lines = [line for line in head if line.startswith(("Via:", "From:", "To:", "Call-ID:", "CSeq:"))]
    lines = [line + ";tag=s1" if line.startswith("To:") and ";tag=" not in line else line for line in lines]
    copied = "\r\n".join(lines)
    return f"SIP/2.0 {status} {reason}\r\n{copied}\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def recorded(
    data: bytes, source: Address = ALICE, target: Address = SERVER, at: float = 0.0, transport: str = "udp"
) -> Recorded:
    return Recorded(at, transport, source, target, data, f"at {at}")


def recording(*messages: Recorded) -> Recording:
    found = Recording("test")
    for message in messages:
        found.add(message)
    return found


def asked(at: float, data: bytes, status: int = 200, reason: str = "OK", *, client: Address = ALICE) -> list[Recorded]:
    """A request of a client, and the response 10 ms later."""
    return [
        recorded(data, client, SERVER, at),
        recorded(response(data, status, reason), SERVER, client, at + 0.01),
    ]


def told(at: float, data: bytes, status: int | None = 200, *, client: Address = BOB) -> list[Recorded]:
    """A request of the server, and the client's answer 10 ms later."""
    found = [recorded(data, SERVER, client, at)]
    if status is not None:
        found.append(recorded(response(data, status, "as recorded"), client, SERVER, at + 0.01))
    return found


def copy_for(user: str, text: str, *, to: Address = BOB, branch: str, call_id: str, headers: str = "") -> bytes:
    """What the room sends to a member."""
    return request(
        "MESSAGE",
        f"sip:{user}@{to}",
        sender="chat-a",
        to=f"sip:{user}@example.com",
        via=SERVER,
        branch=branch,
        call_id=call_id,
        body=text,
        headers=headers,
    )
