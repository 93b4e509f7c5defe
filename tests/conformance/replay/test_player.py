"""A conversation is recorded with one imc and replayed against another one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trio

from conformance.replay.clients import NotReachable
from conformance.replay.player import PlayOptions, play
from conformance.replay.recording import Address, Recording
from conformance.replay.script import build
from tests.conformance.replay.live import echo, recorded_talk, replayed, served
from tests.conformance.replay.talks import (
    ALICE,
    SERVER,
    asked,
    copy_for,
    recording,
    request,
    response,
    told,
)


def edited(of: Recording, old: bytes, new: bytes) -> Recording:
    """As if it had been recorded so, with the same size."""
    assert len(old) == len(new)
    assert any(old in each.data for each in of.messages)
    messages = [replace(each, data=each.data.replace(old, new), _parsed=None) for each in of.messages]
    found = recording(*messages)
    found.server = of.server
    return found


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_the_same(tmp_path: Path, transport: str) -> None:
    recorded = await recorded_talk(tmp_path / "one", transport=transport)
    async with served(tmp_path / "two") as on:
        played = await replayed(recorded, on)
    assert played.differences == []
    assert (played.requests, played.responses, played.messages) == (10, 10, 10)
    assert {arrow.source for arrow in played.arrows} == {"alice", "bob", "server"}
    assert played.marks == {}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_ipv6(tmp_path: Path, transport: str) -> None:
    """From IPv6 to IPv6, and to IPv4."""
    flag = 'sip.listen=["udp:[::1]:0", "tcp:[::1]:0"]'
    recorded = await recorded_talk(tmp_path / "one", flag, transport=transport)
    assert {each.source.ip for each in recorded.messages} == {"::1"}
    for name, flags in (("two", [flag]), ("three", [])):
        async with served(tmp_path / name, *flags) as on:
            assert (await replayed(recorded, on)).differences == []


async def test_the_other_transport(tmp_path: Path) -> None:
    recorded = await recorded_talk(tmp_path / "one", transport="tcp")
    async with served(tmp_path / "two") as on:
        assert (await replayed(recorded, on, transport="udp")).differences == []
    recorded = await recorded_talk(tmp_path / "three")
    async with served(tmp_path / "four") as on:
        assert (await replayed(recorded, on, transport="tcp")).differences == []


async def test_passwords(tmp_path: Path) -> None:
    """What was asked for a password is the same where none is asked for, and the other way about."""
    recorded = await recorded_talk(tmp_path / "one", mode="digest")
    async with served(tmp_path / "two") as on:
        assert (await replayed(recorded, on)).differences == []
    async with served(tmp_path / "three", mode="digest") as on:
        played = await replayed(recorded, on, passwords={"alice": "one", "bob@example.com": "two"})
        assert played.differences == []
    async with served(tmp_path / "four", mode="digest") as on:
        played = await replayed(recorded, on, passwords={"alice": "one"}, patience=1.0)
    assert "alice > server" not in " ".join(played.differences)
    assert "server > bob: 401 Unauthorized (REGISTER): 401 Unauthorized; recorded: 200 OK" in played.differences
    assert played.hints == ["the target asked bob for a password; give it with --users"]


async def test_names_of_the_target(tmp_path: Path) -> None:
    """Another domain, other users, rooms with a suffix: in URIs, commands, notices and texts alike."""
    recorded = await recorded_talk(tmp_path / "one")
    flags = ['imc.domains=["test.example"]', "imc.manager_uri=sip:chat-manager@test.example"]
    async with served(tmp_path / "two", *flags) as on:
        options = {"domains": {"example.com": "test.example"}, "room_suffix": "-7", "users": {"alice": "anna"}}
        played = await replayed(recorded, on, **options)
    assert played.differences == []
    words = [arrow.summary for arrow in played.arrows]
    assert "MESSAGE welcome to chat-a-7" in words
    assert "MESSAGE [message] [anna]: welcome to chat-a-7" in words


async def test_a_room_that_is_there_already(tmp_path: Path) -> None:
    """Replayed twice, the room is another's business: with a suffix it is new again."""
    recorded = await recorded_talk(tmp_path / "one")
    async with served(tmp_path / "two") as on:
        assert (await replayed(recorded, on)).differences == []
        again = await replayed(recorded, on, patience=1.0)
        assert any("recorded: room-created" in line for line in again.differences)
        assert (await replayed(recorded, on, room_suffix="-2")).differences == []


async def test_differences_are_marked(tmp_path: Path) -> None:
    """A status, a text, a MESSAGE that does not come, one that nobody recorded."""
    recorded = await recorded_talk(tmp_path / "one")
    recorded = edited(recorded, b"SIP/2.0 404 ", b"SIP/2.0 403 ")
    recorded = edited(recorded, b": thanks", b": THANKS")
    first = next(each for each in recorded.messages if b"IMC-Event: invitation\r\n" in each.data)
    call_id = first.message.call_id.encode()
    without = [each for each in recorded.messages if call_id not in each.data]
    more = replace(
        first, data=first.data.replace(call_id, b"m").replace(b"branch=", b"branch=z9hG4bK1"), at=first.at + 1
    )
    more = replace(more, data=more.data.replace(b": invitation\r\n", b": role-change\r\n"), _parsed=None)
    changed = recording(*without, replace(more, at=without[-1].at + 0.001))
    changed.server = recorded.server
    async with served(tmp_path / "two") as on:
        played = await replayed(changed, on, patience=1.0)
    kinds = sorted(mark.kind for mark in played.marks.values())
    assert kinds == ["differs", "differs", "extra", "missing"]
    assert len(played.differences) == 4
    for line in (
        "server > alice: MESSAGE [message] [bob]: thanks: body '[bob]: thanks'; recorded: '[bob]: THANKS'",
        "server > bob: 404 Not Found (MESSAGE): 404 Not Found; recorded: 403 Not Found",
    ):
        assert line in played.differences


