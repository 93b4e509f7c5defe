"""Digest access authentication: RFC 3261 §22 as changed by RFC 8760, over the algorithms of RFC 7616.

Invariants of the server side (`DigestVerifier`)

- A challenge costs no memory. A nonce carries its serial number and its age under a key that lives as long as the
  process: so one from before a restart is not ours, and one that nobody issued cannot be made.
- The response is compared before the nonce is looked at, in constant time, for unknown users as well: who does not know
  the password learns nothing of users and nonces.
- A nonce count is spent once (RFC 7616 §3.4, nc): a window of the last 64 lets requests overtake each other. State
  exists only for nonces that were used with the right password; when its table is full the oldest goes, and with it
  all unused nonces that are older. So a count cannot be spent again because it was forgotten.
- The uri parameter must name the Request-URI's resource (`is_same_resource`).

The client side is `authorize`: tests and tools log in with it.
"""

from __future__ import annotations

import base64
import hashlib
import heapq
import hmac
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from imc.errors import BadMessage
from imc.sip.grammar import quote
from imc.sip.uri import SipUri, canonical_escapes, parse_uri
from imc.sip.values import parse_auth


def _sha512_256(data: bytes) -> Any:
    return hashlib.new("sha512_256", data)


def _md5(data: bytes) -> Any:
    return hashlib.md5(data, usedforsecurity=False)


# RFC 7616 §6.1. The "-sess" forms are neither offered nor understood: no SIP client asks for them.
_HASHES: dict[str, Callable[[bytes], Any]] = {"MD5": _md5, "SHA-256": hashlib.sha256, "SHA-512-256": _sha512_256}
ALGORITHMS = tuple(_HASHES)
_BY_LOWER_NAME = {name.lower(): name for name in ALGORITHMS}

# nonce-count = "nc" EQUAL nc-value ;  nc-value = 8LHEX
_NONCE_COUNT = re.compile(r"[0-9A-Fa-f]{8}")
# request-digest = LDQUOT *LHEX RDQUOT
_DIGEST = re.compile(r"[0-9A-Fa-f]*")

_WINDOW = 64  # nonce counts; how far a request may be overtaken
_MAC_SIZE = 16


def digest(algorithm: str, text: str | bytes) -> str:
    """H(text), in lower-case hexadecimal digits. KeyError for an algorithm that is not in `ALGORITHMS`."""
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    return str(_HASHES[algorithm](data).hexdigest())


def ha1(user: str, realm: str, password: str, algorithm: str = "MD5") -> str:
    """H(A1): what an account stores in place of its password (RFC 7616 §3.4.2)."""
    return digest(algorithm, f"{user}:{realm}:{password}")


def response(
    algorithm: str,
    secret: str,
    *,
    nonce: str,
    method: str,
    uri: str,
    qop: str | None = None,
    nc: str = "",
    cnonce: str = "",
    body: bytes = b"",
) -> str:
    """The request-digest (RFC 7616 §3.4.1). ``secret`` is H(A1). Without ``qop``: RFC 2069 (RFC 2617 §3.2.2.1)."""
    a2 = f"{method}:{uri}"
    if qop == "auth-int":
        a2 = f"{a2}:{digest(algorithm, body)}"  # RFC 8760 §2.6, item 7: H("") for no body
    hashed_a2 = digest(algorithm, a2)
    if qop is None:
        return digest(algorithm, f"{secret}:{nonce}:{hashed_a2}")
    return digest(algorithm, f"{secret}:{nonce}:{nc}:{cnonce}:{qop}:{hashed_a2}")


def _digest_params(text: str) -> Mapping[str, str]:
    scheme, params = parse_auth(text)
    # RFC 8760 §2.6: "SIP clients and servers MUST NOT accept or request Basic authentication."
    if scheme.lower() != "digest":
        raise BadMessage("Not Digest")
    return params


