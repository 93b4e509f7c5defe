from __future__ import annotations

import pytest

from conformance.replay.people import People
from conformance.replay.recording import Address
from conformance.replay.rename import Renaming
from conformance.replay.script import Agent

OLD, NEW = Address("192.0.2.1", 5060), Address("127.0.0.1", 15060)
PEOPLE = People({"alice@example.com", "bob@192.0.2.1"}, {"chat-a@example.com"}, "example.com")


def renaming(**more: object) -> Renaming:
    agent = Agent(0, Address("192.0.2.7", 5062), {Address("192.0.2.7", 5062), Address("2001:db8::7", 5060)})
    found = Renaming(PEOPLE, OLD, NEW, **more)  # type: ignore[arg-type]
    found.live[agent] = Address("127.0.0.1", 40000)
    return found


ALL = {"domains": {"example.com": "test.example"}, "suffix": "-x", "users": {"alice": "test1"}}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sip:alice@example.com", "sip:test1@test.example"),
        ("<sip:bob@Example.COM;user=phone>", "<sip:bob@test.example;user=phone>"),
        ("sip:chat-a@example.com", "sip:chat-a-x@test.example"),
        ("sip:chat-a:secret@example.com", "sip:chat-a-x:secret@test.example"),
        ("sip:chat-b@example.com", "sip:chat-b@test.example"),
        ("sip:alice@other.example", "sip:test1@other.example"),
        ("sip:example.com;transport=tcp", "sip:test.example;transport=tcp"),
        ("sip:alice@example.com:5060", "sip:test1@test.example"),
        ("sip:alice@example.com:5999", "sip:test1@test.example:5999"),
        ("<sip:192.0.2.1;lr>, <sip:192.0.2.1:5060;lr>", "<sip:127.0.0.1:15060;lr>, <sip:127.0.0.1:15060;lr>"),
        ("<sip:alice-0x1@192.0.2.7:5062>;expires=300", "<sip:alice-0x1@127.0.0.1:40000>;expires=300"),
        ("sip:a@[2001:DB8:0::7]", "sip:a@127.0.0.1:40000"),
        ("sip:192.0.2.99:5060", "sip:192.0.2.99:5060"),
        ("no uri", "no uri"),
    ],
)
def test_uris(old: str, new: str) -> None:
    assert renaming(**ALL).uris(old) == new


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("#invite alice chat-a", "#invite test1 chat-a-x"),
        ("[alice]: see chat-a@example.com, not chat-ab", "[test1]: see chat-a-x@test.example, not chat-ab"),
        ("write to sip:chat-a@example.com.", "write to sip:chat-a-x@test.example."),
        ("malice in sub.example.com", "malice in sub.example.com"),
        ("*alice@example.com (owner)", "*test1@test.example (owner)"),
    ],
)
def test_text(old: str, new: str) -> None:
    assert renaming(**ALL).text(old) == new


def test_nothing_to_rename_is_left_as_it_is() -> None:
    text = "#invite alice chat-a, sip:alice@example.com, 192.0.2.1"
    assert renaming().text(text) == text
    assert renaming(**ALL).body(b"\xff chat-a") == b"\xff chat-a"


def test_domains_that_change_places() -> None:
    swapped = renaming(domains={"example.com": "other.example", "other.example": "example.com"})
    assert swapped.text("sip:a@example.com b@other.example") == "sip:a@other.example b@example.com"


def test_a_domain_that_is_the_servers_address() -> None:
    """A user's address is renamed as a domain, the server's own as an address."""
    found = renaming(domains={"192.0.2.1": "127.0.0.1"})
    assert found.uris("sip:bob@192.0.2.1") == "sip:bob@127.0.0.1"
    assert found.uris("<sip:192.0.2.1:5060;lr>") == "<sip:127.0.0.1:15060;lr>"


def test_a_client_that_calls_itself_by_its_domain() -> None:
    found = renaming()
    (agent,) = found.live
    agent.addresses.add(Address("example.com", 5060))
    assert found.uris("sip:alice@example.com", agent) == "sip:alice@example.com"
    assert found.uris("sip:alice@example.com:5060", agent) == "sip:alice@127.0.0.1:40000"


def test_tokens_stay_the_same() -> None:
    found = renaming()
    assert found.call_id("c") == found.call_id("c") != found.call_id("d")
    assert found.known_call_id("c") == found.call_id("c")
    assert found.known_call_id("never sent") == "never sent"
    assert found.tag("t") == found.tag("t") != found.tag("u")
    found.learn_tag("server's", "seen")
    assert found.tag("server's") == "seen"


def test_what_is_its_own_counts_first() -> None:
    """Two clients behind one address translation have the same private address."""
    found = renaming()
    private = Address("10.0.0.1", 5060)
    one, two = Agent(1, Address("198.51.100.1", 1), {private}), Agent(2, Address("198.51.100.1", 2), {private})
    found.live |= {one: Address("127.0.0.1", 1001), two: Address("127.0.0.1", 1002)}
    assert [found.uris("<sip:a@10.0.0.1>", agent) for agent in (one, two)] == [
        "<sip:a@127.0.0.1:1001>",
        "<sip:a@127.0.0.1:1002>",
    ]
