"""``cases/schema.json``, for editors and for programs that write cases: a file is of cases, or a table of them.

``python -m conformance.suite.schema`` prints it.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter

from conformance.suite.case import Case, Model
from conformance.suite.table import Table


class CaseFile(Model):
    """``[[case]]`` after ``[[case]]``."""

    case: tuple[Case, ...]


def schema() -> dict[str, Any]:
    """The JSON schema of a file in ``cases/``, parsed."""
    return {"title": "Cases of a SIP chat room", **TypeAdapter(CaseFile | Table).json_schema()}


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2, ensure_ascii=False))
