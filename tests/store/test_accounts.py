"""imc.store.accounts, on every kind of database."""

from __future__ import annotations

import hashlib

import pytest

from imc.aor import Aor
from imc.errors import AccountError
from imc.store.accounts import Account
from imc.store.store import Store
from tests.databases import Database
from tests.store.samples import ALICE, BOB, ODD_USERS


def account(aor: Aor = ALICE, password: str = "correct horse") -> Account:
    return Account.from_password(aor, password)


def test_hashes_are_those_of_rfc_8760_and_kamailio() -> None:
    # RFC 7616 §3.9.1: Mufasa's A1, as an address.
    a1 = b"alice:example.com:correct horse"
    found = account()
    assert found.ha1 == hashlib.md5(a1).hexdigest()
    assert found.ha1b == hashlib.md5(b"alice@example.com:example.com:correct horse").hexdigest()
    assert found.ha1_sha256 == hashlib.sha256(a1).hexdigest()
    assert found.ha1_sha512_256 == hashlib.new("sha512_256", a1).hexdigest()
    assert len(found.ha1_sha512_256) == 64


def test_a_password_may_be_any_text_but_the_empty_one() -> None:
    assert account(password="pässwörd 😀").ha1 == hashlib.md5("alice:example.com:pässwörd 😀".encode()).hexdigest()
    with pytest.raises(AccountError, match="empty"):
        account(password="")


def test_no_secret_is_shown() -> None:
    shown = repr(account())
    assert "alice" in shown
    for secret in (account().ha1, account().ha1b, account().ha1_sha256, "correct"):
        assert secret not in shown


def test_an_account_is_read_as_it_was_written(store: Store, database: Database) -> None:
    store.add_account(account())
    assert store.get_account(ALICE) == account()
    assert store.get_account(BOB) is None
    assert database.execute("SELECT username, domain, password, ha1 FROM subscriber") == [
        ("alice", "example.com", "", account().ha1)
    ]


def test_a_duplicate_is_refused_and_changes_nothing(store: Store) -> None:
    store.add_account(account())
    version = store.accounts_version()
    with pytest.raises(AccountError, match=r"sip:alice@example.com has an account already"):
        store.add_account(account(password="other"))
    assert store.get_account(ALICE) == account()
    assert store.accounts_version() == version


def test_an_address_that_does_not_fit_is_refused(store: Store) -> None:
    with pytest.raises(AccountError, match="65 characters"):
        store.add_account(account(Aor("u" * 65, "example.com")))
    assert store.list_accounts(10).rows == []


def test_a_new_password(store: Store) -> None:
    store.add_account(account())
    store.set_account(account(password="other"))
    assert store.get_account(ALICE) == account(password="other")
    # The same once more: MySQL changes no row then.
    store.set_account(account(password="other"))
    with pytest.raises(AccountError, match=r"sip:bob@example.com has no account"):
        store.set_account(account(BOB))


def test_removal(store: Store) -> None:
    store.add_account(account())
    store.add_account(account(BOB))
    store.remove_account(ALICE)
    assert store.get_account(ALICE) is None
    assert store.get_account(BOB) == account(BOB)
    with pytest.raises(AccountError, match=r"sip:alice@example.com has no account"):
        store.remove_account(ALICE)


def test_the_version_changes_with_each_change(store: Store) -> None:
    versions = [store.accounts_version()]
    store.add_account(account())
    versions.append(store.accounts_version())
    store.set_account(account(password="other"))
    versions.append(store.accounts_version())
    assert store.accounts_version() == versions[-1]
    store.remove_account(ALICE)
    versions.append(store.accounts_version())
    assert versions[0] == ""
    assert len(set(versions)) == 4
    with pytest.raises(AccountError):
        store.remove_account(ALICE)
    assert store.accounts_version() == versions[-1]


def test_pages_of_accounts(store: Store) -> None:
    for number in range(7):
        store.add_account(account(Aor(f"user{number}", "example.com")))
    page = store.list_accounts(3)
    seen = list(page.rows)
    while page.next is not None:
        page = store.list_accounts(3, page.next)
        seen += page.rows
    assert [aor.user for aor in seen] == [f"user{number}" for number in range(7)]


def test_odd_names(store: Store) -> None:
    for user in ODD_USERS:
        store.add_account(account(Aor(user, "example.com"), user))
    for user in ODD_USERS:
        assert store.get_account(Aor(user, "example.com")) == account(Aor(user, "example.com"), user)
    store.remove_account(Aor("UPPER", "example.com"))
    assert store.get_account(Aor("upper", "example.com")) is not None
    assert {aor.user for aor in store.list_accounts(100).rows} == set(ODD_USERS) - {"UPPER"}


def test_a_password_that_kamailio_kept_is_used_until_it_is_changed(store: Store, database: Database) -> None:
    database.execute(
        "INSERT INTO subscriber (username, domain, password) VALUES ('alice', 'example.com', 'correct horse')"
    )
    assert store.get_account(ALICE) == account()
    store.set_account(account(password="other"))
    assert store.get_account(ALICE) == account(password="other")
    assert database.execute("SELECT password FROM subscriber") == [("",)]


def test_kamailios_own_hash_is_used_as_it_is(store: Store, database: Database) -> None:
    database.execute(
        "INSERT INTO subscriber (username, domain, password, ha1, ha1b) "
        "VALUES ('alice', 'example.com', 'x', 'aa', 'bb')"
    )
    assert store.get_account(ALICE) == Account(aor=ALICE, ha1="aa", ha1b="bb")
