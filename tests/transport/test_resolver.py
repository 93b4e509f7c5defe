"""Resolver and names against a real DNS server on loopback. No clock is waited for: MockClock stands still or jumps."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import dns.rcode
import dns.resolver
import pytest
import trio
import trio.testing

from imc.errors import Unreachable
from imc.sip.uri import SipUri, parse_uri
from imc.transport.names import HostsFile, NameOptions, Names
from imc.transport.resolver import Resolver, ResolverOptions, Target
from tests.transport.dns_server import DnsServer, open_dns_server


@pytest.fixture
async def server() -> AsyncIterator[DnsServer]:
    async with open_dns_server() as server:
        yield server


def uri(text: str) -> SipUri:
    parsed = parse_uri(text)
    assert isinstance(parsed, SipUri)
    return parsed


def resolver_for(
    server: DnsServer, hosts: Path | None = None, names: dict[str, Any] | None = None, **options: Any
) -> Resolver:
    name_options = NameOptions(nameservers=(server.address,), hosts_file=str(hosts or "/nonexistent"), **(names or {}))
    return Resolver(ResolverOptions(names=name_options, **options))


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("sip:bob@192.0.2.1", Target("udp", "192.0.2.1", 5060)),
        ("sip:bob@192.0.2.1:5070", Target("udp", "192.0.2.1", 5070)),
        ("sip:bob@192.0.2.1;transport=TCP", Target("tcp", "192.0.2.1", 5060)),
        ("sip:bob@[2001:DB8::0:1]:5070;transport=udp", Target("udp", "2001:db8::1", 5070)),
        ("sip:bob@example.com;maddr=192.0.2.9", Target("udp", "192.0.2.9", 5060)),
        ("sip:bob@example.com:5080;maddr=[::1];transport=tcp", Target("tcp", "::1", 5080)),
    ],
)
async def test_numeric_targets_need_no_dns(text: str, target: Target) -> None:
    # spec S-DNS-1
    assert await Resolver(ResolverOptions()).resolve(uri(text)) == (target,)


async def test_the_caller_may_override_the_transport() -> None:
    resolver = Resolver(ResolverOptions())
    assert await resolver.resolve(uri("sip:bob@192.0.2.1;transport=udp"), transport="tcp") == (
        Target("tcp", "192.0.2.1", 5060),
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sips:bob@192.0.2.1;transport=ws", "a sips URI cannot be served over ws"),
        ("sip:bob@192.0.2.1;transport=ws", "reached by the connection that it opened"),
        ("sip:bob@192.0.2.1;transport=sctp", "transport sctp not supported"),
        ("sip:bob@0.0.0.0", "no address"),
        ("sip:bob@[::]:5060", "no address"),
    ],
)
async def test_unreachable_without_dns(text: str, why: str) -> None:
    with pytest.raises(Unreachable, match=why):
        await Resolver(ResolverOptions()).resolve(uri(text))


async def test_sips_goes_over_tls_only() -> None:
    # spec S-DNS-2
    resolver = Resolver(ResolverOptions())
    tls = Target("tls", "192.0.2.1", 5061, "192.0.2.1")
    assert await resolver.resolve(uri("sips:bob@192.0.2.1")) == (tls,)
    assert await resolver.resolve(uri("sips:bob@192.0.2.1;transport=tcp")) == (tls,)
    with pytest.raises(Unreachable, match="cannot be served over udp"):
        await resolver.resolve(uri("sips:bob@192.0.2.1;transport=udp"))


async def test_sips_takes_only_secure_records(server: DnsServer) -> None:
    server.add("example.com", "NAPTR", *NAPTRS, '10 10 "s" "SIPS+D2T" "" _sips._tcp.example.com.')
    server.add("_sips._tcp.example.com", "SRV", "0 0 5071 a.example.com.")
    server.add("a.example.com", "A", "192.0.2.1")
    resolver = resolver_for(server, transports=("udp", "tcp", "tls"))
    assert await resolver.resolve(uri("sips:bob@example.com")) == (Target("tls", "192.0.2.1", 5071, "example.com"),)


NAPTRS = (
    '20 50 "s" "SIP+D2T" "" _sip._tcp.example.com.',
    '30 50 "S" "sip+d2u" "" _sip._udp.example.com.',
    '5 50 "s" "SIP+D2S" "" _sip._sctp.example.com.',
    '6 50 "u" "E2U+sip" "!^.*$!sip:x@y!" .',
)


async def test_naptr_then_srv_then_addresses(server: DnsServer) -> None:
    """RFC 3263 §4.1, with its order of transports: here TCP before UDP, though we should prefer UDP."""
    # spec S-DNS-1
    server.add("example.com", "NAPTR", *NAPTRS)
    server.add("_sip._tcp.example.com", "SRV", "1 0 5062 b.example.com.", "0 0 5061 a.example.com.")
    server.add("_sip._udp.example.com", "SRV", "0 0 5063 a.example.com.")
    server.add("a.example.com", "A", "192.0.2.1")
    server.add("a.example.com", "AAAA", "2001:db8::1")
    server.add("b.example.com", "A", "192.0.2.2")
    assert await resolver_for(server).resolve(uri("sip:bob@Example.COM.")) == (
        Target("tcp", "2001:db8::1", 5061),
        Target("tcp", "192.0.2.1", 5061),
        Target("tcp", "192.0.2.2", 5062),
        Target("udp", "2001:db8::1", 5063),
        Target("udp", "192.0.2.1", 5063),
    )
    assert await resolver_for(server, families=(4,)).resolve(uri("sip:example.com")) == (
        Target("tcp", "192.0.2.1", 5061),
        Target("tcp", "192.0.2.2", 5062),
        Target("udp", "192.0.2.1", 5063),
    )


async def test_srv_without_naptr_in_our_order_of_transports(server: DnsServer) -> None:
    # spec S-DNS-1
    server.add("_sip._tcp.example.com", "SRV", "0 0 5062 a.example.com.")
    server.add("_sip._udp.example.com", "SRV", "0 0 5063 a.example.com.")
    server.add("a.example.com", "A", "192.0.2.1")
    assert await resolver_for(server).resolve(uri("sip:bob@example.com")) == (
        Target("udp", "192.0.2.1", 5063),
        Target("tcp", "192.0.2.1", 5062),
    )


async def test_transport_parameter_asks_its_srv_only(server: DnsServer) -> None:
    server.add("_sip._tcp.example.com", "SRV", "0 0 5062 a.example.com.")
    server.add("_sip._udp.example.com", "SRV", "0 0 5063 a.example.com.")
    server.add("a.example.com", "A", "192.0.2.1")
    resolver = resolver_for(server)
    tcp = (Target("tcp", "192.0.2.1", 5062),)
    assert await resolver.resolve(uri("sip:bob@example.com;transport=tcp")) == tcp
    assert await resolver.resolve(uri("sip:bob@example.com"), transport="tcp") == tcp
    assert set(server.asked) == {
        ("_sip._tcp.example.com", "SRV"),
        ("a.example.com", "A"),
        ("a.example.com", "AAAA"),
    }


async def test_addresses_where_there_is_neither_naptr_nor_srv(server: DnsServer) -> None:
    server.add("example.com", "A", "192.0.2.1", "192.0.2.2")
    resolver = resolver_for(server)
    assert set(await resolver.resolve(uri("sip:bob@example.com"))) == {
        Target("udp", "192.0.2.1", 5060),
        Target("udp", "192.0.2.2", 5060),
    }
    assert set(await resolver.resolve(uri("sip:bob@example.com"), transport="tcp")) == {
        Target("tcp", "192.0.2.1", 5060),
        Target("tcp", "192.0.2.2", 5060),
    }
    only_tcp = resolver_for(server, transports=("tcp",))
    assert {target.transport for target in await only_tcp.resolve(uri("sip:bob@example.com"))} == {"tcp"}


async def test_a_port_asks_for_addresses_only(server: DnsServer) -> None:
    server.add("_sip._udp.example.com", "SRV", "0 0 5063 b.example.com.")
    server.add("example.com", "CNAME", "a.example.com.")
    server.add("a.example.com", "A", "192.0.2.1")
    assert await resolver_for(server).resolve(uri("sip:bob@example.com:5080")) == (Target("udp", "192.0.2.1", 5080),)
    assert {kind for _, kind in server.asked} == {"A", "AAAA"}


async def test_srv_weights_decide_by_chance(server: DnsServer) -> None:
    """RFC 2782: within a priority the first is drawn by weight. One answer from the cache is drawn from anew."""
    random.seed(20)
    server.add("_sip._udp.example.com", "SRV", "0 90 1 a.test.", "0 10 2 a.test.", "1 0 3 a.test.")
    server.add("a.test", "A", "192.0.2.1")
    resolver = resolver_for(server)
    first: Counter[int] = Counter()
    for _ in range(500):
        targets = await resolver.resolve(uri("sip:example.com;transport=udp"))
        assert sorted(target.port for target in targets) == [1, 2, 3]
        assert targets[2].port == 3
        first[targets[0].port] += 1
    assert 400 < first[1] < 490
    assert server.asked["_sip._udp.example.com", "SRV"] == 1


async def test_srv_target_that_is_the_root_denies_the_service(server: DnsServer) -> None:
    server.add("_sip._udp.example.com", "SRV", "0 0 0 .")
    server.add("example.com", "A", "192.0.2.1")
    with pytest.raises(Unreachable, match=r"_sip\._udp\.example\.com says that there is no such service"):
        await resolver_for(server).resolve(uri("sip:bob@example.com"))


async def test_denied_over_udp_served_over_tcp(server: DnsServer) -> None:
    server.add("_sip._udp.example.com", "SRV", "0 0 0 .")
    server.add("_sip._tcp.example.com", "SRV", "0 0 5062 example.com.")
    server.add("example.com", "A", "192.0.2.1")
    assert await resolver_for(server).resolve(uri("sip:bob@example.com")) == (Target("tcp", "192.0.2.1", 5062),)


async def test_only_tls_in_naptr_says_so_if_nothing_else_is_there(server: DnsServer) -> None:
    server.add("example.com", "NAPTR", '10 10 "s" "SIPS+D2T" "" _sips._tcp.example.com.')
    with pytest.raises(Unreachable, match=r"example\.com: transport tls not supported"):
        await resolver_for(server, transports=("udp", "tcp")).resolve(uri("sip:bob@example.com"))


async def test_no_such_name(server: DnsServer) -> None:
    with pytest.raises(Unreachable, match=r"nobody\.test: no address"):
        await resolver_for(server).resolve(uri("sip:bob@nobody.test"))


async def test_port_zero_is_nowhere() -> None:
    with pytest.raises(Unreachable, match="port 0"):
        await Resolver(ResolverOptions()).resolve(SipUri("sip", "bob", None, "192.0.2.1", 0))


@pytest.mark.parametrize("host", ["a" * 64 + ".test", ".".join(["abcdefg"] * 32), "a..test", ""])
async def test_names_that_the_dns_cannot_hold(server: DnsServer, host: str) -> None:
    with pytest.raises(Unreachable):
        await resolver_for(server).resolve(SipUri("sip", "bob", None, host))


async def test_bounded_targets(server: DnsServer) -> None:
    server.add("_sip._udp.example.com", "SRV", *(f"{n} 0 {n + 1} h{n}.test." for n in range(40)))
    for n in range(40):
        server.add(f"h{n}.test", "A", *(f"192.0.2.{n + m}" for m in range(5)))
    targets = await resolver_for(server).resolve(uri("sip:bob@example.com;transport=udp"))
    assert len(targets) == 16
    assert sum(kind == "A" for _, kind in server.asked) == 8


async def test_srv_that_answers_port_zero_or_nowhere(server: DnsServer) -> None:
    server.add("_sip._udp.example.com", "SRV", "0 0 0 a.test.", "1 0 5060 b.test.", "2 0 5060 c.test.")
    server.add("a.test", "A", "192.0.2.1")
    server.add("b.test", "A", "0.0.0.0")
    server.add("c.test", "A", "192.0.2.3")
    found = await resolver_for(server).resolve(uri("sip:bob@example.com;transport=udp"))
    assert found == (Target("udp", "192.0.2.3", 5060),)


# Time: the clock stands still unless a test moves it.


async def until_asked(server: DnsServer, *questions: tuple[str, str]) -> None:
    while not all(server.asked[question] for question in questions):
        await trio.lowlevel.checkpoint()
    await trio.testing.wait_all_tasks_blocked()


async def test_silence_of_the_dns_ends_with_the_lifetime(
    server: DnsServer, nursery: trio.Nursery, mock_clock: trio.testing.MockClock
) -> None:
    server.silent_kinds = {"A", "AAAA"}
    resolver = resolver_for(server, names={"query_lifetime": 4.0, "query_timeout": 60.0})
    failures: list[str] = []

    async def resolve() -> None:
        with pytest.raises(Unreachable) as failure:
            await resolver.resolve(uri("sip:bob@example.com:5060"))
        failures.append(f"{trio.current_time():.1f} {failure.value}")

    start = trio.current_time()
    nursery.start_soon(resolve)
    await until_asked(server, ("example.com", "A"), ("example.com", "AAAA"))
    mock_clock.jump(3.9)
    await trio.testing.wait_all_tasks_blocked()
    assert failures == []
    mock_clock.jump(0.1)
    await trio.testing.wait_all_tasks_blocked()
    assert failures == [f"{start + 4:.1f} example.com: DNS: no answer in time"]

    await resolve()  # remembered: no question, no time
    assert server.asked["example.com", "A"] == 1
    assert trio.current_time() == start + 4

    server.silent_kinds = set()
    server.add("example.com", "A", "192.0.2.1")
    mock_clock.jump(5.1)  # failure_ttl
    assert await resolver.resolve(uri("sip:bob@example.com:5060")) == (Target("udp", "192.0.2.1", 5060),)


async def test_deadline_of_the_whole(
    server: DnsServer, nursery: trio.Nursery, mock_clock: trio.testing.MockClock
) -> None:
    """What has been found by then is given; here the SRV of UDP, while the addresses of TCP's are awaited."""
    # spec S-DNS-3
    server.add("_sip._udp.example.com", "SRV", "0 0 5060 a.test.")
    server.add("_sip._tcp.example.com", "SRV", "0 0 5060 b.test.")
    server.add("a.test", "A", "192.0.2.1")
    server.silent_names = {"b.test"}
    resolver = resolver_for(server, deadline=3.0, names={"query_lifetime": 10.0, "query_timeout": 60.0})
    found: list[tuple[Target, ...]] = []

    async def resolve() -> None:
        found.append(await resolver.resolve(uri("sip:bob@example.com")))

    nursery.start_soon(resolve)
    await until_asked(server, ("b.test", "A"), ("b.test", "AAAA"))
    mock_clock.jump(3.0)
    await trio.testing.wait_all_tasks_blocked()
    assert found == [(Target("udp", "192.0.2.1", 5060),)]


