"""JSON-RPC over HTTP: Starlette on uvicorn in a thread of its own, so that nothing in it can take SIP down.

- ``POST /RPC`` and ``POST /rpc``; a GET is 405. Answers of JSON-RPC, errors too, are 200; only notifications: 204.
- The thread parses, checks and encodes; the calls themselves run on the trio loop, by `trio.from_thread.run`.
- The listening sockets belong to `HttpListener` and outlive the thread: while it is started again, callers queue.
- Browsers: a request with an Origin that is not allowed is refused, and so is one whose Host is a name that is not ours
  (DNS rebinding), unless a token proves the caller.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import trio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from imc.errors import ListenError
from imc.manage import jsonrpc
from imc.manage.caller import LOOPBACK, TOKEN
from imc.manage.methods import Methods
from imc.manage.metrics.web import MetricsPages
from imc.manage.options import ManageOptions, check_listen, parse_listen
from imc.manage.web.guard import TrioGone
from imc.manage.web.site import OperatorsPage

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
# curl sends its -d as application/x-www-form-urlencoded; what a foreign page may post so is kept out by its Origin.
_TYPES = (
    "",
    "application/json",
    "application/json-rpc",
    "application/jsonrequest",
    "application/x-www-form-urlencoded",
)
_STOP_TIMEOUT = 3.0  # seconds that the thread has to end
_MAX_HEAD = 16384  # bytes of request line and headers

T = TypeVar("T")
Execute = Callable[[jsonrpc.Document], Awaitable[jsonrpc.Response | list[jsonrpc.Response] | None]]


class _RefusedRequest(Exception):
    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def check_origin(headers: Any, options: ManageOptions) -> None:
    """Keep out what a browser sends on behalf of a foreign page. `_RefusedRequest` 403.

    An allowed origin is one that a reverse proxy serves: its pages call as pages of the same origin do, so there are
    no answers to preflights (CORS).
    """
    origin = headers.get("origin")
    if origin is not None and origin.lower() not in {allowed.lower() for allowed in options.allowed_origins}:
        raise _RefusedRequest(403, "Origin not allowed")
    if origin is None and headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise _RefusedRequest(403, "Cross-site request")
    if options.token is None and not _is_own_host(headers.get("host", ""), options):
        raise _RefusedRequest(403, "Host not allowed")


def _is_own_host(host: str, options: ManageOptions) -> bool:
    """Whether a Host header names this machine in a way that no foreign DNS can: an address, localhost, or ours."""
    name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    ours = {parse_listen(options.listen)[0].lower(), *(urlsplit(origin).hostname for origin in options.allowed_origins)}
    if name.lower() in {"", "localhost"} | ours:
        return True  # an empty one comes from HTTP/1.0, which no browser speaks
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def check_token(headers: Any, *tokens: str) -> None:
    """RFC 6750 §2.1, compared in constant time; any of them is good, and none is needed where there is none.
    `_RefusedRequest` 401."""
    if not tokens:
        return
    scheme, _, given = headers.get("authorization", "").partition(" ")
    shown = given.strip().encode("latin-1")
    is_right = [hmac.compare_digest(shown, token.encode()) for token in tokens].count(True) > 0
    if scheme.lower() != "bearer" or not is_right:
        raise _RefusedRequest(401, "A bearer token is needed", WWW_Authenticate='Bearer realm="imc"')


def check_content(headers: Any, max_request: int) -> None:
    """`_RefusedRequest` 413 or 415."""
    media_type, *parameters = headers.get("content-type", "").lower().split(";")
    media_type = media_type.strip()
    if media_type not in _TYPES and not (media_type.startswith("application/") and media_type.endswith("+json")):
        raise _RefusedRequest(415, "Content-Type must be application/json", Accept="application/json")
    for parameter in parameters:
        name, _, value = parameter.strip().partition("=")
        if name == "charset" and value.strip('"') not in ("utf-8", "utf8", "us-ascii"):
            raise _RefusedRequest(415, "The charset must be utf-8")  # RFC 8259 §8.1
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise _RefusedRequest(415, "No Content-Encoding is taken", Accept_Encoding="identity")
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > max_request:
        raise _too_large(max_request)


def _too_large(max_request: int) -> _RefusedRequest:
    return _RefusedRequest(413, f"Longer than {max_request} bytes", Connection="close")


async def _read_body(request: Request, options: ManageOptions) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(options.read_timeout):
            async for chunk in request.stream():
                body += chunk
                if len(body) > options.max_request:
                    raise _too_large(options.max_request)
    except TimeoutError:
        raise _RefusedRequest(408, "The request was not complete in time", Connection="close") from None
    return bytes(body)


def make_app(options: ManageOptions, execute: Execute, routes: Sequence[Route] = ()) -> Starlette:
    """The web application. ``execute`` is awaited on asyncio's loop; ``routes`` are those of other pages."""

    async def rpc(request: Request) -> Response:
        try:
            check_origin(request.headers, options)
            check_token(request.headers, *([options.token] if options.token else []))
            check_content(request.headers, options.max_request)
            body = await _read_body(request, options)
            response = await execute(jsonrpc.parse(body, options.max_batch))
        except _RefusedRequest as refused:
            code = jsonrpc.INTERNAL_ERROR if refused.status >= 500 else jsonrpc.INVALID_REQUEST
            error = jsonrpc.error_response(code, refused.message)
            return _json(error, refused.status, refused.headers)
        except ClientDisconnect:
            return Response(status_code=400)
        return Response(status_code=204, headers=_HEADERS) if response is None else _json(response)

    app = Starlette(routes=[*(Route(path, rpc, methods=["POST"]) for path in ("/RPC", "/rpc")), *routes])
    app.router.redirect_slashes = False
    return app


