from __future__ import annotations

import random

from imc.sip.grammar import is_call_id, is_token
from imc.sip.ids import MAGIC_COOKIE, Ids


def test_branches_are_unique_across_draws_even_when_the_random_part_repeats() -> None:
    # spec S-TXC-4
    class Stuck(random.Random):
        def randbytes(self, n: int) -> bytes:
            return bytes(n)

    ids = Ids(Stuck())
    branches = [ids.branch() for _ in range(1000)]
    assert len(set(branches)) == 1000


def test_each_id_is_what_the_grammar_asks_for() -> None:
    # spec S-TXC-4
    ids = Ids()
    branch, tag, call_id = ids.branch().decode(), ids.tag(), ids.call_id()
    assert branch.startswith(MAGIC_COOKIE)
    assert is_token(branch)
    assert is_token(tag)
    assert len(tag) == 16
    assert is_call_id(call_id)
    assert len(call_id) == 32


def test_the_same_seed_gives_the_same_ids() -> None:
    one, other = Ids(random.Random(7)), Ids(random.Random(7))
    assert [one.branch(), one.tag(), one.secret(4)] == [other.branch(), other.tag(), other.secret(4)]


def test_the_default_source_differs_from_one_process_to_the_next() -> None:
    assert Ids().secret() != Ids().secret()
    assert len(Ids().secret(16)) == 16
