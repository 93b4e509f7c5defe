"""A small authoritative DNS server on a loopback UDP port, for tests of whatever asks the DNS."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import trio

_SOA = "ns.invalid. admin.invalid. 1 3600 600 86400 {minimum}"


class DnsServer:
    """Records are added by `add`; every other name does not exist. `asked` counts the questions by (name, type)."""

    def __init__(self, sock: trio.socket.SocketType, *, negative_ttl: int = 60) -> None:
        self.asked: Counter[tuple[str, str]] = Counter()
        self.rcode = dns.rcode.NOERROR
        self.silent_kinds: set[str] = set()
        self.silent_names: set[str] = set()
        self._sock = sock
        self._negative_ttl = negative_ttl
        self._records: dict[tuple[dns.name.Name, str], dns.rrset.RRset] = {}

    @property
    def address(self) -> tuple[str, int]:
        ip, port = self._sock.getsockname()
        return ip, port

    def add(self, name: str, kind: str, *values: str, ttl: int = 300) -> None:
        """Records in the text form of zone files: ``add("a.test", "A", "192.0.2.1")``."""
        key = dns.name.from_text(name)
        self._records[key, kind] = dns.rrset.from_text(key, ttl, "IN", kind, *values)

    def remove(self, name: str, kind: str) -> None:
        del self._records[dns.name.from_text(name), kind]

    async def serve(self) -> None:
        while True:
            data, peer = await self._sock.recvfrom(4096)
            answer = self._answer(dns.message.from_wire(data))
            if answer is not None:
                await self._sock.sendto(answer.to_wire(), peer)

    def _answer(self, query: dns.message.Message) -> dns.message.Message | None:
        question = query.question[0]
        kind = dns.rdatatype.to_text(question.rdtype)
        name = question.name.to_text(omit_final_dot=True)
        self.asked[name, kind] += 1
        if kind in self.silent_kinds or name in self.silent_names:
            return None
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA | dns.flags.RA
        answer.set_rcode(self.rcode)
        if self.rcode != dns.rcode.NOERROR:
            return answer
        found = self._records.get((question.name, kind)) or self._records.get((question.name, "CNAME"))
        if found is not None:
            answer.answer.append(found)
            if found.rdtype == dns.rdatatype.CNAME and (target := self._records.get((found[0].target, kind))):
                answer.answer.append(target)
        else:
            if not any(known == question.name for known, _ in self._records):
                answer.set_rcode(dns.rcode.NXDOMAIN)
            soa = _SOA.format(minimum=self._negative_ttl)
            answer.authority.append(dns.rrset.from_text(question.name, self._negative_ttl, "IN", "SOA", soa))
        return answer


@asynccontextmanager
async def open_dns_server(*, negative_ttl: int = 60) -> AsyncIterator[DnsServer]:
    sock = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock:
        await sock.bind(("127.0.0.1", 0))
        server = DnsServer(sock, negative_ttl=negative_ttl)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve)
            yield server
            nursery.cancel_scope.cancel()
