"""Fuzzing of what reads octets from outside: `make fuzz` with coverage as its guide, a fixed part with the tests.

A crash that is found becomes a line of `tests/fuzz/found.py`, and stays there.
"""

NAMES = ("message", "stream", "stack", "digest", "values", "binrpc")
"""The targets. They are imported when they are instrumented: `tests.fuzz.targets`."""
