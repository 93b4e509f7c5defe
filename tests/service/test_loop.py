"""What the loop does with answers that a stream did not take."""

from __future__ import annotations

import random

import pytest

from imc.loop import Loop
from imc.sip.flow import Flow
from imc.sip.ids import Ids
from imc.sip.stack import Stack, StackConfig

FLOW = Flow("tcp", ("192.0.2.1", 5060), ("198.51.100.7", 40_000), 1)


@pytest.mark.parametrize(
    "answer",
    [
        b"SIP/2.0 400 Missing From\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\nContent-Length: 0\r\n\r\n",
        b"SIP/2.0 400 Bad Via\r\nVia: SIP/2.0/TCP a b;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n"
        b"Call-ID: 1\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_an_answer_that_repeats_what_cannot_be_read_is_lost_with_its_stream(answer: bytes) -> None:
    loop = Loop(Stack(StackConfig(), Ids(random.Random(1))))
    loop._reopening = 1
    await loop._answer_anew(FLOW, answer)
    assert loop._reopening == 0
