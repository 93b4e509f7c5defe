"""What is spent on who has shown no password: answers in bytes, requests in number (spec S-SRC-1 to S-SRC-3).

Invariants

- Over UDP a source address may be forged. So an answer that rests on no password is sent only where its bytes are paid
  for: by the bytes that came from that address, and by an allowance (``byte_burst`` at once, ``byte_rate`` a second).
  Whoever reflects traffic through us sends at least as much as arrives at the victim, but for that allowance.
- Each request that comes to nothing takes a token of its address. Without tokens the address is muted: what comes
  from it is dropped unread, for `_MUTED` seconds at a time.
- Over UDP all who have shown no password have one account together, beside their own: addresses that are ever new have
  no more of us than one. Who has shown a password goes on; a newcomer has to get past the flood.
- A flow on which a password was shown has an account of its own: its owner goes on while others of the same address
  (a NAT) are muted, and is muted alone.
- An address is an IPv4 address or an IPv6 /64. The table is bounded: what was unused for longest is forgotten, and is
  as one never seen when it comes back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from imc.sip.flow import Flow
from imc.sip.hosts import block_of

_MUTED = 0.25  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """``burst`` and ``rate`` in requests, ``byte_burst`` and ``byte_rate`` in bytes; rates are per second.

    ``strangers_burst`` and ``strangers_rate`` are as ``burst`` and ``rate``, for all over UDP who showed no password.
    """

    burst: float = 2_000
    rate: float = 200.0
    byte_burst: float = 65_536
    byte_rate: float = 8_192.0
    strangers_burst: float = 5_000
    strangers_rate: float = 1_000.0
    max_sources: int = 100_000


class _Account:
    __slots__ = ("credit", "muted_until", "since", "tokens")

    def __init__(self, options: SourceOptions, now: float) -> None:
        self.tokens = options.burst
        self.credit = options.byte_burst
        self.since = now
        self.muted_until = 0.0


class Sources:
    """``is_exempt`` tells of an IP address whether nothing is counted for it: that of a trusted peer. ``on_hit`` is
    told which limit of [limits] has kept back something of which IP address; of what is muted, once each time it
    begins."""

    __slots__ = (
        "_accounts", "_any_until", "_is_exempt", "_on_hit", "_options", "_proven", "_strangers", "_strangers_since",
        "_strangers_until", "muted", "withheld",
    )  # fmt: skip

    def __init__(
        self,
        options: SourceOptions,
        is_exempt: Callable[[str], bool] = lambda _ip: False,
        on_hit: Callable[[str, str], None] = lambda _limit, _who: None,
    ) -> None:
        self._options = options
        self._on_hit = on_hit
        self._is_exempt = is_exempt
        self._accounts: OrderedDict[Hashable, _Account] = OrderedDict()
        self._proven: OrderedDict[Flow, None] = OrderedDict()
        self._any_until = 0.0  # until when anybody is muted
        self._strangers = options.strangers_burst  # tokens
        self._strangers_since = 0.0
        self._strangers_until = 0.0  # until when they are muted
        self.muted = 0
        self.withheld = 0

    def __len__(self) -> int:
        return len(self._accounts)

    def statistics(self) -> dict[str, int]:
        return {"sources_known": len(self._accounts), "messages_muted": self.muted, "answers_withheld": self.withheld}

    # spec S-SRC-2
    def is_muted(self, flow: Flow, now: float) -> bool:
        """Whether what has just come on ``flow`` is to be dropped unread."""
        if now >= self._any_until:
            return False
        # spec S-SRC-3
        if now < self._strangers_until and self._is_stranger(flow) and not self._is_exempt(flow.remote[0]):
            return True
        account = self._accounts.get(self._key(flow))
        return account is not None and now < account.muted_until

    def prove(self, flow: Flow) -> None:
        """A request on ``flow`` showed a password, or needed none."""
        proven = self._proven
        proven[flow] = None
        proven.move_to_end(flow)
        if len(proven) > self._options.max_sources:
            proven.popitem(last=False)

    def waste(self, flow: Flow, now: float) -> None:
        """What came on ``flow`` comes to nothing, and is not answered."""
        if not self._is_exempt(flow.remote[0]):
            self._charge(flow, self._account(flow, now), now)

    # spec S-SRC-1
    def may_answer(self, flow: Flow, came: int, goes: int, now: float) -> bool:
        """Whether ``goes`` bytes may be sent for the ``came`` bytes of a request that rests on no password."""
        if self._is_exempt(flow.remote[0]):
            return True
        account = self._account(flow, now)
        self._charge(flow, account, now)
        if flow.is_reliable:
            return True  # nobody forges the source of a connection
        account.credit = min(self._options.byte_burst, account.credit) + came
        if goes > account.credit:
            self.withheld += 1
            self._on_hit("unproven_byte_rate", flow.remote[0])
            return False
        account.credit -= goes
        return True

    def _key(self, flow: Flow) -> Hashable:
        return flow if flow in self._proven else block_of(flow.remote[0])

    def _account(self, flow: Flow, now: float) -> _Account:
        key = self._key(flow)
        options, accounts = self._options, self._accounts
        account = accounts.get(key)
        if account is None:
            account = accounts[key] = _Account(options, now)
            if len(accounts) > options.max_sources:
                accounts.popitem(last=False)
            return account
        accounts.move_to_end(key)
        passed = max(0.0, now - account.since)
        account.since = now
        account.tokens = min(options.burst, account.tokens + passed * options.rate)
        account.credit = min(options.byte_burst, account.credit + passed * options.byte_rate)
        return account

    def _is_stranger(self, flow: Flow) -> bool:
        return not flow.is_reliable and flow not in self._proven

    def _charge(self, flow: Flow, account: _Account, now: float) -> None:
        account.tokens -= 1
        if account.tokens < 1:
            if now >= account.muted_until:
                self._on_hit("unproven_rate", flow.remote[0])
            account.tokens = max(0.0, account.tokens)
            account.muted_until = now + _MUTED
            self._any_until = max(self._any_until, account.muted_until)
        if self._is_stranger(flow):
            self._charge_strangers(now)

    # spec S-SRC-3
    def _charge_strangers(self, now: float) -> None:
        options = self._options
        passed = max(0.0, now - self._strangers_since)
        self._strangers_since = now
        self._strangers = min(options.strangers_burst, self._strangers + passed * options.strangers_rate) - 1
        if self._strangers < 1:
            self._strangers = max(0.0, self._strangers)
            self._strangers_until = now + _MUTED
            self._any_until = max(self._any_until, self._strangers_until)
