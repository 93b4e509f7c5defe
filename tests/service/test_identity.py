from __future__ import annotations

import re
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.aor import Aor
from imc.errors import BadMessage
from imc.service.guesses import Guesses
from imc.service.identity import (
    DEFAULT_ALGORITHMS,
    Answer,
    Identified,
    Identity,
    IdentityOptions,
    Mode,
    NeedAccount,
    Secrets,
    Voucher,
)
from imc.service.rates import Rate
from imc.sip.digest import DigestOptions, DigestVerifier, authorize, ha1
from imc.sip.flow import Flow
from imc.sip.headers import parse_auth
from imc.sip.message import Request, parse_message
from imc.store.accounts import Account

ALICE = Aor("alice", "example.com")
BOB = Aor("bob", "example.com")
ALICE2 = Aor("alice", "second.example")
PASSWORDS = {ALICE: "wonder land", BOB: "builder", ALICE2: "second"}
NOW = 1000.0
LIFETIME = 300.0
PEER = Flow("udp", ("192.0.2.1", 5060), ("203.0.113.5", 5060))
PEER6 = Flow("tcp", ("2001:db8::1", 5060), ("2001:db8:1::7", 40000), 3)
MAPPED_PEER = Flow("udp", ("::", 5060), ("::ffff:203.0.113.5", 5060))
STRANGER = Flow("udp", ("192.0.2.1", 5060), ("203.0.113.6", 5060))
STRANGER6 = Flow("udp", ("2001:db8::1", 5060), ("2001:db8:2::7", 5060))


class Directory:
    """Accounts by address; ``missing`` ones must be loaded first. ``asked`` is what was looked up."""

    def __init__(self) -> None:
        self.accounts: dict[Aor, Secrets] = {aor: Account.from_password(aor, PASSWORDS[aor]) for aor in PASSWORDS}
        self.missing: set[Aor] = set()
        self.asked: list[Aor] = []

    def peek(self, aor: Aor, now: float) -> Secrets | None:
        self.asked.append(aor)
        if aor in self.missing:
            raise LookupError(aor)
        return self.accounts.get(aor)


class Gate:
    def __init__(self, mode: Mode = Mode.DIGEST, guesses: Guesses | None = None, **options: object) -> None:
        self.directory = Directory()
        algorithms = options.get("algorithms", DEFAULT_ALGORITHMS)
        digest = DigestOptions(algorithms=algorithms, nonce_lifetime=LIFETIME)  # type: ignore[arg-type]
        self.verifier = DigestVerifier(digest, b"k" * 32)
        settings = {
            "domains": ("example.com", "second.example"),
            "trusted_peers": (ip_network("203.0.113.5/32"), ip_network("2001:db8:1::/48")),
            **options,
        }
        self.identity = Identity(
            IdentityOptions(mode=mode, **settings),  # type: ignore[arg-type]
            self.directory,
            self.verifier,
            guesses=guesses,
        )

    def ask(self, request: Request, flow: Flow = STRANGER, now: float = NOW) -> Identified | Answer:
        found = self.identity.authenticate(request, flow, now)
        assert not isinstance(found, NeedAccount)
        return found

    def challenge(self, now: float = NOW, **fields: object) -> list[str]:
        answer = self.ask(message(**fields), now=now)  # type: ignore[arg-type]
        assert isinstance(answer, Answer)
        return challenges(answer)


def message(
    *headers: str,
    sender: str = "<sip:alice@example.com>",
    to: str = "<sip:chat-x@example.com>",
    method: str = "MESSAGE",
    uri: str = "sip:chat-x@example.com",
    body: str = "hello",
) -> Request:
    lines = [
        f"{method} {uri} SIP/2.0",
        "Via: SIP/2.0/UDP 203.0.113.6;branch=z9hG4bK1",
        f"From: {sender};tag=f",
        f"To: {to}",
        "Call-ID: c",
        f"CSeq: 1 {method}",
        *headers,
        "Content-Type: text/plain",
        f"Content-Length: {len(body)}",
    ]
    request = parse_message("\r\n".join([*lines, "", body]).encode(), is_datagram=True)
    assert isinstance(request, Request)
    return request


