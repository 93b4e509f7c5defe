"""imc.manage.metrics.web: /metrics, /healthz, /readyz over real HTTP."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio

from imc.manage.metrics import web
from tests.manage.fakes import FakeManager, make_options, serving

PAGES = ("/metrics", "/healthz", "/readyz")


@asynccontextmanager
async def asked(manager: FakeManager | None = None, **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
    options = make_options(listen="127.0.0.1:0", **changes)
    with trio.fail_after(30):
        async with serving(manager or FakeManager(), options) as bound:
            host, port = bound.http[0]
            async with httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=20, trust_env=False) as client:
                yield client


async def test_what_is_counted_is_shown() -> None:
    manager = FakeManager()
    async with asked(manager) as client:
        manager.measures.calls.add("imc.rooms", "ok")
        answer = await client.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert answer.headers["cache-control"] == "no-store"
        assert 'imc_rpc_calls_total{method="imc.rooms",result="ok"} 1.0\n' in answer.text
        assert "process_resident_memory_bytes" in answer.text
        newer = await client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
        assert newer.text.endswith("# EOF\n")


async def test_well_and_ready() -> None:
    async with asked() as client:
        for path in ("/healthz", "/readyz"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_not_ready_says_why() -> None:
    manager = FakeManager()
    manager.wrong = ("the database cannot be read",)
    async with asked(manager) as client:
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json() == {"status": "unready", "reasons": ["the database cannot be read"]}
        assert (await client.get("/healthz")).status_code == 200


@pytest.mark.parametrize("path", PAGES)
async def test_a_loop_that_is_stuck(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with asked() as client:
        assert (await client.get(path)).status_code == 200  # the server's thread has begun
        monkeypatch.setattr(web, "_PATIENCE", 0.05)
        url = client.base_url.join(path)
        found: Future[httpx.Response] = Future()

        def ask() -> None:
            with httpx.Client(trust_env=False, timeout=20) as asking:
                found.set_result(asking.get(url))

        asker = threading.Thread(target=ask)
        asker.start()
        answer = found.result(20)  # the event loop stands still meanwhile
        asker.join()
        assert (answer.status_code, answer.json()["status"]) == (503, "stuck")
        monkeypatch.undo()
        assert (await client.get(path)).status_code == 200


async def test_the_token_or_the_one_for_metrics() -> None:
    async with asked(token="all", metrics_token="some") as client:
        for token, status in (("all", 200), ("some", 200), ("none", 401), ("al", 401)):
            answer = await client.get("/metrics", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == status, token
        assert (await client.get("/metrics")).headers["www-authenticate"] == 'Bearer realm="imc"'
        for path in ("/healthz", "/readyz"):
            assert (await client.get(path)).status_code == 200
        call = {"jsonrpc": "2.0", "method": "core.version", "id": 1}
        assert (await client.post("/RPC", json=call, headers={"Authorization": "Bearer some"})).status_code == 401


@pytest.mark.parametrize("path", PAGES)
async def test_foreign_pages_are_kept_out(path: str) -> None:
    async with asked() as client:
        assert (await client.get(path, headers={"Origin": "https://evil.example"})).status_code == 403
        assert (await client.get(path, headers={"Host": "evil.example"})).status_code == 403
        assert (await client.post(path)).status_code == 405
