from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.errors import BadMessage
from imc.sip.params import param_value, parse_params, with_param
from imc.sip.uri import render_params
from tests import strategies as sip


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("", ()),
        (";tag=abc", (("tag", "abc"),)),
        (";Tag=ABC", (("tag", "ABC"),)),
        (";lr", (("lr", None),)),
        (";branch=z9hG4bK1;rport", (("branch", "z9hG4bK1"), ("rport", None))),
        (";received=2001:db8::1", (("received", "2001:db8::1"),)),
        (";received=[2001:db8::1]", (("received", "[2001:db8::1]"),)),
        ("; \ttag \t= \tabc \t; lr ", (("tag", "abc"), ("lr", None))),
        (';a="x;y=\\"z\\""; b', (("a", '"x;y=\\"z\\""'), ("b", None))),
        (';a=""', (("a", '""'),)),
        (";a='~+*_!.-%`", (("a", "'~+*_!.-%`"),)),
    ],
)
def test_reading_parameters(text: str, params: object) -> None:
    assert parse_params(text) == params


@pytest.mark.parametrize(
    "text",
    [";", ";;", ";a;", ";;a", "a", "a;b", ";=b", ";a=", ";a=b=c", ";a b", ";a=b c", ';a="b', ';a="b"c', ';a=b"c"',
     ";a,b", ";a=<b>", ";a;A", ";a=1;b;a=2", ";tag=a b", ";tag=", ";tag=a;tag=a", ";é", ";a=é", ";a=b\r\n"],
)  # fmt: skip
def test_what_are_no_parameters(text: str) -> None:
    with pytest.raises(BadMessage):
        parse_params(text)


def test_a_value_is_unquoted_and_a_flag_is_empty() -> None:
    params = parse_params(';a="x \\"y\\"";b;c=d')
    assert [param_value(params, name) for name in "abcd"] == ['x "y"', "", "d", None]


def test_percent_is_no_escape_in_a_header() -> None:
    # RFC 4475 §3.1.1.5
    assert param_value(parse_params(";%74ag=x"), "tag") is None
    assert param_value(parse_params(";tag=%41"), "tag") == "%41"


def test_a_parameter_is_replaced_where_it_stands_or_added_at_the_end() -> None:
    params = parse_params(";rport;branch=x")
    assert with_param(params, "rport", "5060") == (("rport", "5060"), ("branch", "x"))
    assert with_param(params, "received", "192.0.2.1") == (*params, ("received", "192.0.2.1"))
    assert with_param(params, "branch", None) == (("rport", None), ("branch", None))


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=12))
def test_no_value_can_start_a_parameter_of_its_own(value: str) -> None:
    params = with_param((("a", "b"),), "x", value)
    assert parse_params(render_params(params)) == params
    assert param_value(params, "x") == value


@given(sip.generic_params)
def test_parameters_are_rendered_as_they_were_read(text: str) -> None:
    params = parse_params(text)
    assert parse_params(render_params(params)) == params


@given(st.text(st.sampled_from(';="\\ab <>,\t') | st.characters(), max_size=20))
def test_only_bad_message_escapes(text: str) -> None:
    try:
        params = parse_params(f";{text}")
    except BadMessage:
        return
    assert parse_params(render_params(params)) == params


@pytest.mark.parametrize("form", [";p%d", ";p%d=x", ';p%d="x"', "; p%d"])
def test_parameters_are_bounded(form: str) -> None:
    text = "".join(form % n for n in range(64))
    assert len(parse_params(text)) == 64
    with pytest.raises(BadMessage):
        parse_params(text + form % 64)