def register(*headers: str, sender: str = "<sip:alice@example.com>", to: str | None = None) -> Request:
    return message(*headers, sender=sender, to=to or sender, method="REGISTER", uri="sip:example.com", body="")


def challenges(answer: Identified | Answer | NeedAccount) -> list[str]:
    assert isinstance(answer, Answer)
    assert answer.status == 401
    assert {name for name, _ in answer.headers} == {"WWW-Authenticate"}
    return [value for _, value in answer.headers]


def is_stale(answer: Identified | Answer) -> bool:
    (stale,) = {parse_auth(value).params.get("stale") for value in challenges(answer)}
    assert stale in (None, "true")
    return stale == "true"


def why(answer: Identified | Answer) -> tuple[int, str]:
    """Status and Warning text of a refusal."""
    assert isinstance(answer, Answer)
    (warning,) = [value for name, value in answer.headers if name == "Warning"]
    return answer.status, warning.removeprefix('399 imc "').removesuffix('"')


def signed(
    challenge: str,
    username: str = "alice",
    password: str | None = None,
    nc: int = 1,
    qop: str | None = None,
    **fields: str,
) -> Request:
    """A MESSAGE with the credentials that answer ``challenge``."""
    plain = message(**fields)
    secret = PASSWORDS[ALICE] if password is None else password
    value = authorize(challenge, plain.method, plain.uri, username, secret, body=plain.body, nc=nc, qop=qop)
    return message(f"Authorization: {value}", **fields)


# -- digest: the challenge ----


def test_everyone_else_is_challenged() -> None:
    # spec S-AUTH-1, S-AUTH-2
    gate = Gate()
    for request in (message(), register(), message(sender="<sip:nobody@example.com>")):
        offered = challenges(gate.ask(request))
        assert [parse_auth(value).params["algorithm"] for value in offered] == ["MD5", "SHA-256", "SHA-512-256"]
        assert {parse_auth(value).params["realm"] for value in offered} == {"example.com"}
        assert all("stale" not in parse_auth(value).params for value in offered)
    assert gate.directory.asked == [], "who shows nothing costs no lookup"


@pytest.mark.parametrize(
    ("sender", "realm"),
    [
        ("<sip:alice@second.example>", "second.example"),
        ("<sip:alice@SECOND.example:5070;x=1>", "second.example"),
        ("<sips:alice@second.example>", "second.example"),
        ("<sip:alice@elsewhere.example>", "example.com"),
    ],
)
def test_the_realm_is_the_domain_of_from_where_it_is_served(sender: str, realm: str) -> None:
    # spec S-AUTH-4
    offered = challenges(Gate().ask(message(sender=sender)))
    assert {parse_auth(value).params["realm"] for value in offered} == {realm}


def test_algorithms_are_offered_in_the_configured_order() -> None:
    # spec S-AUTH-3
    offered = challenges(Gate(algorithms=("SHA-256", "MD5")).ask(message()))
    assert [parse_auth(value).params["algorithm"] for value in offered] == ["SHA-256", "MD5"]


@pytest.mark.parametrize(
    ("agent", "offered"),
    [
        ("baresip v1.0.0 (x86_64/linux)", ["MD5"]),
        ("baresip v3.11.0 (x86_64/Linux)", ["MD5"]),
        ("baresip v3.9.0", ["MD5"]),
        ("baresip v3.12.1 (x86_64/Linux)", ["MD5", "SHA-256"]),
        ("baresip v4.2.0 (arm64/Linux)", ["MD5", "SHA-256"]),
        ("JsSIP 3.13.8", ["MD5"]),
        ("Chat 1.0 (JsSIP)", ["MD5"]),
        ("Twinkle/1.10.2", ["MD5"]),
        ("Twinkle/1.9.0", ["MD5"]),
        ("Twinkle/1.10.3", list(DEFAULT_ALGORITHMS)),
        ("Twinkle/1.11.0", list(DEFAULT_ALGORITHMS)),
        ("Linphonec/5.1.65", list(DEFAULT_ALGORITHMS)),
        ("SIP.js/0.21 baresip v1", list(DEFAULT_ALGORITHMS)),
    ],
)
def test_clients_that_fail_at_what_they_do_not_know_are_not_shown_it(agent: str, offered: list[str]) -> None:
    # spec S-AUTH-3
    values = challenges(Gate().ask(message(f"User-Agent: {agent}")))
    assert [parse_auth(value).params["algorithm"] for value in values] == offered


