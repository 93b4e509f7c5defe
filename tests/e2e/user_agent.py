"""What tests want of a user agent, whichever program it is: it logs in, talks to one room, and shows what it gets."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.program import WITHIN, Program


@dataclass(frozen=True, kw_only=True)
class Account:
    """A user's account. ``server`` is where REGISTER and all requests go, over ``transport``.

    ``login`` is the user name in the credentials, where it is not that of the address; ``ca`` the file of the authority
    that is believed over TLS.
    """

    user: str
    domain: str
    password: str
    server: tuple[str, int]
    transport: str = "udp"
    login: str = ""
    ca: Path | None = None

    @property
    def address(self) -> str:
        return f"sip:{self.user}@{self.domain}"

    @property
    def server_uri(self) -> str:
        return f"sip:{self.server[0]}:{self.server[1]};transport={self.transport}"


class UserAgent(ABC):
    """A program with an account, in ``folder``, that talks to ``room`` (an address)."""

    program: Program

    def __init__(self, program: Program, account: Account, room: str) -> None:
        self.program = program
        self.account = account
        self.room = room

    @abstractmethod
    async def wait_registered(self) -> None:
        """The registrar said 200."""

    @abstractmethod
    async def wait_refused(self, status: int) -> None:
        """The registrar refused the registration for good."""

    @abstractmethod
    async def wait_status(self, status: int) -> None:
        """The final status of a text that it sent and that was refused."""

    @abstractmethod
    async def say(self, text: str) -> None:
        """Send one line to the room."""

    @abstractmethod
    async def quit(self) -> None:
        """End it as its user would: it unregisters."""

    @abstractmethod
    def shown(self, sender: str, text: str) -> str:
        """A regular expression for how it shows a message; ``text`` is one already."""

    async def wait_text(self, text: str, *, sender: str | None = None, within: float = WITHIN) -> None:
        """Wait until it shows a message from ``sender``, by default the room, with ``text`` (a regular expression)."""
        pattern = self.shown(re.escape(sender or self.room), text)
        await self.program.wait_output(pattern, within=within)

    def has_seen(self, text: str) -> bool:
        """Whether ``text`` was ever in a message that it showed."""
        pattern = self.shown(r"[^\n ]+", "[^\n]*" + re.escape(text))
        return re.search(pattern, self.program.output, re.MULTILINE) is not None


@asynccontextmanager
async def registered(*starting: AbstractAsyncContextManager[UserAgent]) -> AsyncIterator[list[UserAgent]]:
    """User agents that have logged in."""
    if not starting:
        yield []
        return
    async with starting[0] as agent:
        await agent.wait_registered()
        async with registered(*starting[1:]) as others:
            yield [agent, *others]


async def meet(owner: UserAgent, guest: UserAgent) -> None:
    """The owner makes a private room and invites the guest, who accepts; each sees what the other says.

    The words of notices are imc's own; what is asked of them here is that they name who and what.
    """
    guest_name = f"{guest.account.user}@{guest.account.domain}"
    await owner.say("#create private")
    await owner.wait_text(r"[^\n]*private[^\n]*")
    await owner.say(f"#invite {guest.account.address}")
    await owner.wait_text(rf"[^\n]*{re.escape(guest_name)}[^\n]*")
    await guest.wait_text(r"[^\n]*#accept[^\n]*")
    await guest.say("#accept")
    await owner.wait_text(rf"[^\n]*{re.escape(guest_name)}[^\n]*")
    await guest.wait_text(r"[^\n]*")
    await talk(owner, guest, "what the owner says")
    await talk(guest, owner, "and what the guest says")


async def talk(speaker: UserAgent, listener: UserAgent, text: str) -> None:
    """What one says the other sees, and nobody sees their own."""
    await speaker.say(text)
    copy = f"[{speaker.account.user}]: {text}"
    await listener.wait_text(re.escape(copy))
    assert listener.has_seen(copy)
    assert not speaker.has_seen(copy)
