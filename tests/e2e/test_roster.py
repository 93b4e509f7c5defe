"""SUBSCRIBE to a room: who is in it, told as it changes (spec/sip.md §16, RFC 4575, RFC 6665)."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

import pytest
import trio

from conformance.agent.client import SipClient
from imc.aor import Aor
from imc.sip.message import Request, Response
from tests.e2e.program import free_port, need
from tests.e2e.stage import Stage, settings, stage

ROOM = "sip:chat-x@example.com"
NAMESPACE = "{urn:ietf:params:xml:ns:conference-info}"
QUICK = "roster.interval=0.1"


class Watcher:
    """A client's subscription to a room."""

    def __init__(self, client: SipClient, room: str = ROOM, event: str = "conference") -> None:
        self.client = client
        self.room = room
        self.event = event
        self.call_id = f"watch-{id(self)}"
        self.to: str | None = None
        client.notify_answer = 200

    async def subscribe(self, expires: int | None = 3600, *, headers: Iterable[tuple[str, str]] = ()) -> Response:
        """New, or within the dialog there is."""

        def build() -> Request:
            fields = [("Event", self.event), ("Contact", f"<{self.client.contact}>"), *headers]
            fields += [] if expires is None else [("Expires", str(expires))]
            request = self.client.build("SUBSCRIBE", self.room, call_id=self.call_id, headers=fields)
            if self.to is not None:
                request.headers.set("To", self.to)
            return request

        response = await self.client.transact(build())
        if response.status == 401 and self.client.password is not None:
            self.client._learn(response)
            response = await self.client.transact(build())
        if response.status == 200:
            self.to = response.headers.get("To")
        return response

    async def told(self) -> Told:
        return Told(await self.client.wait_notification())


