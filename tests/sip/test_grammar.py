from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.errors import BadMessage
from imc.sip import grammar
from tests import strategies as sip


@pytest.mark.parametrize("text", ["a", "Token-.!%*_+`'~9"])
def test_a_token_is_one_or_more_token_characters(text: str) -> None:
    assert grammar.is_token(text)


@pytest.mark.parametrize("text", ["", "a b", "a,", "a;", '"a"', "a@b", "ä", "a\r\n", "\u212a", "a\0"])
def test_anything_else_is_no_token(text: str) -> None:
    assert not grammar.is_token(text)


@pytest.mark.parametrize("text", ["abc", "a@b", "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"])
def test_a_call_id_is_one_word_or_two(text: str) -> None:
    assert grammar.is_call_id(text)


@pytest.mark.parametrize("text", ["", "@", "a@", "@b", "a@b@c", "a b", "a,b", "a;b", "a\t", "é"])
def test_anything_else_is_no_call_id(text: str) -> None:
    assert not grammar.is_call_id(text)


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("", '""'),
        ("Alice", '"Alice"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("\0", '"\\\0"'),
        ("a\tb", '"a\tb"'),
        ("é<>;", '"é<>;"'),
    ],
)
def test_quote_escapes_what_must_be_escaped(text: str, quoted: str) -> None:
    assert grammar.quote(text) == quoted
    assert grammar.unquote(quoted) == text


@pytest.mark.parametrize("text", ["a\r", "\na", "a\r\nb"])
def test_cr_and_lf_cannot_be_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="CR and LF"):
        grammar.quote(text)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n")))
def test_what_is_quoted_is_one_quoted_string_and_may_be_sent(text: str) -> None:
    quoted = grammar.quote(text)
    assert grammar.QUOTED_STRING.fullmatch(quoted)
    assert grammar.is_header_text(quoted)
    assert grammar.unquote(quoted) == text


def test_unquote_leaves_a_token_as_it_is() -> None:
    assert grammar.unquote("a\\b") == "a\\b"


@pytest.mark.parametrize("text", ["", "a b\tc", "é大", "\udc80", '"\\\0 \\\x07"', '"a" "\\\x7f"', "a\u200bb"])
def test_header_text_may_be_sent(text: str) -> None:
    assert grammar.is_header_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "\0",
        "a\rb",
        "a\nb",
        "a\r\n b",
        "\x1b[0m",
        "\x7f",
        '"\0"',
        '"\\\r"',
        '"\\\n"',
        '"\\\0',
        '"\\\0" \0',
        '\0"\\\0"',
        "\ud800",
    ],
)
def test_header_text_holds_no_control_outside_of_a_quoted_pair(text: str) -> None:
    assert not grammar.is_header_text(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", [""]),
        ("a", ["a"]),
        (" a ,\tb ", ["a", "b"]),
        ("a,,b,", ["a", "", "b", ""]),
        ('"a,b" , c', ['"a,b"', "c"]),
        ('"a\\",b",c', ['"a\\",b"', "c"]),
        ("<sip:a,b@c>,d", ["<sip:a,b@c>", "d"]),
        ('"<" <sip:a@b>, "," <sip:c,d@e> p=","', ['"<" <sip:a@b>', '"," <sip:c,d@e> p=","']),
    ],
)
def test_split_outside_of_quotes_and_brackets(text: str, parts: list[str]) -> None:
    assert grammar.split_outside(text, ",") == parts
    assert grammar.split_outside(text.replace(",", ";"), ";") == [part.replace(",", ";") for part in parts]


@pytest.mark.parametrize("text", ['a,"b', 'a,"b\\"', "a,<b", 'a,"b",<c', '"a" , "'])
def test_split_outside_refuses_what_is_not_closed(text: str) -> None:
    with pytest.raises(BadMessage):
        grammar.split_outside(text, ",")


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("0068", 68), ("255", 255), ("0" * 5000 + "7", 7)])
def test_digits(text: str, value: int) -> None:
    assert grammar.parse_digits(text, "x", 255) == value


@pytest.mark.parametrize("text", ["", " 1", "1 ", "-1", "+1", "1.0", "0x1", "1_0", "²", "١", "five", "256", "9" * 5000])
def test_digits_that_are_none_or_too_many(text: str) -> None:
    with pytest.raises(BadMessage):
        grammar.parse_digits(text, "x", 255)


@pytest.mark.parametrize("text", ["256", "9" * 5000, "0" * 4999 + "256"])
def test_digits_may_be_clamped(text: str) -> None:
    assert grammar.parse_digits(text, "x", 255, is_clamped=True) == 255


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("Example.COM", "example.com", None),
        ("example.com.:5060", "example.com", 5060),
        ("192.0.2.1:1", "192.0.2.1", 1),
        ("[2001:DB8::1]", "[2001:db8::1]", None),
        ("[::ffff:192.0.2.1]:65535", "[::ffff:192.0.2.1]", 65535),
        ("a" * 63 + ".example:5060", "a" * 63 + ".example", 5060),
        ("my_host:5060", "my_host", 5060),
    ],
)
def test_host_and_port(text: str, host: str, port: int | None) -> None:
    assert grammar.parse_host_port(text) == (host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":5060",
        "a:",
        "a:0",
        "a:65536",
        "a:b",
        "a:1:2",
        "a b",
        "a..b",
        "-a",
        "[",
        "[]",
        "[::1",
        "::1",
        "[::1]5060",
        "[::1]x:1",
        "é.com",
        "a\r\n",
    ],
)
def test_host_and_port_that_are_none(text: str) -> None:
    with pytest.raises(BadMessage):
        grammar.parse_host_port(text)


@given(st.text(max_size=40), st.sampled_from((",", ";")))
def test_split_outside_loses_nothing_and_raises_only_bad_message(text: str, separator: str) -> None:
    try:
        parts = grammar.split_outside(text, separator)
    except BadMessage:
        return
    assert "".join(separator.join(parts).split()) == "".join(text.split())


@given(sip.hosts, st.none() | sip.ports)
def test_every_host_is_read(host: str, port: int | None) -> None:
    text = host if port is None else f"{host}:{port}"
    assert grammar.parse_host_port(text) == (host.lower(), port)


@pytest.mark.parametrize("part", ["x", '"x,;"', "<x,;>", 'a "" <,> ""'])
@pytest.mark.parametrize("separator", [",", ";"])
def test_split_outside_makes_no_more_parts_than_it_may(part: str, separator: str) -> None:
    assert grammar.split_outside(separator.join([part] * 5), separator, 5) == [part] * 5
    with pytest.raises(BadMessage):
        grammar.split_outside(separator.join([part] * 6), separator, 5)


@pytest.mark.parametrize("skipped", ['""', "<>"])
def test_split_outside_steps_over_so_many_quotes_and_brackets(skipped: str) -> None:
    with pytest.raises(BadMessage):
        grammar.split_outside(skipped * 1000 + ",x", ",", 5)


@given(st.text(st.sampled_from('a"\\b')))
def test_unquote_takes_the_escapes_of_a_quoted_string_one_by_one(text: str) -> None:
    match = grammar.QUOTED_STRING.fullmatch(f'"{text}"')
    if match is not None:
        characters = iter(text)
        assert grammar.unquote(match[0]) == "".join(next(characters) if c == "\\" else c for c in characters)
