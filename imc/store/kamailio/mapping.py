"""What a row of Kamailio's means here: pure functions, from the values of its columns to a record, and back.

`Misfit` says why a row cannot be taken, `Gone` that it stands for nothing any more. Neither text holds a secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b

from imc.aor import Aor
from imc.errors import BadMessage
from imc.rooms.names import is_too_long_for_room, is_too_long_for_user, is_visible
from imc.sip.fields import canonical_name
from imc.sip.grammar import is_header_text, is_token
from imc.sip.uri import SipUri, parse_uri
from imc.sip.values import parse_media_type
from imc.store.accounts import Account
from imc.store.ops import MAX_PAYLOAD, MAX_TEXT
from imc.store.schema import MEMBER_ADMIN, MEMBER_DELETED, MEMBER_INVITED, MEMBER_OWNER, ROOM_DELETED, ROOM_PRIVATE

# Kamailio's columns are signed and 32 bits wide; and it deletes what expires at 0, so "never" is as late as can be.
MAX_INT = (1 << 31) - 1
MAX_SECRET = 64  # subscriber.password
MAX_BODY = MAX_PAYLOAD // 2
MAX_ADDRESS = 255  # silo.src_addr, silo.dst_addr
MAX_CTYPE = 32
MAX_CALL_ID = 128
_HEX = re.compile(r"[0-9A-Fa-f]+\Z")
# What whoever sends a MESSAGE says of it: a stored one must not say it again.
_OWN_HEADERS = frozenset(
    {
        *("Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards", "Contact", "Route", "Record-Route", "Require"),
        *("Proxy-Require", "Authorization", "Proxy-Authorization", "Content-Length", "Content-Type", "Date"),
        *("Content-Encoding", "Expires", "P-Asserted-Identity", "P-Preferred-Identity"),
    }
)


class Misfit(Exception):
    """The row does not fit; the text says why."""


class Gone(Exception):
    """The row is of something that is over: deleted, sent, expired. The text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomRecord:
    room: Aor
    flag: int  # ROOM_PRIVATE or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRecord:
    room: Aor
    user: Aor
    flag: int  # MEMBER_OWNER, MEMBER_ADMIN, MEMBER_INVITED, or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRecord:
    """Lower-case hex digests, "" where one is not known. ``note`` says what could not be made of the row, or ""."""

    aor: Aor
    password: str
    ha1: str
    ha1b: str
    ha1_sha256: str = ""
    ha1_sha512_256: str = ""
    note: str = ""

    def __repr__(self) -> str:
        return f"AccountRecord({self.aor})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A message that waits for its recipient. Times are unix seconds, ``expires`` 0 for never.

    ``id`` is of the outbox here, and stable for a row of silo; ``call_id`` is that of the MESSAGE. ``headers`` are
    those that are its own, Date not among them: that is ``created``. ``note`` as in `AccountRecord`.
    """

    id: str
    call_id: str
    recipient: Aor
    sender: Aor
    created: float
    expires: float
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    note: str = ""


# --- rooms and members ------------------------------------------------------------------------------------------------


def room(name: object, domain: object, flag: object) -> RoomRecord:
    """A row of imc_rooms. Misfit, Gone."""
    found = room_address(name, domain)
    bits = _number("flag", flag)
    if bits & ROOM_DELETED:
        raise Gone("the room is marked as deleted")
    return RoomRecord(room=found, flag=bits & ROOM_PRIVATE)


def room_address(name: object, domain: object) -> Aor:
    """Misfit."""
    found = _address("name", name, "domain", domain)
    _check_room(found)
    return found


def member(username: object, domain: object, uri: object, flag: object) -> MemberRecord:
    """A row of imc_members. Misfit, Gone."""
    found = room_uri(uri)
    user = _user(username, domain)
    bits = _number("flag", flag)
    if bits & MEMBER_DELETED:
        raise Gone("the member is marked as deleted")
    # As `imc.store.rooms.role_of`: an invitation is one, whatever else is set.
    role = next((bit for bit in (MEMBER_INVITED, MEMBER_OWNER, MEMBER_ADMIN) if bits & bit), 0)
    return MemberRecord(room=found, user=user, flag=role)


def room_uri(uri: object) -> Aor:
    """Misfit."""
    text = _text("room", uri)
    try:
        found = Aor.parse(text)
    except ValueError as error:
        raise Misfit(f"room: {error}") from None
    _check_room(found)
    return found


def _check_room(found: Aor) -> None:
    if is_too_long_for_room(found):  # spec R-ADDR-4
        raise Misfit(f"the room's URI is {len(str(found))} characters long, 64 fit (R-ADDR-4)")
    if not is_visible(found.user):  # spec R-ADDR-9
        raise Misfit("the room's name has characters that cannot be seen (R-ADDR-9)")


# --- accounts ---------------------------------------------------------------------------------------------------------


def account(  # noqa: PLR0917 - the columns
    username: object,
    domain: object,
    password: object,
    ha1: object,
    ha1b: object,
    sha256: str = "",
    sha512_256: str = "",
) -> AccountRecord:
    """A row of subscriber, with the digests that its password gives where it has one. Misfit.

    A hash that stands there is what logs in today (also where the password beside it is another one), and is kept.
    The last two are columns of imc's own.
    """
    aor = _user(username, domain)
    clear, digest, digest_b = _text("password", password), _text("ha1", ha1).lower(), _text("ha1b", ha1b).lower()
    if sha256 or sha512_256:
        return AccountRecord(
            aor=aor, password=clear, ha1=digest, ha1b=digest_b, ha1_sha256=sha256, ha1_sha512_256=sha512_256
        )
    if not clear and not digest:
        raise Misfit("it has neither a password nor a ha1: nobody can log in with it")
    if len(clear) > MAX_SECRET:
        raise Misfit(f"its password is longer than {MAX_SECRET} characters")
    _check_digest("ha1", digest)
    _check_digest("ha1b", digest_b)
    note = "" if domain == aor.host else f"its domain is written {domain}: hashes for that realm are of no use"
    made = Account.from_password(aor, clear) if clear else None
    if made is None or digest not in ("", made.ha1, made.ha1_sha256):
        if made is not None:
            note = "its password does not give its ha1, which counts: no other digests are made"
        return _by_hash(aor, clear, digest, digest_b, note)
    return AccountRecord(
        aor=aor,
        password=clear,
        ha1=made.ha1,
        ha1b=digest_b or made.ha1b,
        ha1_sha256=made.ha1_sha256,
        ha1_sha512_256=made.ha1_sha512_256,
        note=note,
    )


def locked_account(username: object, domain: object) -> AccountRecord:
    """One that nobody can log in with. Misfit."""
    return AccountRecord(aor=_user(username, domain), password="", ha1="", ha1b="")


def _by_hash(aor: Aor, clear: str, digest: str, digest_b: str, note: str) -> AccountRecord:
    if len(digest) == 32:
        return AccountRecord(aor=aor, password=clear, ha1=digest, ha1b=digest_b, note=note)
    # auth_db with SHA-256 (RFC 8760 §2.3); of that, ha1b has no place here.
    digest_b = "" if len(digest_b) == 64 else digest_b
    return AccountRecord(aor=aor, password=clear, ha1="", ha1b=digest_b, ha1_sha256=digest, note=note)


def _check_digest(name: str, digest: str) -> None:
    if digest and (len(digest) not in (32, 64) or not _HEX.match(digest)):
        raise Misfit(f"its {name} is no digest: 32 hexadecimal digits, or 64")


# --- messages ---------------------------------------------------------------------------------------------------------


def stored(row: dict[str, object], now: float) -> Copy:
    """A row of msilo's table silo, by the names of its columns. Misfit, Gone (sent, or expired by ``now``)."""
    status = _number("status", row.get("status") or 0)
    remind, created = _number("snd_time", row["snd_time"] or 0), _number("inc_time", row["inc_time"] or 0)
    expires = _number("exp_time", row["exp_time"] or 0)
    if status:
        raise Gone(f"it waits no more: its status is {status}")
    if remind:
        raise Misfit("it is a reminder for a set time (snd_time), which imc has not")
    if expires and expires <= now:
        raise Gone("it has expired")
    recipient = _user(row["username"], row["domain"])
    sender = _sender(row["src_addr"])
    content_type = _text("ctype", row["ctype"]) or "text/plain"  # the default of the column
    try:
        parse_media_type(content_type)
    except BadMessage as error:
        raise Misfit(f"ctype: {error.reason}") from None
    if not is_header_text(content_type):
        raise Misfit("ctype: it cannot stand in a header")
    call_id = _text("callid", row.get("callid") or "")
    extra = _text("extra_hdrs", row.get("extra_hdrs") or "")
    if len(extra) > MAX_TEXT:
        raise Misfit(f"its extra_hdrs are {len(extra)} characters long, {MAX_TEXT} fit")
    headers, note = _headers(extra)
    return Copy(
        id=stable_id(call_id, _number("id", row["id"]), recipient),
        call_id=call_id,
        recipient=recipient,
        sender=sender,
        created=float(created),
        expires=0.0 if expires >= MAX_INT else float(expires),
        content_type=content_type,
        body=_body(row["body"]),
        headers=headers,
        note=note,
    )


