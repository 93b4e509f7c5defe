from __future__ import annotations

import pytest

from conformance.replay.clients import NotReachable
from conformance.replay.people import People
from conformance.replay.player import PlayOptions, play
from conformance.replay.recording import Address
from conformance.replay.script import build
from conformance.replay.targets import BadTarget, Place, opened
from tests.conformance.replay.talks import asked, recording, request


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("sip:127.0.0.1", Place(Address("127.0.0.1", 5060))),
        ("sip:127.0.0.1:5070;transport=TCP", Place(Address("127.0.0.1", 5070), "tcp")),
        ("sip:[::1]:5070;transport=udp", Place(Address("::1", 5070), "udp")),
    ],
)
async def test_a_uri(text: str, place: Place) -> None:
    async with opened(text, People()) as found:
        assert found == place


async def test_a_name_that_nobody_has() -> None:
    with pytest.raises(NotReachable, match=r"nobody\.invalid: "):
        async with opened("sip:nobody.invalid", People()):
            pass


@pytest.mark.parametrize("text", ["tel:+1", "sips:127.0.0.1", "sip:127.0.0.1;transport=ws", "opensips", "sip:"])
async def test_no_target(text: str) -> None:
    with pytest.raises(BadTarget):
        async with opened(text, People()):
            pass


@pytest.mark.parametrize(("rooms", "user"), [({"lunch@a.example", "lunatics@a.example"}, "lunch"), (set(), "chat-a")])
async def test_a_fresh_imc_takes_the_rooms_of_the_recording(rooms: set[str], user: str) -> None:
    """Whatever their names begin with, and under its own domain."""
    create = request(uri=f"sip:{user}@a.example", body="#create")
    async with opened("imc", People(rooms=rooms)) as place:
        assert place.domain == "example.com"
        options = PlayOptions(target=place.address, domains={"a.example": "example.com"}, linger=0.0, patience=5.0)
        played = await play(build(recording(*asked(0.0, create))), options)
    assert played.differences == []
