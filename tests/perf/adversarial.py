"""What hostile text costs to read: `python -m tests.perf.adversarial`, in nanoseconds a byte at growing sizes.

`SHAPES` are messages made so that a reader who tries anything twice would do so at every byte. A figure that grows with
the size would be a reader that is worse than linear. `tests/sip/test_complexity.py` holds the same shapes against a
count of steps, which no other load on the machine can disturb.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from contextlib import suppress

from imc.errors import BadMessage
from imc.sip.digest import Credentials
from imc.sip.framing import StreamFramer
from imc.sip.message import Request, parse_message

SIZES = (1_024, 4_096, 16_384, 65_536)
_HEAD = (
    "MESSAGE sip:a@h SIP/2.0", "Via: SIP/2.0/UDP h;branch=z9hG4bK1", "From: <sip:b@h>;tag=1", "To: <sip:a@h>",
    "Call-ID: 1", "CSeq: 1 MESSAGE",
)  # fmt: skip


def fill(piece: str, size: int) -> str:
    """``piece`` again and again, ``size`` characters."""
    return (piece * (size // len(piece) + 1))[:size]


def message(line: str, *, instead: str = "") -> bytes:
    """A request with ``line``, in place of the header whose name is ``instead``."""
    lines = [each for each in _HEAD if not instead or not each.startswith(instead)]
    return ("\r\n".join([*lines, line]) + "\r\n\r\n").encode()


def header(name: str, piece: str, before: str = "", after: str = "") -> Callable[[int], bytes]:
    return lambda size: message(f"{name}: {before}{fill(piece, size)}{after}", instead=f"{name}:")


SHAPES: dict[str, Callable[[int], bytes]] = {
    "open quotes": header("From", '"'),
    "escaped quotes": header("From", '\\"', '"', '" <sip:a@h>;tag=1'),
    "backslashes": header("From", "\\\\", '"', '" <sip:a@h>;tag=1'),
    "backslashes without end": header("From", "\\", '"'),
    "quotes and brackets": header("To", '"<'),
    "open brackets": header("To", "<"),
    "display tokens": header("From", "a ", after=" <sip:a@h>;tag=1"),
    "commas": header("Contact", ","),
    "contacts": header("Contact", "<sip:a@h>,"),
    "routes": header("Route", "<sip:a@h;lr>,"),
    "vias in one line": header("Via", "SIP/2.0/UDP h;branch=z9hG4bK1,"),
    "vias": lambda size: message(fill("Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\n", size) + "X: 1"),
    "via blanks": header("Via", " ", "SIP/", "2.0/UDP h"),
    "via blanks between": header("Via", " \t", "SIP/2.0/UDP h", ":5060;branch=z9hG4bK1"),
    "via parameters": header("Via", ";a", "SIP/2.0/UDP h;branch=z9hG4bK1"),
    "via bad parameters": header("Via", ";=", "SIP/2.0/UDP h;branch=z9hG4bK1"),
    "parameters": header("To", ";p=v", "<sip:a@h>"),
    "long parameter": header("To", "x", "<sip:a@h>;p="),
    "quoted parameters": header("To", ';p="\\""', "<sip:a@h>"),
    "uri parameters": header("To", ";p=v", "<sip:a@h", ">"),
    "uri headers": header("To", "&a=b", "<sip:a@h?x=y", ">"),
    "uri escapes": header("To", "%41", "<sip:", "@h>"),
    "uri bad escapes": header("To", "%", "<sip:", "@h>"),
    "uri colons": header("To", ":", "<sip:a", "@h>"),
    "uri at signs": header("To", "@", "<sip:a", ">"),
    "host labels": header("To", "a.", "<sip:a@", ">"),
    "host hyphens": header("To", "-", "<sip:a@a", ">"),
    "ipv6": header("To", "0:", "<sip:a@[", "]>"),
    "cseq digits": header("CSeq", "9", after=" MESSAGE"),
    "cseq zeros": header("CSeq", "0", after="1 MESSAGE"),
    "length zeros": header("Content-Length", "0"),
    "length digits": header("Content-Length", "9"),
    "expires digits": header("Expires", "9"),
    "call-id words": header("Call-ID", "a@"),
    "call-id": header("Call-ID", "(<>)"),
    "folded lines": header("Subject", "\r\n a"),
    "folded blanks": header("Subject", "\r\n  "),
    "short headers": lambda size: message(fill("a:b\r\n", size) + "X: 1"),
    "new headers": lambda size: message("\r\n".join(f"h{number}:" for number in range(size // 7)) + "\r\nX: 1"),
    "lines that are none": lambda size: message(fill("a\r\n", size) + "X: 1"),
    "controls": header("Subject", "\x01"),
    "quoted controls": header("Subject", '"\\\x01"'),
    "carriage returns": lambda size: message("Subject: " + fill("\r", size)),
    "no utf-8": lambda size: message("Subject: ") + b"\xff" * size,
    "media type": header("Content-Type", ";a=b", "text/plain"),
    "accept": header("Accept", "a/b;q=0.1,"),
    "require": header("Require", "a,"),
    "disposition": header("Content-Disposition", ";", "render"),
    "nested comments": header("Retry-After", "(", "1"),
    "warnings": header("Warning", '399 a "b",'),
    "credentials": header("Authorization", 'a="\\"",', "Digest "),
    "credentials without end": header("Authorization", "a=b, ", "Digest "),
    "identities": header("P-Asserted-Identity", "<sip:a@h>,"),
    "blank lines first": lambda size: b"\r\n" * (size // 2) + message("X: 1"),
    "start line": lambda size: fill("MESSAGE ", size).encode() + b"\r\n\r\n",
    "request uri": lambda size: message("X: 1").replace(b"sip:a@h SIP", fill("sip:a@h;", size).encode() + b" SIP", 1),
}


def read(data: bytes) -> None:
    """All that the daemon may do to read a message, whole and as a stream in pieces."""
    for is_datagram in (True, False):
        try:
            request = parse_message(data, is_datagram=is_datagram)
        except BadMessage:
            continue
        if isinstance(request, Request):
            read_all(request)
    framer = StreamFramer(1 << 20)
    with suppress(BadMessage):
        for start in range(0, len(data), 1_024):
            for _ in framer.feed(data[start : start + 1_024]):
                pass


def read_all(request: Request) -> None:
    readers: tuple[Callable[[], object], ...] = (
        lambda: request.vias,
        lambda: request.contacts,
        lambda: request.is_contact_star,
        lambda: request.routes,
        lambda: request.accept,
        lambda: request.content_type,
        lambda: request.expires,
        lambda: request.tokens("Require"),
        lambda: request.name_addrs("P-Asserted-Identity"),
        lambda: [Credentials.parse(value) for value in request.headers.all("Authorization")[:8]],
        request.render,
    )
    for reader in readers:
        with suppress(BadMessage):
            reader()


def cost(data: bytes, rounds: int) -> float:
    """Seconds, the best of ``rounds``."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        read(data)
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description="Nanoseconds a byte for hostile messages of growing size.")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    gc.disable()
    print(f"{'':26}" + "".join(f"{size // 1024:>7}k" for size in SIZES))
    for name, make in SHAPES.items():
        data = [make(size) for size in SIZES]
        print(f"{name:26}" + "".join(f"{1e9 * cost(each, options.rounds) / len(each):8.1f}" for each in data))


if __name__ == "__main__":
    main()
