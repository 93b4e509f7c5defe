"""A response as it came, read leniently: it may copy what was wrong with the request. Nothing of imc is used here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_COMPACT = {
    "v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length", "c": "content-type",
    "e": "content-encoding", "k": "supported", "s": "subject",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reply:
    """``start`` is the first line. ``fields``: names in lower case and long form, values unfolded, in their order."""

    start: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    @property
    def status(self) -> int | None:
        """Of a status line, None where there is none."""
        match = re.match(r"SIP/2\.0 ([1-6][0-9][0-9])(?: |$)", self.start, re.IGNORECASE)
        return int(match[1]) if match is not None else None

    def all(self, name: str) -> list[str]:
        return [value for known, value in self.fields if known == name.lower()]

    @property
    def vias(self) -> list[str]:
        """Each Via, without white space."""
        found = [""]
        for part in re.split(r'("(?:[^"\\]|\\.)*"|,)', ",".join(self.all("via"))):
            if part == ",":
                found.append("")
            else:
                found[-1] += "".join(part.split())
        return found

    @property
    def branch(self) -> str | None:
        """That of the topmost Via."""
        match = re.search(r";branch=([^;]*)", self.vias[0], re.IGNORECASE)
        return match[1] if match is not None else None


def read(data: bytes) -> Reply:
    """A message, a request as well as a response, as far as it can be read."""
    head, _, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    text = re.sub(r"\r\n[ \t]+", " ", head.decode("utf-8", "surrogateescape"))
    start, *lines = text.split("\r\n")
    fields = []
    for line in lines:
        name, _, value = line.partition(":")
        name = name.strip().lower()
        fields.append((_COMPACT.get(name, name), value.strip()))
    return Reply(start, fields, body)