class Told:
    """A NOTIFY. ``people`` are role and name by user; None is somebody deleted."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.subscription = request.headers.get("Subscription-State") or ""
        self.people: dict[str, tuple[str, str] | None] = {}
        self.state, self.version, self.count = "", 0, ""
        if request.body:
            root = ET.fromstring(request.body)
            assert root.tag == f"{NAMESPACE}conference-info"
            assert root.get("entity") == ROOM
            self.state, self.version = root.get("state") or "", int(root.get("version") or "")
            self.count = root.findtext(f"{NAMESPACE}conference-state/{NAMESPACE}user-count") or ""
            for user in root.iter(f"{NAMESPACE}user"):
                name = (user.get("entity") or "").removeprefix("sip:").removesuffix("@example.com")
                role = user.findtext(f"{NAMESPACE}roles/{NAMESPACE}entry") or ""
                is_gone = user.get("state") == "deleted"
                self.people[name] = None if is_gone else (role, user.findtext(f"{NAMESPACE}display-text") or "")


async def join(on: Stage, *clients: SipClient) -> None:
    for client in clients:
        assert (await client.message(ROOM, "#join")).status == 200
    await on.settle({client.user for client in clients})


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_who_is_in_a_room_is_told_as_it_changes(tmp_path: Path, transport: str) -> None:
    """S-EVT-2, S-EVT-6, S-EVT-7: full at first, then what changed, each version one more."""
    async with stage(settings(tmp_path, QUICK)) as on:
        alice = await on.client("alice", transport=transport)
        bob = await on.client("bob")
        await join(on, alice)
        assert (await alice.message(ROOM, "#invite carol")).status == 200
        watcher = Watcher(alice)
        accepted = await watcher.subscribe()
        assert accepted.status == 200
        assert accepted.headers.get("Expires") == "3600"
        assert str(accepted.contacts[0].uri).startswith("sip:chat-x@127.0.0.1:")
        first = await watcher.told()
        request = first.request
        assert request.uri == alice.contact
        assert request.headers.get("Event") == "conference"
        assert request.headers.get("Content-Type") == "application/conference-info+xml"
        assert first.subscription.startswith("active;expires=")
        assert request.headers.get("From") == accepted.headers.get("To")
        assert request.call_id == watcher.call_id
        assert (first.state, first.version, first.count) == ("full", 1, "1")
        assert first.people == {"alice": ("owner", "alice")}  # the invited are not in it
        await join(on, bob)
        second = await watcher.told()
        assert (second.state, second.version, second.count) == ("partial", 2, "2")
        assert second.people == {"bob": ("member", "bob")}
        assert second.request.cseq.number == request.cseq.number + 1
        assert (await alice.message(ROOM, "#modify bob admin")).status == 200
        assert (await watcher.told()).people == {"bob": ("admin", "bob")}
        assert (await bob.message(ROOM, "#leave")).status == 200
        last = await watcher.told()
        assert (last.people, last.version, last.count) == ({"bob": None}, 4, "1")


async def test_who_may_subscribe(tmp_path: Path) -> None:
    """S-EVT-2: whoever may speak in the room. A private room hides from all others (R-HIDE-1)."""
    async with stage(settings(tmp_path)) as on:
        alice, bob, carol = [await on.client(name) for name in ("alice", "bob", "carol")]
        await join(on, alice)
        assert (await alice.message(ROOM, "#invite carol")).status == 200
        private = "sip:chat-p@example.com"
        assert (await alice.message(private, "#create private")).status == 200
        for client, room, status in (
            (bob, ROOM, 403),
            (carol, ROOM, 403),
            (bob, private, 404),
            (bob, "sip:chat-none@example.com", 404),
            (alice, "sip:chat-manager@example.com", 404),
            (alice, "sip:bob@example.com", 404),
            (alice, "sip:chat-x@elsewhere.example", 404),
            (alice, private, 200),
        ):
            response = await Watcher(client, room).subscribe()
            assert (response.status, client.user, room) == (status, client.user, room)
        assert bob.notifications == carol.notifications == []


async def test_what_subscribe_must_say(tmp_path: Path) -> None:
    """S-EVT-1, S-EVT-5, S-EVT-8: 489, 406, 423, 400."""
    async with stage(settings(tmp_path)) as on:
        alice = await on.client("alice")
        await join(on, alice)
        other = await Watcher(alice, event="presence").subscribe()
        assert (other.status, other.headers.get("Allow-Events")) == (489, "conference")
        assert (await alice.request("SUBSCRIBE", ROOM, headers=[("Contact", f"<{alice.contact}>")])).status == 489
        refused = await Watcher(alice).subscribe(headers=[("Accept", "application/pidf+xml")])
        assert (refused.status, refused.headers.get("Accept")) == (406, "application/conference-info+xml")
        brief = await Watcher(alice).subscribe(30)
        assert (brief.status, brief.headers.get("Min-Expires")) == (423, "60")
        assert (await alice.request("SUBSCRIBE", ROOM, headers=[("Event", "conference")])).status == 400
        many = [("Event", "conference"), ("Contact", "<sip:alice@224.0.0.1>")]
        assert (await alice.request("SUBSCRIBE", ROOM, headers=many)).status == 403
        options = await alice.request("OPTIONS", "sip:example.com")
        assert options.headers.get("Allow-Events") == "conference"
        assert "SUBSCRIBE" in options.headers.values("Allow")
        for expires, granted in ((None, "3600"), (100_000, "3600"), (60, "60")):
            watcher = Watcher(alice)
            accepted = await watcher.subscribe(expires, headers=[("Accept", "*/*")])
            assert accepted.headers.get("Expires") == granted
            assert (await watcher.told()).subscription in (f"active;expires={granted}",)


async def test_refresh_fetch_and_unsubscribe(tmp_path: Path) -> None:
    """S-EVT-4: each is answered by a full NOTIFY; what is gone is 481."""
    async with stage(settings(tmp_path)) as on:
        alice = await on.client("alice")
        await join(on, alice)
        watcher = Watcher(alice, event="conference;id=7")
        assert (await watcher.subscribe()).status == 200
        first = await watcher.told()
        assert first.request.headers.get("Event") == "conference;id=7"
        assert (await watcher.subscribe(600)).status == 200
        second = await watcher.told()
        assert (second.state, second.version, second.people) == ("full", 2, first.people)
        assert second.subscription == "active;expires=600"
        assert (await watcher.subscribe(10)).status == 423  # the subscription stays
        assert (await watcher.subscribe(0)).status == 200
        last = await watcher.told()
        assert (last.subscription, last.state, last.version) == ("terminated;reason=timeout", "full", 3)
        assert (await watcher.subscribe(600)).status == 481
        fetch = Watcher(alice)
        assert (await fetch.subscribe(0)).headers.get("Expires") == "0"
        found = await fetch.told()
        assert (found.subscription, found.state, found.people) == ("terminated;reason=timeout", "full", first.people)
        stranger = Watcher(alice)
        stranger.to = f"<{ROOM}>;tag=nobody"
        assert (await stranger.subscribe()).status == 481
        await on.settle()
        assert on.daemon.statistics()["subscriptions"] == 0


async def test_a_dialog_is_its_subscribers_and_in_order(tmp_path: Path) -> None:
    """S-EVT-4, RFC 3261 §12.2.2."""
    async with stage(settings(tmp_path)) as on:
        alice, bob = await on.client("alice"), await on.client("bob")
        await join(on, alice, bob)
        watcher = Watcher(alice)
        await watcher.subscribe()
        forger = Watcher(bob)
        forger.call_id, forger.to = watcher.call_id, watcher.to
        bob.tag = alice.tag
        assert (await forger.subscribe()).status == 403
        alice._cseq = 0
        assert (await watcher.subscribe()).status == 500


async def test_who_leaves_sees_no_more(tmp_path: Path) -> None:
    """S-EVT-3: removed, and the room's end."""
    async with stage(settings(tmp_path, QUICK)) as on:
        alice, bob = await on.client("alice"), await on.client("bob")
        await join(on, alice, bob)
        watchers = [Watcher(alice), Watcher(bob)]
        for watcher in watchers:
            assert (await watcher.subscribe()).status == 200
            assert (await watcher.told()).state == "full"
        assert (await alice.message(ROOM, "#remove bob")).status == 200
        gone = await watchers[1].told()
        assert (gone.subscription, gone.request.body) == ("terminated;reason=rejected", b"")
        assert (await watchers[0].told()).people == {"bob": None}
        assert (await watchers[1].subscribe()).status == 481
        assert (await alice.message(ROOM, "#destroy")).status == 200
        ended = await watchers[0].told()
        assert (ended.subscription, ended.request.body) == ("terminated;reason=noresource", b"")
        await on.settle()
        statistics = on.daemon.statistics()
        assert (statistics["subscriptions"], statistics["rooms_watched"]) == (0, 0)


