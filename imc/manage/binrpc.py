"""BINRPC, the packets between Kamailio's ctl module and `kamcmd`, without any I/O: octets ↔ values.

Kamailio's documentation of ctl names the protocol and its transports; what the octets mean is taken from what `kamcmd`
of Debian's Kamailio 5.6.3 sends, from what that Kamailio answers, and from what `kamcmd` makes of other answers.

::

    packet = head body             head: %xA1, flags, length of the body, cookie
    flags  = kind * 16 + (octets of the length - 1) * 4 + (octets of the cookie - 1)
    kind   = 0 a call | 1 a reply | 3 a fault
    body   = value*                call: method, parameters; reply: results; fault: code, text
    value  = mark octets           mark: size * 16 + type, for a size under 8
                                   else 128 + (octets of the size) * 16 + type, and then the size

Numbers are big-endian and as short as can be: zero has no octets at all. What the types are is told at `Type`.

- A struct has named values (`Type.NAME` before each), or, as Kamailio gives lists, only such without a name.
- kamcmd writes the size of a double of eight octets as 8 * 16, which looks like the mark of an end.
- kamcmd takes 32 bits of an integer, and ends a text at its first NUL. An integer that does not fit, and a double of
  more than three decimals, are given as text.
- kamcmd prints no array within a struct, so a list is always a struct without names.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from imc.errors import BadPacket

Value: TypeAlias = int | float | str | bytes | list["Value"] | dict[str, "Value"]

MAX_DEPTH = 16
"""Structs within structs that are read."""
MAX_MARKS = 1_000
"""Values, names and ends that are read of a packet: 64 kB of nothing but zeros would hold the loop for 0.2 s."""
MAX_REPLY = 131_072
"""Octets of a whole packet that `kamcmd` reads; of a larger one it says "reply too big"."""

_MAGIC = 0xA1  # a four-bit mark, and version 1
_LONG = 0x80  # in a mark: the next octets are the size; with a size of zero: an end
_THOUSAND = 1_000  # a double is an integer of thousandths


class Kind(enum.IntEnum):
    """What a packet is."""

    CALL = 0
    REPLY = 1
    FAULT = 3


class Type(enum.IntEnum):
    """What a value is."""

    INT = 0
    """Up to four octets; of four the first bit is the sign."""
    TEXT = 1
    """UTF-8 and a NUL, which is counted in the size."""
    DOUBLE = 2
    """Thousandths, up to eight octets; of eight the first bit is the sign."""
    STRUCT = 3
    """Without a size; up to a mark of the same type and ``_LONG``."""
    ARRAY = 4
    """Likewise, without names."""
    NAME = 5
    """As a text: of the value that follows."""
    OCTETS = 6


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet. ``cookie``, 1 to 4 octets, goes back as it came."""

    kind: Kind
    cookie: bytes
    body: bytes


class _TooLong(Exception):
    """What is written is beyond its limit."""


def take(buffer: bytearray, limit: int) -> Packet | None:
    """The first packet, and the buffer without it; None while there is more to come.

    BadPacket: it is none, or has more octets than ``limit``. What follows cannot be read then.
    """
    if buffer and buffer[0] != _MAGIC:
        raise BadPacket("not BINRPC")
    if len(buffer) < 2:
        return None
    try:
        kind = Kind(buffer[1] >> 4)
    except ValueError as error:
        raise BadPacket("neither a call nor a reply nor a fault") from error
    at = 2 + (buffer[1] >> 2 & 3) + 1
    start = at + (buffer[1] & 3) + 1
    if len(buffer) < start:
        return None
    end = start + int.from_bytes(buffer[2:at], "big")
    cookie = bytes(buffer[at:start])
    if end > limit:
        raise BadPacket(f"longer than {limit} bytes", cookie)
    if len(buffer) < end:
        return None
    body = bytes(buffer[start:end])
    del buffer[:end]
    return Packet(kind, cookie, body)


def read_call(packet: Packet) -> tuple[str, list[Value]]:
    """Method and parameters. BadPacket where it is no call, or cannot be read."""
    if packet.kind is not Kind.CALL:
        raise BadPacket("not a call", packet.cookie)
    try:
        match read(packet.body):
            case [str() as method, *params]:
                return method, params
    except BadPacket as error:
        raise BadPacket(error.reason, packet.cookie) from error
    raise BadPacket("the first value is not the name of a method", packet.cookie)


def read(body: bytes) -> list[Value]:
    """The values of a body. A struct of named values is a dict; an array, and a struct without names, a list.

    BadPacket for everything that is not as described above.
    """
    return _Reader(body).all()


