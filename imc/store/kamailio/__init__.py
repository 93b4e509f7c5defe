"""From Kamailio's database into imc's, and back: rooms, members, accounts, and messages that wait for their recipient.

Both directions are one: two databases are read, each in one snapshot, and what they hold is put side by side
(`imc.store.kamailio.stage`); what the source has and the target lacks is written, in one transaction
(`imc.store.kamailio.write`). What a row means is said in `imc.store.kamailio.mapping`, which knows no SQL.

Invariants
    An address is what the grammar of addresses says (spec R-ADDR-1, R-ADDR-4, R-ADDR-9), on either side. A row that
    does not fit is reported, never cut and never guessed.
    The source is only read. The target is written whole or not at all, and not at all in a dry run.
    What was done once is not done again: a second run finds all of it there.
    Memory is bounded by a batch of rows, however large a table is.
"""
