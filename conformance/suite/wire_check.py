"""What came of a step, against what its case lets come."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from conformance.suite.wire_bench import Arrived, summary
from conformance.suite.wire_case import NOT_WELL_FORMED, ChallengeRule, Expect, Result
from conformance.suite.wire_digest import STRENGTH, algorithm, params
from conformance.suite.wire_reply import Reply, read

Pattern = tuple[str, str, str]
"""Of `Expect.patterns`, filled in."""


@dataclass(slots=True)
class Seen:
    """What one step brought: final answers (one that came again counts once), single CRLFs, the end of a connection.

    ``challenges`` are those of the case so far, before this step's answer.
    """

    request: bytes
    socket: str
    answers: list[Arrived] = field(default_factory=list)
    provisional: int = 0
    pongs: int = 0
    is_closed: bool = False
    challenges: list[dict[str, str]] = field(default_factory=list)

    @property
    def reply(self) -> Reply | None:
        """The first answer."""
        return read(self.answers[0].data) if self.answers else None

    @property
    def status(self) -> int | None:
        return self.reply.status if self.reply is not None else None

    def __str__(self) -> str:
        words = [summary(each.data).partition(" ")[2] for each in self.answers] or ["silence"]
        if self.is_closed:
            words = [*words, "closed"] if self.answers else ["closed"]
        return ", then ".join(words)


def fits(status: int, allowed: Sequence[Result | str]) -> bool:
    """Whether a status is one of these."""
    return any(
        one == status or one == f"{status // 100}xx" or (one == "well-formed" and status not in NOT_WELL_FORMED)
        for one in allowed
    )


def words(allowed: Sequence[Result]) -> str:
    return " or ".join(str(one) for one in allowed)


def compare(expect: Expect, transport: str, patterns: list[Pattern], seen: Seen, earlier: Sequence[Seen]) -> list[str]:
    """What is wrong, in words. ``patterns`` are the expected headers, filled in; ``earlier`` the steps before."""
    allowed = expect.allowed(transport)
    problems = _result(allowed, seen)
    if expect.pongs is not None and seen.pongs != expect.pongs:
        problems.append(f"{seen.pongs} single CRLFs came back, not {expect.pongs}")
    if expect.provisional is not None and seen.provisional != expect.provisional:
        problems.append(f"{seen.provisional} provisional answers came, not {expect.provisional}")
    if not seen.answers:
        return problems
    if expect.at is not None and transport == "udp" and (where := seen.answers[0].socket) != expect.at:
        problems.append(f"answered at the socket {where}, not at {expect.at}")
    if expect.from_same and transport == "udp" and not seen.answers[0].is_from_server:
        problems.append("the answer did not leave from where the request was sent to")
    if expect.same_as is not None:
        before = earlier[expect.same_as - 1].answers
        if not before or before[0].data != seen.answers[0].data:
            problems.append(f"the answer is not that of step {expect.same_as}, to the octet")
    reply = read(seen.answers[0].data)
    problems += _headers(expect, patterns, reply)
    problems += _challenges(expect.challenge, reply, seen.challenges)
    if expect.copied:
        problems += _copied(read(seen.request), reply)
    return problems


def _result(allowed: Sequence[Result], seen: Seen) -> list[str]:
    if not seen.answers:
        came = "closed" if seen.is_closed else "silence"
        return [] if came in allowed else [f"{came} in place of {words(allowed)}"]
    problems = []
    if len(seen.answers) > 1:
        problems.append(f"answered {len(seen.answers)} times")
    status = seen.status
    if status is None or not fits(status, allowed):
        problems.append(f"{status} in place of {words(allowed)}")
    if seen.is_closed and "closed" not in allowed:
        problems.append("the connection was closed")
    return problems


def _headers(expect: Expect, patterns: list[Pattern], reply: Reply) -> list[str]:
    problems = []
    for status, name, pattern in patterns:
        if not status or fits(reply.status or 0, [int(status) if status.isdigit() else status]):
            problems += missing(reply, name, pattern)
    problems += [f"{name} must not be there" for name in expect.without if reply.all(name)]
    has_tag = any(re.search(r";\s*tag\s*=", value) for value in reply.all("To"))
    if expect.to_tag is not None and has_tag != expect.to_tag:
        problems.append(f"To has {'no' if expect.to_tag else 'a'} tag")
    if expect.is_empty and reply.body:
        problems.append("the answer has a body")
    return problems


def missing(message: Reply, name: str, pattern: str) -> list[str]:
    """What is wrong where no value of this header is so."""
    values = message.all(name)
    if any(re.search(pattern, value) for value in values):
        return []
    return [f"{name}: {' | '.join(values) or 'missing'}; not as {pattern}"]


def check_carried(expect: Expect, messages: Sequence[Reply], sent: bytes) -> list[str]:
    """What is wrong with what was delivered for a step whose body was ``sent``."""
    problems = []
    if len(messages) != expect.delivered:
        problems.append(f"delivered {len(messages)} times, not {expect.delivered}")
    for message in messages:
        if expect.is_intact and message.body != sent:
            problems.append("the body was delivered, but not as sent")
        for name, texts in expect.carries.items():
            problems += [f"delivered with {each}" for text in texts for each in missing(message, name, text)]
        problems += [f"delivered with {name}" for name in expect.carries_no if message.all(name)]
    return problems


def _copied(request: Reply, reply: Reply) -> list[str]:
    # RFC 3261 §8.2.6.2: the request's own, but that the topmost Via may get received and rport
    problems = [
        f"{name} is not as sent: {' | '.join(reply.all(name))}"
        for name in ("From", "Call-ID", "CSeq")
        if _flat(request.all(name)) != _flat(reply.all(name))
    ]
    if request.vias[1:] != reply.vias[1:]:
        problems.append("the Vias below the topmost are not as sent")
    if request.branch != reply.branch:
        problems.append("the topmost Via is not as sent")
    return problems


def _flat(values: list[str]) -> str:
    return " ".join(",".join(values).split())


def challenges(reply: Reply) -> list[str]:
    """The values that ask for credentials."""
    return reply.all("WWW-Authenticate") or reply.all("Proxy-Authenticate")


def _challenges(rules: Sequence[ChallengeRule], reply: Reply, before: list[dict[str, str]]) -> list[str]:
    if not rules:
        return []
    values = [params(value) for value in challenges(reply)]
    digests = [each for each in values if each[""].lower() == "digest"]
    if not digests:
        return ["no challenge of the scheme Digest"]
    algorithms = [algorithm(each) for each in digests]
    strengths = [STRENGTH.get(each, 0) for each in algorithms]
    stale = {each.get("stale", "false").lower() == "true" for each in digests}
    wrong: dict[ChallengeRule, bool] = {
        "qop": any("auth" not in re.split(r"[,\s]+", each.get("qop", "")) for each in digests),
        "distinct": len(set(algorithms)) != len(algorithms),
        "strongest-first": strengths != sorted(strengths, reverse=True),
        "stale": stale != {True},
        "not-stale": stale != {False},
        "new-nonce": bool({each.get("nonce") for each in digests} & {each.get("nonce") for each in before}),
        "no-basic": any(each[""].lower() == "basic" for each in values),
    }
    return [f"the challenges break the rule {rule}: {', '.join(algorithms)}" for rule in rules if wrong[rule]]
