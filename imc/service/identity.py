"""Identity: who sends a request. Nothing is decided, stored or passed on before this is answered (abuse.md 1 and 2).

Modes

- ``digest``: who sends shows that they know their password (RFC 3261 §22, RFC 8760). A trusted peer that asserts an
  identity (P-Asserted-Identity, RFC 3325) is believed; without the header it is challenged like everyone else, since a
  trusted address may also be that of users, the loopback first of all.
- ``trusted``: only trusted peers are heard, and believed: P-Asserted-Identity, else From.
- ``none``: From is believed, whoever sends. `imc.config` allows it on loopback only, or by an explicit word.

Invariants

- An `Identified` address is a SIP address with a user part, and not the anonymous one of RFC 3323. But for an asserted
  identity, it is also From's address, and for REGISTER it is To's: else 403.
- A refusal is one stateless answer, and a challenge costs no memory (`imc.sip.digest`).
- Who does not know a password learns nothing of accounts: an unknown user gets the challenge that everyone gets, after
  the same steps; the algorithms offered depend on the configuration and the client, never on the account.
- P-Asserted-Identity of anyone but a trusted peer is not looked at. P-Preferred-Identity never is.
- A trusted peer is one by its address, or by a name in the certificate that it has shown on this very connection.
- Wrong answers are counted by account (`imc.service.guesses`); a password that is one too many is not looked at.

Order of the algorithms. RFC 8760 §2.4 lets a client take the first challenge that it understands. Tried with what
Debian 12 has: sipsak 0.9.8.1 (and SIP.js by its source) look at the first challenge only, and know MD5 only; JsSIP 3.13
knows MD5 only as well, and looks at the last one; linphone 5.1 takes the first one of MD5 and SHA-256, and stops at
SHA-512-256 if that comes first; baresip 1.0 (libre 1.1) gives up if any challenge of a response is not MD5, at whatever
place. So MD5 comes first by default, the others follow for whoever prefers them, and `_MISLED` names clients that must
not see what they do not know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from typing import Protocol

from imc.aor import Aor
from imc.errors import BadMessage
from imc.service.guesses import Guesses
from imc.sip.digest import Credentials, DigestVerifier, Verdict
from imc.sip.flow import Flow
from imc.sip.headers import Warn
from imc.sip.hosts import block_of, ip_of
from imc.sip.message import Request, Response
from imc.sip.uas import build_response
from imc.sip.uri import SipUri

DEFAULT_ALGORITHMS = ("MD5", "SHA-256", "SHA-512-256")
_OUTCOMES = ("challenge", "forbidden", "unheard")
_MAX_CREDENTIALS = 8  # Authorization values looked at in one request

# Clients that fail at a challenge they do not know, where RFC 8760 §2.4 has them ignore it: by User-Agent, with the
# algorithms they know. libre has SHA-256 since 3.12; Twinkle ignores unknown challenges since 1.10.3.
_MISLED = (
    (re.compile(r"baresip v(?:[0-2]\.|3\.(?:[0-9]|10|11)\.)"), frozenset({"MD5"})),
    (re.compile(r"baresip v"), frozenset({"MD5", "SHA-256"})),
    (re.compile(r".*\bJsSIP\b"), frozenset({"MD5"})),
    (re.compile(r"Twinkle/(?:0\.|1\.(?:[0-9]\.|10(?:\.[0-2])?(?![.0-9])))"), frozenset({"MD5"})),
)


class Mode(Enum):
    DIGEST = "digest"
    TRUSTED = "trusted"
    NONE = "none"


class Voucher(Enum):
    """On whose word a sender is known."""

    DIGEST = "the sender showed the password"
    PEER = "a trusted peer said so"
    NOBODY = "mode none"


class Secrets(Protocol):
    """What is stored of an account's password: H(A1) in hexadecimal digits, "" where an algorithm has none.

    ``ha1b`` is Kamailio's, for a client whose user name is the whole address: MD5 of ``user@domain:domain:password``.
    """

    @property
    def ha1(self) -> str: ...
    @property
    def ha1b(self) -> str: ...
    @property
    def ha1_sha256(self) -> str: ...
    @property
    def ha1_sha512_256(self) -> str: ...


class Directory(Protocol):
    """Accounts that are at hand. `imc.service.accounts.Accounts` is one."""

    def peek(self, aor: Aor, now: float) -> Secrets | None:
        """The account, None where there is none. LookupError where it must be loaded first."""
        ...


@dataclass(frozen=True, slots=True)
class Identified:
    """The sender is ``aor``. Where a peer asserted it, From may name someone else: what is sent on is from ``aor``."""

    aor: Aor
    voucher: Voucher


@dataclass(frozen=True, slots=True)
class Answer:
    """The request ends here, with this answer, which is to be sent without state."""

    status: int
    reason: str | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def response(self, request: Request, to_tag: str) -> Response:
        return build_response(request, self.status, self.reason, to_tag=to_tag, headers=self.headers)


@dataclass(frozen=True, slots=True)
class NeedAccount:
    """Load the account of ``aor``, then call `Identity.judge` with it and with this.

    Nothing was spent: a copy of the request that comes meanwhile leads to the same. So that it is not judged twice, the
    caller drops a copy (same transaction key) of what it is still loading for. ``block`` is the address that it came
    from (`block_of`); None where nothing is counted, since no account can have such a name.
    """

    aor: Aor
    request: Request
    sender: Aor
    realm: str
    credentials: Credentials
    block: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityOptions:
    """``domains`` are those served, in canonical form; the first is the realm for a sender of another one.

    ``algorithms`` must be those of the verifier's options, in their order.
    """

    mode: Mode
    domains: tuple[str, ...]
    trusted_peers: tuple[IPv4Network | IPv6Network, ...] = ()
    trusted_certificates: frozenset[str] = frozenset()
    algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS


class _Refused(Exception):
    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.answer = Answer(403, None, (("Warning", str(Warn(399, "imc", why))),))


class Identity:
    """Says who sends a request. ``directory`` and ``verifier`` are used in mode digest only.

    ``certificate_names`` tells whom the peer of a flow has shown to be by a certificate that was verified; ``guesses``
    counts wrong passwords (None: nobody does).
    """

    def __init__(
        self,
        options: IdentityOptions,
        directory: Directory,
        verifier: DigestVerifier,
        certificate_names: Callable[[Flow], frozenset[str]] = lambda _flow: frozenset(),
        guesses: Guesses | None = None,
    ) -> None:
        self._guesses = Guesses(None) if guesses is None else guesses
        self._certificate_names = certificate_names
        self._options = options
        self._directory = directory
        self._verifier = verifier
        self._is_peer = peer_finder(options.trusted_peers)
        self._counts = dict.fromkeys((*(verdict.name.lower() for verdict in Verdict), *_OUTCOMES), 0)

    def authenticate(self, request: Request, flow: Flow, now: float) -> Identified | NeedAccount | Answer:
        """Who sends ``request``, which came by ``flow``; ``now`` is monotonic seconds, as for the verifier."""
        try:
            return self._authenticate(request, flow, now)
        except _Refused as refused:
            self._counts["forbidden"] += 1
            return refused.answer
        except BadMessage as error:
            self._counts["malformed"] += 1
            return Answer(400, error.reason)

    def judge(self, need: NeedAccount, account: Secrets | None, now: float) -> Identified | Answer:
        """Go on with a request whose account (None: there is none) was loaded."""
        refusal = self._check_guesses(need, now)
        if refusal is not None:
            return refusal
        credentials = need.credentials
        verdict = self._verifier.verify(
            credentials,
            method=need.request.method,
            uri=need.request.uri,
            body=need.request.body,
            secrets=None if account is None else _secrets(account, credentials.username),
            now=now,
        )
        self._counts[verdict.name.lower()] += 1
        self._note_guess(need, verdict, now)
        if verdict is not Verdict.OK:
            # RFC 7616 §3.3: stale=true where the password was right, so that nobody is asked for it again.
            is_stale = verdict in (Verdict.STALE, Verdict.REPLAY)
            return self._challenge(need.request, need.realm, now, is_stale=is_stale)
        try:
            # spec S-AUTH-8
            if need.sender != need.aor:
                raise _Refused("From must be the authenticated address")
            return _identified(need.request, need.aor, Voucher.DIGEST)
        except _Refused as refused:
            self._counts["forbidden"] += 1
            return refused.answer

    def statistics(self) -> dict[str, int]:
        """How often each verdict was given; ``challenge`` counts 401, ``forbidden`` 403, ``unheard`` 503."""
        counts = {f"auth_{name}": count for name, count in self._counts.items()}
        return counts | self._guesses.statistics()

    # spec S-AUTH-1
    def _authenticate(self, request: Request, flow: Flow, now: float) -> Identified | NeedAccount | Answer:
        mode = self._options.mode
        if mode is Mode.NONE:
            return _identified(request, _sender(request), Voucher.NOBODY)
        if self._is_peer(flow.remote[0]) or self._is_certified(flow):
            asserted = _asserted(request)
            if asserted is not None:
                return _identified(request, asserted, Voucher.PEER)
            if mode is Mode.TRUSTED:
                return _identified(request, _sender(request), Voucher.PEER)
        if mode is Mode.TRUSTED:
            raise _Refused("only trusted peers are heard here")
        return self._check_digest(request, block_of(flow.remote[0]), now)

    def _check_digest(self, request: Request, block: str, now: float) -> Identified | NeedAccount | Answer:
        sender = _sender(request)
        # spec S-AUTH-4
        realm = sender.host if sender.host in self._options.domains else self._options.domains[0]
        credentials = self._pick(request, realm)
        if credentials is None:
            return self._challenge(request, realm, now)
        account = _account_name(credentials.username, realm)
        if account is None:
            # No account can have this name; what follows is as for one that does not exist.
            need = NeedAccount(sender, request, sender, realm, credentials, None)
            return self.judge(need, None, now)
        need = NeedAccount(account, request, sender, realm, credentials, block)
        refusal = self._check_guesses(need, now)  # before the account is read, as after it: the database is spared
        if refusal is not None:
            return refusal
        try:
            known = self._directory.peek(account, now)
        except LookupError:
            return need
        return self.judge(need, known, now)

    # spec S-AUTH-14
    def _check_guesses(self, need: NeedAccount, now: float) -> Answer | None:
        """The refusal of a password that is not to be looked at; None for one that is."""
        seconds = None if need.block is None else self._guesses.refused_for(need.aor, need.block, now)
        if seconds is None:
            return None
        self._counts["unheard"] += 1
        return Answer(503, None, (("Retry-After", str(max(1, seconds))),))

    def _note_guess(self, need: NeedAccount, verdict: Verdict, now: float) -> None:
        """STALE and REPLAY say nothing: the password was right, but it may be a copy of what somebody else sent."""
        if need.block is None:
            return
        if verdict is Verdict.WRONG:
            self._guesses.wrong(need.aor, need.block, now)
        elif verdict is Verdict.OK:
            self._guesses.right(need.aor, need.block, now)

    # spec S-AUTH-12
    def _pick(self, request: Request, realm: str) -> Credentials | None:
        """The credentials for us among those of a request, which may hold some for other realms (RFC 3261 §22.3)."""
        for value in request.headers.all("Authorization")[:_MAX_CREDENTIALS]:
            # RFC 8760 §2.6: Basic is neither accepted nor asked for.
            if value[:7].lower() not in ("digest ", "digest\t"):
                continue
            credentials = Credentials.parse(value)
            if credentials.realm.lower() == realm and credentials.algorithm in self._options.algorithms:
                return credentials
        return None

    # spec S-AUTH-2
    def _challenge(self, request: Request, realm: str, now: float, *, is_stale: bool = False) -> Answer:
        self._counts["challenge"] += 1
        algorithms = _understood((request.headers.get("User-Agent") or "")[:64], self._options.algorithms)
        values = self._verifier.challenges(realm, now, is_stale=is_stale, algorithms=algorithms)
        return Answer(401, None, tuple(("WWW-Authenticate", value) for value in values))

    # spec S-AUTH-13
    def _is_certified(self, flow: Flow) -> bool:
        trusted = self._options.trusted_certificates
        return bool(trusted) and flow.transport == "tls" and not trusted.isdisjoint(self._certificate_names(flow))


def peer_finder(networks: Sequence[IPv4Network | IPv6Network]) -> Callable[[str], bool]:
    """Tells of an IP address whether it is in one of ``networks``."""

    @lru_cache(maxsize=4096)
    def is_peer(host: str) -> bool:
        address = ip_of(host) if networks else None
        return address is not None and any(address in network for network in networks)

    return is_peer


def _sender(request: Request) -> Aor:
    """From's address. It may be a claim only."""
    return _usable(request.from_.uri, "From")