def test_a_client_that_knows_nothing_of_what_is_asked_for_is_asked_all_the_same() -> None:
    values = challenges(Gate(algorithms=("SHA-256",)).ask(message("User-Agent: baresip v1.0.0")))
    assert [parse_auth(value).params["algorithm"] for value in values] == ["SHA-256"]


def test_the_answer_is_a_response_of_its_own() -> None:
    request = message()
    answer = Gate().ask(request)
    assert isinstance(answer, Answer)
    response = answer.response(request, "tt")
    assert (response.status, response.reason, response.to.tag) == (401, "Unauthorized", "tt")
    assert response.headers.all("WWW-Authenticate") == challenges(answer)


# -- digest: the answer to it ----


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("qop", ["auth", "auth-int"])
@pytest.mark.parametrize("username", ["alice", "alice@example.com", "alice@EXAMPLE.com"])
def test_who_knows_the_password_is_identified(number: int, qop: str, username: str) -> None:
    gate = Gate()
    challenge = gate.challenge()[number]
    found = gate.ask(signed(challenge, username, qop=qop))
    if "@" in username and (number or username != "alice@example.com"):
        # Kamailio's ha1b is of MD5, and of the address as it is written there.
        challenges(found)
    else:
        assert found == Identified(ALICE, Voucher.DIGEST)


def test_register_is_the_same() -> None:
    gate = Gate()
    (challenge, *_) = challenges(gate.ask(register()))
    value = authorize(challenge, "REGISTER", "sip:example.com", "alice", PASSWORDS[ALICE])
    assert gate.ask(register(f"Authorization: {value}")) == Identified(ALICE, Voucher.DIGEST)


def test_the_same_user_part_of_two_domains() -> None:
    gate = Gate()
    second = "<sip:alice@second.example>"
    challenge = gate.challenge(sender=second)[0]
    assert gate.ask(signed(challenge, password="second", sender=second)) == Identified(ALICE2, Voucher.DIGEST)
    # credentials for one of our realms are not looked at for a sender of the other
    challenges(gate.ask(signed(challenge, password="second")))


def test_a_client_that_knows_no_qop() -> None:
    gate = Gate()
    challenge = re.sub(r', qop="[^"]*"', "", gate.challenge()[0])
    assert "qop" not in challenge
    request = signed(challenge)
    assert gate.ask(request) == Identified(ALICE, Voucher.DIGEST)
    assert is_stale(gate.ask(request))


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("alice", "wrong"),
        ("alice", ""),
        ("nobody", "wonder land"),
        ("nobody", ""),
        ("alice@second.example", "second"),
        ("", ""),
        ("al ice", "x"),
        ("alice@example.com@example.com", "x"),
        ("álice", "x"),
        ("' OR 1=1 --", "x"),
    ],
)
def test_who_does_not_is_challenged_again(username: str, password: str) -> None:
    gate = Gate()
    challenge = gate.challenge()[0]
    found = gate.ask(signed(challenge, username, password))
    assert not is_stale(found)
    assert parse_auth(challenges(found)[0]).params["nonce"] != parse_auth(challenge).params["nonce"]


def test_an_unknown_user_is_treated_as_a_known_one() -> None:
    # spec S-AUTH-9
    gate = Gate()
    found = []
    for username, password in (("alice", "wrong"), ("nobody", "wrong"), ("nobody", "")):
        sender = f"<sip:{username}@example.com>"
        first = gate.challenge(sender=sender)
        again = challenges(gate.ask(signed(first[0], username, password, sender=sender)))
        found.append([re.sub(r'nonce="[^"]*"', "", value) for value in (*first, *again)])
    assert found[0] == found[1] == found[2]
    assert gate.directory.asked == [ALICE, Aor("nobody", "example.com"), Aor("nobody", "example.com")]


