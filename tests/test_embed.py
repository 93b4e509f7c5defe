"""imc inside of a trio program (imc.embed): what the names promise, seen by SIP clients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import structlog
import trio

from conformance.agent.client import SipClient
from imc.embed import Aor, Message, Running, Settings, running
from imc.errors import ConfigError, StoreError

ROOM = "sip:chat-x@example.com"


def settings(folder: Path, **more: Any) -> Settings:
    return Settings.model_validate({
        "imc": {"domains": ["example.com"], "db_url": f"sqlite:///{folder}/imc.db"},
        "sip": {"listen": ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]},
        "auth": {"mode": "none"},
        "manage": {"listen": ""},
        **more,
    })  # fmt: skip


async def client(nursery: trio.Nursery, imc: Running, user: str, password: str | None = None) -> SipClient:
    where = next((one.ip, one.port) for one in imc.addresses if one.transport == "udp")
    return await SipClient.open(nursery, f"sip:{user}@example.com", where, password=password)


async def test_what_is_said_is_heard_and_commands_are_not(tmp_path: Path) -> None:
    heard: list[Message] = []
    async with running(settings(tmp_path), heard=heard.append) as imc, trio.open_nursery() as nursery:
        assert [(one.transport, one.ip) for one in imc.addresses] == [("udp", "127.0.0.1"), ("tcp", "127.0.0.1")]
        assert all(one.port for one in imc.addresses)
        alice = await client(nursery, imc, "alice")
        assert (await alice.message(ROOM, "#create")).status == 200
        assert heard == []
        assert (await alice.message(ROOM, "hello")).status == 202
        bob = await client(nursery, imc, "bob")
        assert (await bob.message(ROOM, "nobody hears me")).status == 403
        assert await imc.manager.run_command("sip:alice@example.com", ROOM, "and again") == 1
        assert [(str(one.room), str(one.sender), one.text) for one in heard] == [
            (ROOM, "sip:alice@example.com", "hello"),
            (ROOM, "sip:alice@example.com", "and again"),
        ]
        assert heard[0].content_type == "text/plain;charset=UTF-8"
        nursery.cancel_scope.cancel()


async def test_a_mistake_of_the_program_harms_nobody(tmp_path: Path) -> None:
    def fail(message: Message) -> None:
        raise RuntimeError(message.text)

    with structlog.testing.capture_logs() as records:
        async with running(settings(tmp_path), heard=fail) as imc, trio.open_nursery() as nursery:
            alice = await client(nursery, imc, "alice")
            assert (await alice.message(ROOM, "#create")).status == 200
            assert (await alice.message(ROOM, "hello")).status == 202
            assert (await alice.message(ROOM, "once more")).status == 202
            nursery.cancel_scope.cancel()
    assert [str(one["exc_info"]) for one in records if one["event"] == "heard-failed"] == ["hello", "once more"]


async def test_accounts_log_in_and_get_the_password_that_stands_there(tmp_path: Path) -> None:
    config = settings(tmp_path, auth={"mode": "digest"})
    async with running(config, accounts={"sip:alice@example.com": "first"}):
        pass
    async with running(config, accounts={"sip:alice@example.com": "second"}) as imc, trio.open_nursery() as nursery:
        assert (await (await client(nursery, imc, "alice", "second")).register()).status == 200
        assert (await (await client(nursery, imc, "alice", "first")).register()).status == 401
        nursery.cancel_scope.cancel()


async def test_a_block_that_is_cancelled_ends_in_order(tmp_path: Path) -> None:
    with trio.CancelScope() as scope:
        async with running(settings(tmp_path)) as imc:
            assert await imc.manager.run_command("sip:alice@example.com", ROOM, "#create") == 1
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    async with running(settings(tmp_path)) as imc:
        assert await imc.manager.imc_room_active(Aor.parse(ROOM))


async def test_a_block_that_fails_ends_in_order_with_its_own_error(tmp_path: Path) -> None:
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        async with running(settings(tmp_path)):
            raise ZeroDivisionError
    async with running(settings(tmp_path)):
        pass


async def test_one_daemon_uses_a_database_at_a_time(tmp_path: Path) -> None:
    async with running(settings(tmp_path)):
        with pytest.raises(StoreError):
            async with running(settings(tmp_path)):
                raise AssertionError


async def test_it_is_as_careful_as_imc_serve(tmp_path: Path) -> None:
    config = settings(tmp_path, auth={"mode": "digest"}, sip={"listen": ["udp:0.0.0.0:0"]})
    with pytest.raises(ConfigError, match="no accounts"):
        async with running(config):
            raise AssertionError
