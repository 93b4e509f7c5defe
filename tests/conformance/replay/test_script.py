from __future__ import annotations

from dataclasses import replace

import pytest

from conformance.replay.people import people_of
from conformance.replay.recording import Address
from conformance.replay.script import NoServer, Script, build, guess_server, lane_names
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

REGISTER = request("REGISTER", "sip:example.com", to="sip:alice@example.com", branch="z9hG4bKr", call_id="r")
CREATE = request(body="#create", branch="z9hG4bKc", call_id="c")
CHALLENGE = 'WWW-Authenticate: Digest realm="example.com", nonce="n"\r\n'
AUTHORIZATION = 'Authorization: Digest username="alice", realm="example.com", nonce="n", uri="u", response="00"\r\n'


def with_credentials(cseq: int = 2) -> bytes:
    return request(
        "REGISTER",
        "sip:example.com",
        to="sip:alice@example.com",
        branch=f"z9hG4bKr{cseq}",
        call_id="r",
        cseq=cseq,
        headers=AUTHORIZATION,
    )


def kinds(script: Script) -> list[str]:
    return [f"{event.kind} {event.what.request.method}" for event in script.events()]


def test_requests_responses_and_what_the_server_sends() -> None:
    copy = copy_for("bob", "hello", branch="z9hG4bKm", call_id="m")
    script = build(recording(*asked(0.0, REGISTER), *asked(1.0, CREATE), *told(2.0, copy)))
    assert kinds(script) == [
        "request REGISTER",
        "final REGISTER",
        "request MESSAGE",
        "final MESSAGE",
        "incoming MESSAGE",
    ]
    assert [agent.home for agent in script.agents] == [ALICE, BOB]
    assert script.agents[0].users == ["alice@example.com"]
    (incoming,) = script.incoming
    assert incoming.answer is not None
    assert (incoming.answer.reason, incoming.agent.home) == ("as recorded", BOB)


def test_a_retransmission_is_no_request() -> None:
    first, answer = asked(0.0, CREATE)
    script = build(recording(first, replace(first, at=0.005), answer, replace(answer, at=0.02)))
    assert kinds(script) == ["request MESSAGE", "final MESSAGE"]
    copy = copy_for("bob", "hello", branch="z9hG4bKm", call_id="m")
    asking = told(1.0, copy)
    script = build(recording(*asked(0.0, CREATE), asking[0], *asking))
    assert len(script.incoming) == 1


def test_a_provisional_response_is_not_final() -> None:
    first, answer = asked(0.0, CREATE)
    trying = replace(answer, data=response(CREATE, 100, "Trying"), at=0.005, _parsed=None)
    script = build(recording(first, trying, answer))
    assert script.exchanges[0].final is not None
    assert script.exchanges[0].final.status == 200


def challenged(*more: bytes, final: int = 200) -> Script:
    messages = [*asked(0.0, REGISTER)]
    messages[1] = recorded(response(REGISTER, 401, "Unauthorized", headers=CHALLENGE), SERVER, ALICE, 0.01)
    for at, data in enumerate(more, 1):
        last = data is more[-1]
        answer = response(data, final if last else 401, "final", headers=CHALLENGE if not last else "")
        messages += [recorded(data, at=float(at)), recorded(answer, SERVER, ALICE, at + 0.01)]
    # A retransmitted challenge counts for nothing.
    messages.append(replace(messages[1], at=9.0))
    return build(recording(*messages))


@pytest.mark.parametrize(
    ("requests", "final", "credentials", "status"),
    [
        ([], 401, "none", 401),
        ([with_credentials()], 200, "right", 200),
        ([with_credentials(), with_credentials(3)], 200, "right", 200),
        ([with_credentials()], 401, "wrong", 401),
        ([with_credentials()], 403, "right", 403),
    ],
)
def test_a_challenge_and_its_answer_are_one_exchange(
    requests: list[bytes], final: int, credentials: str, status: int
) -> None:
    script = challenged(*requests, final=final)
    (exchange,) = script.exchanges
    assert exchange.final is not None
    assert (exchange.final.status, exchange.credentials) == (status, credentials)
    assert exchange.at == 0.0


def test_silence_of_a_client_and_the_end_of_the_recording() -> None:
    first, second = (copy_for("bob", "hello", branch=f"z9hG4bK{at}", call_id=f"m{at}") for at in (1, 2))
    script = build(recording(*asked(0.0, CREATE), *told(1.0, first, None), *told(9.0, second, None)))
    assert [each.is_silent for each in script.incoming] == [True, False]


