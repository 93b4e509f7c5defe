"""Parameters of header values: ``*( SEMI generic-param )``."""

from __future__ import annotations

from imc.errors import BadMessage
from imc.sip.grammar import (
    MAX_PARAMS,
    PLAIN_PARAMS,
    QUOTED_STRING,
    WSP,
    is_gen_value,
    is_token,
    quote,
    split_outside,
    unquote,
)
from imc.sip.uri import Params


def raw_value(params: Params, name: str) -> str | None:
    """The value as written, "" for a parameter without value, None for none. ``name`` is in lower case.

    Not `imc.sip.uri.find_param`: ``%`` is no escape in a header parameter (RFC 4475 §3.1.1.5).
    """
    for key, value in params:
        if key == name:
            return value or ""
    return None


def param_value(params: Params, name: str) -> str | None:
    """As `raw_value`, unquoted."""
    value = raw_value(params, name)
    return unquote(value) if value else value


def with_param(params: Params, name: str, value: str | None) -> Params:
    """The parameters with this value in place of the old one, or added; quoted where it is neither token nor host."""
    raw = value if value is None or is_gen_value(value) else quote(value)
    if any(key == name for key, _ in params):
        return tuple((key, raw if key == name else old) for key, old in params)
    return (*params, (name, raw))


def parse_params(text: str) -> Params:
    """``*( SEMI generic-param )``, the whole of ``text``, which is empty or starts at its first ``;``.

    BadMessage where there are more than `MAX_PARAMS`.
    """
    if not text:
        return ()
    if text.startswith(";tag=") and is_token(text[5:]):  # nearly every From and To
        return (("tag", text[5:]),)
    if text.startswith(";rport;branch=") and is_token(text[14:]):  # nearly every Via
        return (("rport", None), ("branch", text[14:]))
    params: Params
    if PLAIN_PARAMS.fullmatch(text) is not None:
        if text.count(";") > MAX_PARAMS:
            raise BadMessage("Too many parameters")
        split = [item.partition("=") for item in text[1:].split(";")]
        params = tuple([(name.lower(), value if equal else None) for name, equal, value in split])
    else:
        first, *items = split_outside(text, ";", MAX_PARAMS + 1)
        if first:
            raise BadMessage("Bad parameter")
        params = tuple([_parse_param(item) for item in items])
    # RFC 3261 §7.3.1: "any given parameter-name MUST NOT appear more than once"
    if len(dict(params)) != len(params):
        raise BadMessage("Repeated parameter")
    return params


def _parse_param(item: str) -> tuple[str, str | None]:
    name, equal, value = item.partition("=")
    name = name.rstrip(WSP)
    if not is_token(name):
        raise BadMessage("Bad parameter name")
    if not equal:
        return name.lower(), None
    value = value.lstrip(WSP)
    if not is_gen_value(value) and QUOTED_STRING.fullmatch(value) is None:
        raise BadMessage("Bad parameter value")
    return name.lower(), value