def test_an_account_without_a_hash_of_the_algorithm() -> None:
    """As Kamailio makes them: then the password alone does not help, nor does the empty hash."""
    gate = Gate()
    gate.directory.accounts[ALICE] = Account(aor=ALICE, ha1=ha1("alice", "example.com", PASSWORDS[ALICE]))
    md5, sha256, _ = gate.challenge()
    assert not is_stale(gate.ask(signed(sha256)))
    assert not is_stale(gate.ask(signed(md5, "alice@example.com")))
    assert gate.ask(signed(md5)) == Identified(ALICE, Voucher.DIGEST)


def test_an_account_with_no_hash_at_all_lets_nobody_in() -> None:
    gate = Gate()
    gate.directory.accounts[ALICE] = Account(aor=ALICE, ha1="")
    assert not is_stale(gate.ask(signed(gate.challenge()[0], password="")))


def test_replay_gets_a_new_nonce() -> None:
    # spec S-AUTH-6
    gate = Gate()
    challenge = gate.challenge()[0]
    request = signed(challenge)
    assert gate.ask(request) == Identified(ALICE, Voucher.DIGEST)
    for _ in range(2):
        fresh = challenges(gate.ask(request))[0]
        assert parse_auth(fresh).params["nonce"] != parse_auth(challenge).params["nonce"]
    assert gate.ask(signed(challenge, nc=2)) == Identified(ALICE, Voucher.DIGEST)
    assert gate.ask(signed(fresh)) == Identified(ALICE, Voucher.DIGEST)


@pytest.mark.parametrize("spelled", ["%61lice", "alic%65", "%61lice@example.com", "alice@EXAMPLE.com"])
@pytest.mark.parametrize("username", ["alice", "alice@example.com"])
def test_a_replay_under_another_spelling_of_the_name(username: str, spelled: str) -> None:
    """The name is not in the hash that is stored: the nonce counts for whoever was proven."""
    gate = Gate()
    challenge = gate.challenge()[0]
    request = signed(challenge, username=username)
    assert gate.ask(request) == Identified(ALICE, Voucher.DIGEST)
    value = request.headers.all("Authorization")[0]
    assert f'username="{username}"' in value
    again = message("Authorization: " + value.replace(f'username="{username}"', f'username="{spelled}"'))
    assert challenges(gate.ask(again))


def test_credentials_are_for_one_request() -> None:
    """Method, Request-URI, and with auth-int the body."""
    gate = Gate()
    challenge = gate.challenge()[0]
    credentials = signed(challenge, qop="auth-int").headers.all("Authorization")[0]
    header = f"Authorization: {credentials}"
    assert not is_stale(gate.ask(message(header, body="other")))
    assert not is_stale(gate.ask(message(header, uri="sip:chat-y@example.com")))
    assert not is_stale(gate.ask(message(header, method="REGISTER", to="<sip:alice@example.com>")))
    assert gate.ask(message(header)) == Identified(ALICE, Voucher.DIGEST)


def test_an_old_nonce_is_stale() -> None:
    gate = Gate()
    challenge = gate.challenge()[0]
    assert gate.ask(signed(challenge), now=NOW + LIFETIME) == Identified(ALICE, Voucher.DIGEST)
    late = gate.ask(signed(challenge, nc=2), now=NOW + LIFETIME + 1)
    assert is_stale(late)
    # but it says so only to who knows the password
    assert not is_stale(gate.ask(signed(challenge, password="wrong", nc=3), now=NOW + LIFETIME + 1))
    assert gate.ask(signed(challenges(late)[0]), now=NOW + LIFETIME + 2) == Identified(ALICE, Voucher.DIGEST)


def test_a_nonce_from_before_a_restart_is_stale() -> None:
    # spec S-AUTH-5
    challenge = Gate().challenge()[0]
    gate = Gate()
    gate.verifier = DigestVerifier(DigestOptions(algorithms=DEFAULT_ALGORITHMS), b"n" * 32)
    gate.identity = Identity(IdentityOptions(mode=Mode.DIGEST, domains=("example.com",)), gate.directory, gate.verifier)
    assert is_stale(gate.ask(signed(challenge)))


# -- digest: the header ----


