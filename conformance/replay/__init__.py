"""Play what was recorded: captures and traces of SIP conversations, read, replayed, recorded and made anonymous.

::

    capture (pcap, pcapng) ─┐                ┌─ show       a ladder
    trace (text) ───────────┴─→ Recording ───┼─ run        script → player → comparison → ladder with marks
    live conversation ── record ──→ trace    └─ anonymize  the same without names

Reading never raises but `Unreadable`, whatever the octets: what cannot be used is a note, and the rest is used.
"""
