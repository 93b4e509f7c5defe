"""The examples of the JSON-RPC 2.0 specification §7, then what hostile callers add to them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.errors import RpcError
from imc.manage import jsonrpc


async def _call(method: str, params: jsonrpc.Params) -> object:
    values = list(params.values()) if isinstance(params, dict) else params
    if method == "subtract":
        if isinstance(params, dict):
            return params["minuend"] - params["subtrahend"]
        return values[0] - values[1]
    if method == "sum":
        return sum(values)
    if method == "get_data":
        return ["hello", 5]
    if method == "fail":
        raise RpcError("Room not found")
    raise RpcError("Method not found", code=jsonrpc.METHOD_NOT_FOUND)


async def _answer(text: str | bytes, max_batch: int = 10) -> Any:
    raw = text.encode() if isinstance(text, str) else text
    response = await jsonrpc.execute(jsonrpc.parse(raw, max_batch), _call)
    return None if response is None else json.loads(jsonrpc.encode(response))


def _error(code: int, request_id: object = None) -> tuple[int, object]:
    return code, request_id


def _shape(response: Any) -> tuple[int, object]:
    assert set(response) == {"jsonrpc", "error", "id"}
    assert response["jsonrpc"] == "2.0"
    assert set(response["error"]) == {"code", "message"}
    return response["error"]["code"], response["id"]


@pytest.mark.parametrize(
    ("text", "result", "request_id"),
    [
        ('{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}', 19, 1),
        ('{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}', -19, 2),
        (
            '{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}',
            19,
            3,
        ),
        ('{"jsonrpc": "2.0", "method": "get_data", "id": "9"}', ["hello", 5], "9"),
        ('{"jsonrpc": "2.0", "method": "get_data", "id": null}', ["hello", 5], None),
        ('{"jsonrpc": "2.0", "method": "get_data", "id": 1.5}', ["hello", 5], 1.5),
        ('{"jsonrpc": "2.0", "method": "get_data", "params": null, "id": ""}', ["hello", 5], ""),
        ('{"jsonrpc": "2.0", "method": "get_data", "id": "\\ud800"}', ["hello", 5], "\ud800"),
        ('\r\n {"jsonrpc": "2.0", "method": "get_data", "id": -1, "other": {}}\n', ["hello", 5], -1),
    ],
)
async def test_call(text: str, result: object, request_id: object) -> None:
    assert await _answer(text) == {"jsonrpc": "2.0", "result": result, "id": request_id}


@pytest.mark.parametrize(
    "text",
    [
        '{"jsonrpc": "2.0", "method": "get_data"}',
        '{"jsonrpc": "2.0", "method": "fail", "params": [1]}',
        '{"jsonrpc": "2.0", "method": "foobar"}',
        '[{"jsonrpc": "2.0", "method": "sum", "params": [1, 2, 4]}, {"jsonrpc": "2.0", "method": "fail"}]',
    ],
)
async def test_notifications_are_never_answered(text: str) -> None:
    assert await _answer(text) is None


@pytest.mark.parametrize(
    ("text", "code", "request_id"),
    [
        ('{"jsonrpc": "2.0", "method": "foobar", "id": "1"}', jsonrpc.METHOD_NOT_FOUND, "1"),
        ('{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', jsonrpc.PARSE_ERROR, None),
        ("", jsonrpc.PARSE_ERROR, None),
        (" \n", jsonrpc.PARSE_ERROR, None),
        (b"\xff\xfe{}", jsonrpc.PARSE_ERROR, None),
        ('{"jsonrpc": "2.0", "method": "get_data", "id": NaN}', jsonrpc.PARSE_ERROR, None),
        ('{"jsonrpc": "2.0", "method": "get_data", "id": Infinity}', jsonrpc.PARSE_ERROR, None),
        ('{"jsonrpc": "2.0", "method": "get_data", "id": ' + "9" * 5000 + "}", jsonrpc.PARSE_ERROR, None),
        ('{"jsonrpc": "2.0", "method": "get_data", "id": 1} {}', jsonrpc.PARSE_ERROR, None),
        ('[{"jsonrpc": "2.0", "method": "sum", "params": [1], "id": "1"}, {"jsonrpc"', jsonrpc.PARSE_ERROR, None),
        ("[" * 100_000, jsonrpc.PARSE_ERROR, None),
        ("[" * 100_000 + "]" * 100_000, jsonrpc.PARSE_ERROR, None),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, jsonrpc.PARSE_ERROR, None),
        ("[]", jsonrpc.INVALID_REQUEST, None),
        ("1", jsonrpc.INVALID_REQUEST, None),
        ("null", jsonrpc.INVALID_REQUEST, None),
        ('"text"', jsonrpc.INVALID_REQUEST, None),
        ("{}", jsonrpc.INVALID_REQUEST, None),
        ('{"jsonrpc": "2.0", "method": 1, "params": "bar"}', jsonrpc.INVALID_REQUEST, None),
        ('{"jsonrpc": "2.0", "method": "sum", "params": "bar", "id": 4}', jsonrpc.INVALID_REQUEST, 4),
        ('{"jsonrpc": "2.0", "method": "sum", "params": 7, "id": 4}', jsonrpc.INVALID_REQUEST, 4),
        ('{"jsonrpc": "2.0", "id": 4}', jsonrpc.INVALID_REQUEST, 4),
        ('{"jsonrpc": "1.0", "method": "sum", "id": 4}', jsonrpc.INVALID_REQUEST, 4),
        ('{"jsonrpc": 2.0, "method": "sum", "id": 4}', jsonrpc.INVALID_REQUEST, 4),
        ('{"method": "sum", "id": 4}', jsonrpc.INVALID_REQUEST, 4),
        ('{"jsonrpc": "2.0", "method": "sum", "id": true}', jsonrpc.INVALID_REQUEST, None),
        ('{"jsonrpc": "2.0", "method": "sum", "id": [1]}', jsonrpc.INVALID_REQUEST, None),
        ('{"jsonrpc": "2.0", "method": "sum", "id": {}}', jsonrpc.INVALID_REQUEST, None),
        ('{"jsonrpc": "2.0", "method": "sum", "id": 1e999}', jsonrpc.INVALID_REQUEST, None),
        ('{"jsonrpc": "2.0", "method": "fail", "id": 5}', 500, 5),
    ],
)
async def test_error(text: str | bytes, code: int, request_id: object) -> None:
    assert _shape(await _answer(text)) == (code, request_id)


async def test_batch_of_the_specification() -> None:
    answer = await _answer(
        """[
        {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
        {"jsonrpc": "2.0", "method": "get_data", "params": [7]},
        {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
        {"foo": "boo"},
        {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
        {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
    ]"""
    )
    assert answer[:2] == [{"jsonrpc": "2.0", "result": 7, "id": "1"}, {"jsonrpc": "2.0", "result": 19, "id": "2"}]
    assert [_shape(error) for error in answer[2:4]] == [
        (jsonrpc.INVALID_REQUEST, None),
        (jsonrpc.METHOD_NOT_FOUND, "5"),
    ]
    assert answer[4:] == [{"jsonrpc": "2.0", "result": ["hello", 5], "id": "9"}]


async def test_batch_of_rubbish_is_answered_item_by_item() -> None:
    assert [_shape(error) for error in await _answer("[1,[],null]")] == [(jsonrpc.INVALID_REQUEST, None)] * 3


async def test_batch_of_one_is_answered_by_an_array() -> None:
    text = '[{"jsonrpc": "2.0", "method": "sum", "params": [], "id": 1}]'
    assert await _answer(text) == [{"jsonrpc": "2.0", "result": 0, "id": 1}]


async def test_batch_limit() -> None:
    item = '{"jsonrpc":"2.0","method":"sum","params":[1],"id":1}'
    assert len(await _answer(f"[{','.join([item] * 10)}]")) == 10
    assert _shape(await _answer(f"[{','.join([item] * 11)}]")) == (jsonrpc.INVALID_REQUEST, None)


def test_reply_name_is_the_first_one_given() -> None:
    assert jsonrpc.parse(b'{"jsonrpc":"2.0","method":"sum","reply_name":"here"}', 5).reply_name == "here"
    assert jsonrpc.parse(b'{"reply_name":"here"}', 5).reply_name == "here"
    assert jsonrpc.parse(b'[7,{"reply_name":3},{"reply_name":"here"},{"reply_name":"there"}]', 5).reply_name == "here"
    assert jsonrpc.parse(b'{"jsonrpc":"2.0","method":"sum"}', 5).reply_name is None


def test_encoding_is_as_compact_as_kamailios() -> None:
    assert jsonrpc.encode({"jsonrpc": "2.0", "result": [{"room": "sip:é"}], "id": 1}) == (
        b'{"jsonrpc":"2.0","result":[{"room":"sip:\\u00e9"}],"id":1}'
    )


async def _check_answer(raw: bytes) -> None:
    response = await jsonrpc.execute(jsonrpc.parse(raw, 5), _echo)
    if response is None:
        return
    decoded = json.loads(jsonrpc.encode(response))
    for item in decoded if isinstance(decoded, list) else [decoded]:
        assert item["jsonrpc"] == "2.0"
        assert ("result" in item) != ("error" in item)
        assert "id" in item
    if isinstance(decoded, list):
        assert 1 <= len(decoded) <= 5


async def _echo(method: str, params: jsonrpc.Params) -> object:
    return [method, len(params)]


@given(st.binary(max_size=200))
async def test_any_bytes_are_answered_or_ignored(raw: bytes) -> None:
    await _check_answer(raw)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
_requests = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.sampled_from(["2.0", "1.0", 2]) | _json,
        "method": st.sampled_from(["sum", "", "imc.list_rooms"]) | _json,
        "params": _json,
        "id": _json,
        "reply_name": _json,
    },
)


@given(_requests | st.lists(_requests | _json, max_size=7))
async def test_any_json_is_answered_or_ignored(value: object) -> None:
    await _check_answer(json.dumps(value).encode())