def test_credentials_for_others_are_passed_over() -> None:
    # spec S-AUTH-12
    gate = Gate()
    challenge = gate.challenge()[0]
    foreign = 'Authorization: Digest username="x", realm="elsewhere", nonce="n", uri="sip:x", response="00"'
    basic = "Authorization: Basic YWxpY2U6d29uZGVyIGxhbmQ="
    odd = foreign.replace("elsewhere", "example.com") + ", algorithm=MD5-sess"
    ours = f"Authorization: {signed(challenge).headers.get('Authorization')}"
    challenges(gate.ask(message(foreign, basic, odd)))
    assert gate.ask(message(foreign, basic, odd, ours)) == Identified(ALICE, Voucher.DIGEST)
    assert gate.directory.asked == [ALICE]


def test_a_client_that_answers_every_challenge() -> None:
    gate = Gate()
    both = [f"Authorization: {signed(value).headers.get('Authorization')}" for value in gate.challenge()]
    assert gate.ask(message(*both)) == Identified(ALICE, Voucher.DIGEST)


def test_only_so_many_credentials_are_looked_at() -> None:
    gate = Gate()
    ours = f"Authorization: {signed(gate.challenge()[0]).headers.get('Authorization')}"
    foreign = 'Authorization: Digest username="x", realm="elsewhere", nonce="n", uri="sip:x", response="00"'
    challenges(gate.ask(message(*[foreign] * 8, ours)))


@pytest.mark.parametrize(
    "value",
    [
        "Digest",
        'Digest username="alice"',
        'Digest username="alice", realm="example.com", nonce="n", uri="sip:x"',
        'Digest username="alice", realm="example.com", nonce="n", uri="sip:x", response="zz"',
        'Digest username="alice", realm="example.com", nonce="n", uri="sip:x", response="00", qop=auth',
        'Digest username="alice", username="bob", realm="example.com", nonce="n", uri="sip:x", response="00"',
        'Digest username="alice, realm="example.com", nonce="n", uri="sip:x", response="00"',
    ],
)
def test_malformed_credentials(value: str) -> None:
    found = Gate().ask(message(f"Authorization: {value}"))
    assert isinstance(found, Answer)
    # what is no Digest value at all is passed over
    assert found.status == (401 if value == "Digest" else 400)


# -- From ----


def test_forged_from() -> None:
    # spec S-AUTH-8
    gate = Gate()
    forged = "<sip:bob@example.com>"
    challenge = gate.challenge(sender=forged)[0]
    assert why(gate.ask(signed(challenge, sender=forged))) == (403, "From must be the authenticated address")
    # and without the right password it tells nothing
    challenges(gate.ask(signed(challenge, password="wrong", sender=forged, nc=2)))


def test_from_of_another_domain() -> None:
    gate = Gate()
    foreign = "<sip:alice@elsewhere.example>"
    challenge = gate.challenge(sender=foreign)[0]
    assert why(gate.ask(signed(challenge, sender=foreign)))[0] == 403


@pytest.mark.parametrize("sender", ["<sip:%61lice@Example.COM:5070>", "Alice <sips:alice@example.com;x=y>"])
def test_from_is_compared_as_an_address_of_record(sender: str) -> None:
    gate = Gate()
    assert gate.ask(signed(gate.challenge()[0], sender=sender)) == Identified(ALICE, Voucher.DIGEST)


def test_user_parts_have_case() -> None:
    gate = Gate()
    assert why(gate.ask(signed(gate.challenge()[0], sender="<sip:Alice@example.com>")))[0] == 403


NO_SENDER = [
    "<sip:example.com>",
    "<tel:+1234>",
    "<mailto:alice@example.com>",
    "<sip:anonymous@anonymous.invalid>",
    '"Anonymous" <sip:anonymous@anonymous.invalid>',
    "<sip:x7@Anonymous.Invalid>",
    "<sip:x7@a.anonymous.invalid>",
]


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("sender", NO_SENDER)
def test_who_does_not_say_who_they_are(mode: Mode, sender: str) -> None:
    # spec S-AUTH-11
    found = Gate(mode).ask(message(sender=sender), STRANGER if mode is Mode.NONE else PEER)
    assert why(found)[0] == 403


# -- REGISTER for others ----


