from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest

from imc.aor import Aor
from imc.errors import RpcError
from imc.manage.caller import LOOPBACK
from imc.manage.jsonrpc import Params
from imc.manage.methods import Methods
from tests.manage.fakes import FakeManager, aor, make_options


class Summary(NamedTuple):
    id: str
    recipient: Aor
    sender: Aor
    event: str
    is_dead: bool
    created: float
    expires: float
    tries: int
    status: int
    changed: float
    content_type: str
    body: bytes


DEAD = Summary("7.0", aor("bob"), aor("chat-w"), "message", True, 1.5, 0.0, 2, 480, 3.5, "text/plain", "grüße".encode())
WAITING = DEAD._replace(id="8.1", is_dead=False, expires=9.5, status=0, body=b"\xff\x00")


class Post(FakeManager):
    """``asked`` is what was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[object, ...]] = []

    async def outbox(self, recipient: str, state: str, after: str, limit: int) -> tuple[Sequence[Summary], str]:
        self.asked.append((recipient, state, after, limit))
        return [DEAD, WAITING], "bob imc.test 8 1"

    async def outbox_retry(self, recipient: str, id_: str) -> int:
        self.asked.append((recipient, id_))
        return 3

    async def outbox_drop(self, recipient: str, state: str, id_: str) -> int:
        self.asked.append((recipient, state, id_))
        return 4


async def call(post: Post, method: str, params: Params) -> object:
    return await Methods(post, make_options()).by(LOOPBACK)(method, params)


async def test_copies_are_listed_without_their_text() -> None:
    # spec S-LANE-14
    post = Post()
    found = await call(post, "imc.outbox", [])
    dead = {
        "id": "7.0", "recipient": "sip:bob@imc.test", "from": "sip:chat-w@imc.test", "event": "message",
        "state": "dead", "created": 1.5, "expires": None, "tries": 2, "status": 480, "changed": 3.5,
        "type": "text/plain", "size": 7,
    }  # fmt: skip
    waiting = {**dead, "id": "8.1", "state": "waiting", "expires": 9.5, "status": 0, "size": 2}
    assert found == {"copies": [dead, waiting], "next": "bob imc.test 8 1"}
    assert post.asked == [("", "all", "", 100)]


async def test_text_is_text_where_it_can_be() -> None:
    found = await call(Post(), "imc.outbox", {"body": "yes"})
    assert isinstance(found, dict)
    bodies = [(row["body"], row.get("base64", False)) for row in found["copies"]]
    assert bodies == [("grüße", False), ("/wA=", True)]


@pytest.mark.parametrize(("limit", "meant"), [("0", 1), ("7", 7), ("1000", 1000), ("9" * 30, 1000)])
async def test_a_page_is_bounded(limit: str, meant: int) -> None:
    post = Post()
    await call(post, "imc.outbox", {"recipient": "bob", "state": "dead", "after": "x", "limit": limit})
    assert post.asked == [("bob", "dead", "x", meant)]


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("imc.outbox", {"state": "gone"}),
        ("imc.outbox", {"limit": "-1"}),
        ("imc.outbox", {"limit": "²"}),
        ("imc.outbox", {"limit": "many"}),
        ("imc.outbox", {"body": "maybe"}),
        ("imc.outbox_drop", {"recipient": "bob", "state": "gone"}),
        ("imc.outbox_drop", {}),
        ("imc.outbox_retry", {}),
        ("imc.outbox_retry", {"recipient": "bob", "id": "xyz"}),
        ("imc.outbox_drop", {"recipient": "bob", "id": "-1.0"}),
    ],
)
async def test_what_is_asked_wrongly_is_refused(method: str, params: Params) -> None:
    post = Post()
    with pytest.raises(RpcError):
        await call(post, method, params)
    assert post.asked == []


async def test_retry_and_drop() -> None:
    # spec S-LANE-14
    post = Post()
    assert await call(post, "imc.outbox_retry", ["all"]) == 3
    assert await call(post, "imc.outbox_retry", ["bob", "7.0"]) == 3
    assert await call(post, "imc.outbox_drop", ["bob"]) == 4
    assert await call(post, "imc.outbox_drop", {"recipient": "bob", "state": "dead", "id": "7.0"}) == 4
    assert post.asked == [("all", ""), ("bob", "7.0"), ("bob", "all", ""), ("bob", "dead", "7.0")]