async def test_clients_answer_as_they_did(tmp_path: Path) -> None:
    """410 to one copy, silence to another."""
    recorded = await recorded_talk(tmp_path / "one")
    busy = [each for each in recorded.messages if each.data.startswith(b"SIP/2.0 410")]
    assert len(busy) == 1
    async with served(tmp_path / "two") as on:
        played = await replayed(recorded, on)
        assert [arrow.summary for arrow in played.arrows].count("410 Gone (MESSAGE)") == 1
    # The last text is one that bob never answers; the recording goes on for long enough to show it.
    copy = next(each for each in recorded.messages if b"[alice]: welcome" in each.data)
    answers = [each for each in recorded.messages if copy.message.via.branch and each.source == copy.target]
    answer = next(each for each in answers if each.message.via.branch == copy.message.via.branch)
    silent = recording(*(each for each in recorded.messages if each is not answer))
    silent.messages.append(replace(silent.messages[0], at=silent.messages[-1].at + 60))
    silent.server = recorded.server
    script = build(silent)
    assert [each.is_silent for each in script.incoming].count(True) == 1


async def test_times_are_kept(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """At speed 2, what was asked an hour later is asked half an hour later."""
    first = asked(0.0, request("OPTIONS", "sip:example.com", branch="z9hG4bK1", call_id="1"))
    second = asked(3600.0, request("OPTIONS", "sip:example.com", branch="z9hG4bK2", call_id="2", cseq=2))
    async with echo() as target:
        began = trio.current_time()
        played = await play(build(recording(*first, *second)), PlayOptions(target=target, speed=2.0, linger=0.0))
        took = trio.current_time() - began
    assert played.differences == []
    assert 1800 <= took < 1801


async def test_nobody_there() -> None:
    script = build(recording(*asked(0.0, request(body="#create"))))
    with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
        await sock.bind(("127.0.0.1", 0))
        free = Address("127.0.0.1", sock.getsockname()[1])
    for transport in ("udp", "tcp"):
        with pytest.raises(NotReachable, match=rf"{transport}:127\.0\.0\.1:\d+: "):
            await play(script, PlayOptions(target=free, transport=transport))


async def test_a_target_that_speaks_no_sip_over_tcp() -> None:
    """It answers once, so that it can be reached; then it sends nonsense, and closes."""
    script = build(recording(*asked(0.0, request(body="#create", transport="TCP"))))

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            data = await stream.receive_some()
            await stream.send_all(b"\r\rno SIP" if b"MESSAGE" in data else b"SIP/2.0 200 OK\r\n\r\n")

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        target = Address(*listener.socket.getsockname())
        played = await play(script, PlayOptions(target=target, transport="tcp", patience=0.2, linger=0.0))
        nursery.cancel_scope.cancel()
    assert played.differences == ["server > alice: missing: 200 OK (MESSAGE): did not come"]


async def test_a_large_conversation_is_compared_in_time(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """Two thousand requests of forty clients, each answered: what is looked at for one does not grow with all."""
    messages = []
    for number in range(2000):
        client = Address("192.0.2.7", 6000 + number % 40)
        data = request("OPTIONS", "sip:example.com", via=client, branch=f"z9hG4bK-{number}", call_id=f"c{number}")
        messages += asked(float(number), data, client=client)
    async with echo() as target:
        played = await play(build(recording(*messages)), PlayOptions(target=target, linger=0.0))
    assert played.differences == []
    assert played.responses == 2000


async def test_order_of_one_sender_to_one_recipient() -> None:
    """The target sends two texts of a room the other way round, and one of another room in between."""
    texts = [("chat-a", "first"), ("chat-a", "second"), ("chat-b", "elsewhere")]
    copies = {
        text: copy_for("alice", text, to=ALICE, branch=f"z9hG4bK{text}", call_id=text).replace(b"chat-a", room.encode())
        for room, text in texts
    }
    messages = asked(0.0, request(body="#join"))
    for at, data in enumerate(copies.values(), 1):
        messages += told(0.1 * at, data, client=ALICE)
    with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
        await sock.bind(("127.0.0.1", 0))

        async def serve() -> None:
            while True:
                data, source = await sock.recvfrom(65535)
                if data.startswith(b"SIP/2.0"):
                    continue
                await sock.sendto(response(data), source)
                for text in ("second", "elsewhere", "first") if data.startswith(b"MESSAGE") else ():
                    await sock.sendto(copies[text], source)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            options = PlayOptions(target=Address(*sock.getsockname()), linger=0.0, patience=5.0)
            played = await play(build(recording(*messages), SERVER), options)
            nursery.cancel_scope.cancel()
    assert played.differences == ["server > alice: MESSAGE first: came behind one that was recorded after it"]