async def test_changes_are_gathered(tmp_path: Path) -> None:
    """S-EVT-6: what came and went between two NOTIFYs is not told."""
    async with stage(settings(tmp_path, "roster.interval=0.5")) as on:
        alice = await on.client("alice")
        others = [await on.client(f"user{number}") for number in range(6)]
        await join(on, alice)
        watcher = Watcher(alice)
        await watcher.subscribe()
        await watcher.told()
        known: set[str] = set()
        count = 0
        await join(on, *others)
        assert (await others[0].message(ROOM, "#leave")).status == 200
        wanted = {client.user for client in others[1:]}
        while known != wanted:
            told = await watcher.told()
            count += 1
            for name, person in told.people.items():
                (known.add if person else known.discard)(name)
        assert count < len(others) + 1


@pytest.mark.parametrize("status", [481, 404, 302, 401])
async def test_a_refused_notify_ends_it(tmp_path: Path, status: int) -> None:
    """S-EVT-10."""
    async with stage(settings(tmp_path, QUICK)) as on:
        alice = await on.client("alice")
        await join(on, alice)
        watcher = Watcher(alice)
        alice.notify_answer = status
        assert (await watcher.subscribe()).status == 200
        await watcher.told()
        await on.settle()
        assert (await watcher.subscribe()).status == 481


