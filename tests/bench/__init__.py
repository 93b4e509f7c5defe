"""Measurements of a running daemon: `python -m tests.bench`. Not tests: nothing here passes or fails."""