async def test_answers_are_kept_for_their_ttl(server: DnsServer, mock_clock: trio.testing.MockClock) -> None:
    # spec S-DNS-3
    server.add("example.com", "A", "192.0.2.1", ttl=30)
    resolver = resolver_for(server, families=(4,))
    for seconds, expected in ((0.0, 1), (29.0, 1), (1.5, 2), (29.0, 2)):
        mock_clock.jump(seconds)
        await resolver.resolve(uri("sip:bob@example.com:5060"))
        assert server.asked["example.com", "A"] == expected


async def test_absence_is_kept_for_the_soa_minimum(server: DnsServer, mock_clock: trio.testing.MockClock) -> None:
    names = Names(NameOptions(nameservers=(server.address,), hosts_file="/nonexistent"))
    server.add("example.com", "A", "192.0.2.1")
    for name in ("nobody.test", "example.com"):  # NXDOMAIN, and a name without records of this type
        for seconds, expected in ((0.0, 1), (59.0, 1), (1.5, 2)):
            mock_clock.jump(seconds)
            assert (await names.lookup(name, "SRV")).records is None
            assert server.asked[name, "SRV"] == expected


async def test_ttl_is_bounded_both_ways(server: DnsServer, mock_clock: trio.testing.MockClock) -> None:
    names = Names(NameOptions(nameservers=(server.address,), hosts_file="/nonexistent"))
    server.add("zero.test", "A", "192.0.2.1", ttl=0)
    server.add("long.test", "A", "192.0.2.1", ttl=10**6)
    assert (await names.lookup("zero.test", "A")).expires == trio.current_time() + 1
    assert (await names.lookup("long.test", "A")).expires == trio.current_time() + 3600