def stable_id(call_id: str, row_id: int, recipient: Aor) -> str:
    """The name that a row of silo has in the outbox, each time that it is read."""
    text = f"{call_id}\n{row_id}\n{recipient}".encode("utf-8", "surrogateescape")
    return "silo" + blake2b(text, digest_size=16).hexdigest()


def silo_row(copy: Copy) -> dict[str, object]:
    """The row of silo for a copy; its id is the database's to give. Misfit."""
    sender, recipient = str(copy.sender), str(copy.recipient)
    extra = "".join(f"{name}: {value}\r\n" for name, value in copy.headers)
    for what, text, limit in (
        ("sender", sender, MAX_ADDRESS),
        ("recipient", recipient, MAX_ADDRESS),
        ("Content-Type", copy.content_type, MAX_CTYPE),
        ("Call-ID", copy.call_id, MAX_CALL_ID),
    ):
        if len(text) > limit:
            raise Misfit(f"its {what} is {len(text)} characters long, {limit} fit")
    if len(copy.body) > 0xFFFF or len(extra.encode()) > 0xFFFF:  # MySQL's BLOB and TEXT
        raise Misfit("it is longer than 64 KiB")
    return {
        "src_addr": sender,
        "dst_addr": recipient,
        "username": copy.recipient.user,
        "domain": copy.recipient.host,
        "inc_time": min(int(copy.created), MAX_INT),
        "exp_time": min(int(copy.expires), MAX_INT) if copy.expires else MAX_INT,
        "snd_time": 0,
        "ctype": copy.content_type,
        "body": copy.body,
        "extra_hdrs": extra,
        "callid": copy.call_id,
        "status": 0,
    }


