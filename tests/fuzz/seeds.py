"""Valid and torturous octets to begin with, and mutations of them that are the same on every run."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tests.perf.adversarial import SHAPES
from tests.sip.torture import RFC4475, RFC5118

_AUTHORIZATION = (
    b'Digest username="alice",realm="example.com",nonce="abc",uri="sip:a@example.com",response="'
    + b"0" * 32
    + b'",algorithm=MD5,qop=auth,nc=00000001,cnonce="x"'
)
_VALUES = (
    b'"A \\"B\\" C" <sip:%61:b@[2001:db8::1]:5060;lr;p=%41?x=y>;tag=1;q=0.5', b"sip:a@b;tag=1", b"<tel:+1-2>",
    b"SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bK1;rport;received=::1", b"SIP / 2.0 / TCP  a : 1 ; branch = x",
    b"2147483647 MESSAGE", b'text/plain;charset="utf-8"', b"*", b'399 a "b \\" c"', b"120 (x);duration=3",
)  # fmt: skip
# Of kamcmd, with every number that it writes; and structs and arrays within each other.
_PACKETS = tuple(
    bytes.fromhex(text)
    for text in (
        "a103294a13edc5 9111696d632e6c6973745f6d656d6265727300 91147369703a636861742d7740696d632e7465737400",
        "a103234b8ae301 217800 82fffffffffffff63c 320f4240 02 2201f4 5202dfdc1aa4 6201f3fffffe0c 1100",
        "a1002100 217800 03 256100 1001 256200 03 03 256300 1100 83 83 256400 04 04 84 36616263 84 83",
    )
)
DICTIONARY = (
    b"\r\n", b"\r\n ", b"\r\n\r\n", b": ", b";", b",", b"<", b">", b'"', b"\\", b"%0d%0a", b"\0", b"\xff", b"@", b"[",
    b"]", b"SIP/2.0", b"SIP/2.0/UDP ", b"sip:", b"sips:", b"tel:", b"MESSAGE", b"REGISTER", b"OPTIONS", b"ACK",
    b"CANCEL", b"Via", b"From", b"To", b"Call-ID", b"CSeq", b"Contact", b"Content-Length", b"Content-Type",
    b"Max-Forwards", b"Require", b"Expires", b"Authorization", b"Digest ", b"z9hG4bK", b";branch=", b";tag=", b";rport",
    b";received=", b";maddr=", b"-1", b"4294967296",
)  # fmt: skip


def seeds(target: str) -> list[bytes]:
    """What this target begins with."""
    if target == "digest":
        return [_AUTHORIZATION, _AUTHORIZATION.replace(b"MD5", b"SHA-256"), b"Basic YTpi"]
    if target == "values":
        return list(_VALUES)
    if target == "binrpc":
        return [*_PACKETS, b"".join(_PACKETS)]
    whole = [each.data for each in (*RFC4475, *RFC5118)] + [make(200) for make in SHAPES.values()]
    return [b"".join(whole[at : at + 3]) for at in range(0, len(whole), 3)] if target == "stream" else whole


def mutations(target: str, count: int, seed: int = 1, more: Sequence[bytes] = ()) -> Iterator[bytes]:
    """So many, the same on every run. ``more`` is what to begin with beside the seeds."""
    chance = random.Random(f"{target} {seed}")
    known = [*seeds(target), *more]
    for _ in range(count):
        data = bytearray(chance.choice(known))
        for _ in range(chance.choice((1, 1, 2, 3, 8))):
            _mutate(data, known, chance)
        yield bytes(data[:16_384])


def _mutate(data: bytearray, known: list[bytes], chance: random.Random) -> None:
    at = chance.randrange(len(data) + 1)
    end = min(len(data), at + chance.choice((0, 1, 2, 8, 40)))
    match chance.randrange(6):
        case 0:
            data[at:end] = chance.choice(DICTIONARY)
        case 1:
            data[at:end] = chance.randbytes(chance.randrange(1, 5))
        case 2:
            del data[at:end]
        case 3:
            data[at:at] = data[at:end] * chance.randrange(1, 20)
        case 4:
            other = chance.choice(known)
            start = chance.randrange(len(other) + 1)
            data[at:end] = other[start : start + chance.randrange(80)]
        case _:
            if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
