"""Rows 16, 19, 20, 21: who sends too much of what is allowed: invitations, rooms, texts, answers to answers."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import trio

from conformance.agent.client import SipClient
from tests.attacks.attacker import Gain
from tests.e2e.stage import settings, stage

ROOM = "sip:chat-x@example.com"
MANAGER = "sip:chat-manager@example.com"


async def say_all(client: SipClient, texts: list[str], to: str = MANAGER) -> Counter[int]:
    """All of these, twenty at a time; how often each status came."""
    statuses: Counter[int] = Counter()
    left = iter(texts)

    async def work() -> None:
        for text in left:
            statuses[(await client.message(to, text)).status] += 1

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(work)
    return statuses


# --- rows 19 and 20, with the defaults --------------------------------------------------------------------------------


async def test_one_user_makes_rooms(tmp_path: Path) -> None:
    """Row 20: refused before 1,500 rooms, and others still make theirs."""
    async with stage(settings(tmp_path)) as on:
        mallory = await on.client("mallory")
        statuses = await say_all(mallory, [f"#create chat-m{number}" for number in range(1_500)])
        print(f"row 20, 1,500 rooms: {dict(statuses)}")
        assert 950 <= statuses[200] <= 1_000  # many at a time: some are counted twice for a moment, none is overlooked
        assert statuses[200] + statuses[403] + statuses[503] == 1_500
        alice = await on.client("alice")
        assert (await alice.message(ROOM, "#create")).status == 200


async def test_one_inviter_and_many_invitees(tmp_path: Path) -> None:
    """Row 19: refused before 500 different people."""
    async with stage(settings(tmp_path)) as on:
        mallory = await on.client("mallory")
        assert (await mallory.message(ROOM, "#create")).status == 200
        statuses = await say_all(mallory, [f"#invite user{number}" for number in range(500)], ROOM)
        print(f"row 19, 500 invitees: {dict(statuses)}")
        assert 0 < statuses[200] < 300
        assert statuses[403] > 200


async def test_one_invitee_again_and_again(tmp_path: Path) -> None:
    """Row 19: of 200 repeats half are delivered at the most."""
    async with stage(settings(tmp_path)) as on:
        mallory, victim = await on.client("mallory"), await on.client("victim")
        assert (await mallory.message(ROOM, "#create")).status == 200
        statuses = await say_all(mallory, ["#invite victim"] * 200, ROOM)
        got = (await on.settle(("victim",)))["victim"]
        print(f"row 19, 200 invitations of one person: {dict(statuses)}, {len(got)} delivered")
        assert len(got) <= 100
        assert victim.retransmissions == 0


async def test_invited_and_declined_in_turn(tmp_path: Path) -> None:
    """Row 19: of 20 cycles of invite and reject half are delivered at the most."""
    async with stage(settings(tmp_path)) as on:
        mallory, victim = await on.client("mallory"), await on.client("victim")
        assert (await mallory.message(ROOM, "#create")).status == 200
        delivered = 0
        for _ in range(20):
            await mallory.message(ROOM, "#invite victim")
            invitations = [one for one in (await on.settle(("victim",)))["victim"] if one.event == "invitation"]
            delivered += len(invitations)
            await victim.message(ROOM, "#reject")
        print(f"row 19, 20 cycles of invite and reject: {delivered} delivered")
        assert delivered <= 10


# --- row 16 -----------------------------------------------------------------------------------------------------------


async def test_programs_that_answer_each_other(tmp_path: Path) -> None:
    """Row 16: two members answer whatever they get, unmarked. What the room takes bounds it, and at the first refusal
    nothing is delivered that could be answered: the loop ends by itself."""
    config = settings(tmp_path, "limits.room_burst=60", "limits.room_rate=0.001")
    async with stage(config) as on:
        ended = trio.Event()
        said: Counter[int] = Counter()

        async def answer(client: SipClient) -> None:
            status = (await client.message(ROOM, "I am away")).status
            said[status] += 1
            if status != 202:
                ended.set()

        def responder(client: SipClient) -> Callable[[object], int]:
            def take(_request: object) -> int:
                on.nursery.start_soon(answer, client)
                return 200

            return take

        robots = [await on.client(name) for name in ("robot1", "robot2")]
        for robot in robots:
            assert (await robot.message(ROOM, "#join")).status == 200
        await on.settle(("robot1", "robot2"))
        for robot in robots:
            robot.answer = responder(robot)
        await answer(robots[0])
        with trio.fail_after(60):
            await ended.wait()
        for robot in robots:
            robot.answer = 200
        await on.settle(("robot1", "robot2"))
        print(f"row 16, two programs that answer each other: {dict(said)}")
        assert said[202] <= 60


async def test_a_robot_and_the_manager(tmp_path: Path) -> None:
    """Row 16: a program that sends back what the manager sends it, marked as automatic or not, gets no new MESSAGE for
    what is marked; a copy that is sent back whole is known by its hop marker."""
    async with stage(settings(tmp_path)) as on:
        robot = await on.client("robot")
        assert (await robot.message(MANAGER, "#help")).status == 200
        first, *_ = (await on.settle(("robot",)))["robot"]
        marked = await robot.message(MANAGER, first.text, headers=[("Auto-Submitted", "auto-replied")])
        hop = [(name, value) for name, value in first.request.headers.items() if name.lower() == "imc-hop"]
        back = await robot.message(MANAGER, first.text, headers=hop)
        got = (await on.settle(("robot",)))["robot"]
        print(f"row 16, a robot and the manager: {marked.status}, {back.status}, {len(got)} MESSAGEs more")
        assert hop
        assert back.status == 482
        assert got == []


# --- backlog ----------------------------------------------------------------------------------------------------------


async def test_a_backlog_is_stuffed(tmp_path: Path) -> None:
    """Copies for who is away are bounded for each: the victim gets what came first, the others all of theirs."""
    config = settings(tmp_path, "delivery.max_waiting=20")
    async with stage(config) as on:
        for name in ("mallory", "victim", "bob"):
            client = await on.client(name)
            assert (await client.message(ROOM, "#join")).status == 200
        await on.settle(("mallory", "victim", "bob"))
        mallory, victim, bob = (on.clients[name] for name in ("mallory", "victim", "bob"))
        assert (await victim.register(expires=0)).status == 200
        statuses = Counter([(await mallory.message(ROOM, f"number {number}")).status for number in range(100)])
        heard = (await on.settle(("bob",)))["bob"]
        waiting = on.daemon.statistics()["waiting"]
        print(f"a backlog stuffed by 100 texts: {dict(statuses)}, {waiting} wait, {len(heard)} heard by another member")
        assert statuses == {202: 100}
        assert len(heard) == 100
        assert waiting == 20
        assert bob.retransmissions == 0
        assert (await victim.register()).status == 200
        for number in range(20):
            assert (await victim.wait_message(event="message")).text == f"[mallory]: number {number}"


# --- names of strangers -----------------------------------------------------------------------------------------------


async def test_names_that_a_stranger_chose(tmp_path: Path) -> None:
    """A contact names a host whose name server is silent: lookups end by their deadline, are shared, and hold up only
    who has that contact."""
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        server = f"127.0.0.1:{silent.getsockname()[1]}"
        async with stage(settings(tmp_path, f"sip.nameservers={server}", "sip.dns_deadline=1.0")) as on:
            mallory = await on.client("mallory", is_registered=False)
            for number in range(10):
                response = await mallory.register(contact=f"<sip:m@h{number}.slow.example>")
                assert response.status == 200
            alice, bob = await on.client("alice"), await on.client("bob")
            for client in (alice, bob):
                assert (await client.message(ROOM, "#join")).status == 200
            gain = Gain(4, "commands of somebody whose contacts name slow hosts")
            for _ in range(50):
                gain.requests += 1
                assert (await mallory.message(MANAGER, "#help")).status == 200
            assert (await alice.message(ROOM, "hello")).status == 202
            assert (await bob.wait_message(event="message")).text == "[alice]: hello"
            silent.setblocking(False)
            queries = 0
            try:
                while silent.recv(65_535):
                    queries += 1
            except BlockingIOError:
                pass
            print(f"{gain}; {queries} queries to the name server")
            assert queries <= 100


async def test_a_flood_of_history(tmp_path: Path) -> None:
    """Each `#history` is a read of the database: they are bounded by the rate of their sender, and of nobody else."""
    flags = "limits.sender_burst=30", "limits.sender_rate=0.001"
    async with stage(settings(tmp_path, *flags)) as on:
        mallory, alice = await on.client("mallory"), await on.client("alice")  # one request each
        assert (await mallory.message(ROOM, "#create")).status == 200
        statuses = await say_all(mallory, ["#history 100"] * 200, ROOM)
        print(f"200 reads of the history: {dict(statuses)}")
        assert statuses == {200: 28, 503: 172}
        assert (await alice.message(ROOM, "#join")).status == 200
        assert (await alice.message(ROOM, "#history 100")).status == 200
