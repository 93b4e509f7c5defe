"""``imc serve``: settings and logs first, then the daemon."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def run(path: Path | None, flags: Sequence[str] = (), *, trace_spec: Path | None = None) -> None:
    """Run until told to stop. ConfigError, ListenError, StoreError: it could not start."""
    from imc import log
    from imc.config import find_file, load

    file = find_file(path)
    settings = load(file, flags)
    log.configure(settings.log.level)

    from imc.program import serve

    serve(settings, file, flags, trace_spec=trace_spec)
