"""A flood of bounded size, without times: what is promised to the others is kept (`tests.attacks.flood` measures)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attacks.attacker import Attacker, Gain
from tests.attacks.flood import SHAPES, Figures
from tests.e2e.stage import settings, stage

ROOM = "sip:chat-x@example.com"


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_room_goes_on(tmp_path: Path, shape: str) -> None:
    """Spec S-SRC-2: 6,000 datagrams that come to nothing; all but the first are dropped unread, and each message of the
    room in between is accepted and heard."""
    config = settings(tmp_path, "limits.unproven_burst=500", "limits.unproven_rate=1.0", mode="digest")
    accounts = {"alice": "wonder", "bob": "geheim"}
    async with stage(config, accounts) as on, Attacker.open(on, "127.0.0.66") as attacker:
        alice, bob = [await on.client(name, password=word) for name, word in accounts.items()]
        for client in (alice, bob):
            assert (await client.message(ROOM, "#join")).status == 200
        gain = Gain(7, f"a flood: {shape}")
        for number in range(20):
            await attacker.attack(gain, [SHAPES[shape](1_000_000 + 1_000 * number + each) for each in range(300)])
            assert (await alice.message(ROOM, f"number {number}")).status == 202
            await bob.wait_message(text=f"[alice]: number {number}")
        statistics = on.daemon.statistics()
        assert statistics["messages_muted"] + statistics["udp_held"] > 4_000
        assert gain.factor < 1
        assert statistics["server_transactions"] < 100


def test_figures() -> None:
    some = Figures([0.1] * 98, failed=2)
    assert (some.percentile(0.5), some.percentile(0.99)) == (0.1, float("inf"))
    assert str(Figures([0.1] * 100)).endswith("p50 100.0 ms, p90 100.0 ms, p99 100.0 ms")
