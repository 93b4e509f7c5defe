"""Notifications (IMDN) in a room: whom they reach, and how many of them make one message (R-MSG-13)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from immutables import Map

from imc.aor import Aor
from imc.delivery.job import Dispatch
from imc.rooms.model import Member, Role, Room, member
from imc.service.copies import Copies, TextRefused
from imc.service.cpim import parse_cpim
from imc.service.inbound import Inbound
from imc.service.reports import ReportOptions, Reports, is_report, read_report
from imc.sip.ids import Ids

AOR = Aor("chat-x", "example.com")


def user(name: str) -> Aor:
    return Aor(name, "example.com")


ROOM = Room(AOR, False, Map({user(name): member(Role.MEMBER) for name in ("alice", "bob", "carol", "dave")}))


def inbound(sender: str, body: bytes, content_type: str = "message/cpim") -> Inbound:
    return Inbound(
        sender=user(sender), to=AOR, content_type=content_type, body=body, call_id="c", is_automatic=True, headers=(),
        answer=lambda _: None,
    )  # fmt: skip


def text(sender: str, message_id: str = "m1", asks: bool = True) -> Inbound:
    asked = "imdn.Disposition-Notification: positive-delivery, display\r\n" if asks else ""
    wrapper = f"NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: {message_id}\r\n{asked}\r\n"
    return inbound(sender, wrapper.encode() + b"Content-Type: text/plain\r\n\r\nhello")


def document(message_id: str = "m1", kind: str = "delivery", recipient: str = "") -> bytes:
    status = {"delivery": "delivered", "display": "displayed"}[kind]
    who = f"<recipient-uri>{recipient}</recipient-uri>" if recipient else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<imdn xmlns="urn:ietf:params:xml:ns:imdn">'
        f"<message-id>{message_id}</message-id>{who}<{kind}-notification><status><{status}/></status>"
        f"</{kind}-notification></imdn>"
    ).encode()


def imdn(sender: str, *, is_wrapped: bool = False, **more: str) -> Inbound:
    data = document(**more)
    if is_wrapped:
        return inbound(sender, b"From: <im:x@y>\r\n\r\nContent-Type: message/imdn+xml\r\n\r\n" + data)
    return inbound(sender, data, "message/imdn+xml")


class Bench:
    def __init__(self, nursery: trio.Nursery, **bounds: Any) -> None:
        self.sent: list[Dispatch] = []
        self.can_carry = True

        def spawn(work: Callable[[], Awaitable[None]]) -> None:
            nursery.start_soon(work)

        async def can_carry(_dispatch: Dispatch) -> bool:
            await trio.lowlevel.checkpoint()
            return self.can_carry

        copies = Copies(hop="hop", extra=(), wall=lambda: 1_700_000_000.0)
        self.reports = Reports(
            ReportOptions(**bounds), copies=copies, ids=Ids(), send=self.sent.append, can_carry=can_carry, spawn=spawn
        )

    def take(self, *reports: Inbound) -> None:
        for one in reports:
            self.reports.take(ROOM, one)


@asynccontextmanager
async def bench(**bounds: Any) -> AsyncIterator[Bench]:
    async with trio.open_nursery() as nursery:
        yield Bench(nursery, **bounds)
        nursery.cancel_scope.cancel()


def parts(dispatch: Dispatch) -> list[bytes]:
    """The documents in a report, which is as RFC 5438 §8.3 has it."""
    assert dispatch.sender == AOR
    assert dispatch.content_type == "message/cpim"
    message = parse_cpim(dispatch.body)
    assert message.values("From") == [f"<{AOR}>"]
    assert message.imdn_value("Message-ID")
    part = b"Content-Type: message/imdn+xml\r\nContent-Disposition: notification\r\n\r\n"
    if message.content.startswith(part):
        return [message.content.removeprefix(part)]
    boundary = message.content_type.param("boundary")
    assert message.content_type.essence == "multipart/mixed"
    assert boundary
    assert b"\r\nContent-Disposition: notification\r\n\r\n" in message.content
    before, *found, after = message.payload.split(f"--{boundary}".encode())
    assert (before, after) == (b"", b"--\r\n")
    assert all(one.startswith(b"\r\n" + part) and one.endswith(b"\r\n") for one in found)
    return [one[len(part) + 2 : -2] for one in found]


async def test_it_goes_to_the_sender_alone(autojump_clock: trio.abc.Clock) -> None:
    async with bench() as on:
        on.reports.expect(AOR, text("alice"), 3)
        on.take(imdn("bob"))
        assert on.sent == []
        await trio.sleep(5.1)
        (one,) = on.sent
        assert one.recipients == (user("alice"),)
        assert parts(one) == [document()]


@pytest.mark.parametrize("is_wrapped", [False, True])
async def test_all_have_reported(autojump_clock: trio.abc.Clock, is_wrapped: bool) -> None:
    """Then nothing is waited for; what of another kind comes later is gathered anew."""
    async with bench() as on:
        on.reports.expect(AOR, text("alice"), 3)
        on.take(*(imdn(name, is_wrapped=is_wrapped) for name in ("bob", "carol", "dave")))
        await trio.testing.wait_all_tasks_blocked()
        (one,) = on.sent
        assert one.body.count(document()) == len(parts(one)) == 3
        on.take(imdn("bob", kind="display"), imdn("carol", kind="display"))
        await trio.sleep(5.1)
        assert on.sent[1].body.count(document(kind="display")) == 2
        await trio.sleep(60)
        assert len(on.sent) == 2


async def test_each_by_itself_where_one_would_be_too_large(autojump_clock: trio.abc.Clock) -> None:
    async with bench() as on:
        on.can_carry = False
        on.reports.expect(AOR, text("alice"), 3)
        on.take(*(imdn(name, recipient=f"sip:{name}@example.com") for name in ("bob", "carol", "dave")))
        await trio.testing.wait_all_tasks_blocked()
        assert [len(parts(one)) for one in on.sent] == [1, 1, 1]


async def test_what_goes_to_nobody(autojump_clock: trio.abc.Clock) -> None:
    """Of what is not known, did not ask, is one's own, was said already, or whose sender is gone."""
    async with bench(max_messages=2) as on:
        on.reports.expect(AOR, text("alice", "quiet", asks=False), 3)
        on.reports.expect(AOR, text("eve", "gone"), 3)
        on.reports.expect(AOR, text("alice"), 3)
        on.reports.expect(AOR, text("mallory"), 3)  # the id is alice's
        on.take(*(imdn("bob", message_id=one) for one in ("other", "quiet", "gone")), imdn("alice"))
        await trio.sleep(6)
        assert on.sent == []
        on.take(imdn("bob"), imdn("bob"))
        await trio.sleep(6)
        on.take(imdn("bob"))
        await trio.sleep(6)
        assert [(one.recipients, len(parts(one))) for one in on.sent] == [((user("alice"),), 1)]
        on.reports.expect(AOR, text("carol", "m2"), 3)
        on.reports.expect(AOR, text("carol", "m3"), 3)
        assert on.reports.statistics() == {"messages_with_reports": 2}
        on.take(imdn("carol"))  # forgotten meanwhile
        await trio.sleep(6)
        assert len(on.sent) == 1


