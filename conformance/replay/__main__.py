"""``python -m conformance.replay``: the command imc-replay."""

from conformance.replay.cli import main

main()
