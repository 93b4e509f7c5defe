"""Tags, branches and Call-IDs, from one injected source of randomness.

Invariants

- A branch begins with the magic cookie (RFC 3261 §8.1.1.7) and is never given out twice by one `Ids`: it carries a
  running number. It also carries 64 random bits, so that nobody off the path can forge an answer to it.
- A tag has 64 random bits; RFC 3261 §19.3 asks for 32.
- Randomness is drawn in blocks: the system call, not the formatting, is what one id costs.
"""

from __future__ import annotations

import random

MAGIC_COOKIE = "z9hG4bK"
MARK = b";branch=z9hG4bK"  # what stands before a branch of ours in Via, and its beginning
BRANCH = 32  # bytes of a branch, until there were 16**8 of them
_BLOCK = 256  # ids per draw
_WIDTH = 8  # random bytes per id


class Ids:
    """A source of unique and unpredictable ids.

    ``source`` gives the random bytes: the operating system by default, a seeded `random.Random` in tests.
    """

    __slots__ = ("_branches", "_serial", "_source", "_words")

    def __init__(self, source: random.Random | None = None) -> None:
        self._source = random.SystemRandom() if source is None else source
        self._serial = 0
        self._branches: list[bytes] = []
        self._words: list[str] = []

    def branch(self) -> bytes:
        """A branch parameter's value for the top Via of a new client transaction."""
        if not self._branches:
            self._draw_branches()
        return self._branches.pop()

    def tag(self) -> str:
        """A tag for From or To: 16 hexadecimal digits."""
        if not self._words:
            self._words = self._draw()
        return self._words.pop()

    def call_id(self) -> str:
        """A Call-ID: one ``word`` of RFC 3261 §25.1 without a host, which would only tell strangers where we live."""
        return self.tag() + self.tag()

    def secret(self, size: int = 32) -> bytes:
        """``size`` random bytes, for a key that lives as long as the process."""
        return self._source.randbytes(size)

    def _draw(self) -> list[str]:
        digits = self._source.randbytes(_WIDTH * _BLOCK).hex()
        step = 2 * _WIDTH
        return [digits[at : at + step] for at in range(0, step * _BLOCK, step)]

    # spec S-TXC-4
    def _draw_branches(self) -> None:
        serial = self._serial
        self._branches = [f"{MAGIC_COOKIE}{serial + n:08x}.{word}".encode() for n, word in enumerate(self._draw())]
        self._serial = serial + _BLOCK
