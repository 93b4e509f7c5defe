"""From the text of a byte-exact case to octets, and how octets are cut for a stream.

In a message each line end of the file is a CRLF. ``{{`` and ``}}`` are braces, and:

====================  =================================================================================================
{server}              where the message goes, ``ip:port``; {server_host}, {server_port} are its parts
{domain}              the domain that the server serves
{user} {mate}         user parts: who sends, and who is registered and counts what is delivered; {token} is unique too
{transport}           UDP or TCP
{local}               the sending socket, ``ip:port``; {local_host}, {local_port}; {local:NAME} is another socket's;
                      {local_ip} is without brackets where it is IPv6
{branch} {branch:x}   a branch of the case, and others; so {call_id}, {tag}
{length}              the octets of the body
{long:700}            so many letters; {repeat:20:long} repeats, {lines:20:X: y} repeats a line
{hex:00 ff}           octets
{upper:mate}          another placeholder in upper case; {escaped:mate}: its first character as an escape
{authorization}       the header that answers a challenge, see `conformance.suite.wire_case.Credentials`
{usual} {usual:x}     Via (with {branch:x} and rport), Max-Forwards, From {user}, To {mate}, Call-ID
====================  =================================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from conformance.suite.wire_case import Split

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([a-z_]+)(?::([^{}]*))?\}|[{}]")
_LENGTH = b"\0length\0"
_USUAL = (
    "Via: SIP/2.0/{transport} {local};branch={branch:%s};rport\nMax-Forwards: 70\n"
    "From: <sip:{user}@{domain}>;tag={tag}\nTo: <sip:{mate}@{domain}>\nCall-ID: {call_id}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What stands for the placeholders in one run of a case. ``local`` gives ip and port of a socket by its name."""

    server: tuple[str, int]
    domain: str
    user: str
    mate: str
    token: str
    transport: str
    socket: str
    local: Callable[[str], tuple[str, int]]
    authorization: str = ""


def render(text: str, names: Names) -> bytes:
    """The octets of a message. ValueError where a placeholder is unknown."""
    data = _fill(text, names)
    return data.replace(_LENGTH, str(len(body_of(data))).encode())


def body_of(data: bytes) -> bytes:
    """What stands behind the head of a message, before which there may be line ends."""
    return data.lstrip(b"\r\n").partition(b"\r\n\r\n")[2]


def fill_pattern(text: str, names: Names) -> str:
    """A regular expression with placeholders: what they stand for is literal; braces of the expression stay."""

    def replace(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0]
        try:
            return re.escape(_value(match[1], match[2] or "", names).decode())
        except ValueError:
            return match[0]

    return _PLACEHOLDER.sub(replace, text)


def _fill(text: str, names: Names) -> bytes:
    found: list[bytes] = []
    at = 0
    for match in _PLACEHOLDER.finditer(text):
        found.append(text[at : match.start()].replace("\n", "\r\n").encode())
        at = match.end()
        if match[0] in ("{{", "}}"):
            found.append(match[0][:1].encode())
        elif match[1] is None:
            raise ValueError(f"a single brace: {text[max(0, match.start() - 20) : match.end() + 20]!r}")
        else:
            found.append(_value(match[1], match[2] or "", names))
    found.append(text[at:].replace("\n", "\r\n").encode())
    return b"".join(found)


def _value(name: str, argument: str, names: Names) -> bytes:
    match name:
        case "hex":
            return bytes.fromhex(argument)
        case "length":
            return _LENGTH
        case "usual":
            return _fill(_USUAL % argument, names)
        case "long":
            return b"abcdefghij" * (int(argument) // 10) + b"k" * (int(argument) % 10)
        case "repeat" | "lines":
            count, _, text = argument.partition(":")
            return (text if name == "repeat" else f"{text}\r\n").encode() * int(count)
        case "local" | "local_host" | "local_ip" | "local_port":
            return _place(name.removeprefix("local"), names.local(argument or names.socket))
        case "server" | "server_host" | "server_port":
            return _place(name.removeprefix("server"), names.server)
        case "upper":
            return _value(argument, "", names).upper()
        case "escaped":
            plain = _value(argument, "", names)
            return b"%%%02X" % plain[0] + plain[1:]
        case "branch":
            return f"z9hG4bK{names.token}{argument}".encode()
        case "call_id":
            return f"{names.token}{argument}@wire.invalid".encode()
        case "tag":
            return f"{names.token[:8]}{argument}".encode()
        case "domain" | "user" | "mate" | "token" | "transport" | "authorization":
            return str(getattr(names, name)).encode()
    raise ValueError(f"no such placeholder: {{{name}}}")


def _place(part: str, address: tuple[str, int]) -> bytes:
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return {"": f"{host}:{address[1]}", "_host": host, "_ip": address[0], "_port": str(address[1])}[part].encode()


def cut(data: bytes, split: Split) -> list[bytes]:
    """The pieces in which ``data`` is written to a stream, one after the other."""
    match split:
        case "bytes":
            return [data[at : at + 1] for at in range(len(data))]
        case "lines":
            return data.splitlines(keepends=True)
        case "crlf":  # between CR and LF of each line end
            return [piece for piece in re.split(rb"(?<=\r)(?=\n)", data) if piece]
        case "body":  # within the empty line, before the body, and within it
            head = data.find(b"\r\n\r\n") + 4
            places = [0, head - 2, head, head + (len(data) - head) // 2, len(data)]
            return [data[one:other] for one, other in pairwise(places) if one < other]
        case _:
            return [data]