@pytest.mark.parametrize("status", [500, 603, 491])
async def test_a_notify_that_failed_for_now_is_told_whole(tmp_path: Path, status: int) -> None:
    """S-EVT-10, RFC 5057 §5.1: a 500 ends nothing; what was in it comes again."""
    async with stage(settings(tmp_path, QUICK)) as on:
        alice, bob = await on.client("alice"), await on.client("bob")
        await join(on, alice)
        watcher = Watcher(alice)
        alice.notify_answer = status
        assert (await watcher.subscribe()).status == 200
        assert (await watcher.told()).version == 1
        await on.settle()
        alice.notify_answer = 200
        await join(on, bob)
        told = await watcher.told()
        assert (told.state, told.version, set(told.people)) == ("full", 2, {"alice", "bob"})


async def test_a_broken_connection_ends_it(tmp_path: Path) -> None:
    """S-EVT-10: over a stream, with the stream."""
    async with stage(settings(tmp_path, QUICK)) as on:
        alice, bob = await on.client("alice", transport="tcp"), await on.client("bob")
        await join(on, alice, bob)
        watcher = Watcher(alice)
        await watcher.subscribe()
        await watcher.told()
        alice.close()
        with trio.fail_after(5):
            while on.daemon.statistics()["tcp_connections"]:
                await trio.lowlevel.checkpoint()
        assert (await bob.message(ROOM, "#leave")).status == 200
        with trio.fail_after(5):
            while on.daemon.statistics()["subscriptions"]:
                await trio.lowlevel.checkpoint()


async def test_subscriptions_are_bounded(tmp_path: Path) -> None:
    """S-EVT-9."""
    limits = ("roster.max_subscriptions=3", "roster.max_subscriptions_per_user=2")
    async with stage(settings(tmp_path, *limits)) as on:
        alice, bob = await on.client("alice"), await on.client("bob")
        await join(on, alice, bob)
        watchers = [Watcher(client) for client in (alice, alice, alice, bob, bob)]
        responses = [await watcher.subscribe() for watcher in watchers]
        assert [response.status for response in responses] == [200, 200, 403, 200, 503]
        assert responses[4].headers.get("Retry-After") is not None
        assert (await watchers[0].subscribe(0)).status == 200
        while not (await watchers[0].told()).subscription.startswith("terminated"):
            pass
        await on.settle()
        assert (await watchers[4].subscribe()).status == 200


async def test_none_at_all(tmp_path: Path) -> None:
    """S-EVT-1."""
    async with stage(settings(tmp_path, "roster.max_subscriptions=0")) as on:
        alice = await on.client("alice")
        await join(on, alice)
        refused = await Watcher(alice).subscribe()
        assert refused.status == 405
        assert "SUBSCRIBE" not in refused.headers.values("Allow")


async def test_through_a_proxy(tmp_path: Path) -> None:
    """S-EVT-8, RFC 3261 §12.1.1: Record-Route comes back in the 200, and is the way of the NOTIFY."""
    async with stage(settings(tmp_path)) as on:
        alice, proxy = await on.client("alice"), await on.client("proxy")
        await join(on, alice)
        proxy.notify_answer = 200
        routes = (f"<sip:{proxy.local[0]}:{proxy.local[1]};lr>", "<sip:two.example.com;lr>")
        watcher = Watcher(alice)
        accepted = await watcher.subscribe(headers=[("Record-Route", route) for route in routes])
        assert accepted.headers.all("Record-Route") == list(routes)
        request = await proxy.wait_notification()
        assert request.headers.all("Route") == list(routes)
        assert request.uri == alice.contact
        strict = f"<sip:{proxy.local[0]}:{proxy.local[1]}>"
        watcher = Watcher(alice)
        assert (await watcher.subscribe(headers=[("Record-Route", strict)])).status == 200
        request = await proxy.wait_notification()
        assert (request.uri, request.headers.all("Route")) == (strict.strip("<>"), [f"<{alice.contact}>"])
        assert alice.notifications == []


async def test_a_large_room(tmp_path: Path) -> None:
    """S-EVT-7, S-EVT-8: over 1,300 bytes by TCP where that is possible, else in a datagram all the same."""
    async with stage(settings(tmp_path, QUICK, "roster.max_entries=30")) as on:
        alice, bob = await on.client("alice", takes_tcp=True), await on.client("bob")
        await join(on, alice, bob)
        others = [await on.client(f"user{number:02}", is_registered=False) for number in range(40)]
        for client in others:
            assert (await client.message(ROOM, "#join")).status == 200
        for client, via in ((alice, "TCP"), (bob, "UDP")):
            watcher = Watcher(client)
            await watcher.subscribe()
            told = await watcher.told()
            assert (len(told.people), told.count, told.request.via.transport) == (30, "42", via)
            assert next(iter(told.people)) == "alice"  # the staff first


