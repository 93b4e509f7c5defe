"""Hostile files: whatever is in them, nothing but Unreadable is raised, and what comes out can be shown."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.replay import read as read_module
from conformance.replay import recording as module
from conformance.replay import trace
from conformance.replay.anonymize import anonymize
from conformance.replay.ladder import arrows_of
from conformance.replay.read import read
from conformance.replay.recording import Recorded, Unreadable
from tests.conformance.replay.pcaps import (
    ETHERNET,
    NULL,
    RAW,
    SLL,
    SLL2,
    Packet,
    fragments,
    framed,
    pcap,
    pcapng,
    read_bytes,
    tcp,
    udp,
)
from tests.conformance.replay.talks import ALICE, SERVER, request, response

LINKS = [ETHERNET, NULL, RAW, SLL, SLL2]
MESSAGE = request(body="hello")
GOOD = [
    udp(MESSAGE),
    udp(response(MESSAGE)),
    tcp(MESSAGE, 1),
    tcp(MESSAGE[100:], 101),
    *fragments(udp(request(body="x" * 3000)), 1400),
    *fragments(udp(MESSAGE, ("2001:db8::1", 5060), ("2001:db8::2", 5060)), 96),
]


@st.composite
def files(draw: st.DrawFn) -> bytes:
    link = draw(st.sampled_from(LINKS))
    packets = []
    for at, good in enumerate(draw(st.lists(st.sampled_from(GOOD), max_size=6))):
        data = bytearray(framed(good, link, vlans=draw(st.integers(0, 1)) if link in (ETHERNET, SLL) else 0))
        for place, octet in draw(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 255)), max_size=4)):
            if place < len(data):
                data[place] = octet
        packets.append(Packet(float(at), bytes(data)))
    file = bytearray(pcap(packets, link) if draw(st.booleans()) else pcapng(packets, link))
    for place, octet in draw(st.lists(st.tuples(st.integers(4, 200), st.integers(0, 255)), max_size=3)):
        if place < len(file):
            file[place] = octet
    return bytes(file[: draw(st.integers(0, len(file)))]) if draw(st.booleans()) else bytes(file)


@given(files())
@settings(max_examples=300)
def test_hostile_captures(file: bytes) -> None:
    try:
        found = read_bytes(file)
    except Unreadable:
        return
    arrows, _ = arrows_of(found)
    assert len(arrows) == len(found.messages)
    clean, notes = anonymize(found)
    assert len(clean.messages) + len(notes) == len(found.messages)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="No such file"):
        read(tmp_path / "missing")
    with pytest.raises(Unreadable, match="directory"):
        read(tmp_path)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null"])
def test_a_device_is_not_read(path: str) -> None:
    with pytest.raises(Unreadable, match=f"{path}: neither a file nor a pipe"):
        read(Path(path))


@pytest.mark.parametrize("is_capture", [True, False])
def test_a_pipe(is_capture: bool) -> None:
    data = trace.render(Recorded(1.0, "udp", ALICE, SERVER, MESSAGE, ""))
    assert piped(pcap([Packet(1.0, udp(MESSAGE))], RAW) if is_capture else data) == ([MESSAGE], [])


def test_a_pipe_is_read_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    data = trace.render(Recorded(1.0, "udp", ALICE, SERVER, MESSAGE, ""))
    monkeypatch.setattr(read_module, "_MAX_PIPE", len(data))
    assert piped(data) == ([MESSAGE], [])
    note = f"only the first {len(data)} octets of the pipe were read"
    assert piped(data + data) == ([MESSAGE], [note])


def piped(data: bytes) -> tuple[list[bytes], list[str]]:
    """What is read of a pipe: messages and notes."""
    out, into = os.pipe()
    try:
        with os.fdopen(into, "wb") as to:
            to.write(data)  # less than a pipe holds
        found = read(Path(f"/dev/fd/{out}"))
    finally:
        os.close(out)
    return [each.data for each in found.messages], list(found.notes)


def test_messages_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MESSAGES", 2)
    found = read_bytes(pcap([Packet(float(at), udp(MESSAGE)) for at in range(4)], RAW))
    assert len(found.messages) == 2
    assert list(found.notes) == ["packet 3: too many messages; what follows is left out"]


def test_octets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OCTETS", 2 * len(MESSAGE) + 1)
    found = read_bytes(pcap([Packet(float(at), udp(MESSAGE)) for at in range(4)], RAW))
    assert len(found.messages) == 2


def test_without_dpkt_only_traces_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is of an extra."""
    monkeypatch.setitem(sys.modules, "dpkt", None)
    monkeypatch.delitem(sys.modules, "conformance.replay.packets")
    with pytest.raises(Unreadable, match=r"test: captures need the package dpkt: pip install 'imc\[conformance\]'"):
        read_bytes(pcap([Packet(1.0, udp(MESSAGE))], RAW))
    assert len(read_bytes(trace.render(Recorded(1.0, "udp", ALICE, SERVER, MESSAGE, ""))).messages) == 1
