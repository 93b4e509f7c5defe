"""Wrong tables of rooms, and which tests notice: ``python -m tests.mutation``, or ``make mutation``."""