async def test_authenticated_as_a_message_is(tmp_path: Path) -> None:
    """S-EVT-2, S-EVT-3: a password; and whose account is removed hears no more."""
    async with stage(settings(tmp_path, QUICK, mode="digest"), {"alice": "secret", "bob": "word"}) as on:
        alice = await on.client("alice", password="secret")
        bob = await on.client("bob", password="word")
        for client in (alice, bob):
            assert (await client.message(ROOM, "#join")).status == 200
        anyone = await on.client("alice", is_registered=False)
        assert (await Watcher(anyone).subscribe()).status == 401
        watcher = Watcher(bob)
        assert (await watcher.subscribe()).status == 200
        assert (await watcher.told()).state == "full"
        await trio.to_thread.run_sync(on.daemon._store.remove_account, Aor("bob", "example.com"))
        on.daemon._accounts.forget()
        assert (await watcher.told()).subscription == "terminated;reason=rejected"


async def test_the_end_of_the_server_is_told(tmp_path: Path) -> None:
    """S-EVT-3: deactivated, so that the subscriber comes again."""
    async with stage(settings(tmp_path)) as on:
        alice = await on.client("alice")
        await join(on, alice)
        watcher = Watcher(alice)
        await watcher.subscribe()
        await watcher.told()
        await on.settle()
        on.nursery.start_soon(on.daemon.drain)
        assert (await watcher.told()).subscription == "terminated;reason=deactivated"


SIPP_OK = """  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
"""
SIPP_HEAD = """SUBSCRIBE sip:chat-x@example.com SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
Max-Forwards: 70
From: <sip:alice@example.com>;tag=[pid]SIPp[call_number]
"""
SIPP = f"""<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="a subscriber">
  <send retrans="500"><![CDATA[
{SIPP_HEAD}To: <sip:chat-x@example.com>
Call-ID: [call_id]
CSeq: 1 SUBSCRIBE
Contact: <sip:alice@[local_ip]:[local_port];transport=[transport]>
Event: conference
Accept: application/conference-info+xml
Expires: 600
Content-Length: 0

]]></send>
  <recv response="200" />
  <recv request="NOTIFY"><action>
    <ereg regexp="state=.full. version=.1." search_in="msg" check_it="true" assign_to="1" />
    <ereg regexp="Subscription-State: active;expires=" search_in="msg" check_it="true" assign_to="2" />
  </action></recv>
{SIPP_OK}  <send retrans="500"><![CDATA[
{SIPP_HEAD}To: <sip:chat-x@example.com>[peer_tag_param]
Call-ID: [call_id]
CSeq: 2 SUBSCRIBE
Contact: <sip:alice@[local_ip]:[local_port];transport=[transport]>
Event: conference
Expires: 0
Content-Length: 0

]]></send>
  <recv response="200" />
  <recv request="NOTIFY"><action>
    <ereg regexp="Subscription-State: terminated;reason=timeout" search_in="msg" check_it="true" assign_to="1" />
  </action></recv>
{SIPP_OK}  <Reference variables="1,2" />
</scenario>
"""


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_sipp_subscribes(tmp_path: Path, transport: str) -> None:
    """A stack of others takes part: dialog, NOTIFY, refresh (S-EVT-4)."""
    sipp = need("sipp")
    (tmp_path / "subscriber.xml").write_text(SIPP)
    async with stage(settings(tmp_path)) as on:
        await join(on, await on.client("alice"))
        host, port = on.addresses[transport]
        mode = {"udp": "u1", "tcp": "t1"}[transport]
        command = [sipp, "-sf", str(tmp_path / "subscriber.xml"), "-m", "1", "-i", host, "-p", str(free_port())]
        command += ["-t", mode, "-nostdin", "-timeout", "20s", f"{host}:{port}"]
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, (done.stderr + done.stdout).decode()
