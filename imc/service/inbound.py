"""What comes into the use cases, whoever brought it: a SIP MESSAGE, or an RPC caller's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import trio

from imc.aor import Aor


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The answer to the sender's request. ``code`` is what imc_manager() returns (spec R-ANSWER-5).

    ``warning`` are the words of a refusal, for the Warning header (spec R-ANSWER-7); ``retry_after`` is in seconds;
    ``accept`` is the media type that would be taken in place of what was refused; ``headers`` are further ones.

    ``clause`` is the rule behind it, ``is_changed`` whether a room is another one now, ``answers`` are (event, text) of
    what would have gone to the sender (`Inbound.takes_answers`).
    """

    status: int
    code: int = 1
    event: str = ""
    warning: str = ""
    retry_after: int | None = None
    accept: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    clause: str = ""
    is_changed: bool = False
    answers: tuple[tuple[str, str], ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether status and code are all that it says, and those a success's."""
        return self.status < 300 and not (self.event or self.warning or self.accept) and self.retry_after is None


@dataclass(slots=True, kw_only=True)
class Act:
    """One call of the management interfaces that is no mere look (spec R-AUDIT-2).

    ``actor`` is who called, ``via`` by which way, ``method`` what was called; ``detail`` are its arguments as JSON,
    without secrets. ``room`` and ``user`` are what it is about, "" for nothing. ``is_noted``: a change of a room that
    it made has its row already.
    """

    actor: str
    via: str
    method: str
    detail: str = ""
    room: str = ""
    user: str = ""
    is_noted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """One request of an authenticated ``sender`` to the address ``to`` (spec R-ADDR-3).

    ``content_type`` is the header's value as it came, "" without one. ``headers`` are those of the sender's that copies
    keep. ``is_secure``: the Request-URI was a sips one. ``answer`` is called once, when everything that the outcome
    promises is committed.

    ``act`` is set where it was a call of the management interfaces that caused this; ``is_operator``: it is done with
    an operator's rights (spec R-ADMIN-1), and ``sender`` is the conference manager. ``takes_answers``: what is for the
    sender goes into the outcome, and not to them (spec R-ADMIN-7).
    """

    sender: Aor
    to: Aor
    content_type: str
    body: bytes
    call_id: str
    is_automatic: bool
    headers: tuple[tuple[str, str], ...]
    answer: Callable[[Outcome], None]
    is_secure: bool = False
    act: Act | None = None
    is_operator: bool = False
    takes_answers: bool = False


async def ask(make: Callable[..., Inbound], hand_over: Callable[[Inbound], None], wake: Callable[[], None]) -> Outcome:
    """What comes of a request. ``make(answer=…)`` makes it: an `Inbound` but for its ``answer``."""
    answered = trio.Event()
    outcomes: list[Outcome] = []

    def answer(outcome: Outcome) -> None:
        outcomes.append(outcome)
        answered.set()

    hand_over(make(answer=answer))
    wake()
    await answered.wait()
    return outcomes[0]
