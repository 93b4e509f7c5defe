"""Sessions of the operators' page, without I/O.

Invariants

- A session is known by a random token of 256 bits, of which the table holds only a hash: who reads memory dumps or
  errors finds none that can be used. Its CSRF token is another one.
- A session ends when nothing was done in it for `SessionOptions.idle` seconds (what a page asks by itself does not
  count), `SessionOptions.lasts` seconds after the log-in, and when its operator's role or password has changed.
- Bounds: sessions in all and of one operator; the one that was unused for longest gives way.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """Times in seconds."""

    idle: float = 1_800.0
    lasts: float = 43_200.0
    max_sessions: int = 256
    max_of_one: int = 8


@dataclass(slots=True, kw_only=True)
class Session:
    """``proof`` stands for the operator's role and password as they were at the log-in."""

    name: str
    role: str
    csrf: str = field(repr=False)
    proof: bytes = field(repr=False)
    began: float
    used: float

    def has_csrf(self, shown: str) -> bool:
        return hmac.compare_digest(self.csrf.encode(), shown.encode("utf-8", "replace"))


class Sessions:
    """``clock`` is monotonic, in seconds."""

    def __init__(self, options: SessionOptions, clock: Callable[[], float]) -> None:
        self._options = options
        self._clock = clock
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, name: str, role: str, secret: str) -> tuple[str, Session]:
        """A new session, and the token that its cookie has."""
        now = self._clock()
        token = secrets.token_urlsafe(32)
        session = Session(
            name=name,
            role=role,
            csrf=secrets.token_urlsafe(32),
            proof=proof_of(role, secret),
            began=now,
            used=now,
        )
        own = [key for key, one in self._sessions.items() if one.name == name]
        if len(own) >= self._options.max_of_one:
            del self._sessions[own[0]]
        self._sessions[_hash(token)] = session
        if len(self._sessions) > self._options.max_sessions:
            self._sessions.popitem(last=False)
        return token, session

    def find(self, token: str) -> Session | None:
        """The session of a token, None where it has ended. This alone does not keep it."""
        key = _hash(token)
        session = self._sessions.get(key)
        if session is None:
            return None
        now = self._clock()
        if now - session.used >= self._options.idle or now - session.began >= self._options.lasts:
            del self._sessions[key]
            return None
        return session

    def use(self, token: str) -> None:
        """Its operator has done something."""
        key = _hash(token)
        session = self._sessions.get(key)
        if session is not None:
            session.used = self._clock()
            self._sessions.move_to_end(key)

    def end(self, token: str) -> None:
        self._sessions.pop(_hash(token), None)


def proof_of(role: str, secret: str) -> bytes:
    """What is another one as soon as role or password are others."""
    return hashlib.sha256(f"{role}\0{secret}".encode()).digest()


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
