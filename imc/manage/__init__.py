"""The interfaces beside SIP: JSON-RPC over HTTP, Unix socket and FIFO, and the 2008 FIFO line format.

They call what SIP calls (`ports.Manager`), and nothing below it. `server.run` serves them; `client.call` asks them;
`methods.describe` yields their documentation. The web server is imported by `server` only, not by who just asks.
"""

from imc.manage.options import ManageOptions
from imc.manage.ports import Manager, MemberSummary, RoomSummary

__all__ = ["ManageOptions", "Manager", "MemberSummary", "RoomSummary"]
