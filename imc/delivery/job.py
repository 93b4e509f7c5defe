"""What is to be delivered, and its form in the outbox.

A `Dispatch` is one MESSAGE for many recipients; everything in it is the same for all of them, so it is encoded once.
A `Job` is all the dispatches of one decision. It is written to the outbox in the transaction of the decision. A copy
that is not settled soon gets a row of its own (`Kept`); when every copy is settled or has one, the job is done. What a
shutdown leaves is trimmed to those who are neither.

Call-ID and From tag derive from the job's id: a copy that is sent again, be it after a crash, carries the same ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from imc.aor import Aor

FORMAT = 1
_quote = json.encoder.encode_basestring_ascii


@dataclass(slots=True, kw_only=True)
class Kept:
    """One recipient's copy with a row of its own: ``part`` is the index of its dispatch in the job of outbox row
    ``seq``.

    ``created`` is when it was decided, ``expires`` when the sender has it end (0: never), both in unix seconds.
    ``tries`` counts the final answers that did not settle it, ``status`` is that of the last try.
    """

    aor: Aor
    seq: int
    part: int
    created: float
    expires: float = 0.0
    tries: int = 0
    status: int = 0


@dataclass(slots=True, kw_only=True)
class Dispatch:
    """One MESSAGE for many recipients.

    ``headers`` are (name, value) pairs that imc itself chose; ``kind`` is the event id of a notice or ``message``.
    ``wants_result`` asks for each recipient's final status (`Engine` calls ``on_settled``), with ``context`` for
    whoever receives it. ``is_answer``: it is for the sender of the request that caused it. ``expires``: after that it
    is of no use any more (RFC 3428 §4), in unix seconds. ``by``: the address of who said it, of a room message.
    ``is_plain``: nobody but its job has to be told of an end. ``kept``: it is one recipient's, with a row of its own.
    ``is_withdrawn``: it is not promised any more, and what is not in flight is not sent (`Engine.withdraw`).
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
    expires: float | None = None
    by: str = ""
    kept: Kept | None = None
    is_plain: bool = True
    is_withdrawn: bool = False
    part: int = 0
    call_base: bytes = b""
    shared: bytes = b""
    size: int = 0
    job: Job | None = None

    # spec S-LANE-10
    def encode(self, job_id: str, part: int, cseq: int = 1) -> None:
        """Fill ``call_base`` and ``shared``, the bytes that every copy has in common, and ``size``, of the latter."""
        self.part = part
        self.is_plain = not self.wants_result and self.kept is None
        self.call_base = f"{job_id}.{part}.".encode("ascii")
        name = "" if self.display is None else '"' + self.display.replace("\\", "\\\\").replace('"', '\\"') + '" '
        lines = [
            f"From: {name}<{self.sender}>;tag={job_id}",
            # spec S-LANE-9
            f"CSeq: {cseq} MESSAGE",
            "Max-Forwards: 70",
            *(f"{header}: {value}" for header, value in self.headers),
        ]
        if self.body or self.content_type:
            lines.append(f"Content-Type: {self.content_type}")
        lines.append(f"Content-Length: {len(self.body)}\r\n\r\n")
        self.shared = "\r\n".join(lines).encode("utf-8", "surrogateescape") + self.body
        self.size = len(self.shared)

    def kept_for(self, aor: Aor) -> Kept:
        """The row of this recipient's copy."""
        assert self.job is not None
        created, expires = self.job.created, self.expires or 0.0
        return Kept(aor=aor, seq=self.job.seq, part=self.part, created=created, expires=expires)

    def alone_for(self, kept: Kept) -> Dispatch:
        """This recipient's copy, by itself and the same to the octet."""
        return replace(self, recipients=(kept.aor,), kept=kept, is_plain=False, job=None)


@dataclass(slots=True)
class Job:
    """All that one decision sends. ``created`` is in unix seconds; ``seq`` is the number of its outbox row, 0 where it
    has none. ``pending`` counts the copies not settled yet, ``kept`` those that got rows of their own."""

    id: str
    created: float
    dispatches: tuple[Dispatch, ...]
    is_durable: bool = False
    seq: int = 0
    pending: int = 0
    kept: int = 0

    def __post_init__(self) -> None:
        for index, dispatch in enumerate(self.dispatches):
            dispatch.job = self
            dispatch.encode(self.id, index)

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
    expires = "null" if dispatch.expires is None else repr(dispatch.expires)
    return (
        f'{{"kind":{_quote(dispatch.kind)},"from":[{_quote(user)},{_quote(host)}],"display":{display},'
        f'"type":{_quote(dispatch.content_type)},"headers":[{headers}],"length":{len(dispatch.body)},'
        f'"result":{result},"context":{{{context}}},"expires":{expires},"by":{_quote(dispatch.by)}}}'
    )


def pack_recipients(rows: Iterable[Iterable[Aor]]) -> bytes:
    """One line for each dispatch; an address has no blank, so blanks separate."""
    return "\n".join(" ".join(f"{user}@{host}" for user, host in row) for row in rows).encode("ascii")


def restore(job_id: str, created: float, payload: bytes, recipients: bytes, seq: int = 0) -> Job:
    """A job from its outbox row. ValueError, KeyError, TypeError for a row of another format."""
    dispatches = _parse(job_id, payload)
    lines = recipients.decode("ascii").split("\n") if recipients else [""] * len(dispatches)
    for dispatch, line in zip(dispatches, lines, strict=True):
        pairs = (address.rpartition("@") for address in line.split())
        dispatch.recipients = tuple(Aor(user, host) for user, _, host in pairs)
    return Job(job_id, created, tuple(dispatches), is_durable=True, seq=seq)


# spec S-LANE-9
def restore_copy(job_id: str, payload: bytes, kept: Kept) -> Dispatch:
    """One recipient's copy from the outbox row and its own. ValueError, KeyError, TypeError as of `restore`."""
    dispatches = _parse(job_id, payload)
    if not 0 <= kept.part < len(dispatches):
        raise ValueError(f"outbox row {job_id}: has no part {kept.part}")
    dispatch = dispatches[kept.part]
    dispatch.recipients = (kept.aor,)
    dispatch.kept = kept
    dispatch.encode(job_id, kept.part, kept.tries + 1)
    return dispatch


def _parse(job_id: str, payload: bytes) -> list[Dispatch]:
    """The dispatches of a payload, without their recipients."""
    head, _, bodies = payload.partition(b"\n")
    document = json.loads(head)
    if document.get("format") != FORMAT:
        raise ValueError(f"outbox row {job_id}: unknown format {document.get('format')!r}")
    dispatches = []
    offset = 0
    for row in document["dispatches"]:
        dispatches.append(
            Dispatch(
                kind=row["kind"],
                sender=Aor(*row["from"]),
                display=row["display"],
                recipients=(),
                content_type=row["type"],
                body=bodies[offset : offset + row["length"]],
                headers=tuple((name, value) for name, value in row["headers"]),
                wants_result=row["result"],
                context=row["context"],
                expires=row.get("expires"),
                by=row.get("by", ""),
            )
        )
        offset += row["length"]
    return dispatches


def lane_tag(recipient: Aor) -> bytes:
    """A short stable name of a recipient, the last part of the Call-IDs of what they are sent."""
    return blake2b(str(recipient).encode("ascii"), digest_size=6).hexdigest().encode("ascii")