class _Reader:
    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0
        self._marks = 0

    def all(self) -> list[Value]:
        values: list[Value] = []
        while self._at < len(self._body):
            values.append(self._value(*self._mark(), depth=0))
        return values

    def _octets(self, size: int) -> bytes:
        if size > len(self._body) - self._at:
            raise BadPacket("a value goes beyond the packet's end")
        self._at += size
        return self._body[self._at - size : self._at]

    def _mark(self) -> tuple[int, int, bool]:
        """Type, size, and whether it is the end of a struct or an array."""
        self._marks += 1
        if self._marks > MAX_MARKS:
            raise BadPacket(f"more than {MAX_MARKS} values")
        (mark,) = self._octets(1)
        type_, size = mark & 15, mark >> 4 & 7
        if not mark & _LONG:
            return type_, size, False
        if size:
            return type_, int.from_bytes(self._octets(size), "big"), False
        return (type_, 8, False) if type_ == Type.DOUBLE else (type_, 0, True)

    def _value(self, type_: int, size: int, is_end: bool, depth: int) -> Value:
        if is_end:
            raise BadPacket("an end without a beginning")
        match type_:
            case Type.INT:
                return self._number(size, 4)
            case Type.DOUBLE:
                return self._number(size, 8) / _THOUSAND
            case Type.TEXT:
                return self._text(size)
            case Type.OCTETS:
                return self._octets(size)
            case Type.STRUCT | Type.ARRAY if size == 0:
                if depth == MAX_DEPTH:
                    raise BadPacket(f"more than {MAX_DEPTH} structs within each other")
                return self._group(type_, depth + 1)
        raise BadPacket(f"no value begins with type {type_} and size {size}")

    def _number(self, size: int, longest: int) -> int:
        if size > longest:
            raise BadPacket(f"a number of more than {longest} octets")
        return int.from_bytes(self._octets(size), "big", signed=size == longest)

    def _text(self, size: int) -> str:
        text, nul, rest = self._octets(size).partition(b"\0")
        if not nul or rest:
            raise BadPacket("a text does not end with its only NUL")
        try:
            return text.decode()
        except UnicodeDecodeError as error:
            raise BadPacket("a text is not UTF-8") from error

    def _group(self, type_: int, depth: int) -> Value:
        named: dict[str, Value] = {}
        plain: list[Value] = []
        while True:
            found, size, is_end = self._mark()
            if is_end and found == type_:
                break
            if found == Type.NAME and not is_end and type_ == Type.STRUCT:
                name = self._text(size)
                if name in named:
                    raise BadPacket("a struct has a name twice")
                named[name] = self._value(*self._mark(), depth=depth)
            else:
                plain.append(self._value(found, size, is_end, depth))
        if named and plain:
            raise BadPacket("a struct has values with names and without")
        return plain if plain or type_ == Type.ARRAY else named


def reply(cookie: bytes, result: object, limit: int = MAX_REPLY) -> bytes:
    """The packet for a result as JSON has it; a fault where it is longer than ``limit``. A list is several results."""
    try:
        return packet(Kind.REPLY, cookie, result if isinstance(result, list | tuple) else [result], limit)
    except _TooLong:
        return fault(cookie, 500, f"The answer has more than {limit} bytes, and kamcmd takes no more: use JSON-RPC")


def fault(cookie: bytes, code: int, text: str) -> bytes:
    """The packet for an error."""
    return packet(Kind.FAULT, cookie, [code, text[:1_000]], MAX_REPLY)


def packet(kind: Kind, cookie: bytes, values: Iterable[object], limit: int = 2**32) -> bytes:
    """A whole packet. _TooLong, without having written much more than ``limit``."""
    body = bytearray()
    for value in values:
        _write(body, value, limit)
    length = _shortest(len(body)) or b"\0"
    flags = kind << 4 | len(length) - 1 << 2 | len(cookie) - 1
    whole = bytes((_MAGIC, flags)) + length + cookie + body
    if len(whole) > limit:
        raise _TooLong
    return whole


def _write(out: bytearray, value: object, limit: int) -> None:
    match value:
        case bool():
            _put(out, Type.INT, _shortest(int(value)))
        case int():
            _write_int(out, value)
        case float():
            _write_double(out, value)
        case bytes():
            _put(out, Type.OCTETS, value)
        case dict():
            out.append(Type.STRUCT)
            for name, each in value.items():
                _put(out, Type.NAME, _as_text(name))
                _write(out, each, limit)
            out.append(_LONG | Type.STRUCT)
        case list() | tuple():
            out.append(Type.STRUCT)
            for each in value:
                _write(out, each, limit)
            out.append(_LONG | Type.STRUCT)
        case None:
            _put(out, Type.TEXT, _as_text(""))
        case str():
            _put(out, Type.TEXT, _as_text(value))
        case _:
            raise TypeError(f"not a value: {value!r}")
    if len(out) > limit:
        raise _TooLong


def _write_int(out: bytearray, value: int) -> None:
    if 0 <= value < 2**31:
        _put(out, Type.INT, _shortest(value))
    elif -(2**31) <= value < 0:
        _put(out, Type.INT, value.to_bytes(4, "big", signed=True))
    else:
        _put(out, Type.TEXT, _as_text(str(value)))


def _write_double(out: bytearray, value: float) -> None:
    if abs(value) < 2**40 and round(value, 3) == value:
        thousandths = round(value * _THOUSAND)
        _put(
            out,
            Type.DOUBLE,
            _shortest(thousandths) if thousandths >= 0 else thousandths.to_bytes(8, "big", signed=True),
        )
    else:
        _put(out, Type.TEXT, _as_text(repr(value)))


def _put(out: bytearray, type_: Type, data: bytes) -> None:
    if len(data) < 8:
        out.append(len(data) << 4 | type_)
    else:
        size = _shortest(len(data))
        out.append(_LONG | len(size) << 4 | type_)
        out += size
    out += data


def _shortest(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _as_text(text: str) -> bytes:
    return text.replace("\0", "?").encode("utf-8", "replace") + b"\0"
