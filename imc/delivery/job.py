"""What is to be delivered, and its form in the outbox.

A `Dispatch` is one MESSAGE for many recipients; everything in it is the same for all of them, so it is encoded once.
A `Job` is all the dispatches of one decision. It is written to the outbox in the transaction of the decision and is
deleted when the last recipient is settled; what a shutdown leaves is trimmed to those who are not.

Call-ID and From tag derive from the job's id: a copy that is sent again after a crash carries the same ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

from imc.aor import Aor

FORMAT = 1
_quote = json.encoder.encode_basestring_ascii


@dataclass(slots=True, kw_only=True)
class Dispatch:
    """One MESSAGE for many recipients.

    ``headers`` are (name, value) pairs that imc itself chose; ``kind`` is the event id of a notice or ``message``.
    ``wants_result`` asks for each recipient's final status (`Engine` calls ``on_result``), with ``context`` for whoever
    receives it. ``is_answer``: it is for the sender of the request that caused it.
    """

    kind: str
    sender: Aor
    display: str | None
    recipients: tuple[Aor, ...]
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    is_answer: bool = False
    wants_result: bool = False
    context: dict[str, str] = field(default_factory=dict)
    call_base: bytes = b""
    shared: bytes = b""
    size: int = 0
    job: Job | None = None

    # spec S-LANE-10
    def encode(self, job: Job, index: int) -> None:
        """Fill ``call_base`` and ``shared``, the bytes that every copy has in common, and ``size``, of the latter."""
        self.job = job
        self.call_base = f"{job.id}.{index}.".encode("ascii")
        name = "" if self.display is None else '"' + self.display.replace("\\", "\\\\").replace('"', '\\"') + '" '
        lines = [
            f"From: {name}<{self.sender}>;tag={job.id}",
            # spec S-LANE-9
            "CSeq: 1 MESSAGE",
            "Max-Forwards: 70",
            *(f"{header}: {value}" for header, value in self.headers),
        ]
        if self.body or self.content_type:
            lines.append(f"Content-Type: {self.content_type}")
        lines.append(f"Content-Length: {len(self.body)}\r\n\r\n")
        self.shared = "\r\n".join(lines).encode("utf-8", "surrogateescape") + self.body
        self.size = len(self.shared)


@dataclass(slots=True)
class Job:
    """All that one decision sends. ``created`` is in unix seconds; ``pending`` counts the copies not settled yet."""

    id: str
    created: float
    dispatches: tuple[Dispatch, ...]
    is_durable: bool = False
    pending: int = 0

    def __post_init__(self) -> None:
        for index, dispatch in enumerate(self.dispatches):
            dispatch.encode(self, index)

    def payload(self) -> bytes:
        """For the outbox: a line of JSON that describes the dispatches, then their bodies, one after the other."""
        rows = ",".join([_row(dispatch) for dispatch in self.dispatches])
        head = f'{{"format":{FORMAT},"dispatches":[{rows}]}}\n'
        return head.encode("ascii") + b"".join([dispatch.body for dispatch in self.dispatches])

    def recipients(self) -> bytes:
        """For the outbox: a line of addresses, blank-separated, for each dispatch."""
        return pack_recipients(d.recipients for d in self.dispatches)


def _row(dispatch: Dispatch) -> str:
    """One dispatch in JSON, without its body. Written by hand: an encoder is made anew for each document."""
    user, host = dispatch.sender
    headers = ",".join([f"[{_quote(name)},{_quote(value)}]" for name, value in dispatch.headers])
    context = ",".join([f"{_quote(key)}:{_quote(value)}" for key, value in dispatch.context.items()])
    display = "null" if dispatch.display is None else _quote(dispatch.display)
    result = "true" if dispatch.wants_result else "false"
    return (
        f'{{"kind":{_quote(dispatch.kind)},"from":[{_quote(user)},{_quote(host)}],"display":{display},'
        f'"type":{_quote(dispatch.content_type)},"headers":[{headers}],"length":{len(dispatch.body)},'
        f'"result":{result},"context":{{{context}}}}}'
    )


def pack_recipients(rows: Iterable[Iterable[Aor]]) -> bytes:
    """One line for each dispatch; an address has no blank, so blanks separate."""
    return "\n".join(" ".join(f"{user}@{host}" for user, host in row) for row in rows).encode("ascii")


def restore(job_id: str, created: float, payload: bytes, recipients: bytes) -> Job:
    """A job from its outbox row. ValueError for a row of another format."""
    head, _, bodies = payload.partition(b"\n")
    document = json.loads(head)
    if document.get("format") != FORMAT:
        raise ValueError(f"outbox row {job_id}: unknown format {document.get('format')!r}")
    dispatches = []
    offset = 0
    lines = recipients.decode("ascii").split("\n")
    for row, line in zip(document["dispatches"], lines, strict=True):
        pairs = (address.rpartition("@") for address in line.split())
        dispatches.append(
            Dispatch(
                kind=row["kind"],
                sender=Aor(*row["from"]),
                display=row["display"],
                recipients=tuple(Aor(user, host) for user, _, host in pairs),
                content_type=row["type"],
                body=bodies[offset : offset + row["length"]],
                headers=tuple((name, value) for name, value in row["headers"]),
                wants_result=row["result"],
                context=row["context"],
            )
        )
        offset += row["length"]
    return Job(job_id, created, tuple(dispatches), is_durable=True)


def lane_tag(recipient: Aor) -> bytes:
    """A short stable name of a recipient, the last part of the Call-IDs of what they are sent."""
    return blake2b(str(recipient).encode("ascii"), digest_size=6).hexdigest().encode("ascii")
