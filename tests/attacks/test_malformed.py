"""Rows 8 and 25: what no reader understands, sent to a running daemon."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.attacks.attacker import Attacker, Gain, request
from tests.e2e.stage import settings, stage
from tests.sip.torture import RFC4475, RFC5118

ROOM = "sip:chat-x@example.com"


def corpus(seed: int, count: int) -> Iterator[bytes]:
    """Mutations of the torture messages and of plain ones, as PROTOS c07-sip made them: fields that overflow, repeat,
    are cut, are empty, hold octets of every kind, and numbers of every size."""
    chance = random.Random(seed)
    seeds = [each.data for each in (*RFC4475, *RFC5118)] + [
        request(method, ROOM, "c:text/plain", "m:<sip:x@h>", body=b"hello") for method in ("MESSAGE", "REGISTER")
    ]
    pieces = (
        b"", b"\0", b"\xff\xfe", b"%s%n%x", b"a" * 2_000, b'"' * 99, b"<" * 99, b",;" * 99, b"-1", b"4294967296",
        b"0" * 400, b"9" * 400, b"sip:", b"\r\n ", b"\r\n", b"%0d%0a",
        "\u202e\u2028\U0001f600".encode(), b"[::1", b"=", b"\t",
    )  # fmt: skip
    for _ in range(count):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data) + 1)
            end = min(len(data), at + chance.choice((0, 1, 4, 30)))
            data[at:end] = chance.choice(pieces) * chance.choice((1, 1, 3))
        yield bytes(data[:60_000])


async def test_malformed_messages_over_udp(tmp_path: Path) -> None:
    """An answer below 500 or silence (505 and 513 are answers to versions and sizes), no fault, a live listener."""
    config = settings(tmp_path, "limits.unproven_burst=1000000")
    async with stage(config) as on, Attacker.open(on, "127.0.0.66") as attacker:
        gain = Gain(25, "malformed messages")
        await attacker.attack(gain, list(corpus(1, 3_000)))
        assert not [status for status in gain.statuses if status >= "5" and status not in ("505", "513")]
        assert on.daemon.statistics()["callback_failures"] == 0
        alice = await on.client("alice")
        assert (await alice.message(ROOM, "#create")).status == 200


async def test_malformed_messages_over_tcp(tmp_path: Path) -> None:
    """Each on a connection of its own, which is answered or closed; the next one is served."""
    async with stage(settings(tmp_path, "limits.unproven_burst=1000000")) as on:
        gain = Gain(25, "malformed streams")
        for data in corpus(2, 300):
            stream = await trio.open_tcp_stream(*on.addresses["tcp"])
            async with stream:
                gain.requests += 1
                gain.came += len(data)
                try:
                    await stream.send_all(data)
                    await stream.send_eof()
                    with trio.move_on_after(0.0):
                        gain.note(await stream.receive_some())
                except trio.BrokenResourceError:
                    pass
        print(gain)
        assert on.daemon.statistics()["callback_failures"] == 0
        alice = await on.client("alice", transport="tcp")
        assert (await alice.message(ROOM, "#create")).status == 200


@pytest.mark.parametrize(
    "length", [b"-1", b"2147483648", b"99999999999999999999", b"1e3", b"0x10", b"5, 6", b"", b"+5"]
)
async def test_wrong_lengths(tmp_path: Path, length: bytes) -> None:
    """Row 8: 400 over UDP, never 500; a stream is closed."""
    async with stage(settings(tmp_path)) as on, Attacker.open(on, "127.0.0.66") as attacker:
        data = request("MESSAGE", ROOM, body=b"hello").replace(b"l:5", b"l:" + length)
        gain = Gain(8, f"Content-Length {length.decode()!r}")
        assert (await attacker.ask(gain, data)).startswith(b"SIP/2.0 400 ")
        stream = await trio.open_tcp_stream(*on.addresses["tcp"])
        async with stream:
            with trio.fail_after(30):
                await stream.send_all(data)
                assert b"SIP/2.0 2" not in await stream.receive_some()
                assert await stream.receive_some() == b""
