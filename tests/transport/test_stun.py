"""STUN keep-alives, against the test vectors of RFC 5769 and a request made by hand."""

from __future__ import annotations

import zlib

import pytest

from imc.transport import stun
from tests.transport.harness import Recorder, UdpPeer, open_transports, sip

TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")
REQUEST = bytes.fromhex("000100002112a442") + TRANSACTION


def test_the_addresses_of_the_test_vectors() -> None:
    # spec S-OUT-6
    # RFC 5769 §2.2 and §2.3: the same transaction id, these addresses, and what they are XORed to
    four = stun.answer(REQUEST, ("192.0.2.1", 32853))
    six = stun.answer(REQUEST, ("2001:db8:1234:5678:11:2233:4455:6677", 32853))
    assert four is not None
    assert six is not None
    assert four[:2] == six[:2] == b"\x01\x01"
    assert four[4:20] == six[4:20] == REQUEST[4:]
    assert four[20:32] == bytes.fromhex("002000080001a147e112a643")
    assert six[20:44] == bytes.fromhex("002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9")
    for whole in (four, six):
        assert int.from_bytes(whole[2:4], "big") == len(whole) - 20
        assert whole[-8:-4] == bytes.fromhex("80280004")
        assert int.from_bytes(whole[-4:], "big") == zlib.crc32(whole[:-8]) ^ 0x5354554E


@pytest.mark.parametrize(
    "data",
    [
        REQUEST[:2] + b"\x00\x04" + REQUEST[4:],  # shorter than it says
        REQUEST + b"\x00" * 4,
        REQUEST[:2] + b"\x00\x01" + REQUEST[4:] + b"\x00",
        b"\x01\x01" + REQUEST[2:],  # an answer is never answered
        b"\x00\x11" + REQUEST[2:],  # an indication
        b"\x00\x03" + REQUEST[2:],  # TURN
        REQUEST[:2] + b"\x04\x00" + REQUEST[4:] + b"\x00" * 1024,
    ],
)
def test_all_else_is_dropped(data: bytes) -> None:
    # spec S-OUT-6
    assert stun.is_stun(data)
    assert stun.answer(data, ("192.0.2.1", 1)) is None


def test_no_sip_is_taken_for_stun() -> None:
    assert not stun.is_stun(sip())
    assert not stun.is_stun(REQUEST[:19])
    assert not stun.is_stun(REQUEST[:4] + b"\x00" * 16)


async def test_over_the_socket() -> None:
    # spec S-OUT-6
    recorder = Recorder()
    async with open_transports("udp:127.0.0.1:0", recorder=recorder) as (transports, _):
        peer = UdpPeer()
        listener = transports.addresses[0]
        peer.send(REQUEST, (listener.ip, listener.port))
        peer.send(b"\x01\x01" + REQUEST[2:], (listener.ip, listener.port))
        peer.send(sip(), (listener.ip, listener.port))
        await recorder.wait(1)
        await peer.wait(1)
        assert peer.received == [(stun.answer(REQUEST, peer.address), (listener.ip, listener.port))]
        assert transports.statistics()["udp_keep_alives"] == 2
        assert recorder.data == [sip()]
        peer.close()
