"""The operators' page: its files, log-in and log-out, and its calls. All of it runs on the HTTP server's own thread.

- ``GET /operate/…``: the files of ``imc/page/operate``, for everybody: there is no secret in them.
- ``POST /operate/session``: who is logged in, and their CSRF token. ``POST /operate/login``, ``POST /operate/logout``.
- ``POST /operate/rpc``: JSON-RPC as ``/RPC`` has it, with the role of the operator, whose name is in the audit. Header
  ``X-CSRF-Token``; with ``X-Automatic: 1`` (the page asks by itself) the session is not kept alive by it.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from imc.errors import ImcError
from imc.manage import jsonrpc
from imc.manage.caller import Caller
from imc.manage.methods import Methods
from imc.manage.options import ManageOptions
from imc.manage.web import guard
from imc.manage.web.guard import Asker, Refusal
from imc.manage.web.sessions import Session, SessionOptions, Sessions, proof_of
from imc.manage.web.throttle import Throttle, ThrottleOptions
from imc.page.files import load, reply, security_headers
from imc.service.inbound import Act

log = structlog.get_logger("imc.manage")

FOLDER = "/operate"
_VIA = "page"
_MOST_NAME = 64  # characters
_MOST_PASSWORD = 1_024

T = TypeVar("T")


class OnTrio(Protocol):
    """Runs a function of the trio loop, and gives what it gives. Awaited on asyncio's loop."""

    def __call__(self, work: Callable[..., Awaitable[T]], *arguments: object) -> Awaitable[T]: ...


@dataclass(frozen=True, slots=True)
class _Logged:
    """A request of somebody who is logged in."""

    session: Session
    token: str
    asker: Asker