def test_nobody_registers_others() -> None:
    # spec S-AUTH-8
    refusal = (403, "only one's own address can be registered")
    gate = Gate()
    bob = "<sip:bob@example.com>"
    (challenge, *_) = challenges(gate.ask(register(to=bob)))
    value = authorize(challenge, "REGISTER", "sip:example.com", "alice", PASSWORDS[ALICE])
    assert why(gate.ask(register(f"Authorization: {value}", to=bob))) == refusal
    assert why(Gate(Mode.TRUSTED).ask(register(to=bob), PEER)) == refusal
    assert why(Gate(Mode.TRUSTED).ask(register(f"P-Asserted-Identity: {bob}"), PEER)) == refusal
    assert why(Gate(Mode.NONE).ask(register(to=bob))) == refusal
    assert why(Gate(Mode.NONE).ask(register(to="<sip:example.com>")))[0] == 403


# -- trusted ----


@pytest.mark.parametrize("flow", [PEER, PEER6, MAPPED_PEER])
def test_a_trusted_peer_is_believed(flow: Flow) -> None:
    gate = Gate(Mode.TRUSTED)
    assert gate.ask(message(), flow) == Identified(ALICE, Voucher.PEER)
    assert gate.ask(register(), flow) == Identified(ALICE, Voucher.PEER)
    assert gate.ask(message(sender="<sip:u@elsewhere.example>"), flow) == Identified(
        Aor("u", "elsewhere.example"), Voucher.PEER
    )
    assert gate.directory.asked == []


@pytest.mark.parametrize("flow", [STRANGER, STRANGER6])
@pytest.mark.parametrize("header", ["P-Asserted-Identity: <sip:alice@example.com>", "X: y"])
def test_nobody_else_is_heard(flow: Flow, header: str) -> None:
    # spec S-AUTH-1
    assert why(Gate(Mode.TRUSTED).ask(message(header), flow)) == (403, "only trusted peers are heard here")


@pytest.mark.parametrize(
    ("value", "aor"),
    [
        ("<sip:alice@example.com>", ALICE),
        ("Alice <sips:%61lice@Example.com:5061;user=phone>", ALICE),
        ("<tel:+1234>, <sip:alice@example.com>", ALICE),
        ("<sip:alice@example.com>, <tel:+1234>", ALICE),
        ("sip:alice@example.com", ALICE),
    ],
)
@pytest.mark.parametrize("mode", [Mode.TRUSTED, Mode.DIGEST])
@pytest.mark.parametrize("sender", ["<sip:bob@example.com>", "<sip:anonymous@anonymous.invalid>", "<sip:example.com>"])
def test_an_asserted_identity_counts_and_not_from(mode: Mode, value: str, aor: Aor, sender: str) -> None:
    # spec S-AUTH-10
    request = message(f"P-Asserted-Identity: {value}", sender=sender)
    assert Gate(mode).ask(request, PEER) == Identified(aor, Voucher.PEER)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["P-Asserted-Identity: <tel:+1234>"], 403),
        (["P-Asserted-Identity: <sip:example.com>"], 403),
        (["P-Asserted-Identity: <sip:anonymous@anonymous.invalid>"], 403),
        (["P-Asserted-Identity: <sip:alice@example.com>", "Privacy: id"], 403),
        (["P-Asserted-Identity: <sip:alice@example.com>", "Privacy: header; ID"], 403),
        (["P-Asserted-Identity: <sip:alice@example.com"], 400),
        (["P-Asserted-Identity: <sip:alice@example.com>, <sip:bob@example.com>"], 400),
        (["P-Asserted-Identity: <sip:alice@example.com>", "P-Asserted-Identity: <sip:bob@example.com>"], 400),
    ],
)
def test_assertions_that_cannot_be_used(headers: list[str], status: int) -> None:
    # spec S-AUTH-10
    for mode in (Mode.TRUSTED, Mode.DIGEST):
        found = Gate(mode).ask(message(*headers), PEER)
        assert isinstance(found, Answer)
        assert found.status == status


def test_privacy_none_hides_nothing() -> None:
    request = message("P-Asserted-Identity: <sip:bob@example.com>", "Privacy: none")
    assert Gate(Mode.TRUSTED).ask(request, PEER) == Identified(BOB, Voucher.PEER)


