"""What imc promises, checked from outside it: the model as a graph and as rules, tours of it, traces held against it.

graph     one room as the specification sees it: states, edges, and the graph that any implementation spans
rules     the rules of spec/room.md as a table (rules.toml) and its interpreter, for any number of users
quint     the graphs that the Quint model spans, in the words of the rules
core      the pure core of imc as one implementation; the only module here that knows imc
tour      walks that cover every edge of a graph
traces    what `imc serve --trace-spec` writes, read
validate  such a trace held against the rules
cli       the command imc-conformance

Only `core` imports imc. Nothing here is imported by it.
"""