def refused(error: Exception) -> Response:
    """The answer to a GET that is refused, as text. What is no refusal is raised again."""
    if isinstance(error, TrioGone):
        error = _RefusedRequest(503, "The server is stopping", Connection="close")
    if not isinstance(error, _RefusedRequest):
        raise error
    return Response(f"{error.message}\n", error.status, {**_HEADERS, **error.headers}, media_type="text/plain")


def _json(
    response: jsonrpc.Response | list[jsonrpc.Response], status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    headers = {**_HEADERS, **(headers or {})}
    return Response(jsonrpc.encode(response), status, headers, media_type="application/json")


def _bounded_protocol(options: ManageOptions) -> type[H11Protocol]:
    """uvicorn's connection with what it lacks: a bound on connections, and deadlines for a request's head and for who
    does not read. When all places are taken, a newcomer displaces the oldest that waits for its peer."""

    class BoundedProtocol(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None
        _write_deadline: asyncio.TimerHandle | None = None
        _came = 0.0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._came = self.loop.time()
            if len(self.connections) > options.max_connections and not self._displace():
                transport.abort()
            else:
                self._set_deadline()

        def connection_lost(self, exc: Exception | None) -> None:
            self._clear_deadline()
            self.resume_writing()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            if self._write_deadline is None:
                self._write_deadline = self.loop.call_later(options.write_timeout, self.transport.abort)

        def resume_writing(self) -> None:
            if self._write_deadline is not None:
                self._write_deadline.cancel()
                self._write_deadline = None
            super().resume_writing()

        @property
        def _is_waiting(self) -> bool:
            """For its peer: for a request, for the rest of one, or until its answer is read."""
            cycle = self.cycle
            return cycle is None or cycle.response_complete or cycle.more_body or self._write_deadline is not None

        def _displace(self) -> bool:
            idle = [
                one
                for one in self.connections
                if isinstance(one, BoundedProtocol)
                and one is not self
                and one._is_waiting
                and not one.transport.is_closing()
            ]
            if not idle:
                return False
            min(idle, key=lambda one: one._came).transport.abort()
            return True

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._clear_deadline()  # the head is complete: `_read_body` sees to the rest
            elif self._deadline is None:
                self._set_deadline()

        def _set_deadline(self) -> None:
            self._deadline = self.loop.call_later(options.read_timeout, self.transport.abort)

        def _clear_deadline(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

    return BoundedProtocol


class HttpListener:
    """The listening sockets and the thread that serves them."""

    def __init__(self, sockets: list[socket.socket], methods: Methods, options: ManageOptions) -> None:
        self._sockets = sockets
        self._call = methods.by(TOKEN if options.token else LOOPBACK)
        self._options = options
        self._page = OperatorsPage(methods, options)
        self._metrics = MetricsPages(methods.manager, options, check=self._check_watcher, refuse=refused)
        self.server: uvicorn.Server | None = None
        """The one that runs now, if any."""

    @classmethod
    async def bind(cls, methods: Methods, options: ManageOptions) -> HttpListener:
        """ConfigError for a bad or unprotected address, ListenError for one that cannot be bound."""
        check_listen(options)
        host, port = parse_listen(options.listen)
        try:
            found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as error:
            raise ListenError(f"manage.listen: cannot listen on {options.listen}: {error.strerror}") from error
        sockets: list[socket.socket] = []
        failure: OSError | None = None
        for family, kind, _, _, address in dict.fromkeys(found):
            port = port or (sockets[0].getsockname()[1] if sockets else 0)  # one port for all addresses of a name
            try:
                sockets.append(_listen(family, kind, (address[0], port, *address[2:])))
            except OSError as error:  # such as localhost's ::1 on a machine without IPv6
                failure = error
        if not sockets:
            reason = failure.strerror if failure else "no address"
            raise ListenError(f"manage.listen: cannot listen on {options.listen}: {reason}") from failure
        return cls(sockets, methods, options)

    def _check_watcher(self, headers: Any, tokens: tuple[str, ...]) -> None:
        check_origin(headers, self._options)
        check_token(headers, *tokens)

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        return tuple(sock.getsockname()[:2] for sock in self._sockets)

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()

    async def run(self) -> None:
        """Run the thread until cancelled. Returns, or raises, where the thread died."""
        token = trio.lowlevel.current_trio_token()
        ended = trio.Event()
        pool = ThreadPoolExecutor(self._options.max_connections, "imc-manage-call")
        server = self.server = uvicorn.Server(self._config(token, pool))

        def main() -> BaseException | None:
            sockets: list[socket.socket] = []
            try:
                sockets += [sock.dup() for sock in self._sockets]
                server.run(sockets)
            except BaseException as error:  # SystemExit too is only this thread's death
                return error
            finally:
                for sock in sockets:
                    sock.close()
                pool.shutdown(wait=False)
                _tell(token, ended)
            return None

        await trio.lowlevel.checkpoint_if_cancelled()  # or the thread would not begin, and its end not come
        try:
            death = await trio.to_thread.run_sync(main, abandon_on_cancel=True, limiter=trio.CapacityLimiter(1))
        finally:
            self.server = None
            server.should_exit = True
            with trio.move_on_after(_STOP_TIMEOUT, shield=True):
                await ended.wait()
        if death is not None:
            raise RuntimeError(f"the HTTP server's thread died: {death!r}") from death

    def _config(self, token: trio.lowlevel.TrioToken, pool: ThreadPoolExecutor) -> uvicorn.Config:
        async def on_trio(work: Callable[..., Awaitable[T]], *arguments: object) -> T:
            """TrioGone where there is no such loop any more. Who cancels us is told so: a deadline is no ending."""
            run = partial(trio.from_thread.run, work, *arguments, trio_token=token)
            try:
                return await asyncio.get_running_loop().run_in_executor(pool, run)
            except (trio.Cancelled, trio.RunFinishedError):
                raise TrioGone from None

        async def execute(document: jsonrpc.Document) -> jsonrpc.Response | list[jsonrpc.Response] | None:
            try:
                return await on_trio(jsonrpc.execute, document, self._call)
            except (TrioGone, asyncio.CancelledError):
                raise _RefusedRequest(503, "The server is stopping", Connection="close") from None

        return uvicorn.Config(
            make_app(self._options, execute, [*self._metrics.routes(on_trio), *self._page.routes(on_trio)]),
            loop="asyncio",
            http=_bounded_protocol(self._options),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level=None,  # ours to set (`imc.log`)
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=max(1, int(self._options.idle_timeout)),
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=_MAX_HEAD,
        )


def _listen(family: int, kind: int, address: tuple[Any, ...]) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(128)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _tell(token: trio.lowlevel.TrioToken, event: trio.Event) -> None:
    with contextlib.suppress(trio.RunFinishedError):  # nobody waits any longer
        token.run_sync_soon(event.set)
