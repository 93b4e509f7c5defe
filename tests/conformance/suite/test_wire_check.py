"""What came of a step, against what its case lets come; and digest as a client computes it."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.suite.wire_bench import Arrived
from conformance.suite.wire_case import Credentials, Expect
from conformance.suite.wire_check import Seen, compare
from conformance.suite.wire_digest import NoChallenge, authorization, params
from conformance.suite.wire_reply import read
from imc.sip.digest import authorize

REQUEST = (
    b"OPTIONS sip:a SIP/2.0\r\nv: SIP/2.0/UDP a:1 ;branch=z9hG4bKx;rport, SIP/2.0/TCP b\r\nVia: SIP/2.0/TCP c\r\n"
    b"f: <sip:a@b>\r\n ;tag=1\r\nTo: sip:c\r\ni: 7\r\nCSEQ: 1 OPTIONS\r\n\r\n"
)


def answer(
    status: int = 200, *more: str, to: str = "sip:c;tag=9", via: str = "", below: str = "SIP/2.0/TCP b", **changed: str
) -> Arrived:
    fields = {
        "Via": via or "SIP/2.0/UDP a:1;branch=z9hG4bKx;rport=5;received=192.0.2.1", "Via ": below,
        "Via  ": "SIP/2.0/TCP c", "From": "<sip:a@b> ;tag=1", "To": to, "Call-ID": "7", "CSeq": "1 OPTIONS",
    }  # fmt: skip
    fields |= changed
    lines = [f"SIP/2.0 {status} Some Words", *(f"{name}: {value}" for name, value in fields.items()), *more]
    return Arrived("first", "message", ("\r\n".join(lines) + "\r\n\r\n").encode())


def problems(expect: dict[str, Any], *answers: Arrived, transport: str = "udp", **seen: Any) -> list[str]:
    model = Expect.model_validate(expect)
    return compare(model, transport, list(model.patterns()), Seen(REQUEST, "first", list(answers), **seen), [])


@pytest.mark.parametrize(
    ("status", "came"),
    [
        ([200], [200]), (["2xx"], [202]), ([404, "5xx"], [503]), (["well-formed"], [405]), (["well-formed"], [603]),
        ("silence", []), ([400, "silence"], []), ([400, "silence"], [400]),
    ],
)  # fmt: skip
def test_results_that_fit(status: Any, came: list[int]) -> None:
    assert problems({"status": status}, *map(answer, came)) == []


@pytest.mark.parametrize(
    ("status", "came", "why"),
    [
        ([200], [202], "202 in place of 200"),
        (["4xx", "silence"], [500], "500 in place of 4xx or silence"),
        (["well-formed"], [400], "400 in place of well-formed"),
        (["well-formed"], [513], "513 in place of well-formed"),
        ([200], [], "silence in place of 200"),
        ("silence", [200], "200 in place of silence"),
        ([200], [200, 200], "answered 2 times"),
        ([200], [1000], "None in place of 200"),
    ],
)
def test_results_that_do_not(status: Any, came: list[int], why: str) -> None:
    assert problems({"status": status}, *map(answer, came)) == [why]


def test_the_end_of_a_connection() -> None:
    assert problems({"status": "closed"}, is_closed=True) == []
    assert problems({"status": 200, "tcp": [400, "closed"]}, answer(400), transport="tcp", is_closed=True) == []
    assert problems({"status": [200]}, is_closed=True) == ["closed in place of 200"]
    assert problems({"status": [200]}, answer(), is_closed=True) == ["the connection was closed"]


@pytest.mark.parametrize(
    ("expect", "arrived", "why"),
    [
        ({"headers": {"Allow": "MESSAGE"}}, answer(200, "Allow: OPTIONS, MESSAGE"), []),
        ({"headers": {"Allow": "MESSAGE"}}, answer(200, "Allow: OPTIONS"), ["Allow: OPTIONS; not as MESSAGE"]),
        ({"headers": {"Allow": ""}}, answer(), ["Allow: missing; not as "]),
        ({"headers": {"Contact": ["a", "b"]}}, answer(200, "m: a", "Contact: b"), []),
        ({"when": {"405": {"Allow": ""}, "4xx": {"Allow": ""}}}, answer(), []),
        ({"when": {"200": {"Allow": "[A-Z]"}}}, answer(), ["Allow: missing; not as [A-Z]"]),
        ({"when": {"2xx": {"Allow": "[A-Z]"}}}, answer(), ["Allow: missing; not as [A-Z]"]),
        ({"without": ["Contact"]}, answer(200, "m: <sip:a>"), ["Contact must not be there"]),
        ({"to_tag": True}, answer(to="sip:c; Tag = 9"), ["To has no tag"]),
        ({"to_tag": True}, answer(to="sip:c; tag = 9"), []),
        ({"to_tag": True}, answer(to="sip:c"), ["To has no tag"]),
        ({"to_tag": False}, answer(), ["To has a tag"]),
        ({"copied": True}, answer(), []),
        ({"copied": True}, answer(CSeq="2 OPTIONS"), ["CSeq is not as sent: 2 OPTIONS"]),
        ({"copied": True}, answer(below="SIP/2.0/TCP d"), ["the Vias below the topmost are not as sent"]),
        ({"copied": True}, answer(via="SIP/2.0/UDP a:1;branch=z9hG4bKy"), ["the topmost Via is not as sent"]),
        ({"at": "first"}, answer(), []),
        ({"at": "second"}, answer(), ["answered at the socket first, not at second"]),
        ({"pongs": 1}, answer(), ["0 single CRLFs came back, not 1"]),
        ({"provisional": 1}, answer(), ["0 provisional answers came, not 1"]),
    ],
)
def test_the_rest(expect: dict[str, Any], arrived: Arrived, why: list[str]) -> None:
    assert problems({"status": 200, **expect}, arrived) == why


def test_bodies_and_sources() -> None:
    with_body = Arrived("first", "message", answer().data + b"x", is_from_server=False)
    assert problems({"status": 200, "is_empty": True, "from_same": True}, with_body) == [
        "the answer did not leave from where the request was sent to",
        "the answer has a body",
    ]


def test_the_answer_of_an_earlier_step() -> None:
    expect = Expect.model_validate({"status": 200, "same_as": 1})
    first = Seen(REQUEST, "first", [answer()])
    assert compare(expect, "udp", [], Seen(REQUEST, "first", [answer()]), [first]) == []
    assert compare(expect, "udp", [], Seen(REQUEST, "first", [answer(to="sip:c;tag=8")]), [first]) == [
        "the answer is not that of step 1, to the octet"
    ]


# --- digest

MD5 = 'WWW-Authenticate: Digest realm="r", nonce="n1", qop="auth,auth-int", algorithm=MD5'
SHA = 'WWW-Authenticate: Digest realm="r", nonce="n2", qop=auth, algorithm=SHA-256'


@pytest.mark.parametrize(
    ("rule", "lines", "is_kept"),
    [
        ("qop", [MD5, SHA], True),
        ("qop", [MD5, 'WWW-Authenticate: Digest realm="r", nonce="n"'], False),
        ("qop", [MD5.replace("auth,auth-int", "auth-int")], False),
        ("distinct", [MD5, SHA], True),
        ("distinct", [MD5, 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"'], False),
        ("strongest-first", [SHA, MD5], True),
        ("strongest-first", [MD5, SHA], False),
        ("stale", [f"{MD5}, stale=TRUE"], True),
        ("stale", [f"{MD5}, stale=false"], False),
        ("not-stale", [MD5], True),
        ("not-stale", [f"{MD5}, stale=true"], False),
        ("new-nonce", [SHA], True),
        ("new-nonce", [MD5], False),
        ("no-basic", [MD5], True),
        ("no-basic", [MD5, 'WWW-Authenticate: Basic realm="r"'], False),
        ("no-basic", [MD5.replace("WWW", "Proxy")], True),
        ("qop", ['WWW-Authenticate: Basic realm="r"'], False),
    ],
)
def test_rules_of_challenges(rule: str, lines: list[str], is_kept: bool) -> None:
    before = [{"nonce": "n1"}]
    assert (problems({"status": 401, "challenge": [rule]}, answer(401, *lines), challenges=before) == []) == is_kept


@pytest.mark.parametrize("name", ["MD5", "SHA-256", "SHA-512-256"])
@pytest.mark.parametrize("qop", ["auth", None])
def test_digest_is_that_of_the_library(name: str, qop: str | None) -> None:
    """Two implementations that know nothing of each other."""
    offered = ', qop="auth"' if qop else ""
    challenge = f'Digest realm="example.com", nonce="abc", opaque="o", algorithm={name}{offered}'
    ours = authorization(
        [params('Digest realm="x", nonce="y", algorithm=TOKEN-1'), params(challenge)],
        Credentials(algorithm=name, nc=3, qop=qop is not None),
        "MESSAGE",
        "sip:mary@example.com",
        ("alice", "secret"),
    )
    theirs = authorize(challenge, "MESSAGE", "sip:mary@example.com", "alice", "secret", nc=3)
    assert params(ours)["response"] == params(theirs)["response"]


def test_credentials_that_are_wrong_on_purpose() -> None:
    challenge = [params('Digest realm="r", nonce="n", qop="auth"')]
    how = Credentials(username="bob", realm="q", nonce="m", uri="sip:x")
    found = params(authorization(challenge, how, "MESSAGE", "sip:y", ("alice", "secret")))
    assert (found["username"], found["realm"], found["nonce"], found["uri"]) == ("bob", "q", "m", "sip:x")
    basic = authorization(challenge, Credentials(scheme="Basic"), "MESSAGE", "sip:y", ("alice", "secret"))
    assert basic == "Basic YWxpY2U6c2VjcmV0"
    with pytest.raises(NoChallenge, match="no challenge of SHA-256"):
        authorization(challenge, Credentials(algorithm="SHA-256"), "MESSAGE", "sip:y", ("alice", "secret"))


def test_a_reply_is_read_whatever_it_copies() -> None:
    reply = read(b'SIP/2.0 400\r\nTo: "unclosed <sip:a>\r\nno colon\r\nv: a;x="1,2", b\r\n\r\nbody')
    assert (reply.status, reply.all("to"), reply.vias, reply.body) == (
        400, ['"unclosed <sip:a>'], ['a;x="1,2"', "b"], b"body",
    )  # fmt: skip
    assert (read(b"nothing").status, read(b"nothing").vias, read(b"").branch) == (None, [""], None)
