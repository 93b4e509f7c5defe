"""Plays a byte-exact case against a running server: over UDP, over TCP, and over TCP at each cut that it names.

No step sleeps. Where an answer must come it is waited for; then a barrier (an OPTIONS on the same socket) is answered,
and what had not come before that does not come. `PATIENCE` is only how long a server may be that does not answer.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import trio

from conformance.agent.client import NoAnswer, NoMessage, SipClient
from conformance.suite.conversation import Arrow, CannotStart
from conformance.suite.features import Feature
from conformance.suite.verdict import CaseVerdict, StepSeen
from conformance.suite.wire_bench import Arrived, Bench, Channel, summary
from conformance.suite.wire_case import Expect, Split, WireCase, WireStep
from conformance.suite.wire_check import Seen, challenges, check_carried, compare, words
from conformance.suite.wire_digest import NoChallenge, authorization, params
from conformance.suite.wire_reply import read
from conformance.suite.wire_text import Names, body_of, cut, fill_pattern, render

PATIENCE = 5.0  # seconds
SENDER, MATE = "alice", "mary"


@dataclass(frozen=True, slots=True, kw_only=True)
class WirePlace:
    """Where a server is reached for a case. ``addresses``: ip and port by transport, which need not have all.

    ``accounts``: user part and password by actor, of a server that asks for passwords; others take any user part.
    """

    domain: str
    addresses: Mapping[str, tuple[str, int]]
    features: frozenset[Feature] = frozenset()
    accounts: Mapping[str, tuple[str, str]] = field(default_factory=dict)


async def play_wire(case: WireCase, place: WirePlace, *, patience: float = PATIENCE) -> CaseVerdict:
    """All variants of the case, one after the other; the first that fails is the last."""
    verdict = CaseVerdict(
        id=case.id, clause=case.clause, level=case.level, title=case.title, tags=list(case.tags), outcome="passed",
        quotation=case.says,
    )  # fmt: skip
    lacks = [name for name in case.requires if name not in place.features]
    variants = [(transport, split) for transport, split in case.variants if transport in place.addresses]
    if lacks or not variants:
        why = f"needs: {', '.join(lacks) or ' and '.join(case.transport)}"
        return replace(verdict, outcome="skipped", why=why)
    began = trio.current_time()
    for transport, split in variants:
        run = _Run(case, place, transport, split, patience)
        if error := await run.play():
            verdict = replace(verdict, outcome="error", why=f"{run.name}: {error}")
        verdict = replace(
            verdict, steps=[*verdict.steps, *run.steps], ladder=[*verdict.ladder, *run.ladder()],
            seconds=round(trio.current_time() - began, 3),
        )  # fmt: skip
        problems = [f"{run.name} step {step.number}: {problem}" for step in run.steps for problem in step.problems]
        if verdict.outcome == "passed" and problems:
            verdict = replace(verdict, outcome="failed", why="; ".join(problems))
        if verdict.outcome != "passed":
            return verdict
    return verdict


class _Run:
    """One variant: its sockets, what was seen in each step, and the mate who counts what is delivered."""

    def __init__(self, case: WireCase, place: WirePlace, transport: str, split: Split, patience: float) -> None:
        self.steps: list[StepSeen] = []
        self._case = case
        self._place = place
        self._transport = transport
        self._split = split
        self._patience = patience
        self._token = secrets.token_hex(6)
        self._seen: list[Seen] = []
        self._arrows: list[Arrow] = []
        self._bench: Bench
        self._mate: _Mate | None = None

    @property
    def name(self) -> str:
        return f"{self._transport}, {self._split}" if self._transport == "tcp" else self._transport

    def ladder(self) -> list[Arrow]:
        return self._arrows

    def _user(self, actor: str) -> str:
        account = self._place.accounts.get(actor)
        return account[0] if account is not None else f"{actor}-{self._token}"

    async def play(self) -> str:
        """What kept it from being played to its end, "" where nothing did."""
        async with trio.open_nursery() as nursery:
            server = self._place.addresses[self._transport]
            self._bench = Bench(nursery, server, self._transport, self._place.domain, self._token)
            self._arrows = self._bench.ladder
            try:
                async with self._with_mate(nursery):
                    for name in self._sockets():
                        await self._bench.open(name)
                    for number, step in enumerate(self._case.step, 1):
                        await self._attempt(number, step)
                        if self.steps[-1].problems:
                            break
            except (OSError, NoAnswer, NoMessage, CannotStart) as error:
                return str(error) or type(error).__name__
            finally:
                nursery.cancel_scope.cancel()
        return ""

    def _sockets(self) -> list[str]:
        named = [step.socket for step in self._case.step]
        return list(dict.fromkeys([*named, *(name for name in ("second", "third") if self._mentions(name))]))

    def _mentions(self, name: str) -> bool:
        return any(f":{name}}}" in (step.message or "") for step in self._case.step)

    # A step

    async def _attempt(self, number: int, step: WireStep) -> None:
        try:
            await self._step(number, step, self._names(step))
        except NoChallenge as error:
            expected = words(step.expect.allowed(self._transport))
            self.steps.append(
                StepSeen(
                    number=number, words=f"{self.name}: credentials", expected=expected, seen="", problems=[str(error)]
                )
            )

    async def _step(self, number: int, step: WireStep, names: Names) -> None:
        channel = await self._bench.open(step.socket)
        data = self._seen[step.again - 1].request if step.again else render_step(step, names)
        seen = Seen(data, step.socket, challenges=self._challenges())
        start = len(self._bench.arrived)
        problems = await self._exchange(step, channel, data, start)
        self._collect(seen, start, step.socket)
        patterns = [(status, name, fill_pattern(text, names)) for status, name, text in step.expect.patterns()]
        problems += compare(step.expect, self._transport, patterns, seen, self._seen)
        if self._mate is not None and step.expect.delivered is not None:
            problems += await self._mate.check(step.expect, data)
        self._seen.append(seen)
        expected, words_of = words(step.expect.allowed(self._transport)), f"{self.name}: {summary(data)}"
        self.steps.append(
            StepSeen(
                number=number, words=words_of, expected=expected, seen=str(seen), problems=problems, status=seen.status
            )
        )

    def _names(self, step: WireStep) -> Names:
        names = Names(
            server=self._bench.server, domain=self._place.domain, user=self._user(SENDER), mate=self._user(MATE),
            token=self._token, transport=self._transport.upper(), socket=step.socket, local=self._bench.local,
        )  # fmt: skip
        if step.credentials is None or step.message is None:
            return names
        method, uri = render(step.message, names).split(b"\r\n", 1)[0].decode().split(" ")[:2]
        account = self._place.accounts.get(SENDER, (self._user(SENDER), ""))
        value = authorization(self._challenges(), step.credentials, method, uri, account)
        asked = next((seen.status for seen in reversed(self._seen) if seen.status in (401, 407)), 401)
        return replace(names, authorization=f"{'Proxy-' if asked == 407 else ''}Authorization: {value}")

    def _challenges(self) -> list[dict[str, str]]:
        """Those of the latest answer that had any."""
        for seen in reversed(self._seen):
            if seen.reply is not None and (values := challenges(seen.reply)):
                return [params(value) for value in values]
        return []

    async def _exchange(self, step: WireStep, channel: Channel, data: bytes, start: int) -> list[str]:
        """Write it, and wait until all that comes of it has come; what is wrong with that."""
        bench = self._bench
        bench.note(step.socket, "server", summary(data), data)
        barrier = bench.barrier(channel) if step.is_whole else None
        is_joined = barrier is not None and self._split == "joined"
        await channel.send([data + barrier.data] if barrier is not None and is_joined else cut(data, self._split))
        allowed = step.expect.allowed(self._transport)
        if not {"silence", "closed"} & set(allowed):
            await bench.wait(lambda: not channel.is_open or self._has_final(start), self._patience)
        if allowed == ("closed",):
            await bench.wait(lambda: not channel.is_open, self._patience)
        is_alive = False
        if barrier is not None and channel.is_open:
            is_alive = await bench.pass_barrier(channel, barrier, self._patience, is_sent=is_joined)
        if is_alive:
            return []
        problems = [] if barrier is None or not channel.is_open else ["then OPTIONS on the same socket is not answered"]
        other = await bench.open("alive")
        if not await bench.pass_barrier(other, bench.barrier(other), self._patience):
            problems.append("the server answers nobody any more")
        return problems

    def _has_final(self, start: int) -> bool:
        return any(each.is_final and not self._bench.is_barrier(each) for each in self._bench.arrived[start:])

    def _collect(self, seen: Seen, start: int, socket: str) -> None:
        for each in self._bench.arrived[start:]:
            if each.kind == "end":
                seen.is_closed |= each.socket == socket
            elif each.kind == "pong":
                seen.pongs += 1
            elif not each.is_response or self._bench.is_barrier(each):
                continue
            elif not each.is_final:
                seen.provisional += 1
            elif not _is_again(each, seen):
                seen.answers.append(each)

    # The mate

    @asynccontextmanager
    async def _with_mate(self, nursery: trio.Nursery) -> AsyncIterator[None]:
        if not self._case.needs_mate:
            yield
            return
        transport = "udp" if "udp" in self._place.addresses else "tcp"
        self._mate = await _Mate.open(nursery, self._place, transport, self._user(MATE), self._token)
        try:
            yield
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + self._patience):
                await self._mate.close()


def _is_again(arrived: Arrived, seen: Seen) -> bool:
    """Whether it is an answer to an INVITE, which is sent until there is an ACK (RFC 3261 §17.2.1)."""
    return seen.request.startswith(b"INVITE ") and any(each.data == arrived.data for each in seen.answers)


def render_step(step: WireStep, names: Names) -> bytes:
    """The octets of a step's message."""
    return base64.b64decode(step.base64) if step.base64 is not None else render(step.message or "", names)


