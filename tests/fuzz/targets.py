"""What is fuzzed: functions of octets that raise when something is wrong with a reader, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress

from imc.errors import BadMessage, BadPacket
from imc.manage.binrpc import Kind, packet, read, read_call, take
from imc.sip.digest import Credentials, DigestOptions, DigestVerifier, Verdict, is_same_resource
from imc.sip.events import RequestReceived
from imc.sip.flow import Flow
from imc.sip.framing import StreamFramer
from imc.sip.grammar import is_header_text
from imc.sip.headers import (
    parse_contacts,
    parse_cseq,
    parse_media_type,
    parse_name_addr,
    parse_retry_after,
    parse_via,
    parse_warnings,
)
from imc.sip.ids import Ids
from imc.sip.message import parse_message
from imc.sip.sources import SourceOptions, Sources
from imc.sip.stack import Stack, StackConfig
from imc.sip.uas import UasPolicy
from imc.sip.uri import parse_uri

_UDP = Flow("udp", ("192.0.2.1", 5060), ("198.51.100.7", 5062))
_TCP = Flow("tcp", ("192.0.2.1", 5060), ("198.51.100.7", 40_000), 1)


def message(data: bytes) -> None:
    """What is read is written and read as the same; nothing but BadMessage is raised."""
    for is_datagram in (True, False):
        with suppress(BadMessage):
            read = parse_message(data, is_datagram=is_datagram, max_head=32_768)
            again = parse_message(read.render(), is_datagram=False)
            if again != read:
                raise AssertionError(f"{read!r} is read again as {again!r}")


def stream(data: bytes) -> None:
    """What comes out does not depend on the pieces that it came in; what comes out can be given to the reader."""
    pieces = _cut(data, [len(data)])
    cuts = [1 + byte % 61 for byte in data[:16]] or [1]
    if _cut(data, cuts) != pieces:
        raise AssertionError(f"cut by {cuts} it reads otherwise")
    for item in pieces[0]:
        if isinstance(item, bytes):
            message(item)


def _cut(data: bytes, sizes: list[int]) -> tuple[list[object], bool]:
    """What comes out, and whether it ended with a fault."""
    framer = StreamFramer(16_384)
    found: list[object] = []
    start = turn = 0
    try:
        while start < len(data):
            size = sizes[turn % len(sizes)]
            for item in framer.feed(data[start : start + size]):
                found += [item]
            start += size
            turn += 1
    except BadMessage:
        return found, True
    return found, False


def stack(data: bytes) -> None:
    """Nothing is raised, and at most one answer goes out, which is one; whether it is accepted, refused or repeated."""
    one = Stack(StackConfig(), Ids(random.Random(1)), UasPolicy(), Sources(SourceOptions()))
    for flow in (_UDP, _TCP):
        for event in one.receive(data, flow, 1.0):
            if not isinstance(event, RequestReceived):
                raise AssertionError(f"{event!r} of octets from nobody")  # noqa: TRY004
            if one.accept(event, 1.0):
                one.respond(event, one.build(event.request, 202), 1.0)
            else:
                one.reply_stateless(event, one.build(event.request, 401))
        out = one.output()
        if len(out) > 1:
            raise AssertionError(f"{len(out)} answers")
        for _, answer in out:
            if not answer.startswith(b"SIP/2.0 ") or not answer.endswith(b"\r\n\r\n"):
                raise AssertionError(f"no answer: {answer!r}")
    for now in (5.0, 40.0, 80.0):
        one.tick(now)


def digest(data: bytes) -> None:
    """Nothing but BadMessage from credentials, and no verdict that lets in whoever does not know the password."""
    text = data.decode("utf-8", "surrogateescape")
    with suppress(BadMessage):
        Credentials.parse(text)
    verifier = DigestVerifier(DigestOptions(), b"k" * 32)
    verifier.challenges("example.com", 1.0)
    verdict = verifier.verify(
        text, method="MESSAGE", uri="sip:a@example.com", body=b"", secrets={"MD5": "0" * 32}, now=2.0
    )
    if verdict is Verdict.OK:
        raise AssertionError(f"let in by {text!r}")
    is_same_resource(text, "sip:a@example.com")


def _list_readers() -> tuple[Callable[[str], object], ...]:
    return (
        parse_name_addr, parse_via, parse_cseq, parse_media_type, parse_uri, parse_retry_after,
        lambda text: parse_contacts([text]), lambda text: parse_warnings([text]),
    )  # fmt: skip


def values(data: bytes) -> None:
    """Readers of header values raise nothing but BadMessage; what they read, they write and read as the same."""
    text = data.decode("utf-8", "surrogateescape")
    if not is_header_text(text):  # a line of a message is unfolded, and looked at, before a value is read from it
        return
    for reader in _list_readers():
        with suppress(BadMessage):
            read = reader(text)
            if reader in (parse_name_addr, parse_via, parse_cseq, parse_media_type, parse_uri):
                again = reader(str(read))
                if again != read:
                    raise AssertionError(f"{text!r}: {read!r} is read again as {again!r}")


def binrpc(data: bytes) -> None:
    """Nothing but BadPacket; what is read is written, and from then on read as the same."""
    buffer = bytearray(data)
    calls: list[Sequence[object]] = []
    with suppress(BadPacket):
        while (found := take(buffer, 16_384)) is not None:
            calls.append(read_call(found)[1])
    for values in calls:
        written = _rewrite(values)
        if _rewrite(written) != written:
            raise AssertionError(f"{values!r} is read again as {written!r}, and then otherwise")


def _rewrite(values: Sequence[object]) -> Sequence[object]:
    found = take(bytearray(packet(Kind.CALL, b"x", values)), 2**20)
    if found is None:
        raise AssertionError(f"{values!r} is written as no packet")
    return read(found.body)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "message": message, "stream": stream, "stack": stack, "digest": digest, "values": values,
    "binrpc": binrpc,
}  # fmt: skip