def _sender(text: object) -> Aor:
    try:
        uri = parse_uri(_text("src_addr", text))
    except BadMessage as error:
        raise Misfit(f"src_addr: {error.reason}") from None
    if not isinstance(uri, SipUri) or not uri.user:
        raise Misfit("src_addr: no SIP address with a user part")
    return _user(uri.user, uri.host, "src_addr", "src_addr")


def _headers(text: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """The headers that a copy may carry on; and what was left, in words."""
    kept, left = [], []
    for line in re.split(r"\r\n|\n", text):
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if not line.strip():
            continue
        if not colon or not is_token(name) or not is_header_text(value):
            left.append("a line that is no header")
        elif canonical_name(name) in _OWN_HEADERS:
            left.append(canonical_name(name))
        else:
            kept.append((name, value))
    return tuple(kept), f"extra_hdrs: without {', '.join(sorted(set(left)))}" if left else ""


def _body(value: object) -> bytes:
    if value is None:
        return b""
    if isinstance(value, str):
        try:
            value = value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise Misfit("body: not bytes") from None
    if not isinstance(value, bytes | bytearray | memoryview):
        raise Misfit("body: not bytes")
    if len(value) > MAX_BODY:
        raise Misfit(f"its body is {len(value)} bytes long, {MAX_BODY} fit")
    return bytes(value)


# --- values -----------------------------------------------------------------------------------------------------------


def _user(username: object, domain: object, user_name: str = "username", host_name: str = "domain") -> Aor:
    found = _address(user_name, username, host_name, domain)
    if is_too_long_for_user(found):  # spec R-ADDR-4
        raise Misfit("its user part or host is longer than 64 characters (R-ADDR-4)")
    if not is_visible(found.user):  # spec R-ADDR-9
        raise Misfit("its user part has characters that cannot be seen (R-ADDR-9)")
    return found


def _address(user_name: str, user: object, host_name: str, host: object) -> Aor:
    user_text, host_text = _text(user_name, user), _text(host_name, host)
    for name, text in ((user_name, user_text), (host_name, host_text)):
        if not text:
            raise Misfit(f"{name} is empty")
    try:
        return Aor.make(user_text, host_text)
    except ValueError as error:
        raise Misfit(str(error)) from None


def _text(name: str, value: object) -> str:
    if value is None:
        raise Misfit(f"{name} is NULL")
    if not isinstance(value, str):
        raise Misfit(f"{name} is no text")
    if "\0" in value or not _is_utf8(value):
        raise Misfit(f"{name} is no text: it has a NUL, or is not UTF-8")
    return value


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(name: str, value: object) -> int:
    if value is None:
        raise Misfit(f"{name} is NULL")
    if not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise Misfit(f"{name} is no number from 0 on")
    return value


def raw(*pairs: tuple[str, object]) -> str:
    """How a report names a row that has no address."""
    return ", ".join(f"{name}={value!r}" for name, value in pairs)


def secret_of(record: AccountRecord) -> str:
    """What stands for the secret in a comparison: the same text for the same password, as far as is known."""
    return record.ha1 or record.ha1_sha256 or record.ha1_sha512_256