class OperatorsPage:
    """Sessions live here, and outlive the thread. ``clock`` is monotonic, in seconds."""

    def __init__(self, methods: Methods, options: ManageOptions, clock: Callable[[], float] = time.monotonic) -> None:
        self._methods = methods
        self._options = options
        self.sessions = Sessions(SessionOptions(idle=options.session_idle, lasts=options.session_lasts), clock)
        self._throttle = Throttle(ThrottleOptions(), clock)
        self._files = load("operate")

    def routes(self, on_trio: OnTrio) -> list[Route]:
        """For `starlette.applications.Starlette`."""

        def post(work: Callable[[Request, Asker, OnTrio], Awaitable[Response]]) -> Callable[[Request], Any]:
            async def answer(request: Request) -> Response:
                try:
                    return await work(request, guard.check(request, self._options), on_trio)
                except Refusal as refusal:
                    content = {"error": refusal.message, **refusal.more}
                    return _json(content, refusal.status, refusal.headers)
                except (guard.TrioGone, asyncio.CancelledError):
                    return _json({"error": "imc is stopping"}, 503, {"Connection": "close"})
                except ImcError as error:
                    log.warning("operators-page-failed", error=str(error))
                    return _json({"error": "The database cannot be used for now"}, 503)

            return answer

        return [
            Route(f"{FOLDER}/session", post(self._session), methods=["POST"]),
            Route(f"{FOLDER}/login", post(self._login), methods=["POST"]),
            Route(f"{FOLDER}/logout", post(self._logout), methods=["POST"]),
            Route(f"{FOLDER}/rpc", post(self._rpc), methods=["POST"]),
            Route(FOLDER, self._redirect, methods=["GET", "HEAD"]),
            Route(f"{FOLDER}/{{path:path}}", self._file, methods=["GET", "HEAD"]),
        ]

    # --- files ------------------------------------------------------------------------------------------------------

    async def _redirect(self, _request: Request) -> Response:
        return Response(status_code=308, headers={**dict(security_headers()), "Location": f"{FOLDER}/"})

    async def _file(self, request: Request) -> Response:
        found = reply(
            self._files,
            request.method,
            request.url.path.removeprefix(FOLDER),
            {name: request.headers[name] for name in ("if-none-match", "accept-encoding") if name in request.headers},
        )
        response = Response(found.body, found.status)
        del response.headers["content-length"]
        for name, value in found.headers:
            response.headers[name] = value
        return response

    # --- log-in and log-out -----------------------------------------------------------------------------------------

    async def _session(self, request: Request, asker: Asker, on_trio: OnTrio) -> Response:
        try:
            logged = await self._logged(request, asker, on_trio)
        except Refusal:
            has_operators = bool(await on_trio(self._methods.operators.list))
            return _json({"name": None, "has_operators": has_operators})
        return _json(_described(logged.session))

    async def _login(self, request: Request, asker: Asker, on_trio: OnTrio) -> Response:
        name, password = guard.texts(await guard.read(request, self._options), "name", "password")
        name, password = name.strip()[:_MOST_NAME], password[: _MOST_PASSWORD + 1]
        wait = self._throttle.take(name, asker.address)
        if wait > 0:
            seconds = math.ceil(wait)
            words = f"Too many tries. Again in {seconds} s"
            raise Refusal(429, words, headers={"Retry-After": str(seconds)}, retry_after=seconds)
        operator = await on_trio(self._methods.operators.check, name, password)
        if operator is None:
            log.warning("operator-not-logged-in", name=name, address=asker.address)
            await on_trio(self._methods.note_refused, Act(actor="", via=_VIA, method="page.login"), "401")
            raise Refusal(401, "Name or password is wrong")
        self._throttle.give_back(name, asker.address)
        old = request.cookies.get(asker.cookie)
        if old:
            self.sessions.end(old)
        token, session = self.sessions.begin(operator.name, operator.role, operator.secret)
        log.info("operator-logged-in", name=operator.name, role=operator.role, address=asker.address)
        await self._note(on_trio, session, "page.login")
        return _json(_described(session), headers={"Set-Cookie": asker.set_cookie(token)})

    async def _logout(self, request: Request, asker: Asker, on_trio: OnTrio) -> Response:
        logged = await self._logged(request, asker, on_trio)
        _check_csrf(request, logged.session)
        self.sessions.end(logged.token)
        await self._note(on_trio, logged.session, "page.logout")
        return _json({}, headers={"Set-Cookie": asker.set_cookie("")})

    async def _note(self, on_trio: OnTrio, session: Session, what: str) -> None:
        await on_trio(self._methods.note, Act(actor=session.name, via=_VIA, method=what), "200")

    async def _logged(self, request: Request, asker: Asker, on_trio: OnTrio) -> _Logged:
        """Who asks, with the role and the password that they have now. Refusal 401; ImcError."""
        token = request.cookies.get(asker.cookie, "")
        session = self.sessions.find(token)
        if session is None:
            raise Refusal(401, "Log in")
        operator = await on_trio(self._methods.operators.get, session.name)
        if operator is None or proof_of(operator.role, operator.secret) != session.proof:
            self.sessions.end(token)
            raise Refusal(401, "Your role or password was changed. Log in")
        return _Logged(session, token, asker)

    # --- calls ------------------------------------------------------------------------------------------------------

    async def _rpc(self, request: Request, asker: Asker, on_trio: OnTrio) -> Response:
        logged = await self._logged(request, asker, on_trio)
        session = logged.session
        _check_csrf(request, session)
        if request.headers.get("x-automatic") != "1":
            self.sessions.use(logged.token)
        document = jsonrpc.parse(await guard.read(request, self._options), self._options.max_batch)
        call = self._methods.by(Caller(session.name, session.role, _VIA))
        response = await on_trio(jsonrpc.execute, document, call)
        if response is None:
            return Response(status_code=204, headers=_headers())
        return Response(jsonrpc.encode(response), headers=_headers(), media_type="application/json")


def _check_csrf(request: Request, session: Session) -> None:
    if not session.has_csrf(request.headers.get("x-csrf-token", "")):
        raise Refusal(403, "The CSRF token is missing or wrong. Load the page again")


def _described(session: Session) -> dict[str, object]:
    return {"name": session.name, "role": session.role, "csrf": session.csrf}


def _headers(more: dict[str, str] | None = None) -> dict[str, str]:
    return {**dict(security_headers()), "Cache-Control": "no-store", **(more or {})}


def _json(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(content), status, _headers(headers), media_type="application/json")
