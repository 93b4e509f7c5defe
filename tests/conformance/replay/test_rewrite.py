from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.replay.compare import Comparison
from conformance.replay.drawing import summary
from conformance.replay.people import people_of
from conformance.replay.recording import Address
from conformance.replay.rename import Renaming
from conformance.replay.rewrite import Rewriter
from conformance.replay.script import Script, build
from imc.sip.message import Request, Response, parse_message
from imc.sip.values import parse_auth
from tests.conformance.replay.planted import messages
from tests.conformance.replay.talks import (
    ALICE,
    BOB,
    SERVER,
    asked,
    copy_for,
    recorded,
    recording,
    request,
    response,
    told,
)

TARGET, HERE = Address("127.0.0.1", 15060), Address("127.0.0.1", 40000)
CHALLENGE = 'WWW-Authenticate: Digest realm="r", nonce="{}", algorithm=MD5, qop="auth"\r\n'


def rewriter(
    script: Script, *, transport: str | None = None, passwords: dict[str, str] | None = None, **more: Any
) -> Rewriter:
    renaming = Renaming(people_of(script), script.server, TARGET, **more)
    renaming.live |= dict.fromkeys(script.agents, HERE)
    return Rewriter(renaming, passwords or {}, transport)


def script_of(data: bytes, status: int = 200) -> Script:
    return build(recording(*asked(0.0, data, status)), SERVER)


def test_all_that_belongs_to_the_old_conversation_is_made_anew() -> None:
    old = request(
        "REGISTER",
        "sip:example.com",
        to="sip:alice@example.com",
        cseq=41,
        headers="Contact: <sip:alice@192.0.2.7:5062;ob>;expires=60\r\nRoute: <sip:192.0.2.1:5060;lr>\r\n"
        'Authorization: Digest username="alice"\r\nX-Note: kept, as sip:alice@192.0.2.7:5062\r\n',
    )
    script = script_of(old)
    found = rewriter(script)
    new = found.request(script.exchanges[0])
    assert str(new.via).startswith("SIP/2.0/UDP 127.0.0.1:40000;branch=z9hG4bK")
    assert new.via.branch != "z9hG4bK1"
    assert new.call_id != "c1"
    assert new.from_.tag not in (None, "t1")
    assert (new.cseq.number, new.to.tag, str(new.to.uri)) == (41, None, "sip:alice@example.com")
    assert new.headers.all("Contact") == ["<sip:alice@127.0.0.1:40000;ob>;expires=60"]
    assert new.headers.all("Route") == ["<sip:127.0.0.1:15060;lr>"]
    assert new.headers.all("X-Note") == ["kept, as sip:alice@127.0.0.1:40000"]
    assert "Authorization" not in new.headers
    again = found.request(script.exchanges[0])
    assert (again.call_id, again.from_.tag, again.cseq.number) == (new.call_id, new.from_.tag, 42)
    assert again.via.branch != new.via.branch


def test_vias_of_proxies_below_the_first_stay() -> None:
    old = request().replace(
        b"From:", b"Via: SIP/2.0/TCP 192.0.2.50;branch=z9hG4bKp, SIP/2.0/UDP 192.0.2.51\r\nFrom:", 1
    )
    script = script_of(old)
    new = rewriter(script).request(script.exchanges[0])
    assert [str(via) for via in new.vias[1:]] == ["SIP/2.0/TCP 192.0.2.50;branch=z9hG4bKp", "SIP/2.0/UDP 192.0.2.51"]


def test_a_contact_over_udp_is_not_one_of_tcp() -> None:
    old = request("REGISTER", "sip:example.com", headers="Contact: <sip:alice@192.0.2.7:5062;transport=tcp>\r\n")
    script = script_of(old)
    contacts = [
        rewriter(script, transport=each).request(script.exchanges[0]).headers.get("Contact") for each in ("udp", "tcp")
    ]
    assert contacts == ["<sip:alice@127.0.0.1:40000>", "<sip:alice@127.0.0.1:40000;transport=tcp>"]


def challenged(nonce: str) -> Response:
    found = parse_message(response(request(), 401, "Unauthorized", headers=CHALLENGE.format(nonce)), is_datagram=True)
    assert isinstance(found, Response)
    return found


