"""Faults under load: the real daemon, and what became of everything that it had acknowledged.

``python -m tests.soak [FAULT…]`` runs them and prints a table; `make soak` runs all of them with their usual numbers.

ledger   what was sent, what was acknowledged and what arrived; lost, repeated and out of order come from there
person   a user: a SIP user agent that tells the ledger what it gets; crowd: many, their rooms, and the load
rites    rooms that are made, invited into, left and destroyed all the time, held against the database
relay    what stands between imc and somebody: datagrams that get lost, streams that stall
stand    the daemon in a process of its own on a port that stays, and its database
servers  database servers of the soak's own
outcome  what came of a fault; report: the table
edge/    attackers from outside, over all transports, and a daemon with a password for each user
faults/  one module for each fault: its works, each a function of a `Plan`

Invariants: a run is bounded in time and in memory; what chance decides comes from the seed; what was started is ended
by its process id, also when the run is interrupted. Nothing passes or fails by the clock, but for what never comes.
"""
