"""The files of a page, read once, and the answer to a request for one (RFC 9110), without I/O.

Invariants

- A page has the paths that were loaded, and no others: no path of a request is ever looked up in a file system.
- Every answer has the security headers. The Content-Security-Policy lets a page load and run what its own server
  serves, and nothing else: no inline script or style, no other host, no frame around it.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
    ".txt": "text/plain; charset=utf-8",
}
_INDEX = "index.html"
_COMPRESSED = ("text/", "application/json", "image/svg+xml", "application/manifest+json")
_LEAST_COMPRESSED = 1_000  # bytes; below that it is not worth it


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """What stands behind one path. ``zipped`` is the content with gzip, None where that is of no use."""

    path: str
    content: bytes
    media_type: str
    etag: str
    zipped: bytes | None = None

    @classmethod
    def of(cls, path: str, content: bytes, media_type: str) -> File:
        zipped = None
        if len(content) >= _LEAST_COMPRESSED and media_type.startswith(_COMPRESSED):
            zipped = gzip.compress(content, mtime=0)
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        return cls(path=path, content=content, media_type=media_type, etag=etag, zipped=zipped)


@dataclass(frozen=True, slots=True)
class Reply:
    """``body`` is empty for HEAD and 304; Content-Length is among the headers, what is of the connection is not."""

    status: HTTPStatus
    headers: tuple[tuple[str, str], ...]
    body: bytes


def load(name: str) -> dict[str, File]:
    """The files of the folder ``imc/page/NAME`` by their paths, index.html as ``/``. LookupError: no such folder."""
    folder = files("imc.page").joinpath(name)
    if not name.isidentifier() or not folder.is_dir():
        raise LookupError(f"there is no page {name!r}")
    found = {}
    for path, content in _walk(folder, ""):
        media_type = _TYPES.get("." + path.rpartition(".")[2])
        if media_type is not None:
            where = "/" if path == _INDEX else f"/{path}"
            found[where] = File.of(where, content, media_type)
    return found


def _walk(folder: Traversable, prefix: str) -> Iterable[tuple[str, bytes]]:
    for each in sorted(folder.iterdir(), key=lambda one: one.name):
        if each.is_dir():
            yield from _walk(each, f"{prefix}{each.name}/")
        else:
            yield prefix + each.name, each.read_bytes()


def security_headers(connect: Iterable[str] = ()) -> tuple[tuple[str, str], ...]:
    """``connect``: origins, besides its own, to which the page may open connections (``wss://sip.example.com``)."""
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "manifest-src": "'self'",
        "connect-src": " ".join(("'self'", *connect)),  # which covers ws: and wss: to the same host (CSP level 3)
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return (
        ("Content-Security-Policy", "; ".join(f"{name} {value}" for name, value in policy.items())),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
    )


def reply(
    page: Mapping[str, File],
    method: str,
    target: str,
    headers: Mapping[str, str],
    *,
    connect: Iterable[str] = (),
) -> Reply:
    """The answer to a request. ``target`` is as in the request line; of ``headers``, whose names are in small letters,
    If-None-Match and Accept-Encoding count."""
    own = security_headers(connect)
    if method not in ("GET", "HEAD"):
        return _plain(HTTPStatus.METHOD_NOT_ALLOWED, method, (*own, ("Allow", "GET, HEAD")))
    file = page.get(target.partition("?")[0])
    if file is None:
        return _plain(HTTPStatus.NOT_FOUND, method, own)
    # no-cache: kept, and asked for anew each time, so that a page is never of two versions of imc
    own = (*own, ("Cache-Control", "no-cache"), ("ETag", file.etag), ("Vary", "Accept-Encoding"))
    if _is_known(headers.get("if-none-match", ""), file.etag):
        return Reply(HTTPStatus.NOT_MODIFIED, own, b"")
    content = file.content
    own = (*own, ("Content-Type", file.media_type))
    if file.zipped is not None and _takes_gzip(headers.get("accept-encoding", "")):
        content = file.zipped
        own = (*own, ("Content-Encoding", "gzip"))
    own = (*own, ("Content-Length", str(len(content))))
    return Reply(HTTPStatus.OK, own, content if method == "GET" else b"")


def _plain(status: HTTPStatus, method: str, headers: tuple[tuple[str, str], ...]) -> Reply:
    body = f"{status.value} {status.phrase}\n".encode()
    headers = (*headers, ("Content-Type", _TYPES[".txt"]), ("Content-Length", str(len(body))))
    return Reply(status, headers, b"" if method == "HEAD" else body)


def _is_known(if_none_match: str, etag: str) -> bool:
    """RFC 9110 §13.1.2: weak comparison, and ``*``."""
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in tags or tags == ["*"]


def _takes_gzip(accept_encoding: str) -> bool:
    for part in accept_encoding.split(","):
        coding, _, weight = part.replace(" ", "").lower().partition(";")
        if coding in ("gzip", "*"):
            return weight.rstrip("0.") != "q="
    return False
