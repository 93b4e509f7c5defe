"""Byte-exact cases as data: what is written to a socket, and what the RFC lets come back.

A file ``conformance/wire/*.toml`` holds ``[[case]]`` tables, each with ``[[case.step]]`` tables. A step writes one
message, waits for what comes of it, and compares; that the server still lives is asked after each step. README.md in
that folder explains the fields by an example; `conformance.suite.wire_text` says what may stand in a message.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from conformance.suite.case import BadCase, Level, Model, describe
from conformance.suite.features import Feature

WIRE_FOLDER = Path(__file__).parent.parent / "wire"

Transport = Literal["udp", "tcp", "ws"]
Split = Literal["whole", "bytes", "lines", "crlf", "body", "joined"]

Result = int | Literal["2xx", "3xx", "4xx", "5xx", "6xx", "well-formed", "silence", "closed"]
"""A final status, a class, or: any answer to what could be read; no answer; the connection is closed."""

# Answers that say that a message could not be read, or that it broke the server.
NOT_WELL_FORMED = frozenset({400, 413, 414, 500, 505, 513})

ChallengeRule = Literal["qop", "distinct", "strongest-first", "stale", "not-stale", "new-nonce", "no-basic"]
"""What is asked of the challenges in a 401, RFC 8760: see `conformance.suite.wire_check`."""


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, int | str) else value


Patterns = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Results = Annotated[tuple[Result, ...], BeforeValidator(_listed), Field(min_length=1)]


class Expect(Model):
    """What may come of a step: one of ``status``, and all of the rest where there is an answer."""

    status: Results = Field(description="what may come; any of these")
    tcp: Results | None = Field(default=None, description="what may come over TCP, in place of status")
    headers: dict[str, Patterns] = Field(
        default={}, description="header of the answer → regular expressions, each found in one of its values"
    )
    when: dict[str, dict[str, Patterns]] = Field(
        default={}, description="status, or 2xx → headers as above, for an answer of that status"
    )
    without: tuple[str, ...] = Field(default=(), description="headers that the answer must not have")
    to_tag: bool | None = Field(default=None, description="whether the answer's To has a tag")
    copied: bool = Field(default=False, description="From, Call-ID, CSeq and all of Via but the topmost are as sent")
    is_empty: bool = Field(default=False, description="the answer has no body")
    challenge: tuple[ChallengeRule, ...] = Field(
        default=(), description="rules for WWW-Authenticate, or Proxy-Authenticate"
    )
    same_as: int | None = Field(default=None, description="the answer is that of this step, to the octet")
    at: str | None = Field(default=None, description="the socket where the answer arrives; else where it was asked")
    from_same: bool = Field(default=False, description="the answer leaves from where the request was sent to")
    pongs: int | None = Field(default=None, description="single CRLFs that come back on the connection")
    delivered: int | None = Field(
        default=None, description="how many MESSAGEs that hold {token} {mate} has received since the case began"
    )
    is_intact: bool = Field(default=False, description="each of them has the body that this step sent, to the octet")
    carries: dict[str, Patterns] = Field(default={}, description="header of each of them → as for headers")
    carries_no: tuple[str, ...] = Field(default=(), description="headers that none of them has")
    provisional: int | None = Field(default=None, description="how many provisional answers come")

    def patterns(self) -> Iterator[tuple[str, str, str]]:
        """Status ("" for any), header, and regular expression."""
        for status, headers in ("", self.headers), *self.when.items():
            for name, texts in headers.items():
                yield from ((status, name, text) for text in texts)

    def allowed(self, transport: str) -> tuple[Result, ...]:
        return self.tcp if self.tcp is not None and transport == "tcp" else self.status


class Credentials(Model):
    """How ``{authorization}`` of a message answers the last challenge that the case has had (RFC 7616 §3.4)."""

    scheme: Literal["Digest", "Basic"] = "Digest"
    algorithm: str = Field(default="", description="the challenge of this algorithm; else the first one")
    nc: int = 1
    cnonce: str = "0a4f113b"
    qop: bool = True
    password: str = Field(default="", description="in place of the user's own")
    username: str = Field(default="", description="in place of the user's own")
    method: str = Field(default="", description="in place of the request's")
    uri: str = Field(default="", description="in place of the Request-URI")
    realm: str = Field(default="", description="in place of the challenge's")
    nonce: str = Field(default="", description="in place of the challenge's")


class WireStep(Model):
    """One message. ``message`` is text, ``base64`` octets, ``again`` the number of a step whose octets go out again."""

    message: str | None = None
    base64: str | None = None
    again: int | None = Field(default=None, ge=1)
    socket: str = Field(default="first", description="a name; each is a socket, or a connection, of its own")
    is_whole: bool = Field(default=True, description="false: more follows, so the connection cannot be asked yet")
    credentials: Credentials | None = None
    expect: Expect

    @model_validator(mode="after")
    def _has_one_source(self) -> WireStep:
        if sum(each is not None for each in (self.message, self.base64, self.again)) != 1:
            raise ValueError("one of message, base64, again")
        return self


class WireCase(Model):
    """A situation, with the RFC and the section that say what must come of it."""

    id: str = Field(pattern=r"^[a-z0-9]+/[A-Za-z0-9._-]+$", description="family/name; the family is the file's name")
    rfc: int
    section: str
    title: str
    says: str = Field(description="what the section demands, in our words")
    level: Level = "must"
    tags: tuple[str, ...] = ()
    requires: tuple[Feature, ...] = Field(
        default=(), description="features a server must have, else the case is skipped"
    )
    transport: tuple[Transport, ...] = ("udp", "tcp")
    split: tuple[Split, ...] = Field(default=("whole",), description="how the octets are cut over TCP; each is played")
    step: tuple[WireStep, ...] = Field(min_length=1)

    @property
    def family(self) -> str:
        return self.id.partition("/")[0]

    @property
    def clause(self) -> str:
        return f"RFC {self.rfc} §{self.section}"

    @property
    def variants(self) -> list[tuple[Transport, Split]]:
        """How it is played: once over UDP, and over TCP once for each cut."""
        found: list[tuple[Transport, Split]] = []
        for transport in self.transport:
            found += [(transport, split) for split in (self.split if transport == "tcp" else ("whole",))]
        return found

    @property
    def needs_mate(self) -> bool:
        return any(step.expect.delivered is not None for step in self.step)

    @model_validator(mode="after")
    def _names_earlier_steps(self) -> WireCase:
        for number, step in enumerate(self.step, 1):
            for other in (step.again, step.expect.same_as):
                if other is not None and not 1 <= other < number:
                    raise ValueError(f"{self.id}: step {number} names step {other}")
            for _, _, text in step.expect.patterns():
                try:
                    re.compile(text)
                except re.error as error:
                    raise ValueError(f"{self.id}: step {number}: {text}: {error}") from None
        return self


def load_wire(paths: Iterable[Path] | None = None) -> list[WireCase]:
    """The cases of these files, all of this package by default, in the order of the files. BadCase."""
    found: dict[str, WireCase] = {}
    for path in sorted(WIRE_FOLDER.glob("*.toml")) if paths is None else paths:
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8")).get("case", [])
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadCase(f"{path}: {error}") from None
        for number, table in enumerate(tables, 1):
            case = _case(path, number, table)
            if case.family != path.stem:
                raise BadCase(f"{path}: case {case.id}: id: a case of this file begins with {path.stem}/")
            if case.id in found:
                raise BadCase(f"{path}: case {case.id}: id: there is another of this id")
            found[case.id] = case
    return list(found.values())


def _case(path: Path, number: int, table: Mapping[str, Any]) -> WireCase:
    try:
        return WireCase.model_validate(table)
    except ValidationError as error:
        which = table.get("id", f"number {number}") if isinstance(table, dict) else f"number {number}"
        raise BadCase("\n".join(f"{path}: case {which}: {describe(each)}" for each in error.errors())) from None


class WireFile(Model):
    """A file of byte-exact cases."""

    case: tuple[WireCase, ...]


def schema() -> dict[str, Any]:
    """The JSON schema of a file of cases."""
    return WireFile.model_json_schema()
