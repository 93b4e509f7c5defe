"""The model of rooms, as a graph and as rules: tours of it, and traces held against it.

graph     one room as the specification sees it: states, edges, and the graph that any implementation spans
rules     the rules of spec/room.md as a table (rules.toml) and its interpreter, for any number of users
quint     the graphs that the Quint model spans, in the words of the rules
core      the pure core of imc as one implementation; the only module here that knows imc
tour      walks that cover every edge of a graph
traces    such walks as files
validate  what `imc serve --trace-spec` writes, held against the rules
"""