def test_a_client_over_tcp_is_one_by_whatever_port() -> None:
    """Its connection, its listening port in Via and Contact, and a second connection are one agent."""
    listening = Address(ALICE.ip, 5999)
    one, two = Address(ALICE.ip, 40001), Address(ALICE.ip, 40002)
    first = request(body="#create", via=listening, transport="TCP", branch="z9hG4bK1", call_id="1")
    second = request(body="hi", via=listening, transport="TCP", branch="z9hG4bK2", call_id="2")
    copy = copy_for("alice", "x", to=listening, branch="z9hG4bKm", call_id="m")
    messages = [
        recorded(first, one, SERVER, 0.0, "tcp"),
        recorded(second, two, SERVER, 1.0, "tcp"),
        recorded(copy, Address(SERVER.ip, 51000), listening, 2.0, "tcp"),
    ]
    script = build(recording(*messages))
    (agent,) = script.agents
    assert agent.addresses == {one, two, listening}
    assert [each.agent for each in script.incoming] == [agent]
    assert Address(SERVER.ip, 51000) in script.server_side


def test_what_is_not_of_the_server_and_calls_are_left_out() -> None:
    others = recorded(CREATE, BOB, ALICE)
    invite = request("INVITE", "sip:bob@example.com", branch="z9hG4bKi", call_id="call")
    bye = request("BYE", "sip:bob@example.com", branch="z9hG4bKb", call_id="call", cseq=2)
    stray = recorded(response(request(branch="z9hG4bKx", call_id="x")), SERVER, ALICE)
    messages = recording(others, *asked(1.0, invite), *asked(2.0, bye), stray, *asked(3.0, CREATE))
    script = build(messages, SERVER)
    assert kinds(script) == ["request MESSAGE", "final MESSAGE"]
    assert script.notes == [
        "1 messages between others than the server and its clients are left out",
        "4 messages of calls (INVITE) are left out",
        "1 responses to requests that were not captured are left out",
    ]


def test_what_cannot_be_read_is_noted() -> None:
    broken = recorded(CREATE.replace(b"Call-ID: c\r\n", b""))
    script = build(recording(broken, *asked(1.0, CREATE)), SERVER)
    assert script.notes == ["at 0.0: Missing Call-ID; left out"]


def test_who_is_the_server() -> None:
    """Where commands go, though a client gets more requests than the server."""
    copies = [told(at, copy_for("bob", "x", branch=f"z9hG4bKm{at}", call_id=f"m{at}")) for at in range(1, 9)]
    messages = recording(*asked(0.0, CREATE), *(each for copy in copies for each in copy)).messages
    assert guess_server(messages) == (SERVER, [])


def test_a_proxy_before_the_server_leaves_it_open() -> None:
    """With the same commands to both, either may be meant: said, so that --server can be given."""
    proxy = Address("192.0.2.9", 5060)
    behind = request(body="#create", branch="z9hG4bKp", via=proxy, call_id="c")
    messages = recording(*asked(0.0, CREATE), recorded(behind, proxy, Address("192.0.2.10", 5060), 0.001))
    script = build(messages)
    assert script.server == SERVER
    assert script.notes[0] == "taken as the server: 192.0.2.1:5060; it could be 192.0.2.10:5060 (--server)"


def test_a_trace_that_names_the_server() -> None:
    messages = recording(*asked(0.0, CREATE))
    messages.server = ALICE
    assert build(messages).server == ALICE
    assert build(messages, SERVER).server == SERVER


def test_only_responses() -> None:
    with pytest.raises(NoServer):
        build(recording(recorded(response(CREATE), SERVER, ALICE)))


def test_lanes_have_names_of_their_own() -> None:
    again = request(body="#join", via=BOB, branch="z9hG4bKz", call_id="z")
    script = build(recording(*asked(0.0, CREATE), *asked(1.0, again, client=BOB)))
    assert list(lane_names(script.agents).values()) == ["alice", "alice/2"]


def test_people() -> None:
    """Rooms by commands, by texts that were taken; users by From and REGISTER; the domain that most are of."""
    texts = [
        ("chat-a", "#create", 200),
        ("chat-manager", "#create chat-b private", 200),
        ("chat-manager", "#help", 200),
        ("chat-c", "hello", 202),
        ("bob", "hello", 202),
        ("nobody", "hello", 404),
        ("chat-a", "#invite carol sip:chat-d@other.example", 200),
        ("chat-a", "#nonsense chat-e", 400),
    ]
    messages = [*asked(0.0, request("REGISTER", "sip:example.com", to="sip:bob@example.com", sender="bob"))]
    for at, (to, text, status) in enumerate(texts, 1):
        data = request(uri=f"sip:{to}@example.com", body=text, branch=f"z9hG4bK-{at}", call_id=f"c{at}")
        messages += asked(float(at), data, status)
    found = people_of(build(recording(*messages)))
    assert found.users == {"alice@example.com", "bob@example.com"}
    assert found.rooms == {
        "chat-a@example.com",
        "chat-b@example.com",
        "chat-c@example.com",
        "chat-d@other.example",
    }
    assert found.domain == "example.com"
