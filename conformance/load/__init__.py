"""Load for any chat-room server over SIP: the same work for each, and one table of what came of it.

works       what is done: rooms that stand beforehand, requests, who must hear of each
message     the bytes: requests, and the 200 to a MESSAGE with the little that is read of it
sink        a process that is all recipients; sinks: several of them, and their counters
sender      one socket that sends requests, so many unanswered at a time, and repeats them as RFC 3261 says
tally       deliveries by request and recipient: lost, told twice, sent again
proc        what the kernel knows of processes: CPU time, memory, datagrams dropped
servers     imc, Kamailio, or one that runs already; preload: the rooms in its database
measure     one work on one server → Figures; compare: several servers in turn, medians and ratios
table       the figures on a terminal; the command is `imc-conformance load` (conformance.cli.load)

Nothing here passes or fails by the clock.
"""
