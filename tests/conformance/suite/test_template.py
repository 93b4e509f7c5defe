from __future__ import annotations

import pytest

from conformance.suite.template import BadTemplate, names, render

ADDRESSES = {"rita": "rita-7@example.com", "room": "chat-7@example.com", "domain": "example.com"}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("#invite {rita}", "#invite rita-7"),
        ("{rita.address} {rita.uri}", "rita-7@example.com sip:rita-7@example.com"),
        ("<{room.uri}>", "<sip:chat-7@example.com>"),
        ("x@{domain}", "x@example.com"),
        ("{domain.upper}", "EXAMPLE.COM"),
        ("{{rita}}", "{rita}"),
        ("a{long:3}b", "axxxb"),
        ("", ""),
    ],
)
def test_placeholders(template: str, text: str) -> None:
    assert render(template, ADDRESSES.__getitem__) == text


@pytest.mark.parametrize(
    "template", ["{", "}", "{rita", "{Rita}", "{rita.port}", "{}", "{long:0}", "{long:x}", "{a b}"]
)
def test_what_is_no_placeholder(template: str) -> None:
    with pytest.raises(BadTemplate):
        names(template)


def test_names() -> None:
    assert names("{rita} {room.uri} {domain} {{x}} {long:3}") == ["rita", "room", "domain"]
