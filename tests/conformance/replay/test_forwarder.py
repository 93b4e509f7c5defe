from __future__ import annotations

from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.agent.client import SipClient
from conformance.replay.forwarder import Forwarder
from conformance.replay.recording import Address
from imc.sip.message import Request
from tests.conformance.replay.live import ROOM, recorder, served, talk
from tests.conformance.replay.planted import messages
from tests.e2e.stage import DOMAIN


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("upstream", ["udp", "tcp", None])
async def test_a_conversation_passes_and_is_told_whole(tmp_path: Path, transport: str, upstream: str | None) -> None:
    """What is told is between clients and forwarder, as if that were the server."""
    async with (
        served(tmp_path / "imc") as on,
        recorder(Address(*on.addresses[upstream or transport]), upstream) as (forwarder, recording),
        trio.open_nursery() as nursery,
    ):
        await talk(nursery, forwarder.listen, transport=transport)
        nursery.cancel_scope.cancel()
    assert forwarder.dropped == 0
    assert len({each.data for each in recording.messages}) == 40  # what was sent again counts once
    for each in recording.messages:
        assert forwarder.listen in (each.source, each.target)
        assert each.transport == transport
        message = each.message
        assert "x-flow" not in (message.headers.get("Contact") or "")
        if isinstance(message, Request) and each.target == forwarder.listen:
            assert len(message.vias) == 1
            assert "x-flow" not in message.uri


async def test_contacts_come_back_as_they_were(tmp_path: Path) -> None:
    async with (
        served(tmp_path / "imc") as on,
        recorder(Address(*on.addresses["udp"])) as (forwarder, recording),
        trio.open_nursery() as nursery,
    ):
        alice = await SipClient.open(nursery, f"sip:alice@{DOMAIN}", (forwarder.listen.ip, forwarder.listen.port))
        response = await alice.register(contact=f"<{alice.contact};ob>;expires=60")
        assert str(response.contacts[0]) == f"<{alice.contact};ob>;expires=60"
        assert (await alice.message(ROOM, "#create")).status == 200
        notice = await alice.wait_message(event="room-created")
        assert notice.request.uri == f"{alice.contact};ob"
        assert [each.host for each in notice.request.vias] == ["127.0.0.1", "127.0.0.1"]
        nursery.cancel_scope.cancel()
    assert len(recording.messages) == 6


async def test_what_cannot_be_read_is_dropped_and_the_rest_goes_on(tmp_path: Path) -> None:
    async with (
        served(tmp_path / "imc") as on,
        recorder(Address(*on.addresses["udp"])) as (forwarder, _),
        trio.open_nursery() as nursery,
    ):
        for transport in ("udp", "tcp"):
            client = await SipClient.open(
                nursery, f"sip:mallory@{DOMAIN}", (forwarder.listen.ip, forwarder.listen.port), transport=transport
            )
            client.send_raw(b"no SIP at all\r\n\r\n")
            client.send_raw(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a.example;x-flow=1\r\nContent-Length: 0\r\n\r\n")
        alice = await SipClient.open(nursery, f"sip:alice@{DOMAIN}", (forwarder.listen.ip, forwarder.listen.port))
        assert (await alice.register()).status == 200
        nursery.cancel_scope.cancel()
    assert forwarder.dropped >= 2


async def test_a_response_that_nobody_asked_for_goes_nowhere(tmp_path: Path) -> None:
    """A Via that was not made here is no way to a flow."""
    async with recorder(Address("127.0.0.1", 9)) as (forwarder, recording), trio.open_nursery() as nursery:
        alice = await SipClient.open(nursery, f"sip:alice@{DOMAIN}", (forwarder.listen.ip, forwarder.listen.port))
        mallory = await SipClient.open(nursery, f"sip:mallory@{DOMAIN}", (forwarder.listen.ip, forwarder.listen.port))
        request = alice.build("MESSAGE", f"sip:bob@{DOMAIN}")
        alice.send_raw(request.render())
        forged = (
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx;x-flow=1\r\n"
            f"Via: {request.via}\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\n\r\n"
        )
        mallory.send_raw(forged.encode())
        with trio.fail_after(5):
            while not forwarder.dropped:
                await trio.lowlevel.checkpoint()
        assert alice.responses == []
        nursery.cancel_scope.cancel()
    assert len(recording.messages) == 1


async def test_a_port_that_is_taken() -> None:
    async with recorder(Address("127.0.0.1", 9)) as (forwarder, _):
        other = Forwarder(forwarder.listen, Address("127.0.0.1", 9), None, lambda *_: None)
        with pytest.raises(OSError, match="in use"):
            await other.run()


@given(st.lists(messages(), min_size=1, max_size=5), st.sampled_from(["udp", "tcp"]))
@settings(max_examples=60)
def test_whatever_is_sent_the_forwarder_goes_on(data: list[bytes], transport: str) -> None:
    """From a client, and from the server to whom it passes."""

    async def main() -> None:
        with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as server:
            await server.bind(("127.0.0.1", 0))
            async with (
                recorder(Address(*server.getsockname()), "udp") as (forwarder, _),
                trio.open_nursery() as nursery,
            ):
                place = forwarder.listen.ip, forwarder.listen.port
                client = await SipClient.open(nursery, f"sip:alice@{DOMAIN}", place, transport=transport)
                for each in data:
                    if client.is_connected:
                        client.send_raw(each)
                    await server.sendto(each.replace(b"sip:", b"sip:x;x-flow=1-y@", 1), place)
                    await server.sendto(b"SIP/2.0 200 OK\r\n" + each.partition(b"\r\n")[2], place)
                other = await SipClient.open(nursery, f"sip:bob@{DOMAIN}", place)
                other.send_raw(other.build("OPTIONS", f"sip:{DOMAIN}").render())
                with trio.fail_after(5):
                    while b"OPTIONS sip:example.com" not in await server.recv(65535):
                        pass
                nursery.cancel_scope.cancel()

    trio.run(main)


async def test_a_client_that_goes_takes_its_connection_to_the_server_with_it(tmp_path: Path) -> None:
    async with (
        served(tmp_path / "imc") as on,
        recorder(Address(*on.addresses["tcp"])) as (forwarder, _),
        trio.open_nursery() as nursery,
    ):
        place = forwarder.listen.ip, forwarder.listen.port
        alice = await SipClient.open(nursery, f"sip:alice@{DOMAIN}", place, transport="tcp")
        assert (await alice.register()).status == 200
        assert len(forwarder._flows) == 2
        alice.close()
        with trio.fail_after(5):
            while forwarder._flows:
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
