"""See `tests.soak.cli`."""

if __name__ == "__main__":  # each daemon that is forked off imports this module again: it costs nothing then
    import sys

    from tests.soak.cli import main

    sys.exit(main())
