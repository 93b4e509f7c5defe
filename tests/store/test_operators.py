"""Operators in the database, by all kinds of it that are there."""

from __future__ import annotations

import pytest

from imc.errors import AccountError
from imc.store import operators
from imc.store.operators import Operator, hide, nobody
from imc.store.store import Store


def operator(name: str = "olga", role: str = "admin") -> Operator:
    return Operator.from_password(name, role, "correct horse", 1_000.5)


def test_a_password_is_known_again_and_not_kept() -> None:
    olga = operator()
    assert olga.has_password("correct horse")
    assert not olga.has_password("correct hors")
    assert "horse" not in olga.secret
    assert olga.secret not in repr(olga)
    assert operator().secret != olga.secret
    assert not nobody().has_password("")


@pytest.mark.parametrize("secret", ["", "scrypt$1$2", "scrypt$x$8$1$00$00", f"scrypt${1 << 30}$8$1$00$00"])
def test_what_others_wrote_lets_nobody_in(secret: str) -> None:
    assert not Operator(name="x", role="admin", secret=secret, created=0.0).has_password("correct horse")


@pytest.mark.parametrize("name", ["", "Olga", "o lga", "ölga", "-olga", "o" * 33, "olga\n"])
def test_names(name: str) -> None:
    with pytest.raises(AccountError, match="no operator's name"):
        operator(name)


def test_roles_and_passwords() -> None:
    with pytest.raises(AccountError, match="no role: there are viewer, operator, admin"):
        operator(role="root")
    for password in ("1234567", "x" * 1_025):
        with pytest.raises(AccountError, match="from 8 to 1024 characters"):
            hide(password)


def test_they_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    olga, otto = operator(), operator("otto", "viewer")
    store.add_operator(otto)
    store.add_operator(olga)
    assert store.list_operators() == [olga, otto]
    assert store.get_operator("olga") == olga
    assert store.get_operator("nobody") is None
    with pytest.raises(AccountError, match="there is an operator olga already"):
        store.add_operator(operator())
    store.set_operator("otto", role="operator")
    store.set_operator("otto", secret=hide("another one"))
    found = store.get_operator("otto")
    assert found is not None
    assert found.role == "operator"
    assert found.has_password("another one")
    store.set_operator("otto", role="operator")  # as it was
    store.remove_operator("otto")
    with pytest.raises(AccountError, match="there is no operator 'otto'"):
        store.remove_operator("otto")
    with pytest.raises(AccountError, match="there is no operator 'otto'"):
        store.set_operator("otto", role="admin")
    monkeypatch.setattr(operators, "MAX_OPERATORS", 1)
    with pytest.raises(AccountError, match="no more can be"):
        store.add_operator(otto)


def test_a_change_that_is_not_wanted_is_none(store: Store) -> None:
    def check(left: list[Operator]) -> None:
        if not any(one.role == "admin" for one in left):
            raise AccountError("no admin would be left")

    store.add_operator(operator())
    for role in ("viewer", None):
        with pytest.raises(AccountError, match="no admin would be left"):
            store.change_operators(check, "olga", role)
    store.add_operator(operator("otto"))
    store.change_operators(check, "olga", "viewer")
    store.change_operators(check, "olga", None)
    assert [one.name for one in store.list_operators()] == ["otto"]