def test_assertions_of_strangers_are_not_looked_at() -> None:
    # spec S-AUTH-10
    asserted = "P-Asserted-Identity: <sip:bob@example.com>"
    preferred = "P-Preferred-Identity: <sip:bob@example.com>"
    gate = Gate()
    challenge = challenges(gate.ask(message(asserted)))[0]
    ours = f"Authorization: {signed(challenge).headers.get('Authorization')}"
    assert gate.ask(message(asserted, preferred, ours)) == Identified(ALICE, Voucher.DIGEST)
    assert Gate(Mode.NONE).ask(message(asserted, preferred)) == Identified(ALICE, Voucher.NOBODY)
    assert Gate(Mode.TRUSTED).ask(message(preferred), PEER) == Identified(ALICE, Voucher.PEER)


def test_in_mode_digest_a_trusted_peer_that_asserts_nothing_is_challenged() -> None:
    gate = Gate()
    challenge = challenges(gate.ask(message(), PEER))[0]
    assert gate.ask(signed(challenge), PEER) == Identified(ALICE, Voucher.DIGEST)
    assert why(gate.ask(signed(challenge, sender="<sip:bob@example.com>", nc=2), PEER))[0] == 403


# -- none ----


@pytest.mark.parametrize("flow", [PEER, STRANGER, STRANGER6])
def test_mode_none_believes_from(flow: Flow) -> None:
    # spec S-AUTH-1
    gate = Gate(Mode.NONE)
    assert gate.ask(message(), flow) == Identified(ALICE, Voucher.NOBODY)
    assert gate.ask(message("Authorization: Digest nonsense"), flow) == Identified(ALICE, Voucher.NOBODY)
    assert gate.directory.asked == []


# -- accounts that are not at hand ----


@pytest.mark.parametrize("password", [PASSWORDS[ALICE], "wrong"])
def test_an_account_is_loaded_before_anything_is_spent(password: str) -> None:
    gate = Gate()
    gate.directory.missing = {ALICE, Aor("nobody", "example.com")}
    challenge = gate.challenge()[0]
    request = signed(challenge, password=password)
    gate.identity.authenticate(request, STRANGER, NOW)
    need = gate.identity.authenticate(request, STRANGER, NOW)
    assert isinstance(need, NeedAccount)
    assert need.aor == ALICE
    found = gate.identity.judge(need, gate.directory.accounts[ALICE], NOW)
    if password == "wrong":
        assert not is_stale(found)
    else:
        assert found == Identified(ALICE, Voucher.DIGEST)
        challenges(gate.identity.judge(need, gate.directory.accounts[ALICE], NOW))


def test_an_account_that_turns_out_not_to_exist() -> None:
    gate = Gate()
    nobody = Aor("nobody", "example.com")
    gate.directory.missing = {nobody}
    sender = "<sip:nobody@example.com>"
    request = signed(gate.challenge(sender=sender)[0], "nobody", "x", sender=sender)
    need = gate.identity.authenticate(request, STRANGER, NOW)
    assert isinstance(need, NeedAccount)
    assert need.aor == nobody
    assert not is_stale(gate.identity.judge(need, None, NOW))


# -- guessing ----


def test_passwords_that_are_one_too_many_are_not_looked_at() -> None:
    """spec S-AUTH-14: neither is the account read, nor does a right password get another answer than a wrong one."""
    gate = Gate(guesses=Guesses(Rate(3, 0.1)))
    challenge = gate.challenge()[0]
    for _ in range(3):
        challenges(gate.ask(signed(challenge, password="wrong")))
    gate.directory.asked.clear()
    answers = [gate.ask(signed(challenge, password=password)) for password in ("wrong", PASSWORDS[ALICE])]
    assert answers == [Answer(503, None, (("Retry-After", "10"),))] * 2
    assert gate.directory.asked == []
    assert gate.identity.statistics()["auth_unheard"] == 2
    challenges(gate.ask(message()))
    assert gate.ask(signed(challenge, password=PASSWORDS[ALICE]), now=NOW + 10) == Identified(ALICE, Voucher.DIGEST)