# spec S-AUTH-10
def _asserted(request: Request) -> Aor | None:
    """The identity that a trusted peer asserts: RFC 3325 §9.1, at most one SIP URI and one tel URI. None without."""
    values = request.name_addrs("P-Asserted-Identity")
    if not values:
        return None
    # RFC 3325 §9.3: "id" says that the identity must not leave the trust domain, but a room shows it to its members.
    if {"id", "user"} & {token.strip().lower() for token in (request.headers.get("Privacy") or "").split(";")}:
        raise _Refused("a sender who wants privacy cannot be shown to others")
    sip = [value.uri for value in values if isinstance(value.uri, SipUri)]
    if len(sip) > 1:
        raise BadMessage("P-Asserted-Identity has more than one SIP URI")
    return _usable(sip[0] if sip else values[0].uri, "P-Asserted-Identity")


# spec S-AUTH-11
def _usable(uri: object, where: str) -> Aor:
    if not isinstance(uri, SipUri) or uri.user is None:  # spec R-ADDR-5
        raise _Refused(f"{where} must be a SIP address with a user part")
    aor = uri.aor
    # RFC 3261 §8.1.1.3 and RFC 3323 §4.1.1.3: what a user agent writes who does not say who it is
    if aor.host == "anonymous.invalid" or aor.host.endswith(".anonymous.invalid"):
        raise _Refused("anonymous senders are not served")
    return aor


