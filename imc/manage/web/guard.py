"""What is asked of each request to the operators' page before it is looked at, and how one is refused.

Invariants (docs/security.md, "The operators' page")

- All but the files is POST with ``application/json`` and an Origin, which every browser sends with a POST: that of this
  server on loopback, or one of ``manage.allowed_origins``. So no page of another origin gets as far as a password, a
  session or a call, even before its CSRF token is missed.
- Without TLS the page is served to this machine only: a plain HTTP origin must be of loopback, or named in
  ``manage.allowed_origins``.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect, Request

from imc.manage.options import ManageOptions

_COOKIE = "imc-operator"
_MAX_ADDRESS = 64


class TrioGone(Exception):
    """The loop that has the answers is ending."""


class Refusal(Exception):
    """``message`` is for people; ``more`` goes into the JSON beside it."""

    def __init__(self, status: int, message: str, *, headers: Mapping[str, str] | None = None, **more: object) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})
        self.more = more


@dataclass(frozen=True, slots=True)
class Asker:
    """Where a request comes from. ``is_secure``: the page has TLS, by a reverse proxy. ``address``: of the browser."""

    is_secure: bool
    address: str

    @property
    def cookie(self) -> str:
        """The name of its session's cookie: with TLS one that no other host can set (RFC 6265bis §4.1.3.2)."""
        return f"__Host-{_COOKIE}" if self.is_secure else _COOKIE

    def set_cookie(self, value: str) -> str:
        """The header's value; "" takes the cookie away."""
        age = "; Max-Age=0" if not value else ""
        secure = "; Secure" if self.is_secure else ""
        return f"{self.cookie}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{age}"


def check(request: Request, options: ManageOptions) -> Asker:
    """Who asks. Refusal 403 or 415."""
    headers = request.headers
    origin = headers.get("origin", "").lower()
    if not origin:
        raise Refusal(403, "A browser says which page asks, and this request does not (Origin)")
    is_allowed = origin in {allowed.lower() for allowed in options.allowed_origins}
    if not is_allowed and origin != f"http://{headers.get('host', '').lower()}":
        raise Refusal(403, f"Origin not allowed: {origin[:100]}. manage.allowed_origins names those that are")
    if not is_allowed and not _is_loopback(origin.removeprefix("http://")):
        words = "Without TLS this page is for 127.0.0.1 and localhost only; manage.allowed_origins names others"
        raise Refusal(403, words)
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise Refusal(403, "Cross-site request")
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refusal(415, "Content-Type must be application/json", headers={"Accept": "application/json"})
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "No Content-Encoding is taken")
    return Asker(is_allowed and origin.startswith("https://"), _address(request, is_proxied=is_allowed))


def _is_loopback(place: str) -> bool:
    """Whether ``HOST[:PORT]`` of an origin is this machine, by an address or a name that no foreign DNS has."""
    name, colon, port = place.rpartition(":")
    if not colon or place.endswith("]"):
        name = place
    elif not (port.isascii() and port.isdigit()):
        return False
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def _address(request: Request, *, is_proxied: bool) -> str:
    """The browser's address, as far as it can be known: what a proxy on this machine says of it is believed."""
    direct = "" if request.client is None else request.client.host
    # The last of the last: what stands before it is the browser's word. HAProxy adds a line of its own.
    said = ",".join(request.headers.getlist("x-forwarded-for")).rpartition(",")[2].strip()
    try:
        is_near = ipaddress.ip_address(direct).is_loopback
    except ValueError:
        is_near = False
    return (said if is_proxied and is_near and said else direct)[:_MAX_ADDRESS]


async def read(request: Request, options: ManageOptions) -> bytes:
    """The body. Refusal 400, 408, 413."""
    body = bytearray()
    try:
        async with asyncio.timeout(options.read_timeout):
            async for chunk in request.stream():
                body += chunk
                if len(body) > options.max_request:
                    raise Refusal(413, f"Longer than {options.max_request} bytes", headers={"Connection": "close"})
    except TimeoutError:
        raise Refusal(408, "The request was not complete in time", headers={"Connection": "close"}) from None
    except ClientDisconnect:
        raise Refusal(400, "The request was cut off") from None
    return bytes(body)


def texts(body: bytes, *names: str) -> list[str]:
    """The members of these names of a JSON object, each a string. Refusal 400."""
    try:
        value: Any = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise Refusal(400, "No JSON") from None
    if not isinstance(value, dict) or not all(isinstance(value.get(name), str) for name in names):
        raise Refusal(400, f"A JSON object with {' and '.join(names)} is needed, each a string")
    found = [value[name] for name in names]
    try:
        "".join(found).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which no database takes
        raise Refusal(400, "That is no text") from None
    return found
