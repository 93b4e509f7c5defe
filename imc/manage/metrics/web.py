"""``GET /metrics``, ``/healthz`` and ``/readyz``: how the daemon is, for programs that watch it.

- ``/healthz`` is 200 where the event loop answers within `_PATIENCE`: else SIP is not served either, and a restart
  helps.
- ``/readyz`` is 200 where requests can be served: the database answers, the last commit did not fail, and the daemon
  is not about to end; else 503 with the reasons. A restart does not help.
- ``/metrics`` wants the token, or the one for metrics alone, where one is set. The other two tell nothing but how it
  is, and want none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imc.manage.metrics.exposition import encode
from imc.manage.options import ManageOptions
from imc.measures import Snapshot

T = TypeVar("T")
_PATIENCE = 5.0  # seconds
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class OnTrio(Protocol):
    """Runs a function on trio's loop, and gives what it gives. Awaited on asyncio's loop."""

    def __call__(self, work: Callable[..., Awaitable[T]], *arguments: object) -> Awaitable[T]: ...


class Watched(Protocol):
    """What is asked, on trio's loop."""

    def snapshot(self) -> Snapshot: ...

    async def complaints(self) -> tuple[str, ...]:
        """Why requests cannot be served now; nothing where they can."""


class MetricsPages:
    """``check(headers, tokens)`` keeps out who may not ask; it raises what ``refuse`` makes an answer of."""

    def __init__(
        self,
        watched: Watched,
        options: ManageOptions,
        *,
        check: Callable[[Any, tuple[str, ...]], None],
        refuse: Callable[[Exception], Response],
    ) -> None:
        self._watched = watched
        self._options = options
        self._check = check
        self._refuse = refuse
        self._started = time.time()

    def routes(self, on_trio: OnTrio) -> list[Route]:
        """For `starlette.applications.Starlette`."""

        def get(work: Callable[[Request, OnTrio], Awaitable[Response]], *tokens: str | None) -> Any:
            shown = tuple(token for token in tokens if token)

            async def answer(request: Request) -> Response:
                try:
                    self._check(request.headers, shown)
                    return await work(request, on_trio)
                except Exception as error:
                    return self._refuse(error)

            return answer

        options = self._options
        return [
            Route("/metrics", get(self._metrics, options.token, options.metrics_token), methods=["GET"]),
            Route("/healthz", get(self._health), methods=["GET"]),
            Route("/readyz", get(self._readiness), methods=["GET"]),
        ]

    async def _metrics(self, request: Request, on_trio: OnTrio) -> Response:
        async def look() -> tuple[Snapshot, float]:
            return self._watched.snapshot(), time.monotonic() - asked

        asked = time.monotonic()
        try:
            async with asyncio.timeout(_PATIENCE):
                snapshot, lag = await on_trio(look)
        except TimeoutError:
            return _stuck()
        version = self._options.version.removeprefix("imc ")
        accept = request.headers.get("accept", "")
        body, kind = encode(snapshot, accept, version=version, started=self._started, lag=lag)
        return Response(body, headers={**_HEADERS, "Content-Type": kind})

    async def _health(self, _request: Request, on_trio: OnTrio) -> Response:
        try:
            async with asyncio.timeout(_PATIENCE):
                await on_trio(_nothing)
        except TimeoutError:
            return _stuck()
        return JSONResponse({"status": "ok"}, headers=_HEADERS)

    async def _readiness(self, _request: Request, on_trio: OnTrio) -> Response:
        try:
            async with asyncio.timeout(_PATIENCE):
                complaints = await on_trio(self._watched.complaints)
        except TimeoutError:
            return _stuck()
        if complaints:
            return JSONResponse({"status": "unready", "reasons": list(complaints)}, 503, headers=_HEADERS)
        return JSONResponse({"status": "ok"}, headers=_HEADERS)


async def _nothing() -> None:
    pass


def _stuck() -> Response:
    reasons = [f"the event loop did not answer within {_PATIENCE:g} s"]
    return JSONResponse({"status": "stuck", "reasons": reasons}, 503, headers=_HEADERS)
