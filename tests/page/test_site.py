"""Which pages are this server's own."""

from __future__ import annotations

import pytest

from imc.page.files import File
from imc.page.site import Site

SITE = Site({}, hosts=("chat.example.com",))


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://127.0.0.1:5080", "127.0.0.1:5080"),
        ("http://[::1]:5080", "[::1]:5080"),
        ("http://[::1]", "[::1]"),
        ("http://localhost:5080", "localhost:5080"),
        ("http://192.0.2.10", "192.0.2.10"),
        ("http://chat.example.com:5080", "Chat.Example.Com:5080"),
        ("https://chat.example.com", "chat.example.com"),
    ],
)
def test_pages_of_ours(origin: str, host: str) -> None:
    assert SITE.is_own(origin, host, is_secure=False)
    assert SITE.is_own(origin, host, is_secure=True) == origin.startswith("https:")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.example:5080", "evil.example:5080"),  # DNS rebinding
        ("http://chat.example.com.evil.example", "chat.example.com.evil.example"),
        ("http://127.0.0.1:9000", "127.0.0.1:5080"),
        ("http://127.0.0.1", "127.0.0.1:5080"),
        ("http://127.0.0.1.evil.example", "127.0.0.1.evil.example"),
        ("http://[evil.example]", "[evil.example]"),
        ("ftp://127.0.0.1", "127.0.0.1"),
        ("null", "null"),
        ("http://", ""),
        ("", ""),
        ("http://evil@127.0.0.1", "evil@127.0.0.1"),
        ("http://localhost:evil.example", "localhost:evil.example"),
    ],
)
def test_pages_of_others(origin: str, host: str) -> None:
    assert not SITE.is_own(origin, host, is_secure=False)
    assert not SITE.is_own(origin, host, is_secure=True)


def test_a_file_takes_the_place_of_another() -> None:
    site = Site({})
    for text in (b"{}", b"[]"):
        site.put(File.of("/config.json", text, "application/json"))
        assert site.reply("GET", "/config.json", {}).body == text
