"""RUN.json: the verdict of a run as a file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from conformance.suite.verdict import BadVerdict, RunVerdict

_SHAPE = TypeAdapter(RunVerdict)


class NotARun(ValueError):
    """A file that cannot be read as a run. The text names it and says why."""


def read(path: Path) -> RunVerdict:
    """The run in this file, each field of the type that it says. NotARun."""
    try:
        run = RunVerdict.from_json(path.read_text(encoding="utf-8"))
        return _SHAPE.validate_python(_mended(asdict(run)))
    except OSError as error:
        raise NotARun(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise NotARun(f"{path}: no UTF-8 at octet {error.start}") from None
    except RecursionError:
        raise NotARun(f"{path}: nested too deeply") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise NotARun(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except BadVerdict as error:
        raise NotARun(f"{path}: {error}") from None


def write(run: RunVerdict, path: Path) -> None:
    """OSError. Half of a surrogate pair, which UTF-8 does not take, is written as JSON's escape of it."""
    path.write_bytes(run.to_json().encode("utf-8", "backslashreplace"))


def _mended(value: Any) -> Any:
    """The same with an escape for each half of a surrogate pair: JSON can have it, and no file or page takes it."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list):
        return [_mended(each) for each in value]
    return {key: _mended(each) for key, each in value.items()} if isinstance(value, dict) else value
