"""Metrics of a running daemon: they are what was done."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import httpx
import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from imc.manage.metrics.table import METRICS, SUMS
from tests.e2e.stage import Stage, settings, stage
from tests.manage.metrics.promtool import promtool

ROOM = "sip:chat-x@example.com"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def get(on: Stage, path: str) -> httpx.Response:
    ((host, port),) = on.daemon.managed.http
    ask = partial(httpx.get, f"http://{host}:{port}{path}", trust_env=False)
    return await trio.to_thread.run_sync(ask)


async def scrape(on: Stage) -> Samples:
    text = (await get(on, "/metrics")).text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, tuple(sorted(labels.items()))), 0.0)


async def test_every_figure_has_its_metric(tmp_path: Path) -> None:
    async with stage(settings(tmp_path, "manage.listen=127.0.0.1:0")) as on:
        known = {figure for metric in METRICS for figure, _ in metric.sources}
        assert set(on.daemon.statistics()) <= known | SUMS
        assert promtool("check", "metrics", stdin=(await get(on, "/metrics")).text) == ""


async def test_what_was_done_is_what_is_counted(tmp_path: Path) -> None:
    async with stage(settings(tmp_path, "manage.listen=127.0.0.1:0")) as on:
        for name in ("alice", "bob"):
            await on.client(name)

        async def send(sender: str, text: str, status: int) -> None:
            assert (await on.clients[sender].message(ROOM, text)).status == status

        await send("alice", "#create", 200)
        await send("bob", "#join", 200)
        await send("bob", "#destroy", 403)
        for number in range(5):
            await send("alice", f"hello {number}", 202)
        await on.settle()
        found = await scrape(on)
        assert value(found, "imc_rooms") == 1
        assert value(found, "imc_room_requests_total", kind="message", status="202") == 5
        assert value(found, "imc_room_requests_total", kind="destroy", status="403") == 1
        assert value(found, "imc_refusals_total", clause="R-DESTROY-2", event="not-permitted") == 1
        assert value(found, "imc_sip_requests_total", method="MESSAGE", status="202") == 5
        assert value(found, "imc_sip_requests_total", method="MESSAGE", status="200") >= 2
        for name in ("answer", "delivery", "commit"):
            count = value(found, f"imc_{name}_seconds_count")
            assert count == value(found, f"imc_{name}_seconds_bucket", le="+Inf") > 0
            buckets = [count for (sample, _), count in found.items() if sample == f"imc_{name}_seconds_bucket"]
            assert buckets == sorted(buckets)
        asked = sum(count for (name, _), count in found.items() if name == "imc_sip_requests_total")
        assert value(found, "imc_answer_seconds_count") == asked
        assert value(found, "imc_deliveries_total", result="delivered") >= 5


async def test_a_method_that_is_made_up_makes_no_label(tmp_path: Path) -> None:
    async with stage(settings(tmp_path, "manage.listen=127.0.0.1:0")) as on:
        await on.client("alice")
        with trio.fail_after(10), trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
            await sock.bind(("127.0.0.1", 0))
            for number, method in enumerate(("INVITE", "PUBLISH", "MADEUP")):
                text = (
                    f"{method} {ROOM} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bK{number}\r\n"
                    f"From: <sip:alice@example.com>;tag=a\r\nTo: <{ROOM}>\r\nCall-ID: {number}\r\n"
                    f"CSeq: 1 {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
                )
                await sock.sendto(text.encode(), on.addresses["udp"])
                assert (await sock.recv(9000)).startswith(b"SIP/2.0 405 ")
        labels = {dict(labels).get("method") for name, labels in await scrape(on) if name == "imc_sip_requests_total"}
        assert labels <= {"MESSAGE", "REGISTER", "OPTIONS", "SUBSCRIBE", "other"}


async def test_a_rate_that_refuses_is_counted_by_its_name(tmp_path: Path) -> None:
    flags = ("manage.listen=127.0.0.1:0", "limits.room_burst=2", "limits.room_rate=0.001")
    async with stage(settings(tmp_path, *flags)) as on:
        alice = await on.client("alice")
        assert (await alice.message(ROOM, "#create")).status == 200
        assert [(await alice.message(ROOM, f"hello {number}")).status for number in range(3)] == [202, 202, 503]
        assert value(await scrape(on), "imc_limit_hits_total", limit="room_rate") == 1


async def test_not_ready_while_it_drains(tmp_path: Path) -> None:
    async with stage(settings(tmp_path, "manage.listen=127.0.0.1:0")) as on:
        on.daemon._sip.is_draining = True
        answer = await get(on, "/readyz")
        assert (answer.status_code, answer.json()["reasons"]) == (503, ["the daemon is about to end"])
        assert (await get(on, "/healthz")).status_code == 200


async def test_not_ready_while_the_database_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from imc.errors import StoreUnavailable

    async with stage(settings(tmp_path, "manage.listen=127.0.0.1:0")) as on:
        assert (await get(on, "/readyz")).status_code == 200

        def gone() -> str:
            raise StoreUnavailable("database postgresql://secret.example/imc: gone")

        with monkeypatch.context() as patch:
            patch.setattr(on.daemon._store, "accounts_version", gone)
            answer = await get(on, "/readyz")
            assert (answer.status_code, answer.json()["reasons"]) == (503, ["the database cannot be read"])
        assert (await get(on, "/readyz")).status_code == 200