async def test_who_is_invited_only_is_told_nothing(autojump_clock: trio.abc.Clock) -> None:
    async with bench() as on:
        room = Room(AOR, False, ROOM.members.set(user("alice"), Member(Role.INVITED)))
        on.reports.expect(AOR, text("alice"), 3)
        on.reports.take(room, imdn("bob"))
        await trio.sleep(6)
        assert on.sent == []


async def test_many_at_once(autojump_clock: trio.abc.Clock) -> None:
    async with bench(max_gathered=2) as on:
        on.reports.expect(AOR, text("alice"), 50)
        on.take(imdn("bob"), imdn("carol"), imdn("dave"))
        await trio.sleep(6)
        assert [len(parts(one)) for one in on.sent] == [2, 1]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"<imdn/>", 400),
        (b"\xff", 400),
        (document().replace(b"urn:ietf:params:xml:ns:imdn", b"urn:other"), 400),
        (document().replace(b"<message-id>m1", b"<message-id>"), 400),
        (document().replace(b"delivery-notification", b"other"), 400),
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + document(), 400),
        (document() + b" " * 5_000, 400),
        (document(recipient="sip:carol@example.com"), 403),
        (document(recipient="tel:+1"), 403),
    ],
)
def test_what_is_refused(body: bytes, status: int) -> None:
    with pytest.raises(TextRefused) as refused:
        read_report(inbound("bob", body, "message/imdn+xml"), 4_096)
    assert refused.value.status == status


def test_what_is_a_report() -> None:
    assert is_report(imdn("bob"))
    assert is_report(imdn("bob", is_wrapped=True))
    assert not is_report(text("bob"))
    assert not is_report(inbound("bob", b"x"))
    assert not is_report(inbound("bob", b"x", "bad"))
