"""Metrics for Prometheus and what reads its formats, and whether the daemon is well.

`table` says what there is, `exposition` writes it, `web` serves it.
"""
