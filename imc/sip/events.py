"""What the SIP stack tells its user: facts, each said once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from imc.sip.flow import Flow
from imc.sip.message import Request, Response


@dataclass(slots=True, eq=False)
class RequestReceived:
    """A request that this server understands. No transaction exists for it yet (`imc.sip.stack.Stack.accept`).

    ``flow`` is where it came from; ``reply_flow`` is where its answer goes, which differs for datagrams without rport;
    ``key`` is what names its server transaction (RFC 3261 §17.2.3), ``merge_key`` what names the request by whatever
    way it came (§8.2.2.2); ``size`` is what came, in bytes.
    """

    request: Request
    flow: Flow
    reply_flow: Flow
    key: str
    merge_key: str
    size: int = 0


@dataclass(slots=True, eq=False)
class ResponseReceived:
    """A response to what was started with ``token``. After a final one nothing more comes for that start."""

    token: object
    response: Response

    @property
    def is_final(self) -> bool:
        return self.response.status >= 200


@dataclass(slots=True, eq=False)
class FinalsReceived:
    """Final answers of one wake-up: token and status of each. As with `ResponseReceived`, nothing comes after them."""

    answers: list[tuple[object, int]]


@dataclass(slots=True, eq=False)
class RequestsRepeated:
    """T1 has passed without a final answer over UDP, and what was started with these tokens was sent a second time."""

    tokens: list[object]


@dataclass(slots=True, eq=False)
class RequestSlow:
    """An answer is long in coming: over UDP the request was sent a third time, over a stream T2 has passed. May be said
    more than once."""

    token: object


@dataclass(slots=True, eq=False)
class RequestTimedOut:
    """Timer F: no final response came in 64*T1 seconds."""

    token: object


@dataclass(slots=True, eq=False)
class FlowFailed:
    """The stream that carried the request is gone, and no final response had come."""

    token: object


Event: TypeAlias = (
    RequestReceived | ResponseReceived | FinalsReceived | RequestsRepeated | RequestSlow | RequestTimedOut | FlowFailed
)