async def test_the_cache_is_bounded(server: DnsServer, mock_clock: trio.testing.MockClock) -> None:
    options = NameOptions(nameservers=(server.address,), hosts_file="/nonexistent", max_entries=3)
    names = Names(options)
    for n in range(5):
        server.add(f"h{n}.test", "A", "192.0.2.1", ttl=10 if n == 3 else 100)
        await names.lookup(f"h{n}.test", "A")
        assert len(names) <= 3
    await names.lookup("h2.test", "A")
    assert server.asked["h2.test", "A"] == 1
    await names.lookup("h0.test", "A")  # the oldest went first; this one displaces h2
    assert server.asked["h0.test", "A"] == 2
    mock_clock.jump(11)
    await names.lookup("h1.test", "A")  # takes the place of h3, which has expired
    assert len(names) == 3
    await names.lookup("h4.test", "A")
    assert server.asked["h4.test", "A"] == 1


async def test_concurrent_lookups_ask_once(server: DnsServer, nursery: trio.Nursery) -> None:
    # spec S-DNS-3
    names = Names(NameOptions(nameservers=(server.address,), hosts_file="/nonexistent"))
    server.add("example.com", "A", "192.0.2.1")
    async with trio.open_nursery() as lookups:
        for _ in range(100):
            lookups.start_soon(names.lookup, "example.com", "A")
    assert server.asked["example.com", "A"] == names.queries == 1


