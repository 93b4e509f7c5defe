"""Settings as text: the values in force as TOML, and the reference of all settings as Markdown."""

from __future__ import annotations

import json
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from imc.config.base import Section
from imc.config.checks import mask_password
from imc.config.load import Loader, is_reloadable, is_secret, section_type
from imc.config.settings import Settings

_INTRO = """\
# Settings

This page is made from the code by `imc config reference`; a test fails where it is stale.

Every setting has a default. A file in TOML changes them, `imc serve -c imc.toml`; without `-c` it is `imc.toml` in the
folder in which imc is started, if there is one. The environment goes before the file: `IMC_SECTION__KEY`, for example
`IMC_SIP__LISTEN=udp:127.0.0.1:5070,tcp:127.0.0.1:5070`, a list parted by commas or as JSON. Flags go before the
environment: `--set log.level=debug`. `imc config check` says what is wrong with file, line and key, `imc config show`
prints the values in force and where each comes from.

An unknown key is an error. A setting marked ↻ is taken over by a reload (SIGHUP); the others need a restart, and a
reload says which of them have changed.
"""


def show(settings: Settings, loader: Loader, *, with_secrets: bool = False) -> str:
    """The values in force as TOML that can be read again, each with where it comes from."""
    lines = []
    for name in Settings.model_fields:
        section = getattr(settings, name)
        lines.append(f"[{name}]")
        for key, field in type(section).model_fields.items():
            value = getattr(section, key)
            if is_secret(field) and not with_secrets:
                value = _masked(value)
            # TOML has no null: what is not set stands there as a comment.
            text = f"{key} = {toml_value(value)}" if value is not None else f"# {key} is not set"
            lines.append(f"{text}  # {loader.source_of(name, key)}")
        lines.append("")
    return "\n".join(lines)


def toml_value(value: Any) -> str:
    """A value as TOML writes it. JSON's texts, numbers and truth values are TOML's too, but for DEL."""
    if isinstance(value, tuple | list):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def reference() -> str:
    """docs/reference/settings.md."""
    parts = [_INTRO]
    for name, field in Settings.model_fields.items():
        section = section_type(field.annotation)
        parts.append(f"\n## [{name}]\n\n{' '.join((section.__doc__ or '').split())}\n\n")
        parts.append("| Key | Value | Default | Meaning |\n| --- | --- | --- | --- |\n")
        parts.extend(_row(name, section, key, info) for key, info in section.model_fields.items())
    return "".join(parts)


def _masked(value: Any) -> Any:
    if not isinstance(value, str) or not value:
        return value
    return mask_password(value) if "://" in value else "***"


def _row(name: str, section: type[Section], key: str, field: FieldInfo) -> str:
    default = getattr(Settings.model_fields[name].get_default(), key)
    mark = " ↻" if is_reloadable(field) else ""
    shown = "" if default is None else f"`{toml_value(default)}`"
    cells = (f"`{key}`{mark}", _kind(field), shown, field.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _kind(field: FieldInfo) -> str:
    """What may stand there, in a few words."""
    kinds = [kind for kind in get_args(field.annotation) or (field.annotation,) if kind is not type(None)]
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{kind}`" for kind in kinds)
    if get_origin(field.annotation) is tuple:
        return "list of texts"
    words = {bool: "`true`, `false`", int: "whole number", float: "number", str: "text"}[kinds[0]]
    least = next((item.ge for item in field.metadata if hasattr(item, "ge")), None)
    most = next((item.le for item in field.metadata if hasattr(item, "le")), None)
    if least is not None and most is not None:
        return f"{words}, {least} to {most}"
    return words if least is None else f"{words}, at least {least}"
