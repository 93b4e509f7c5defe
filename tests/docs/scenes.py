"""What has happened before a page begins: conversations, captures, certificates, a Kamailio's database."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import trio

from tests.conformance.replay import pcaps
from tests.conformance.replay.live import recorded_talk
from tests.databases import Database
from tests.docs.blocks import blocks
from tests.store.kamailio.samples import A_ROOM, insert, make_schema

if TYPE_CHECKING:
    from tests.docs.sandbox import Sandbox


def a_capture(sandbox: Sandbox) -> None:
    """A conversation as a capture of the network: talk.pcapng, call.pcap."""
    recording = trio.run(recorded_talk, sandbox.folder / "recorded")
    packets = [
        pcaps.Packet(
            one.at,
            pcaps.framed(
                pcaps.udp(one.data, (one.source.ip, one.source.port), (one.target.ip, one.target.port)), pcaps.ETHERNET
            ),
        )
        for one in recording.messages
    ]
    for name in ("talk.pcapng", "call.pcap"):
        (sandbox.folder / name).write_bytes(pcaps.pcapng(packets))
    (sandbox.folder / "users.txt").write_text("alice@example.com one\nbob@example.com two\n")


def dead_letters(sandbox: Sandbox) -> None:
    """Somebody has one; where the page tells of it, there is another id, and another time."""
    shown = sandbox.shell("imc outbox list --state dead")
    found = re.search(r"^(\d+\.\d+) ", shown, re.MULTILINE)
    assert found is not None, shown
    sandbox.replace["12.0"] = found[1]


def a_kamailio(sandbox: Sandbox) -> None:
    """A Kamailio's database with a room."""
    database = Database("sqlite", f"sqlite:///{sandbox.folder}/kamailio.db")
    make_schema(database)
    for table, columns, rows in A_ROOM:
        insert(database, table, columns, rows)


def certificates(sandbox: Sandbox) -> None:
    """Those that the page makes later: a configuration that names them is checked before."""
    page = blocks("docs/how-to/tls.md")
    sandbox.shell(next(one.text for one in page if one.first.startswith("openssl req")))
