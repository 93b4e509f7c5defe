"""Cases as data, what plays them, and what came of them.

case, wire_case     a case as data; template renders its texts
conversation        what a server must let us do: Driver → Target → Conversation
room_case           plays a room case; matching compares what everybody got with what they must get
verdict, profile    what came of it, and what is known beforehand of a server
runner              order, selection, concurrency
"""
