"""The test user agent against a scripted server on `Transports`: what it does is relied on by the end-to-end tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from conformance.agent.client import NoAnswer, NoMessage, SipClient
from imc.sip.digest import Credentials, ha1, response
from imc.sip.flow import Flow
from imc.sip.message import Headers, Request, Response, parse_message
from imc.sip.uas import build_response
from imc.transport.transports import Transports
from tests.transport.harness import LOOPBACKS, listen_text, open_transports, until

ALICE = "sip:alice@example.com"
CHALLENGE = 'Digest realm="example.com", nonce="abc", algorithm=SHA-256, qop="auth"'

Script = Callable[[Request], int | None]


class ScriptedServer:
    """Answers each request with what ``script`` says, and keeps all it got."""

    def __init__(self, transports: Transports) -> None:
        self.transports = transports
        self.script: Script = lambda _request: 200
        self.requests: list[Request] = []
        self.responses: list[Response] = []
        self.flow: Flow | None = None

    def receive(self, data: bytes, flow: Flow) -> None:
        self.flow = flow
        message = parse_message(data, is_datagram=flow.transport == "udp")
        if isinstance(message, Response):
            self.responses.append(message)
            return
        self.requests.append(message)
        status = self.script(message)
        if status is not None:
            headers = {401: [("WWW-Authenticate", CHALLENGE)], 407: [("Proxy-Authenticate", CHALLENGE)]}.get(status, ())
            self.transports.send(flow, build_response(message, status, to_tag="s", headers=headers).render())

    def send_message(self, client: SipClient, text: str = "hello", branch: str = "z9hG4bK1", event: str = "") -> None:
        assert self.flow is not None
        fields = [
            ("Via", f"SIP/2.0/{self.flow.transport.upper()} {self.transports.sent_by(self.flow)};branch={branch}"),
            ("From", '"Room A" <sip:chat-a@example.com>;tag=1'),
            ("To", f"<{client.address}>"),
            ("Call-ID", branch),
            ("CSeq", "1 MESSAGE"),
            ("Content-Type", "text/plain"),
        ]
        if event:
            fields.append(("IMC-Event", event))
        self.transports.send(self.flow, Request("MESSAGE", client.contact, Headers(fields), text.encode()).render())

    async def wait_responses(self, count: int) -> list[int]:
        await until(lambda: len(self.responses) >= count)
        return [each.status for each in self.responses]


@asynccontextmanager
async def scripted(
    transport: str = "udp", ip: str = "127.0.0.1"
) -> AsyncIterator[tuple[ScriptedServer, tuple[str, int]]]:
    async with open_transports(listen_text(transport, ip)) as (transports, recorder):
        server = ScriptedServer(transports)
        recorder.on_receive = server.receive
        yield server, (ip, transports.addresses[0].port)


@pytest.mark.parametrize("ip", LOOPBACKS)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_dialogue(nursery: trio.Nursery, transport: str, ip: str) -> None:
    async with scripted(transport, ip) as (server, address):
        alice = await SipClient.open(nursery, ALICE, address, transport=transport)
        assert (await alice.register(expires=60)).status == 200
        register = server.requests[0]
        assert (register.method, register.uri, register.expires) == ("REGISTER", "sip:example.com", 60)
        assert str(register.to.uri) == str(register.from_.uri) == ALICE
        assert str(register.contacts[0].uri) == alice.contact

        assert (await alice.message("sip:chat-a@example.com", "héllo")).status == 200
        message = server.requests[1]
        assert (message.method, message.uri, message.body) == ("MESSAGE", "sip:chat-a@example.com", "héllo".encode())
        assert str(message.to.uri) == "sip:chat-a@example.com"
        assert message.call_id != register.call_id

        server.send_message(alice, "[bob]: hi", event="room-message")
        received = await alice.wait_message()
        assert (received.text, received.event, received.sender) == (
            "[bob]: hi",
            "room-message",
            "sip:chat-a@example.com",
        )
        assert (received.display, received.source) == ("Room A", transport)
        assert await server.wait_responses(1) == [200]
        alice.close()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("status", "header"), [(401, "Authorization"), (407, "Proxy-Authorization")])
async def test_challenges_are_answered_and_remembered(nursery: trio.Nursery, status: int, header: str) -> None:
    counts: list[str] = []

    def check(request: Request) -> int:
        text = request.headers.get(header)
        if text is None:
            return status
        given = Credentials.parse(text)
        counts.append(given.nc or "")
        expected = response(
            "SHA-256",
            ha1("alice", "example.com", "secret", "SHA-256"),
            nonce="abc",
            method=request.method,
            uri=request.uri,
            qop="auth",
            nc=given.nc or "",
            cnonce=given.cnonce or "",
        )
        return 200 if given.response == expected else status

    async with scripted() as (server, address):
        server.script = check
        alice = await SipClient.open(nursery, ALICE, address, password="secret")
        assert (await alice.register()).status == 200
        first, second = server.requests
        assert first.call_id == second.call_id
        assert second.cseq.number == first.cseq.number + 1
        assert first.via.branch != second.via.branch
        assert (await alice.message("sip:bob@example.com", "hi")).status == 200
        assert len(server.requests) == 3  # with credentials at once
        assert counts == ["00000001", "00000002"]

        mallory = await SipClient.open(nursery, ALICE, address, password="wrong")
        assert (await mallory.register()).status == status
        nobody = await SipClient.open(nursery, ALICE, address)
        assert (await nobody.register()).status == status
        assert len(server.requests) == 6
        nursery.cancel_scope.cancel()


async def test_it_may_claim_to_be_another(nursery: trio.Nursery) -> None:
    async with scripted() as (server, address):
        server.script = lambda _request: 403
        alice = await SipClient.open(nursery, ALICE, address)
        assert (await alice.message("sip:bob@example.com", "hi", from_="sip:carol@example.com")).status == 403
        assert str(server.requests[0].from_.uri) == "sip:carol@example.com"
        nursery.cancel_scope.cancel()


async def test_retransmission_over_udp(nursery: trio.Nursery, mock_clock: trio.testing.MockClock) -> None:
    """RFC 3261 §17.1.2.2: after 0.5, 1, 2, 4, 4 … seconds; once there was a provisional response, every 4."""
    times: list[float] = []
    statuses: dict[int, int] = {2: 100, 4: 200}
    start = trio.current_time()

    def note(_request: Request) -> int | None:
        times.append(round(trio.current_time() - start, 1))
        return statuses.get(len(times))

    async def advance(count: int) -> None:
        while len(times) < count:
            mock_clock.jump(0.5)
            await trio.testing.wait_all_tasks_blocked()

    async with scripted() as (server, address):
        server.script = note
        alice = await SipClient.open(nursery, ALICE, address)
        answers: list[int] = []

        async def ask() -> None:
            answers.append((await alice.request("OPTIONS", "sip:example.com")).status)

        nursery.start_soon(ask)
        await until(lambda: times)
        await trio.testing.wait_all_tasks_blocked()
        await advance(4)
        await until(lambda: answers)
        assert times == [0.0, 0.5, 4.5, 8.5]
        assert len({request.via.branch for request in server.requests}) == 1
        assert [each.status for each in alice.responses] == [100, 200]
        nursery.cancel_scope.cancel()


async def test_silence_is_no_answer(nursery: trio.Nursery, mock_clock: trio.testing.MockClock) -> None:
    ends: list[str] = []

    async with scripted() as (server, address):
        server.script = lambda _request: None
        alice = await SipClient.open(nursery, ALICE, address)

        async def ask() -> None:
            with pytest.raises(NoAnswer) as failure:
                await alice.request("OPTIONS", "sip:example.com")
            ends.append(str(failure.value))

        nursery.start_soon(ask)
        await until(lambda: server.requests)
        for _ in range(32):
            assert not ends
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(1.0)
        await until(lambda: ends)
        assert ends == ["alice: OPTIONS sip:example.com: no final response"]
        assert len({request.via.branch for request in server.requests}) == 1
        nursery.cancel_scope.cancel()


async def test_a_lost_connection_is_no_answer(nursery: trio.Nursery) -> None:
    async with scripted("tcp") as (server, address):
        server.script = lambda _request: None
        alice = await SipClient.open(nursery, ALICE, address, transport="tcp")
        nursery.start_soon(server.transports.aclose)
        with pytest.raises(NoAnswer, match="no final response"):
            await alice.register()
        assert not alice.is_connected
        with pytest.raises(NoAnswer, match="is not connected"):
            await alice.register()
        nursery.cancel_scope.cancel()


async def test_what_is_sent_when_the_connection_just_ended_is_lost(nursery: trio.Nursery) -> None:
    """As it would be a moment before; nothing is raised into whoever sends."""
    async with scripted("tcp") as (server, address):
        alice = await SipClient.open(nursery, ALICE, address, transport="tcp")
        await server.transports.aclose()
        await until(lambda: not alice.is_connected)
        alice.send_raw(b"OPTIONS")
        nursery.cancel_scope.cancel()


async def test_answers_carry_headers_and_are_forgotten_after_two_calls(nursery: trio.Nursery) -> None:
    async with scripted() as (server, address):
        alice = await SipClient.open(nursery, ALICE, address)
        await alice.register()
        alice.answer, alice.answer_headers = 503, (("Retry-After", "7"),)
        for calls in range(3):  # after the first the answer is still known
            server.send_message(alice, "hello", "z9hG4bK1")
            await server.wait_responses(calls + 1)
            alice.forget()
        assert [each.headers.get("Retry-After") for each in server.responses] == ["7"] * 3
        assert alice.retransmissions == 1
        assert (alice.messages, alice.responses, alice.take_unread()) == ([], [], [])
        nursery.cancel_scope.cancel()


async def test_it_knows_what_waits_for_an_answer(nursery: trio.Nursery) -> None:
    async with scripted() as (server, address):
        alice = await SipClient.open(nursery, ALICE, address)
        seen: list[bool] = []

        def script(_request: Request) -> int:
            assert alice.last is not None
            seen.append(alice.is_waiting(alice.last))
            return 200

        server.script = script
        await alice.register()
        assert alice.last is not None
        assert (seen, alice.is_waiting(alice.last)) == ([True], False)
        nursery.cancel_scope.cancel()


async def test_retransmissions_get_the_same_answer(nursery: trio.Nursery) -> None:
    async with scripted() as (server, address):
        alice = await SipClient.open(nursery, ALICE, address)
        await alice.register()
        alice.answer = lambda request: 486 if request.body == b"busy?" else 200
        for text, branch in (("busy?", "z9hG4bK1"), ("busy?", "z9hG4bK1"), ("hello", "z9hG4bK2")):
            server.send_message(alice, text, branch)
        assert await server.wait_responses(3) == [486, 486, 200]
        assert [each.text for each in alice.messages] == ["busy?", "hello"]
        assert alice.retransmissions == 1
        alice.answer = None
        server.send_message(alice, "anyone?", "z9hG4bK3")
        assert (await alice.wait_message(text="anyone?")).text == "anyone?"
        assert len(server.responses) == 3
        nursery.cancel_scope.cancel()


async def test_waiting_takes_what_is_asked_for_and_leaves_the_rest(
    nursery: trio.Nursery, mock_clock: trio.testing.MockClock
) -> None:
    async with scripted() as (server, address):
        alice = await SipClient.open(nursery, ALICE, address)
        await alice.register()
        found: list[str] = []

        async def wait(event: str) -> None:
            found.append((await alice.wait_message(event=event)).text)

        nursery.start_soon(wait, "member-left")
        nursery.start_soon(wait, "member-joined")
        await trio.testing.wait_all_tasks_blocked()
        for n, event in enumerate(("member-joined", "", "member-left")):
            server.send_message(alice, f"text {n}", f"z9hG4bK{n}", event)
        await until(lambda: len(found) == 2)
        assert sorted(found) == ["text 0", "text 2"]
        assert [each.text for each in alice.take_unread()] == ["text 1"]
        assert alice.take_unread() == []
        assert len(alice.messages) == 3
        server.send_message(alice, "another", "z9hG4bK9")
        assert (await alice.wait_message(matches=lambda each: "no" in each.text)).text == "another"

        with pytest.raises(NoMessage, match="waited for event=member-left"):
            await alice.wait_message(event="member-left", within=0)
        nursery.cancel_scope.cancel()


async def test_a_udp_client_that_takes_tcp(nursery: trio.Nursery) -> None:
    async with scripted() as (server, address):
        alice = await SipClient.open(nursery, ALICE, address, takes_tcp=True)
        await alice.register()
        server.flow = await server.transports.open_stream("tcp", *alice.local, 5.0)
        server.send_message(alice, "x" * 20_000)
        received = await alice.wait_message()
        assert (len(received.text), received.source) == (20_000, "tcp")
        assert await server.wait_responses(1) == [200]
        nursery.cancel_scope.cancel()


async def test_other_requests_and_raw_bytes(nursery: trio.Nursery) -> None:
    async with scripted() as (server, address):
        alice = await SipClient.open(nursery, ALICE, address)
        request = alice.build("OPTIONS", "sip:example.com")
        request.headers.set("CSeq", "77 OPTIONS")
        assert (await alice.transact(request)).cseq.number == 77
        assert server.flow is not None
        server.transports.send(server.flow, alice.build("OPTIONS", "sip:alice@example.com").render())
        server.transports.send(server.flow, alice.build("INVITE", "sip:alice@example.com").render())
        server.transports.send(server.flow, b"\r\n\r\n")
        assert await server.wait_responses(2) == [200, 405]
        alice.send_raw(alice.build("PUBLISH", "sip:example.com").render())
        await until(lambda: server.requests[-1].method == "PUBLISH")
        nursery.cancel_scope.cancel()
