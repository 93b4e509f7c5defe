"""RFC 7616 and RFC 8760 by their own examples, and the verifier's bookkeeping."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from imc.errors import BadMessage
from imc.sip.digest import (
    ALGORITHMS,
    Credentials,
    DigestOptions,
    DigestVerifier,
    Verdict,
    authorize,
    choose_challenge,
    digest,
    ha1,
    is_same_resource,
    response,
)

REALM = "example.com"
URI = "sip:room@example.com"
PASSWORD = "correct horse"
BODY = b"hello"
SECRETS = {name: ha1("alice", REALM, PASSWORD, name) for name in ALGORITHMS}


def make_verifier(**options: object) -> DigestVerifier:
    return DigestVerifier(DigestOptions(**options), b"k" * 32)  # type: ignore[arg-type]


def verify(
    verifier: DigestVerifier,
    authorization: str | Credentials,
    now: float = 0.0,
    *,
    method: str = "MESSAGE",
    uri: str = URI,
    body: bytes = BODY,
    secrets: dict[str, str] | None = SECRETS,
) -> Verdict:
    return verifier.verify(authorization, method=method, uri=uri, body=body, secrets=secrets, now=now)


def login(verifier: DigestVerifier, now: float = 0.0, nc: int = 1, **changes: object) -> str:
    (challenge,) = verifier.challenges(REALM, now)
    return answer(challenge, nc, **changes)


def answer(challenge: str, nc: int = 1, **changes: object) -> str:
    arguments = {"method": "MESSAGE", "uri": URI, "username": "alice", "password": PASSWORD, "body": BODY} | changes
    return authorize(challenge, nc=nc, **arguments)  # type: ignore[arg-type]


def only(algorithm: str = "SHA-256", **options: object) -> DigestVerifier:
    return make_verifier(algorithms=(algorithm,), **options)


# -- the RFCs' own numbers --------------------------------------------------------------------------------------------

RFC_7616_1: dict[str, Any] = {
    "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    "method": "GET",
    "uri": "/dir/index.html",
    "qop": "auth",
    "nc": "00000001",
    "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
}


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc_7616_section_3_9_1(algorithm: str, expected: str) -> None:
    secret = ha1("Mufasa", "http-auth@example.org", "Circle of Life", algorithm)
    assert response(algorithm, secret, **RFC_7616_1) == expected


def test_rfc_7616_section_3_9_2_as_its_erratum_4897_corrects_it() -> None:
    # The RFC itself printed SHA-512 cut to 256 bits, which is not SHA-512/256.
    secret = ha1("J\u00e4s\u00f8n Doe", "api@example.org", "Secret, or not?", "SHA-512-256")
    given = response(
        "SHA-512-256",
        secret,
        nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
        method="GET",
        uri="/doe.json",
        qop="auth",
        nc="00000001",
        cnonce="NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
    )
    assert given == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"


def test_rfc_2617_section_3_5() -> None:
    secret = ha1("Mufasa", "testrealm@host.com", "Circle Of Life")
    nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093"
    common: dict[str, Any] = {"nonce": nonce, "method": "GET", "uri": "/dir/index.html"}
    given = response("MD5", secret, **common, qop="auth", nc="00000001", cnonce="0a4f113b")
    assert given == "6629fae49393a05397450978507c4ef1"
    # Without qop: H(H(A1):nonce:H(A2)), as RFC 2069 has it, with the corrected number of its errata.
    assert response("MD5", secret, **common) == "670fd8c2df070c60b045671b8b24ff02"


def test_rfc_8760_section_2_6_item_7_an_empty_body_hashes_as_the_empty_string() -> None:
    assert digest("SHA-256", b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest("MD5", b"") == "d41d8cd98f00b204e9800998ecf8427e"  # RFC 3261 §22.4, item 7


def test_authorize_writes_the_header_of_rfc_7616() -> None:
    challenge = (
        'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=MD5, '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    cnonce = RFC_7616_1["cnonce"]
    assert authorize(challenge, "GET", "/dir/index.html", "Mufasa", "Circle of Life", cnonce=cnonce) == (
        'Digest username="Mufasa", realm="http-auth@example.org", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"'
        ', uri="/dir/index.html", response="8ca523f5e9506fed4657c9700eebdbec", algorithm=MD5'
        f', cnonce="{cnonce}", qop=auth, nc=00000001, opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )


# -- challenges -------------------------------------------------------------------------------------------------------


def test_one_challenge_for_each_algorithm_in_the_order_of_preference() -> None:
    verifier = make_verifier(algorithms=("SHA-512-256", "SHA-256", "MD5"), qop=("auth",))
    values = verifier.challenges('a "b" \\c', 0.0)
    nonces = {re.sub(r'.*nonce="([^"]+)".*', r"\1", value) for value in values}
    assert len(nonces) == 1
    (nonce,) = nonces
    assert values == [
        f'Digest realm="a \\"b\\" \\\\c", nonce="{nonce}", algorithm={name}, qop="auth"'
        for name in ("SHA-512-256", "SHA-256", "MD5")
    ]
    assert [value[-12:] for value in verifier.challenges(REALM, 0.0, is_stale=True)] == [", stale=true"] * 3


def test_an_account_with_fewer_hashes_is_offered_what_it_has() -> None:
    verifier = make_verifier(algorithms=("SHA-256", "MD5"))
    (value,) = verifier.challenges(REALM, 0.0, algorithms=["MD5", "SHA-512-256"])
    assert "algorithm=MD5" in value


def test_a_client_takes_the_topmost_challenge_that_it_understands() -> None:
    basic, unknown, md5 = (
        'Basic realm="x"',
        'Digest realm="x", nonce="n", algorithm=WHAT',
        'Digest realm="x", nonce="n"',
    )
    assert choose_challenge([basic, "", "Digest nonce=", unknown, md5]) == md5
    assert choose_challenge([basic, unknown]) is None
    for value in (basic, unknown, 'Digest realm="x"'):
        with pytest.raises(BadMessage):
            authorize(value, "MESSAGE", URI, "alice", PASSWORD)


@pytest.mark.parametrize(
    "options",
    [{"algorithms": ()}, {"algorithms": ("MD4",)}, {"qop": ()}, {"qop": ("auth", "none")}, {"max_nonces": 0}],
)
def test_options_are_checked(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        make_verifier(**options)


# -- verdicts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("qop", ["auth", "auth-int"])
def test_the_right_password_is_ok_once(algorithm: str, qop: str) -> None:
    verifier = only(algorithm)
    authorization = login(verifier, qop=qop)
    assert verify(verifier, authorization) is Verdict.OK
    assert verify(verifier, authorization) is Verdict.REPLAY
    assert verifier.statistics() == {"nonces_issued": 1, "nonces_in_use": 1}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_hashed_cannot_be_changed(algorithm: str) -> None:
    verifier = only(algorithm)
    authorization = login(verifier, qop="auth-int")
    assert verify(verifier, authorization, method="REGISTER") is Verdict.WRONG
    assert verify(verifier, authorization, uri="sip:other@example.com") is Verdict.WRONG
    assert verify(verifier, authorization, body=b"hellO") is Verdict.WRONG
    assert verify(verifier, authorization.replace("nc=00000001", "nc=00000002")) is Verdict.WRONG
    assert verify(verifier, authorization.replace("0a4f113b", "0a4f113c")) is Verdict.WRONG
    assert verify(verifier, authorization.replace("qop=auth-int", "qop=auth")) is Verdict.WRONG
    assert verify(verifier, authorization) is Verdict.OK


def test_qop_auth_leaves_the_body_out() -> None:
    verifier = only()
    assert verify(verifier, login(verifier, qop="auth"), body=b"another") is Verdict.OK


def test_a_wrong_password_an_unknown_user_and_an_account_without_this_hash_look_the_same() -> None:
    # spec S-AUTH-9
    verifier = only()
    assert verify(verifier, login(verifier, password="wrong")) is Verdict.WRONG
    assert verify(verifier, login(verifier), secrets=None) is Verdict.WRONG
    assert verify(verifier, login(verifier), secrets={"MD5": SECRETS["MD5"]}) is Verdict.WRONG
    assert verify(verifier, login(verifier), secrets={"SHA-256": ""}) is Verdict.WRONG
    # Not even a response that is computed over an empty H(A1) helps.
    (challenge,) = verifier.challenges(REALM, 0.0)
    nonce = re.sub(r'.*nonce="([^"]+)".*', r"\1", challenge)
    given = response("SHA-256", "", nonce=nonce, method="MESSAGE", uri=URI, qop="auth", nc="00000001", cnonce="c")
    forged = Credentials("alice", REALM, nonce, URI, given, "SHA-256", "auth", "00000001", "c")
    assert verify(verifier, forged, secrets=None) is Verdict.WRONG
    assert verify(verifier, forged, secrets={"SHA-256": ""}) is Verdict.WRONG
    assert verifier.statistics()["nonces_in_use"] == 0


def test_what_was_not_offered_is_wrong() -> None:
    # spec S-AUTH-12
    verifier = make_verifier(algorithms=("SHA-256",), qop=("auth",))
    (challenge,) = verifier.challenges(REALM, 0.0)
    assert verify(verifier, answer(challenge.replace("SHA-256", "MD5"))) is Verdict.WRONG
    assert verify(verifier, answer(challenge, qop="auth-int")) is Verdict.WRONG
    assert verify(verifier, answer(challenge).replace("SHA-256", "SHA-256-sess")) is Verdict.WRONG


def test_names_of_algorithms_and_qop_have_no_case_and_may_be_quoted() -> None:
    verifier = only()
    authorization = (
        login(verifier).replace("algorithm=SHA-256", 'algorithm="sha-256"').replace("qop=auth", 'qop="auth"')
    )
    assert verify(verifier, authorization) is Verdict.OK


def test_a_missing_algorithm_is_md5() -> None:
    verifier = only("MD5")
    assert verify(verifier, login(verifier).replace(", algorithm=MD5", "")) is Verdict.OK


def test_upper_case_digits_of_a_response_are_the_same_number() -> None:
    verifier = only()
    given = re.sub(r'response="(\w+)"', lambda match: f'response="{match[1].upper()}"', login(verifier))
    assert verify(verifier, given) is Verdict.OK


# -- nonces -----------------------------------------------------------------------------------------------------------


def test_a_nonce_lives_so_long() -> None:
    # spec S-AUTH-5
    verifier = only(nonce_lifetime=300)
    (challenge,) = verifier.challenges(REALM, 1000.0)
    assert verify(verifier, answer(challenge), 1300.0) is Verdict.OK
    assert verify(verifier, answer(challenge, 2), 1300.1) is Verdict.STALE


def test_staleness_is_told_only_to_who_knows_the_password() -> None:
    # spec S-AUTH-5
    verifier = only()
    (challenge,) = verifier.challenges(REALM, 0.0)
    assert verify(verifier, answer(challenge), 10_000.0) is Verdict.STALE
    assert verify(verifier, answer(challenge, password="guess"), 10_000.0) is Verdict.WRONG


def test_a_nonce_from_before_a_restart_is_stale() -> None:
    before, after = only(), DigestVerifier(DigestOptions(algorithms=("SHA-256",)), b"another key")
    assert verify(after, login(before)) is Verdict.STALE


@pytest.mark.parametrize(
    "nonce", ["", "abc", "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "A" * 43, "A" * 44, "\u00e9" * 43]
)
def test_a_nonce_that_nobody_issued_is_stale(nonce: str) -> None:
    verifier = only()
    challenge = f'Digest realm="{REALM}", nonce="{nonce}", algorithm=SHA-256, qop="auth"'
    assert verify(verifier, answer(challenge)) is Verdict.STALE
    assert verifier.statistics()["nonces_in_use"] == 0


def test_a_nonce_with_one_bit_changed_is_stale() -> None:
    verifier = only()
    (challenge,) = verifier.challenges(REALM, 0.0)
    match = re.search(r'nonce="([^"]+)"', challenge)
    assert match is not None
    nonce = match[1]
    for at in range(len(nonce) - 1):  # the last character has two bits that stand for nothing
        changed = nonce[:at] + ("A" if nonce[at] != "A" else "B") + nonce[at + 1 :]
        assert verify(verifier, answer(challenge.replace(nonce, changed))) is Verdict.STALE


def test_another_spelling_of_a_nonce_is_the_same_nonce() -> None:
    # Base64 leaves two bits of the last character unused.
    verifier = only()
    (challenge,) = verifier.challenges(REALM, 0.0)
    match = re.search(r'nonce="([^"]+)"', challenge)
    assert match is not None
    assert verify(verifier, answer(challenge)) is Verdict.OK
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(match[1][-1])
    for other in range(last // 4 * 4, last // 4 * 4 + 4):
        respelled = challenge.replace(match[1], match[1][:-1] + alphabet[other])
        assert verify(verifier, answer(respelled)) is Verdict.REPLAY


def test_requests_may_overtake_each_other_within_the_window() -> None:
    # spec S-AUTH-6
    verifier = only()
    (challenge,) = verifier.challenges(REALM, 0.0)
    ok, replay = Verdict.OK, Verdict.REPLAY
    # nc: verdict, in order of arrival
    arrivals = [(1, ok), (5, ok), (3, ok), (3, replay), (5, replay), (100, ok), (36, replay), (37, ok), (37, replay)]
    arrivals += [(99, ok), (2, replay), (0xFFFFFFFF, ok), (101, replay), (0xFFFFFFFE, ok)]
    assert [(nc, verify(verifier, answer(challenge, nc))) for nc, _ in arrivals] == arrivals


def test_two_users_of_one_nonce_have_their_own_counts() -> None:
    verifier = only()
    (challenge,) = verifier.challenges(REALM, 0.0)
    bob = {"SHA-256": ha1("bob", REALM, PASSWORD, "SHA-256")}
    assert verify(verifier, answer(challenge)) is Verdict.OK
    assert verify(verifier, answer(challenge, username="bob"), secrets=bob) is Verdict.OK
    assert verify(verifier, answer(challenge)) is Verdict.REPLAY


def test_without_qop_a_nonce_serves_once() -> None:
    # spec S-AUTH-6
    verifier = only("MD5")
    (challenge,) = verifier.challenges(REALM, 0.0)
    authorization = answer(challenge.replace(', qop="auth,auth-int"', ""))
    assert "qop" not in authorization
    assert "nc=" not in authorization
    assert verify(verifier, authorization) is Verdict.OK
    assert verify(verifier, authorization) is Verdict.STALE


def test_a_full_table_drops_the_oldest_nonce_and_no_count_is_spent_twice() -> None:
    verifier = only(max_nonces=3)
    challenges = [verifier.challenges(REALM, 0.0)[0] for _ in range(6)]
    unused, *used = challenges
    for challenge in used:
        assert verify(verifier, answer(challenge)) is Verdict.OK
        assert verifier.statistics()["nonces_in_use"] <= 3
    assert [verify(verifier, answer(challenge)) for challenge in used] == [Verdict.STALE] * 2 + [Verdict.REPLAY] * 3
    assert verify(verifier, answer(unused)) is Verdict.STALE
    assert verify(verifier, login(verifier)) is Verdict.OK


def test_a_nonce_older_than_all_in_a_full_table_is_stale_and_displaces_none() -> None:
    verifier = only(max_nonces=1)
    (older,), (newer,) = verifier.challenges(REALM, 0.0), verifier.challenges(REALM, 0.0)
    assert verify(verifier, answer(newer)) is Verdict.OK
    assert verify(verifier, answer(older)) is Verdict.STALE
    assert verify(verifier, answer(newer, 2)) is Verdict.OK


def test_aged_nonces_leave_the_table() -> None:
    verifier = only(max_nonces=1000, nonce_lifetime=10)
    for second in range(100):
        assert verify(verifier, login(verifier, float(second)), float(second)) is Verdict.OK
    assert verifier.statistics()["nonces_in_use"] == 11


class NonceCounts(RuleBasedStateMachine):
    """Whatever order counts of a few nonces come in: none is taken twice, and fresh ones near the top are taken."""

    def __init__(self) -> None:
        super().__init__()
        self.verifier = only(max_nonces=2, nonce_lifetime=50)
        self.now = 0.0
        self.challenges = [self.verifier.challenges(REALM, 0.0)[0]]
        self.taken: dict[int, set[int]] = {}

    @rule()
    def issue(self) -> None:
        self.challenges.append(self.verifier.challenges(REALM, self.now)[0])

    @rule(seconds=st.integers(1, 40))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(which=st.integers(0, 50), nc=st.integers(1, 150))
    def use(self, which: int, nc: int) -> None:
        at = which % len(self.challenges)
        taken = self.taken.setdefault(at, set())
        verdict = verify(self.verifier, answer(self.challenges[at], nc), self.now)
        assert verdict in (Verdict.OK, Verdict.REPLAY, Verdict.STALE)
        assert verdict is not Verdict.OK or nc not in taken
        if verdict is Verdict.REPLAY:
            assert nc in taken or nc <= max(taken) - 64
        if verdict is Verdict.OK:
            taken.add(nc)
        assert self.verifier.statistics()["nonces_in_use"] <= 2


TestNonceCounts = NonceCounts.TestCase
TestNonceCounts.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


# -- reading ----------------------------------------------------------------------------------------------------------

GOOD = (
    'Digest username="alice", realm="example.com", nonce="n", uri="sip:a@b", response="00", '
    'qop=auth, nc=00000001, cnonce="c"'
)


def test_credentials_are_read() -> None:
    assert Credentials.parse(GOOD + ', algorithm=md5, opaque="x", other=y') == Credentials(
        "alice", "example.com", "n", "sip:a@b", "00", "MD5", "auth", "00000001", "c"
    )
    assert Credentials.parse("DIGEST" + GOOD[6:]) == Credentials.parse(GOOD)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Digest",
        "Digest ",
        "Basic YWxpY2U6c2VjcmV0",
        "digest",
        GOOD.replace('username="alice", ', ""),
        GOOD.replace('realm="example.com", ', ""),
        GOOD.replace('nonce="n", ', ""),
        GOOD.replace('uri="sip:a@b", ', ""),
        GOOD.replace('response="00", ', ""),
        GOOD.replace('"00"', '"0g"'),
        GOOD.replace("00000001", "1"),
        GOOD.replace("00000001", "0000000x"),
        GOOD.replace("00000001", "000000001"),
        GOOD.replace("00000001", "\u0660" * 8),
        GOOD.replace(', cnonce="c"', ""),
        GOOD.replace('"c"', '""'),
        GOOD.replace(", nc=00000001", ""),
        GOOD.replace('"alice"', '"alice'),
        GOOD + ', username="bob"',
        GOOD + ", ,",
        GOOD.replace('"sip:a@b"', "sip:a@b"),
        GOOD.replace('username="alice"', "username*=UTF-8''alice"),
    ],
)
def test_what_is_no_digest_is_malformed(text: str) -> None:
    with pytest.raises(BadMessage):
        Credentials.parse(text)
    assert verify(only(), text) is Verdict.MALFORMED


pieces = st.sampled_from(
    ("Digest ", "username=", "realm=", "nonce=", "uri=", "response=", "qop=", "nc=", "cnonce=", "algorithm=", '"', "\\",
     ",", " ", "=", "alice", "00000001", "auth", "MD5", "sip:a@b", "\x00", "\udc80", "\u00e9", "<", "0")
)  # fmt: skip


@given(
    st.lists(pieces, max_size=60).map("".join) | st.text(max_size=200).map(lambda text: "Digest " + text) | st.text()
)
@settings(max_examples=300)
def test_whatever_is_sent_gets_a_verdict(text: str) -> None:
    assert verify(only("MD5"), text) in (Verdict.MALFORMED, Verdict.WRONG)


@given(st.data())
@settings(max_examples=200)
def test_a_damaged_authorization_is_never_ok_for_another_request(data: st.DataObject) -> None:
    verifier = only()
    text = login(verifier, qop="auth-int")
    at = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:at] + data.draw(st.characters() | st.just("")) + text[at + 1 :]
    assert verify(verifier, damaged, body=b"other") in (Verdict.MALFORMED, Verdict.WRONG)


@given(
    user=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20),
    password=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    algorithm=st.sampled_from(ALGORITHMS),
    qop=st.sampled_from(["auth", "auth-int"]),
    body=st.binary(max_size=50),
    nc=st.integers(0, 0xFFFFFFFF),
)
def test_whoever_logs_in_by_authorize_is_ok(
    user: str, password: str, algorithm: str, qop: str, body: bytes, nc: int
) -> None:
    verifier = only(algorithm)
    authorization = login(verifier, nc=nc, username=user, password=password, body=body, qop=qop)
    secrets = {algorithm: ha1(user, REALM, password, algorithm)}
    assert Credentials.parse(authorization).username == user
    assert verify(verifier, authorization, secrets=secrets, body=body) is Verdict.OK


# -- resources --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("sip:room@example.com", "sip:room@example.com", True),
        ("sip:room@example.com", "sip:room@EXAMPLE.com;transport=tcp", True),
        ("sip:room@example.com", "sips:room@example.com:5061", True),
        ("sip:r%6fom@example.com", "sip:room@example.com", True),
        ("sip:room@example.com", "sip:room@10.0.0.1:5070", True),
        ("sip:room@example.com", "sip:room@elsewhere.org", False),
        ("sip:room@example.com", "sip:Room@example.com", False),
        ("sip:room@example.com", "sip:example.com", False),
        ("sip:example.com", "sip:example.com:5060", True),
        ("tel:+123", "tel:+123", True),
        ("tel:+123", "tel:+124", False),
        ("tel:+123", "sip:+123@example.com", False),
        ("sip:room@example.com", "not a uri", False),
        ("*", "*", True),
    ],
)
def test_same_resource(one: str, other: str, expected: bool) -> None:
    # spec S-AUTH-7
    hosts = frozenset({"example.com", "10.0.0.1"})
    assert is_same_resource(one, other, hosts) is expected
    assert is_same_resource(other, one, hosts) is expected


def test_a_proxy_may_have_changed_the_request_uri_within_our_hosts() -> None:
    # spec S-AUTH-7
    verifier = only(hosts=frozenset({"example.com", "10.0.0.1"}))
    assert verify(verifier, login(verifier), uri="sip:room@10.0.0.1:5070;lr") is Verdict.OK
    assert verify(only(), login(only()), uri="sip:room@10.0.0.1:5070;lr") is Verdict.WRONG
