"""The files of pages, and what HTTP says of them."""

from __future__ import annotations

import gzip
from http import HTTPStatus
from pathlib import Path

import pytest

from imc.page.files import File, load, reply, security_headers

FILES = Path(__file__).parents[2] / "imc" / "page"
LARGE = File.of("/app.js", b"x" * 5_000, "text/javascript; charset=utf-8")
SMALL = File.of("/", b"<!doctype html>", "text/html; charset=utf-8")
PAGE = {file.path: file for file in (LARGE, SMALL)}


def of(method: str, target: str, **headers: str) -> tuple[HTTPStatus, dict[str, str], bytes]:
    made = reply(PAGE, method, target, {name.replace("_", "-"): value for name, value in headers.items()})
    assert made.headers[: len(security_headers())] == security_headers()
    return made.status, dict(made.headers), made.body


def test_all_files_of_a_page_are_there() -> None:
    page = load("chat")
    names = {path.relative_to(FILES / "chat").as_posix() for path in (FILES / "chat").rglob("*") if path.is_file()}
    assert {"/" if name == "index.html" else f"/{name}" for name in names} == set(page)
    assert page["/"].media_type == "text/html; charset=utf-8"
    assert page["/"].content == (FILES / "chat" / "index.html").read_bytes()


@pytest.mark.parametrize("name", ["nothing", "..", "chat/..", "", "/etc"])
def test_there_are_no_other_pages(name: str) -> None:
    with pytest.raises(LookupError):
        load(name)


def test_a_file_is_given() -> None:
    status, headers, body = of("GET", "/")
    assert (status, body, headers["Content-Type"]) == (200, SMALL.content, SMALL.media_type)
    assert (headers["Content-Length"], headers["ETag"]) == (str(len(body)), SMALL.etag)
    assert of("GET", "/?room=x")[2] == body
    assert of("HEAD", "/") == (200, headers, b"")


@pytest.mark.parametrize(
    "target", ["/nothing", "/../pyproject.toml", "//", "", "*", "/%2e%2e/", "/index.html/", "/APP.js"]
)
def test_there_is_nothing_else(target: str) -> None:
    assert of("GET", target)[0] == 404
    assert of("HEAD", target)[2] == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS", "get"])
def test_nothing_else_can_be_done_with_it(method: str) -> None:
    status, headers, _ = of(method, "/")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("known", [LARGE.etag, f"W/{LARGE.etag}", f'"a", {LARGE.etag}', "*"])
def test_what_is_known_is_not_sent_again(known: str) -> None:
    status, headers, body = of("GET", "/app.js", if_none_match=known)
    assert (status, body, headers["ETag"]) == (304, b"", LARGE.etag)
    assert of("GET", "/", if_none_match='"other"')[0] == 200


@pytest.mark.parametrize(
    ("accepted", "is_zipped"),
    [("gzip, br", True), ("br;q=1.0, gzip;q=0.5", True), ("*", True), ("", False), ("br", False), ("gzip;q=0", False)],
)
def test_it_is_compressed_for_whom_that_is_said_by(accepted: str, is_zipped: bool) -> None:
    _, headers, body = of("GET", "/app.js", accept_encoding=accepted)
    assert ("Content-Encoding" in headers) == is_zipped
    assert (gzip.decompress(body) if is_zipped else body) == LARGE.content
    assert headers["Content-Length"] == str(len(body))
    assert "Content-Encoding" not in of("GET", "/", accept_encoding=accepted)[1]


def test_the_policy_lets_nothing_of_others_in() -> None:
    policy = dict(security_headers(("wss://sip.example.com",)))["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "connect-src 'self' wss://sip.example.com;" in policy
    assert "unsafe" not in policy