def test_an_account_that_was_read_meanwhile_is_counted_all_the_same() -> None:
    """spec S-AUTH-14: what waits for the database does not get past the bound."""
    gate = Gate(guesses=Guesses(Rate(3, 0.1)))
    gate.directory.missing = {ALICE}
    request = signed(gate.challenge()[0], password="wrong")
    needs = [gate.identity.authenticate(request, STRANGER, NOW) for _ in range(10)]
    found = [gate.identity.judge(need, None, NOW) for need in needs if isinstance(need, NeedAccount)]
    assert [one.status for one in found if isinstance(one, Answer)] == [401] * 3 + [503] * 7


def test_a_copy_of_right_credentials_makes_no_home() -> None:
    """spec S-AUTH-14: who has only heard what somebody sent is a stranger still."""
    gate = Gate(guesses=Guesses(Rate(3, 0.1)))
    heard = signed(gate.challenge()[0])
    assert isinstance(gate.ask(heard), Identified)
    assert is_stale(gate.ask(heard, PEER))
    for _ in range(3):
        challenges(gate.ask(signed(gate.challenge()[0], password="wrong"), PEER))
    assert gate.ask(signed(gate.challenge()[0]), PEER) == Answer(503, None, (("Retry-After", "10"),))
    assert isinstance(gate.ask(signed(gate.challenge()[0])), Identified)


def test_a_name_that_no_account_can_have_counts_against_nobody() -> None:
    gate = Gate(guesses=Guesses(Rate(3, 0.1)))
    for _ in range(10):
        challenges(gate.ask(signed(gate.challenge()[0], "alice@elsewhere.example", "wrong")))
    assert isinstance(gate.ask(signed(gate.challenge()[0])), Identified)


# -- whatever comes ----

PIECES = st.sampled_from(
    [
        *(
            "Digest ",
            "username=",
            "realm=",
            "nonce=",
            "uri=",
            "response=",
            "qop=",
            "nc=",
            "cnonce=",
            "algorithm=",
            ", ",
        ),
        *(
            '"alice"',
            '"example.com"',
            '"',
            "auth",
            "MD5",
            "SHA-256",
            "00000001",
            "sip:alice@example.com",
            "<",
            ">",
            "@",
        ),
        *("sip:", "tel:+1", "alice", "example.com", "anonymous.invalid", ";", "%0d%0a", "é", "\\", "="),
    ]
)
TEXTS = st.lists(PIECES, max_size=14).map("".join) | st.text(max_size=30)


@given(
    sender=TEXTS,
    to=TEXTS,
    authorization=TEXTS,
    asserted=TEXTS,
    mode=st.sampled_from(list(Mode)),
    flow=st.sampled_from([PEER, STRANGER]),
    method=st.sampled_from(["MESSAGE", "REGISTER"]),
)
def test_any_text_is_judged(
    sender: str, to: str, authorization: str, asserted: str, mode: Mode, flow: Flow, method: str
) -> None:
    headers = (f"Authorization: {authorization}", f"P-Asserted-Identity: {asserted}")
    try:
        request = message(*headers, sender=sender, to=to, method=method)
    except BadMessage:
        return
    found = Gate(mode).ask(request, flow)
    if isinstance(found, Answer):
        assert found.status in (400, 401, 403)
        found.response(request, "t").render()
    else:
        assert mode is not Mode.DIGEST or flow is PEER
        assert Aor.make(*found.aor) == found.aor


# -- figures ----


def test_statistics() -> None:
    gate = Gate()
    challenge = gate.challenge()[0]
    request = signed(challenge)
    gate.ask(request)
    gate.ask(request)
    gate.ask(signed(challenge, password="wrong", nc=2))
    gate.ask(signed(challenge, nc=3), now=NOW + LIFETIME + 1)
    gate.ask(signed(challenge, sender="<sip:bob@example.com>", nc=4))
    gate.ask(message(sender="<sip:example.com>"))
    gate.ask(message('Authorization: Digest username="alice"'))
    assert gate.identity.statistics() == {
        "auth_ok": 2,
        "auth_stale": 1,
        "auth_replay": 1,
        "auth_wrong": 1,
        "auth_malformed": 1,
        "auth_challenge": 4,
        "auth_forbidden": 2,
        "auth_unheard": 0,
        "accounts_guessed": 0,
    }
