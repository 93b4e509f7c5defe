"""Chat-room servers over SIP, checked from outside.

model     the rules of rooms, tours of them, and traces of a run held against them
agent     SIP user agents
cli       the command imc-conformance
"""
