"""JSON-RPC 2.0 (specification of 2013-01-04), without any I/O: bytes → requests → response object → bytes.

- No input raises: what cannot be read becomes the error response that the specification names for it.
- A notification is never answered, not even with an error; a batch of nothing else is answered with silence.
- The members of a batch are executed one after the other, in their order.
- Errors of the application have Kamailio's code 500; the codes of the specification are used for what it defines.
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from imc.errors import RpcError

# §5.1 Error object
PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
# Ours: the caller's role does not reach
FORBIDDEN = 403

Id: TypeAlias = str | int | float | None
Params: TypeAlias = list[Any] | dict[str, Any]
Response: TypeAlias = dict[str, Any]
Call: TypeAlias = Callable[[str, Params], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Request:
    """One call. ``is_notification``: it has no ``id`` member, and gets no response (§4.1)."""

    method: str
    params: Params
    id: Id
    is_notification: bool


@dataclass(frozen=True, slots=True)
class Document:
    """What one text held. A `Response` among the items is the error for an item that is no request.

    ``reply_name`` is the first such member of a request: Kamailio's addition for calls over a FIFO.
    """

    items: tuple[Request | Response, ...]
    is_batch: bool = False
    reply_name: str | None = None


def error_response(code: int, message: str, request_id: Id = None) -> Response:
    return {"jsonrpc": "2.0", "error": {"code": code, "message": message}, "id": request_id}


def parse(raw: bytes, max_batch: int) -> Document:
    """Read one JSON text of UTF-8 (RFC 8259 §8.1)."""
    try:
        # RFC 8259 §6: "Numeric values that cannot be represented in the grammar (such as Infinity and NaN) are not
        # permitted"; nesting deeper than the interpreter's limit ends in RecursionError.
        value = json.loads(raw.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return Document((error_response(PARSE_ERROR, "Parse error"),))
    if not isinstance(value, list):
        return Document((_parse_request(value),), reply_name=_reply_name([value]))
    if not value:  # §6: an empty array is no batch
        return Document((error_response(INVALID_REQUEST, "Invalid Request: empty batch"),))
    if len(value) > max_batch:
        message = f"Invalid Request: more than {max_batch} calls in a batch"
        return Document((error_response(INVALID_REQUEST, message),), reply_name=_reply_name(value[:max_batch]))
    return Document(tuple(_parse_request(item) for item in value), is_batch=True, reply_name=_reply_name(value))


def _refuse_constant(name: str) -> float:
    raise ValueError(f"not JSON: {name}")


def _reply_name(items: list[Any]) -> str | None:
    names = (item.get("reply_name") for item in items if isinstance(item, dict))
    return next((name for name in names if isinstance(name, str)), None)


def _parse_request(value: object) -> Request | Response:
    if not isinstance(value, dict):
        return error_response(INVALID_REQUEST, "Invalid Request: not an object")
    request_id = value.get("id")
    if not _is_id(request_id):
        return error_response(INVALID_REQUEST, "Invalid Request: id is neither a string nor a number nor null")
    if value.get("jsonrpc") != "2.0":
        return error_response(INVALID_REQUEST, 'Invalid Request: jsonrpc is not "2.0"', request_id)
    method = value.get("method")
    if not isinstance(method, str):
        return error_response(INVALID_REQUEST, "Invalid Request: method is not a string", request_id)
    params = value.get("params")
    if params is None:  # null is taken for left out, as many clients send it
        params = []
    if not isinstance(params, list | dict):
        return error_response(INVALID_REQUEST, "Invalid Request: params is neither an array nor an object", request_id)
    return Request(method, params, request_id, is_notification="id" not in value)


def _is_id(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


async def execute(document: Document, call: Call) -> Response | list[Response] | None:
    """Do all calls of the document. None: nothing is to be answered.

    ``call(method, params)`` returns the result, or raises `RpcError`.
    """
    responses = [response for item in document.items if (response := await _execute_one(item, call)) is not None]
    if document.is_batch:
        return responses or None
    return responses[0] if responses else None


async def _execute_one(item: Request | Response, call: Call) -> Response | None:
    if not isinstance(item, Request):
        return item
    try:
        result = await call(item.method, item.params)
    except RpcError as error:
        response = error_response(error.code, error.message, item.id)
    else:
        response = {"jsonrpc": "2.0", "result": result, "id": item.id}
    return None if item.is_notification else response


def encode(response: Response | list[Response]) -> bytes:
    """Compact, as Kamailio prints it, and ASCII: a lone surrogate in an id goes back as it came."""
    return json.dumps(response, separators=(",", ":"), allow_nan=False).encode("ascii")
