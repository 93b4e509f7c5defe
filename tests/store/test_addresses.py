"""imc.store.addresses"""

from __future__ import annotations

import pytest

from imc.aor import Aor
from imc.store.addresses import Addresses


def test_one_object_for_one_address() -> None:
    addresses = Addresses()
    assert addresses.get("alice", "example.com") == Aor("alice", "example.com")
    assert addresses.get("alice", "example.com") is addresses.get("al%69ce", "Example.COM.")


@pytest.mark.parametrize(
    ("username", "domain"), [("", "example.com"), ("a b", "example.com"), ("alice", "-"), ("alice", "")]
)
def test_what_is_no_address_is_none(username: str, domain: str) -> None:
    addresses = Addresses()
    assert addresses.get(username, domain) is None
    assert addresses.get(username, domain) is None


def test_what_is_remembered_is_bounded() -> None:
    addresses = Addresses(bound=2)
    first = addresses.get("user0", "a.test")
    for number in range(5):
        assert addresses.get(f"user{number}", f"h{number}.test") == Aor(f"user{number}", f"h{number}.test")
    assert addresses.get("user0", "a.test") == first
    assert addresses.get("user0", "a.test") is not first