async def test_a_cancelled_lookup_leaves_the_others_to_ask(
    server: DnsServer, nursery: trio.Nursery, mock_clock: trio.testing.MockClock
) -> None:
    names = Names(NameOptions(nameservers=(server.address,), hosts_file="/nonexistent", query_timeout=60.0))
    server.add("example.com", "A", "192.0.2.1")
    server.silent_kinds = {"A"}
    found: list[bool] = []

    async def second() -> None:
        found.append((await names.lookup("example.com", "A")).records is not None)

    async with trio.open_nursery() as first:
        first.start_soon(names.lookup, "example.com", "A")
        await until_asked(server, ("example.com", "A"))
        nursery.start_soon(second)
        await trio.testing.wait_all_tasks_blocked()
        server.silent_kinds = set()
        first.cancel_scope.cancel()
    while not found:
        await trio.lowlevel.checkpoint()
    assert found == [True]


async def test_queries_at_once_are_bounded(
    server: DnsServer, nursery: trio.Nursery, mock_clock: trio.testing.MockClock
) -> None:
    names = Names(NameOptions(nameservers=(server.address,), hosts_file="/nonexistent", max_pending=2))
    server.silent_kinds = {"A"}
    nursery.start_soon(names.lookup, "a.test", "A")
    nursery.start_soon(names.lookup, "b.test", "A")
    await until_asked(server, ("a.test", "A"), ("b.test", "A"))
    answer = await names.lookup("c.test", "A")
    assert answer.failure == "DNS: too many queries at once"
    assert server.asked["c.test", "A"] == 0
    nursery.cancel_scope.cancel()


