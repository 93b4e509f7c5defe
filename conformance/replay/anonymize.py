"""A recording without the names in it, which still shows and replays the same.

Kept: methods, status, commands and what they are given, by pseudonyms; times from the first message on; sizes of texts;
who is who. Gone: users, hosts, addresses, display names, Call-IDs, tags, branches, digest values, passwords, dates,
what people wrote, and the values of headers that are not known here.

Invariant: a header that is not in a table here is replaced whole. Nothing is kept because it looked harmless.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

from conformance.replay.people import People, people_of
from conformance.replay.pseudonyms import Pseudonyms
from conformance.replay.recording import Address, Notes, Recorded, Recording
from conformance.replay.script import NoServer, build
from conformance.replay.vocabulary import ROLES, Piece, read_command
from conformance.suite.case import EVENTS
from imc.errors import BadMessage
from imc.sip.fields import Headers
from imc.sip.grammar import quote, split_outside
from imc.sip.headers import parse_media_type, parse_name_addr, parse_vias, parse_warnings
from imc.sip.message import Request, Response
from imc.sip.uas import reason_phrase
from imc.sip.uri import Params
from imc.sip.values import parse_auth

BEGINNING = 946_684_800.0  # 2000-01-01, the time of each first message

_ADDRESSES = frozenset((
    "From", "To", "Contact", "Route", "Record-Route", "Path", "Service-Route", "P-Asserted-Identity", "Reply-To",
    "P-Preferred-Identity", "Referred-By", "Refer-To", "P-Associated-Uri", "Remote-Party-Id",
))  # fmt: skip
_CALL_IDS = frozenset(("Call-ID", "In-Reply-To", "References"))
_NUMBERS = frozenset(("CSeq", "Max-Forwards", "Expires", "Min-Expires", "Retry-After", "Rseq", "Rack"))
# Values of a fixed vocabulary; a word of them that is not in it is replaced.
_LISTS: dict[str, frozenset[str]] = {
    name: frozenset(words.split())
    for name, words in {
        "Allow": "ACK BYE CANCEL INFO INVITE MESSAGE NOTIFY OPTIONS PRACK PUBLISH REFER REGISTER SUBSCRIBE UPDATE",
        "Supported": "100rel early-session eventlist from-change gruu histinfo ice join norefersub outbound path "
        "precondition pref privacy replaces resource-priority sdp-anat sec-agree tdialog timer",
        "Accept": "text/plain text/html message/cpim message/sipfrag message/imdn+xml application/sdp */* text/* "
        "application/im-iscomposing+xml multipart/mixed application/json",
        "Accept-Encoding": "identity gzip deflate",
        "Accept-Language": "en de fr es it nl ro ru",
        "Auto-Submitted": "no auto-generated auto-replied auto-notified",
        "Content-Disposition": "render session attachment inline notification handling=optional handling=required",
        "Content-Encoding": "identity gzip deflate",
        "Content-Language": "en de fr es it nl ro ru",
        "Event": "presence reg dialog message-summary conference",
        "Allow-Events": "presence reg dialog message-summary conference talk hold refer",
        "MIME-Version": "1.0",
        "Priority": "emergency urgent normal non-urgent",
        "Privacy": "none id user header session critical history",
    }.items()
}
_LISTS["Require"] = _LISTS["Proxy-Require"] = _LISTS["Unsupported"] = _LISTS["Supported"]
_PRODUCTS = frozenset(("User-Agent", "Server"))
_AUTH = frozenset((
    "Authorization", "Proxy-Authorization", "WWW-Authenticate", "Proxy-Authenticate", "Authentication-Info",
))  # fmt: skip
_DROPPED = frozenset(("Date", "Timestamp", "Content-Length"))
_KEPT_PARAMS = frozenset(("expires", "q", "lr", "methods", "reg-id", "ob", "rport", "ttl", "keep"))
_KEPT_TYPES = _LISTS["Accept"]
# Products whose names say nothing of a site.
_KNOWN_PRODUCTS = frozenset((
    "asterisk", "baresip", "blink", "bria", "imc", "jitsi", "jssip", "kamailio", "linphone", "linphonec", "microsip",
    "opensips", "pjsip", "pjsua", "sip.js", "sipp", "sipsak", "twinkle", "zoiper",
))  # fmt: skip
# Not four groups, which may be an IP address.
_VERSION = re.compile(r"v?[0-9]{1,3}(?:\.[0-9]{1,3}){0,2}")
_NUMBER = re.compile(r"[0-9]{1,10}")  # more digits than 2**32 has may be a telephone number
_Q = r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)"
_LIST_PARAM = re.compile(rf"q={_Q}|charset=utf-8")
_PARAM_VALUE = re.compile(rf"{_NUMBER.pattern}|{_Q}|on|true|yes", re.IGNORECASE)
_TRANSPORTS = frozenset(("UDP", "TCP", "TLS", "WS", "WSS", "SCTP", "TLS-SCTP"))
_CHARSET = re.compile(
    r'"?(?:utf-(?:8|16|32)|us-ascii|iso-8859-[0-9]{1,2}|windows-12[0-9]{2}|koi8-[ru])"?', re.IGNORECASE
)
_AUTH_VALUES = {
    "algorithm": re.compile(r"(?:MD5|SHA-256|SHA-512-256)(?:-sess)?", re.IGNORECASE),
    "qop": re.compile(r"auth(?:-int)?(?: ?, ?auth(?:-int)?)?", re.IGNORECASE),
    "nc": re.compile(r"[0-9A-Fa-f]{8}"),
    "stale": re.compile(r"true|false", re.IGNORECASE),
}


def anonymize(recording: Recording, *, seed: int | None = None) -> tuple[Recording, list[str]]:
    """The recording without names, and what had to be left out. ``seed`` makes it repeatable."""
    try:
        script = build(recording)
    except NoServer:
        people, server = People(), recording.server
    else:
        people, server = people_of(script), script.server
    pseudonyms = Pseudonyms({room.partition("@")[0] for room in people.rooms}, seed)
    worker = _Worker(pseudonyms)
    for _ in worker.all(recording.messages):
        pass  # all names are known after this
    pseudonyms.forget_words()
    worker.notes = Notes()
    clean = Recording(recording.name, is_anonymous=True)
    began = recording.messages[0].at if recording.messages else 0.0
    for message in worker.all(recording.messages):
        clean.add(replace(message, at=BEGINNING + message.at - began))
    clean.server = None if server is None else worker.address(server)
    return clean, list(worker.notes)


class _Worker:
    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._names = pseudonyms
        self._headers: dict[str, str] = {}
        self.notes = Notes()

    def all(self, messages: list[Recorded]) -> Iterator[Recorded]:
        for recorded in messages:
            try:
                message = recorded.message
                data = (self._request(message) if isinstance(message, Request) else self._response(message)).render()
            except (BadMessage, ValueError) as error:
                self.notes.add(f"{recorded.where}: left out, since it cannot be read whole ({type(error).__name__})")
                continue
            source, target = self.address(recorded.source), self.address(recorded.target)
            yield Recorded(recorded.at, recorded.transport, source, target, data, recorded.where)

    def address(self, address: Address) -> Address:
        return Address(self._names.host(address.ip), address.port)

    def _request(self, request: Request) -> Request:
        return Request(
            request.method if request.method in _LISTS["Allow"] else self._names.word(request.method).upper(),
            self._names.uri(request.uri),
            self._all_headers(request.headers),
            self._body(request),
        )

    def _response(self, response: Response) -> Response:
        reason = reason_phrase(response.status)
        return Response(response.status, reason, self._all_headers(response.headers), self._body(response))

    # -- headers ------------------------------------------------------------------------------------------------------

    def _all_headers(self, headers: Headers) -> Headers:
        found = Headers()
        for name, value in headers.items():
            if name not in _DROPPED:
                found.add(self._header_name(name), self._header(name, value))
        return found

    def _header_name(self, name: str) -> str:
        if self._reader(name) is not None or name in ("Subject", "Organization"):
            return name
        return self._headers.setdefault(name, f"X-Header-{len(self._headers) + 1}")

    def _reader(self, name: str) -> Callable[[str], str] | None:
        """How the value of a header is read; None for one that is not known."""
        if name in _LISTS:
            return lambda value: self._list(value, _LISTS[name])
        for names, reader in (
            (_ADDRESSES, self._addresses),
            (_CALL_IDS, lambda value: self._names.token(value, "call")),
            (_NUMBERS, self._number),
            (_PRODUCTS, self._products),
            (_AUTH, self._auth),
            ({"Via"}, self._vias),
            ({"Content-Type"}, self._content_type),
            ({"Warning"}, self._warnings),
            ({"IMC-Event"}, self._event),
        ):
            if name in names:
                return reader
        return None

    def _header(self, name: str, value: str) -> str:
        reader = self._reader(name)
        if reader is None:
            return self._names.text(value)
        try:
            return reader(value)
        except BadMessage:
            return self._names.text(value)

    def _addresses(self, value: str) -> str:
        if value == "*":
            return value
        found = []
        for item in split_outside(value, ","):
            address = parse_name_addr(item)
            display = "" if address.display is None else quote(self._names.display(address.display)) + " "
            found.append(f"{display}<{self._names.uri(str(address.uri))}>{self._params(address.params)}")
        return ", ".join(found)

    def _params(self, params: Params) -> str:
        text = ""
        for name, value in params:
            if name in _KEPT_PARAMS:
                kept = self._kept_value(value)
            elif name in ("received", "maddr"):
                kept = self._names.host(value) if value else None
            elif name == "branch" and value and value.startswith("z9hG4bK"):
                kept = "z9hG4bK" + self._names.token(value, "b")
            else:
                kept = self._names.token(value) if value else None
            known = name in _KEPT_PARAMS or name in ("received", "maddr", "branch", "tag")
            text += f";{name if known else self._names.token(name, 'p')}" + ("" if kept is None else f"={kept}")
        return text

    def _kept_value(self, value: str | None) -> str | None:
        if value is None or _PARAM_VALUE.fullmatch(value):
            return value
        # Too large a number stays one.
        return self._names.text(value) if value.isascii() and value.isdigit() else "1"

    def _vias(self, value: str) -> str:
        found = []
        for via in parse_vias([value]):
            host = self._names.host(via.host)
            port = "" if via.port is None else f":{via.port}"
            transport = via.transport if via.transport in _TRANSPORTS else self._names.word("transport").upper()
            found.append(f"SIP/2.0/{transport} {host}{port}{self._params(via.params)}")
        return ", ".join(found)

    def _number(self, value: str) -> str:
        return " ".join(self._number_or_method(word) for word in value.split() if word[0] != "(")

    def _number_or_method(self, word: str) -> str:
        if _NUMBER.fullmatch(word) or word in _LISTS["Allow"]:
            return word
        is_number = word.isascii() and word.isdigit()
        return self._names.text(word) if is_number else self._names.word(word).upper()

    def _list(self, value: str, known: frozenset[str]) -> str:
        lower = {word.lower() for word in known}

        found = []
        for item in split_outside(value, ","):
            parts = [part.strip() for part in item.split(";")]
            shown = [
                part if part.lower() in lower or _LIST_PARAM.fullmatch(part) else self._names.text(part)
                for part in parts
            ]
            found.append(";".join(shown))
        return ", ".join(found)

    def _event(self, value: str) -> str:
        return value if value in EVENTS else self._names.token(value, "event")

    def _products(self, value: str) -> str:
        """Product and version; what stands beside them may name a machine."""
        bare = re.sub(r"\([^()]*\)", "", value)
        found = []
        may_be_version = False  # one without a slash, behind a product that is known
        for word in bare.split():
            product, slash, version = word.partition("/")
            is_known = product.lower() in _KNOWN_PRODUCTS
            if is_known and _VERSION.fullmatch(version):
                found.append(word)
            elif is_known:
                found.append(product)
            elif may_be_version and _VERSION.fullmatch(word):
                found.append(word)
            else:
                found.append(self._names.text(product))
            may_be_version = is_known and not slash
        return " ".join(found)

    def _auth(self, value: str) -> str:
        scheme, params = parse_auth(value if value[:6].lower() == "digest" else f"Digest {value}")
        found = []
        for name, text in params.items():
            if name in _AUTH_VALUES:
                kept = text if _AUTH_VALUES[name].fullmatch(text) else self._names.token(text, "d")
                found.append(f"{name}={kept}" if name != "qop" else f"qop={quote(kept)}")
            elif name == "username":
                found.append(f"username={quote(self._names.address_word(text) if text else text)}")
            elif name == "realm":
                found.append(f"realm={quote(self._realm(text))}")
            elif name == "uri":
                found.append(f"uri={quote(self._names.uri(text))}")
            else:
                known = ("nonce", "cnonce", "response", "opaque", "nextnonce", "rspauth", "domain")
                shown = name if name in known else self._names.token(name, "p")
                # Hexadecimal, as a digest is.
                found.append(f"{shown}={quote(self._names.token(text, 'd'))}")
        is_whole = value[:6].lower() == "digest"
        return f"{scheme} {', '.join(found)}" if is_whole else ", ".join(found)

    def _realm(self, text: str) -> str:
        return self._names.host(text) if re.fullmatch(r"[A-Za-z0-9._:\[\]-]+", text) else self._names.text(text)

    def _content_type(self, value: str) -> str:
        kind = parse_media_type(value)
        main = kind.essence if kind.essence in _KEPT_TYPES else f"{kind.type}/{self._names.word(kind.subtype)}"
        if kind.type not in ("text", "message", "application", "multipart", "image", "audio", "video"):
            main = f"application/{self._names.word(kind.subtype)}"
        main = re.sub(r"[^A-Za-z0-9/+.*-]", "x", main)
        params = []
        for name, text in kind.params:
            if name == "charset":
                params.append(f";charset={text}" if _CHARSET.fullmatch(text or "") else "")
            else:
                # As in the body, so that a boundary fits.
                params.append(f";{self._names.word(name)}={quote(self._names.text((text or '').strip(chr(34))))}")
        return main + "".join(params)

    def _warnings(self, value: str) -> str:
        return ", ".join(
            f"{each.code:03} {self._names.host(each.agent.partition(':')[0])} {quote(self._names.text(each.text))}"
            for each in parse_warnings([value])
        )

    # -- bodies -------------------------------------------------------------------------------------------------------

    def _body(self, message: Request | Response) -> bytes:
        if not message.body:
            return b""
        try:
            text = message.body.decode()
        except UnicodeDecodeError:
            return b"x" * len(message.body)
        kind = message.content_type
        if kind is None or kind.essence == "text/plain":
            return self._plain(text).encode("utf-8", "surrogateescape")
        if kind.essence == "message/cpim":
            return self._cpim(text).encode()
        return self._names.text(text).encode()

    def _plain(self, text: str) -> str:
        command = read_command(text)
        if command is None:
            return self._names.text(text)
        name = command.name if command.is_known else self._names.text(command.name)
        pieces = [piece._replace(text=self._piece(piece)) for piece in command.pieces]
        return str(command._replace(name=name, pieces=pieces, rest=self._names.text(command.rest)))

    def _piece(self, piece: Piece) -> str:
        if piece.kind in ("blank", "private") or (piece.kind == "role" and piece.text.lower() in ROLES):
            return piece.text
        if piece.kind in ("room", "user"):
            return self._names.address_word(piece.text)
        return self._names.text(piece.text)

    def _cpim(self, text: str) -> str:
        """RFC 3862: the names of its own headers are kept, up to the second empty line."""
        blocks = re.split(r"(\r?\n\r?\n)", text, maxsplit=2)
        for at in (0, 2):
            if at < len(blocks):
                lines = re.split(r"(\r?\n)", blocks[at])
                blocks[at] = "".join(map(self._cpim_line, lines))
        return "".join([*blocks[:4], *map(self._names.text, blocks[4:])])

    def _cpim_line(self, line: str) -> str:
        name, colon, value = line.partition(":")
        if name not in ("From", "To", "cc", "DateTime", "Subject", "NS", "Content-Type", "Content-Length"):
            return self._names.text(line)
        if name == "Content-Length":
            return f"{name}{colon} {self._number(value)}"
        if name == "Content-Type":
            with suppress(BadMessage):
                return f"{name}{colon} {self._content_type(value.strip())}"
        return f"{name}{colon}{self._names.text(value)}"
