"""Addresses and rows for tests of the store."""

from __future__ import annotations

from itertools import count

from imc.aor import Aor
from imc.registrar.bindings import Binding
from imc.rooms.model import Member, Role
from imc.sip.flow import Flow
from imc.store.ops import PutOutbox

ROOM = Aor("chat-garden", "example.com")
OTHER = Aor("chat-other", "example.com")
ALICE = Aor("alice", "example.com")
BOB = Aor("bob", "example.com")
CAROL = Aor("carol", "example.org")
OWNER = Member(Role.OWNER)
ADMIN = Member(Role.ADMIN)
MEMBER = Member(Role.MEMBER)
INVITED = Member(Role.INVITED, ALICE, 3)

# User parts that mean something to SQL, to LIKE, to drivers' placeholders or to escapes of any kind.
ODD_USERS = (
    "o'hara",
    "''--",
    "a%25b",
    "%25s",
    "%25(x)s",
    "_",
    "a_b",
    "?",
    "(1)",
    "$1",
    ";DROP",
    "x'OR'1'='1",
    "%C3%A9t%C3%A9",
    "%F0%9F%98%80",
    "%5Cu0041",
    "%5C",
    "%22quoted%22",
    "%60tick%60",
    "%00",
    "%0D%0A",
    "a/*b*/",
    "UPPER",
    "upper",
    "*",
    "x" * 64,
)


_numbers = count(1)


def entry(id_: str, created: float, payload: bytes = b"", recipients: bytes = b"bob@example.com") -> PutOutbox:
    """An outbox entry behind all that were made before."""
    return PutOutbox(id_, created, payload, recipients, next(_numbers))


def binding(aor: Aor = ALICE, contact: str = "sip:alice@192.0.2.1:5060", **more: object) -> Binding:
    values: dict[str, object] = {
        "aor": aor,
        "contact": contact,
        "q": 700,
        "expires_wall": 1_700_003_600.125,
        "call_id": "call@192.0.2.1",
        "cseq": 4_294_967_295,
        "path": ("<sip:edge.example.com;lr>", '"Edge, two" <sip:[2001:db8::1];lr>'),
        "received": "sip:198.51.100.7:40000",
        "flow": Flow("udp", ("192.0.2.9", 5060), ("198.51.100.7", 40000)),
        "instance": "<urn:uuid:0b9ea00e-0000-1000-8000-000000000000>",
        "user_agent": "Ünïcode 😀 'quoted' \\ %s",
        "registered_wall": 1_700_000_000.5,
    }
    return Binding(**{**values, **more})  # type: ignore[arg-type]
