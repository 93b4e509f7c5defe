"""The edge under attack for a long time: `python -m tests.soak edge --minutes 60`.

site      the daemon with all transports, in mode digest, and users who talk in rooms all the while, timed
watch     memory, descriptors, statistics and log of the daemon, and what is judged of them
attack    what an attacker is here: sockets on addresses of loopback, tallies, and streams that do as they like
flood     another process that sends all it can, from few addresses and from ever new ones
slow      who reads or writes a byte at a time, half of everything, or nothing
churn     connections, handshakes, registrations and subscriptions that are begun and dropped; certificates renewed
garbage   messages, streams and frames that are mutated

Invariants: loopback only; each attack is bounded in what it holds open and ends with its block; the users' answers are
awaited and counted whatever happens beside them.
"""