# spec S-AUTH-7
def is_same_resource(one: str, other: str, hosts: Collection[str] = ()) -> bool:
    """Whether two URIs name the same user of the same host, or of two hosts that are both among ``hosts``.

    RFC 8760 §2.6, item 6: the uri parameter need not be equivalent to the Request-URI, since a proxy on the way may
    have changed that, but it must name someone this server takes requests for. So port and parameters may differ, and
    a proxy may put one of our names for another; a different user is never let pass.
    """
    if one == other:
        return True
    try:
        a, b = parse_uri(one), parse_uri(other)
    except BadMessage:
        return False
    if not isinstance(a, SipUri) or not isinstance(b, SipUri):
        return a == b
    if canonical_escapes(a.user or "") != canonical_escapes(b.user or ""):
        return False
    return a.host == b.host or (a.host in hosts and b.host in hosts)


@dataclass(slots=True)
class Credentials:
    """The parameters of one Authorization value, unquoted. ``nc`` is as written, since its digits are hashed."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str = "MD5"
    qop: str | None = None
    nc: str = ""
    cnonce: str = ""

    @classmethod
    def parse(cls, text: str) -> Credentials:
        """From the value of an Authorization header. BadMessage for another scheme or a bad or missing parameter."""
        params = _digest_params(text)
        try:
            username, realm, nonce = params["username"], params["realm"], params["nonce"]
            uri, given = params["uri"], params["response"]
        except KeyError as error:
            raise BadMessage(f"Authorization without {error.args[0]}") from None
        qop, nc, cnonce = params.get("qop"), params.get("nc", ""), params.get("cnonce", "")
        if qop is not None:
            qop = qop.lower()
            # RFC 7616 §3.4: both are required with qop; so a count that is no number is as bad as none.
            if _NONCE_COUNT.fullmatch(nc) is None or not cnonce:
                raise BadMessage("Authorization with qop needs nc and cnonce")
        if _DIGEST.fullmatch(given) is None:
            raise BadMessage("Bad response in Authorization")
        algorithm = params.get("algorithm", "MD5")
        known = _BY_LOWER_NAME.get(algorithm.lower(), algorithm)
        return cls(username, realm, nonce, uri, given.lower(), known, qop, nc, cnonce)


class Verdict(Enum):
    OK = "the sender knows the password, and this count of this nonce is spent now"
    STALE = "the sender knows the password, but the nonce is too old, or not of this process: challenge, stale=true"
    REPLAY = "the response was right once, but its nonce count is already spent: challenge with a new nonce"
    WRONG = "not the password, not this realm's algorithm, or not this resource: challenge"
    MALFORMED = "no Digest credentials could be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestOptions:
    """What a listener asks for, in its order of preference (RFC 8760 §2.3); each algorithm gives one challenge."""

    algorithms: tuple[str, ...] = ("MD5", "SHA-256", "SHA-512-256")
    qop: tuple[str, ...] = ("auth", "auth-int")
    nonce_lifetime: float = 300.0  # seconds
    max_nonces: int = 65_536  # nonces in use at a time
    hosts: frozenset[str] = frozenset()  # names of this server, for `is_same_resource`

    def __post_init__(self) -> None:
        if not self.algorithms or not set(self.algorithms) <= set(ALGORITHMS):
            raise ValueError(f"algorithms must be some of {', '.join(ALGORITHMS)}")
        if not self.qop or not set(self.qop) <= {"auth", "auth-int"}:
            raise ValueError("qop must be some of auth, auth-int")
        if self.max_nonces < 1:
            raise ValueError("max_nonces must be positive")


class DigestVerifier:
    """Issues nonces and judges credentials. ``secret`` is a random key of this process (`imc.sip.ids.Ids.secret`)."""

    __slots__ = ("_floor", "_in_use", "_oldest", "_options", "_secret", "_serial")

    def __init__(self, options: DigestOptions, secret: bytes) -> None:
        self._options = options
        self._secret = secret
        self._serial = 0
        self._floor = 0  # unused nonces up to this serial are no longer taken
        self._in_use: dict[tuple[int, str], _Window] = {}
        self._oldest: list[tuple[int, float, str]] = []  # heap of (serial, issued, secret), one for each in use

    def challenges(
        self, realm: str, now: float, *, is_stale: bool = False, algorithms: Iterable[str] | None = None
    ) -> list[str]:
        """The values of the WWW-Authenticate headers of a 401, one for each algorithm, most preferred first.

        ``algorithms`` is for an account that has not all of them stored; what the options do not offer is left out.
        """
        nonce = self._issue(now)
        qop = ",".join(self._options.qop)
        stale = ", stale=true" if is_stale else ""
        wanted = None if algorithms is None else set(algorithms)
        return [
            f'Digest realm={quote(realm)}, nonce="{nonce}", algorithm={name}, qop="{qop}"{stale}'
            for name in self._options.algorithms
            if wanted is None or name in wanted
        ]

    def verify(
        self,
        authorization: str | Credentials,
        *,
        method: str,
        uri: str,
        body: bytes,
        secrets: Mapping[str, str] | None,
        now: float,
    ) -> Verdict:
        """Judge one Authorization value of a request (``method``, Request-URI ``uri``, ``body``).

        ``secrets`` gives the account's H(A1) by algorithm, None when there is no such account. The caller has picked
        the Authorization of its realm, and has compared the username with whom it looked up.
        """
        if isinstance(authorization, Credentials):
            given = authorization
        else:
            try:
                given = Credentials.parse(authorization)
            except BadMessage:
                return Verdict.MALFORMED
        if given.algorithm not in self._options.algorithms:
            return Verdict.WRONG
        if given.qop is not None and given.qop not in self._options.qop:
            return Verdict.WRONG
        secret = None if secrets is None else secrets.get(given.algorithm)
        expected = response(
            given.algorithm,
            secret or "",
            nonce=given.nonce,
            method=method,
            uri=given.uri,
            qop=given.qop,
            nc=given.nc,
            cnonce=given.cnonce,
            body=body,
        )
        # spec S-AUTH-9
        is_right = hmac.compare_digest(expected.encode(), given.response.encode())
        if not is_right or not secret or not is_same_resource(given.uri, uri, self._options.hosts):
            return Verdict.WRONG
        return self._spend(given, secret, now)

    def statistics(self) -> dict[str, int]:
        return {"nonces_issued": self._serial, "nonces_in_use": len(self._in_use)}

    def _issue(self, now: float) -> str:
        self._serial += 1
        plain = self._serial.to_bytes(8, "big") + int(now * 1000).to_bytes(8, "big")
        return base64.urlsafe_b64encode(plain + self._mac(plain)).rstrip(b"=").decode()

    def _mac(self, plain: bytes) -> bytes:
        return hmac.digest(self._secret, plain, "sha256")[:_MAC_SIZE]

    def _open(self, nonce: str) -> tuple[int, float] | None:
        """Serial number and time of issue, in seconds; None when the nonce is not of this process."""
        try:
            raw = base64.b64decode(nonce.encode("ascii") + b"=", altchars=b"-_", validate=True)
        except ValueError:  # UnicodeEncodeError and binascii.Error are both of this kind
            return None
        if len(raw) != 16 + _MAC_SIZE or not hmac.compare_digest(self._mac(raw[:16]), raw[16:]):
            return None
        return int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:16], "big") / 1000

    def _spend(self, given: Credentials, secret: str, now: float) -> Verdict:
        """Count the nonce for who was proven, by H(A1): a user name can be spelled in many ways, the hash is one."""
        opened = self._open(given.nonce)
        if opened is None:
            return Verdict.STALE
        serial, issued = opened
        # spec S-AUTH-5
        if now - issued > self._options.nonce_lifetime:
            return Verdict.STALE
        # RFC 2069 has no count: such a client may use a nonce once, and is told stale=true when it comes again.
        count, spent = (1, Verdict.STALE) if given.qop is None else (int(given.nc, 16), Verdict.REPLAY)
        key = (serial, secret)
        # spec S-AUTH-6
        window = self._in_use.get(key)
        if window is not None:
            return Verdict.OK if window.spend(count) else spent
        if serial <= self._floor or not self._make_room(serial, now):
            return Verdict.STALE
        self._in_use[key] = _Window(count)
        heapq.heappush(self._oldest, (serial, issued, secret))
        return Verdict.OK

    def _make_room(self, serial: int, now: float) -> bool:
        """Let aged nonces go, then the oldest, so that ``serial`` fits in. False where that would be the oldest."""
        oldest = self._oldest
        while oldest and now - oldest[0][1] > self._options.nonce_lifetime:
            aged, _, secret = heapq.heappop(oldest)
            del self._in_use[aged, secret]
        if len(oldest) >= self._options.max_nonces:
            if serial < oldest[0][0]:
                return False
            self._floor, _, secret = heapq.heappop(oldest)
            del self._in_use[self._floor, secret]
        return True


class _Window:
    """Which counts of one nonce are spent: the highest, and a bit for each of the `_WINDOW` up to it."""

    __slots__ = ("_bits", "_highest")

    def __init__(self, first: int) -> None:
        self._highest = first
        self._bits = 1

    def spend(self, count: int) -> bool:
        """False when ``count`` was spent before, or is too far behind to know."""
        ahead = count - self._highest
        if ahead > 0:
            self._bits = 1 if ahead >= _WINDOW else (self._bits << ahead | 1) & ((1 << _WINDOW) - 1)
            self._highest = count
            return True
        bit = 1 << -ahead if -ahead < _WINDOW else 0
        if not bit or self._bits & bit:
            return False
        self._bits |= bit
        return True


def choose_challenge(values: Iterable[str]) -> str | None:
    """The topmost WWW-Authenticate value that `authorize` can answer (RFC 8760 §2.4), None when there is none."""
    for value in values:
        try:
            params = _digest_params(value)
        except BadMessage:
            continue
        if params.get("algorithm", "MD5").lower() in _BY_LOWER_NAME and "nonce" in params and "realm" in params:
            return value
    return None


def authorize(
    challenge: str,
    method: str,
    uri: str,
    username: str,
    password: str,
    *,
    body: bytes = b"",
    nc: int = 1,
    cnonce: str = "0a4f113b",
    qop: str | None = None,
) -> str:
    """The Authorization value that answers ``challenge``, a WWW-Authenticate value, for one request.

    ``nc`` counts the requests sent with this nonce; ``cnonce`` should be fresh where it matters. ``qop`` picks one of
    those offered; by default "auth" if offered, else the first. BadMessage for a challenge that cannot be answered.
    """
    params = _digest_params(challenge)
    algorithm = _BY_LOWER_NAME.get(params.get("algorithm", "MD5").lower())
    if algorithm is None or "nonce" not in params or "realm" not in params:
        raise BadMessage("Not a challenge that can be answered")
    realm, nonce = params["realm"], params["nonce"]
    offered = [item.strip().lower() for item in params["qop"].split(",")] if "qop" in params else []
    if qop is None and offered:
        qop = "auth" if "auth" in offered else offered[0]
    count = f"{nc:08x}"
    given = response(
        algorithm,
        ha1(username, realm, password, algorithm),
        nonce=nonce,
        method=method,
        uri=uri,
        qop=qop,
        nc=count,
        cnonce=cnonce,
        body=body,
    )
    text = f"Digest username={quote(username)}, realm={quote(realm)}, nonce={quote(nonce)}, uri={quote(uri)}"
    text += f', response="{given}", algorithm={algorithm}'
    if qop is not None:
        text += f", cnonce={quote(cnonce)}, qop={qop}, nc={count}"
    if "opaque" in params:
        text += f", opaque={quote(params['opaque'])}"
    return text
