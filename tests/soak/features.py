"""What the imc that is here can do."""

from __future__ import annotations

from importlib.util import find_spec

# It keeps messages for whoever cannot be reached (store and forward).
HAS_WAITING = find_spec("imc.service.waiting") is not None
