"""Names to records: dnspython on trio behind a bounded cache, and the machine's own hosts file before it.

Invariants

- The cache holds at most ``max_entries`` answers. One that says "nothing there" is kept as its SOA allows, at most
  ``negative_ttl``; a query that failed (no answer in time, SERVFAIL) for ``failure_ttl``, so that a dead server is
  not asked again by each of a thousand deliveries. At any time one query for a (name, type) is under way.
  At most ``max_pending`` are, one more fails at once.
- A lookup ends within ``query_lifetime`` and raises nothing but Cancelled: a failure is an answer without records.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import dns.asyncresolver
import dns.exception
import dns.message
import dns.nameserver
import dns.rdata
import dns.rdataset
import dns.resolver
import trio

from imc.transport.addresses import canonical_ip, ip_family

_ADDRESS_KINDS = {4: "A", 6: "AAAA"}
_LOCALHOST = {4: "127.0.0.1", 6: "::1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NameOptions:
    """Times in seconds. ``nameservers`` are (ip, port); none: those of /etc/resolv.conf."""

    nameservers: tuple[tuple[str, int], ...] = ()
    hosts_file: str = "/etc/hosts"
    query_timeout: float = 1.5
    query_lifetime: float = 4.0
    max_entries: int = 4096
    max_pending: int = 256
    min_ttl: float = 1.0
    max_ttl: float = 3600.0
    negative_ttl: float = 300.0
    failure_ttl: float = 5.0


class Answer(NamedTuple):
    """``records`` is None where there are none; ``failure`` says why nobody knows, "" where the DNS answered."""

    records: dns.rdataset.Rdataset | None
    failure: str
    expires: float

    def in_order(self) -> Iterable[dns.rdata.Rdata]:
        """By priority and, within one, by weight or chance (RFC 2782, RFC 3403 §4.1): each call draws anew."""
        return self.records.processing_order() if self.records else ()


class Names:
    """`lookup` for NAPTR and SRV, `addresses` for hosts."""

    def __init__(self, options: NameOptions, client: dns.asyncresolver.Resolver | None = None) -> None:
        """``client`` asks the DNS; by default it is made from the options when first needed."""
        self._options = options
        self._client = client
        self._cache: dict[tuple[str, str], Answer] = {}
        self._pending: dict[tuple[str, str], trio.Event] = {}
        self._hosts = HostsFile(options.hosts_file)
        self.queries = 0

    def __len__(self) -> int:
        """Answers in the cache."""
        return len(self._cache)

    async def addresses(self, host: str, families: Iterable[int]) -> tuple[list[str], str]:
        """The canonical IP addresses of ``host`` in the order of ``families`` (4, 6), and why there may be more."""
        known = self._local_addresses(host)
        if known is not None:
            return [ip for family in families for ip in known if ip_family(ip) == family], ""
        found: dict[int, Answer] = {}

        async def look_up(family: int) -> None:
            found[family] = await self.lookup(host, _ADDRESS_KINDS[family])

        async with trio.open_nursery() as nursery:
            for family in families:
                nursery.start_soon(look_up, family)
        ips = [canonical_ip(record.to_text()) for family in families for record in found[family].records or ()]
        return [ip for ip in ips if ip], next((answer.failure for answer in found.values() if answer.failure), "")

    def is_local(self, host: str) -> bool:
        """Whether this machine itself says where ``host`` is."""
        return self._local_addresses(host) is not None

    # spec S-DNS-4
    def _local_addresses(self, host: str) -> list[str] | None:
        if host == "localhost" or host.endswith(".localhost"):
            return list(_LOCALHOST.values())  # RFC 6761 §6.3: never asked of the DNS
        return self._hosts.get(host)

    # spec S-DNS-3
    async def lookup(self, name: str, kind: str) -> Answer:
        """The records of type ``kind`` (``SRV``, …) at ``name``, from the cache or the DNS."""
        key = (name, kind)
        while True:
            answer = self._cache.get(key)
            if answer is not None and answer.expires > trio.current_time():
                return answer
            pending = self._pending.get(key)
            if pending is None:
                break
            await pending.wait()  # if who asked was cancelled, it is for us to ask
        if len(self._pending) >= self._options.max_pending:
            return Answer(None, "DNS: too many queries at once", trio.current_time())
        self._pending[key] = trio.Event()
        try:
            answer = await self._ask(name, kind)
            self._store(key, answer)
            return answer
        finally:
            self._pending.pop(key).set()

    def _store(self, key: tuple[str, str], answer: Answer) -> None:
        self._cache.pop(key, None)
        if len(self._cache) >= self._options.max_entries:
            now = trio.current_time()
            for old in [each for each, kept in self._cache.items() if kept.expires <= now]:
                del self._cache[old]
            if len(self._cache) >= self._options.max_entries:
                del self._cache[next(iter(self._cache))]  # the oldest
        self._cache[key] = answer

    async def _ask(self, name: str, kind: str) -> Answer:
        options = self._options
        self.queries += 1
        try:
            if self._client is None:
                self._client = _make_client(options)
            # A name of one label is a host of the local network: only there the search list of resolv.conf helps.
            with trio.fail_after(options.query_lifetime):  # dnspython's own limit goes by the wall clock
                answer = await self._client.resolve(
                    name, kind, raise_on_no_answer=False, lifetime=options.query_lifetime + 1, search="." not in name
                )
        except dns.resolver.NXDOMAIN as error:
            responses: dict[object, dns.message.QueryMessage] = error.kwargs.get("responses", {})
            return self._negative(min(map(_negative_ttl, responses.values()), default=0.0))
        except (dns.exception.DNSException, trio.TooSlowError, OSError, ValueError) as error:
            is_late = isinstance(error, dns.exception.Timeout | trio.TooSlowError)
            why = "no answer in time" if is_late else type(error).__name__
            return Answer(None, f"DNS: {why}", trio.current_time() + options.failure_ttl)
        ttl = answer.chaining_result.minimum_ttl
        if answer.rrset is None:
            return self._negative(ttl)
        return Answer(answer.rrset, "", trio.current_time() + min(max(ttl, options.min_ttl), options.max_ttl))

    def _negative(self, ttl: float) -> Answer:
        options = self._options
        return Answer(None, "", trio.current_time() + min(max(ttl, options.min_ttl), options.negative_ttl))

    def reload(self) -> None:
        """Forget all answers, and read the nameservers again where they come from resolv.conf."""
        self._cache.clear()
        if not self._options.nameservers:
            self._client = None


def _negative_ttl(response: dns.message.QueryMessage) -> float:
    try:
        return response.resolve_chaining().minimum_ttl
    except dns.exception.DNSException:
        return 0.0


def _make_client(options: NameOptions) -> dns.asyncresolver.Resolver:
    client = dns.asyncresolver.Resolver(configure=not options.nameservers)
    if options.nameservers:
        client.nameservers = [dns.nameserver.Do53Nameserver(ip, port) for ip, port in options.nameservers]
    client.timeout = options.query_timeout
    return client


class HostsFile:
    """``/etc/hosts`` (hosts(5)), read again when it has changed. A file that cannot be read is an empty one."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._ips: dict[str, list[str]] = {}

    def get(self, host: str) -> list[str] | None:
        """All canonical addresses of ``host``, which is in lower case; None where the file does not name it."""
        try:
            status = os.stat(self._path)
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                self._ips = self._read()
                self._stamp = stamp
        except OSError:
            self._ips, self._stamp = {}, None
        return self._ips.get(host)

    def _read(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        with open(self._path, encoding="utf-8", errors="replace") as file:
            for line in file:
                ip_text, *names = line.partition("#")[0].split() or [""]
                ip = canonical_ip(ip_text)
                for name in names if ip is not None else ():
                    ips = found.setdefault(name.lower().rstrip("."), [])
                    if ip not in ips:
                        ips.append(str(ip))
        return found