def _identified(request: Request, aor: Aor, voucher: Voucher) -> Identified:
    # RFC 3261 §10.3, step 4: one's own bindings only
    if request.method == "REGISTER" and _usable(request.to.uri, "To") != aor:
        raise _Refused("only one's own address can be registered")
    return Identified(aor, voucher)


def _account_name(username: str, realm: str) -> Aor | None:
    """Whose account credentials are for: ``alice``, or ``alice@realm`` as some clients write it."""
    user, at, host = username.rpartition("@")
    if at and host.lower() != realm:
        return None
    name = user if at else username
    try:
        aor = Aor.make(name, realm)
    except ValueError:
        return None
    return aor if aor.user == name else None  # one spelling: no other can have been registered


def _secrets(account: Secrets, username: str) -> Mapping[str, str]:
    if "@" in username:
        return {"MD5": account.ha1b}
    return {"MD5": account.ha1, "SHA-256": account.ha1_sha256, "SHA-512-256": account.ha1_sha512_256}


# spec S-AUTH-3
@lru_cache(maxsize=256)
def _understood(user_agent: str, algorithms: tuple[str, ...]) -> tuple[str, ...]:
    """What to offer a client: all, but for those that would fail. All again where that would leave nothing."""
    for pattern, known in _MISLED:
        if pattern.match(user_agent):
            return tuple(name for name in algorithms if name in known) or algorithms
    return algorithms