async def test_reload_forgets(server: DnsServer) -> None:
    names = Names(NameOptions(nameservers=(server.address,), hosts_file="/nonexistent"))
    await names.lookup("example.com", "A")
    names.reload()
    assert len(names) == 0
    await names.lookup("example.com", "A")
    assert server.asked["example.com", "A"] == 2


# The hosts file


async def test_hosts_file_comes_before_the_dns(server: DnsServer, tmp_path: Path) -> None:
    # spec S-DNS-4
    hosts = tmp_path / "hosts"
    hosts.write_text(
        "# comment\n192.0.2.7\tProxy.Example.COM proxy # 192.0.2.8 proxy\n\n2001:DB8::7 proxy.example.com\nbad line\n"
    )
    resolver = resolver_for(server, hosts)
    assert await resolver.resolve(uri("sip:proxy.example.com")) == (
        Target("udp", "2001:db8::7", 5060),
        Target("udp", "192.0.2.7", 5060),
    )
    assert await resolver.resolve(uri("sip:proxy;transport=tcp")) == (Target("tcp", "192.0.2.7", 5060),)
    assert await resolver.resolve(uri("sip:proxy:5080")) == (Target("udp", "192.0.2.7", 5080),)
    assert not server.asked


async def test_localhost_is_never_asked_for(server: DnsServer) -> None:
    # spec S-DNS-4
    resolver = resolver_for(server, families=(4, 6))
    for host in ("localhost", "db.localhost"):
        assert await resolver.resolve(uri(f"sip:bob@{host}:5080")) == (
            Target("udp", "127.0.0.1", 5080),
            Target("udp", "::1", 5080),
        )
    assert not server.asked


def test_hosts_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    hosts = HostsFile(str(path))
    assert hosts.get("a") is None
    path.write_text("192.0.2.1 a\n")
    assert hosts.get("a") == ["192.0.2.1"]
    path.write_text("192.0.2.1 a\n192.0.2.22 a a\n")
    assert hosts.get("a") == ["192.0.2.1", "192.0.2.22"]
    path.unlink()
    assert hosts.get("a") is None


async def test_without_nameservers_it_is_a_failure_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_configuration(self: dns.resolver.BaseResolver, *_args: object) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.resolver.BaseResolver, "read_resolv_conf", no_configuration)
    names = Names(NameOptions(hosts_file="/nonexistent"))
    answer = await names.lookup("example.com", "A")
    assert answer.failure == "DNS: NoResolverConfiguration"