def test_challenges_are_answered_and_later_ones_before_they_come() -> None:
    script = script_of(request())
    (exchange,) = script.exchanges
    found = rewriter(script, passwords={"alice@example.com": "secret"})
    assert "Authorization" not in found.request(exchange).headers
    assert found.learn(exchange, challenged("one"))
    values = [parse_auth(found.request(exchange).headers.get("Authorization") or "").params for _ in range(2)]
    assert [(value["nonce"], value["nc"], value["username"]) for value in values] == [
        ("one", "00000001", "alice"),
        ("one", "00000002", "alice"),
    ]
    assert found.learn(exchange, challenged("two"))
    assert parse_auth(found.request(exchange).headers.get("Authorization") or "").params["nonce"] == "two"


@pytest.mark.parametrize(("credentials", "learns"), [("right", True), ("wrong", True), ("none", False)])
def test_who_gave_up_or_was_wrong_does_so_again(credentials: Any, learns: bool) -> None:
    script = script_of(request(), 401)
    (exchange,) = script.exchanges
    exchange.credentials = credentials
    found = rewriter(script, passwords={"alice": "secret"})
    assert found.learn(exchange, challenged("one")) is learns
    assert ("Authorization" in found.request(exchange).headers) is learns


def test_without_a_password_there_is_nothing_to_learn() -> None:
    script = script_of(request())
    found = rewriter(script)
    assert not found.learn(script.exchanges[0], challenged("one"))
    basic = challenged("one")
    basic.headers.set("WWW-Authenticate", 'Basic realm="r"')
    assert not rewriter(script, passwords={"alice": "x"}).learn(script.exchanges[0], basic)


def test_what_a_client_answered() -> None:
    copy = copy_for("bob", "hello", branch="z9hG4bKm", call_id="m")
    sent, answer = told(1.0, copy, 486)
    answer.data = answer.data.replace(
        b"Content-Length", b"Retry-After: 7\r\nContact: <sip:bob@192.0.2.8:5064>\r\nContent-Length"
    )
    script = build(recording(*asked(0.0, request(body="#create")), sent, answer), SERVER)
    seen = parse_message(copy_for("bob", "hello", branch="z9hG4bKlive", call_id="live"), is_datagram=True)
    assert isinstance(seen, Request)
    new = rewriter(script).response(script.incoming[0], seen)
    assert new is not None
    assert (new.status, new.reason, new.via.branch, new.call_id) == (486, "as recorded", "z9hG4bKlive", "live")
    assert (new.headers.get("Retry-After"), new.headers.get("Contact")) == ("7", "<sip:bob@127.0.0.1:40000>")
    assert new.to.tag not in (None, "s1")
    script.incoming[0].answer = None
    script.incoming[0].is_silent = True
    assert rewriter(script).response(script.incoming[0], seen) is None
    script.incoming[0].is_silent = False
    unknown = rewriter(script).response(script.incoming[0], seen)
    assert unknown is not None
    assert unknown.status == 200


@given(st.lists(messages(), min_size=1, max_size=4), st.booleans())
@settings(max_examples=200)
def test_whatever_was_recorded_can_be_sent_and_compared(data: list[bytes], has_names: bool) -> None:
    """Well-formed or not, from a client or from the server: nothing is raised."""
    given_ = []
    for at, each in enumerate(data):
        given_ += [recorded(each, ALICE, SERVER, float(at)), recorded(each, SERVER, BOB, at + 0.5)]
    script = build(recording(*given_), SERVER)
    names: dict[str, Any] = {"domains": {"zaphod.example": "b.example"}, "suffix": "-x", "users": {"marvin42": "m"}}
    found = rewriter(script, passwords={"zaphod": "x"}, **(names if has_names else {}))
    comparison = Comparison(script, found.renaming)
    for exchange in script.exchanges:
        again = parse_message(found.request(exchange).render(), is_datagram=True)
        assert isinstance(again, Request)
        found.learn(exchange, challenged("n"))
        assert found.request(exchange).render()
    for incoming in script.incoming:
        answer = found.response(incoming, incoming.request)
        assert answer is None or answer.render()
        assert isinstance(comparison.requests(incoming.request, incoming.request), list)
        assert isinstance(comparison.is_copy_of_same(incoming.request, incoming.request), bool)
        assert summary(incoming.request)