class _Mate:
    """A registered user who counts the MESSAGEs that hold a token; the sentinel's are the barrier behind them."""

    def __init__(self, mate: SipClient, sentinel: SipClient, token: str) -> None:
        self._client = mate
        self._sentinel = sentinel
        self._token = token.encode()
        self._serial = 0

    @classmethod
    async def open(cls, nursery: trio.Nursery, place: WirePlace, transport: str, user: str, token: str) -> _Mate:
        password = place.accounts[MATE][1] if MATE in place.accounts else None
        clients = []
        for name in (user, user if password is not None else f"sentinel-{token}"):
            address = f"sip:{name}@{place.domain}"
            clients.append(
                await SipClient.open(
                    nursery, address, place.addresses[transport], transport=transport, password=password
                )
            )
        response = await clients[0].register()
        if response.status != 200:
            raise CannotStart(f"{user} could not be registered: {response.status} {response.reason}")
        return cls(clients[0], clients[1], token)

    async def close(self) -> None:
        await self._client.register(expires=0)
        self._client.close()
        self._sentinel.close()

    async def check(self, expect: Expect, data: bytes) -> list[str]:
        """Whether as many have arrived as are expected, once all that was under way has."""
        self._serial += 1
        text = f"sentinel {self._serial}"
        response = await self._sentinel.message(self._client.address, text)
        if response.status not in (200, 202):
            return [f"the barrier's message was answered {response.status} {response.reason}"]
        await self._client.wait_message(matches=lambda received: received.text.endswith(text))
        found = [each.request.render() for each in self._client.messages if self._token in each.request.body]
        return check_carried(expect, [read(each) for each in found], body_of(data))
