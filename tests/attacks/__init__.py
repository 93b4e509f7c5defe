"""Attacks on a running daemon, on loopback: docs/security.md says which row of the threat table is attacked where.

Each test states what the attacker got: answers by status, bytes out for bytes in, memory, descriptors. Figures are
printed (`pytest -s tests/attacks`), bounds are asserted, times never.
"""
