"""The CSPs of a simulated country, in process: what each does with a list, and when it says so, signed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

from signing import Signer, Verifier, parse
from sr_engine.messages.csp import build_csp_message, decode_csp_message
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import CspMessage, Period, UpgradeList, UpgradeListAcknowledgement, UpgradeReport
from sr_engine.national.parameters import CspParameters
from sr_engine.simulator.behaviour import Again, Behaviour, Reply, Step, reply, steps

_LIST_ROLES = frozenset({"89"})

Write = Callable[[datetime], list[bytes]]
"""Writes the messages that are sent at a time, signed."""


def behaviour_of(parameters: CspParameters, seed: int) -> Behaviour:
    """The habits of a CSP as the simulator of CSPs has them."""
    return Behaviour(
        refuse=parameters.refuse,
        fail=parameters.fail,
        lose=parameters.lose,
        late=parameters.late,
        late_by=parameters.late_by,
        out_of_order=parameters.out_of_order,
        duplicate=parameters.duplicate,
        delay=timedelta(minutes=parameters.delay_minutes),
        seed=seed,
        report_size=parameters.report_size,
    )


@dataclass(slots=True)
class Csp:
    """The CSP of one region; `numbers` are shared by the regions of one CSP, so that no MessageID comes twice."""

    region: str
    eui: str
    broker: str
    signer: Signer
    verifier: Verifier
    behaviour: Behaviour
    numbers: count[int]
    lists: int = 0
    """Lists it was sent, those that came again among them."""
    _taken: Counter[Period] = field(default_factory=Counter)
    _known: set[str] = field(default_factory=set)

    def take(self, data: bytes, now: datetime) -> Iterator[tuple[datetime, Write]]:
        """Receive a message; yields what will be said of it and when. A list is carried out once."""
        message = decode_csp_message(self.verifier.verify(parse(data), roles=_LIST_ROLES, at=now))
        if not isinstance(message, UpgradeList):
            raise TypeError(f"region {self.region} was sent a {type(message).__name__}, which nobody here asked for")
        self.lists += 1
        if message.list_id in self._known:
            return
        self._known.add(message.list_id)
        answer = reply(self.behaviour, message.entries, self._taken, now)
        yield now + self.behaviour.delay, self._acknowledges(message.list_id, answer)
        accepted = frozenset(answer.accepted)
        for entry in message.entries:
            mine = [hub_id for hub_id in entry.device_ids if hub_id in accepted]
            for step in steps(self.behaviour, entry, mine, now):
                yield step.at, self._reports(message.list_id, step)

    def _acknowledges(self, list_id: str, answer: Reply) -> Write:
        def write(now: datetime) -> list[bytes]:
            return [
                self._signed(
                    UpgradeListAcknowledgement(
                        self._message_id(), now, list_id, self.region, answer.accepted, answer.refused
                    )
                )
            ]

        return write

    def _reports(self, list_id: str, step: Step) -> Write:
        def report(now: datetime) -> bytes:
            return self._signed(UpgradeReport(self._message_id(), now, list_id, self.region, step.entries))

        def write(now: datetime) -> list[bytes]:
            first = report(now)
            match step.again:
                case Again.NO:
                    return [first]
                case Again.SAME_BYTES:
                    return [first, first]
                case Again.SAME_CONTENT:
                    return [first, report(now)]

        return write

    def _signed(self, message: CspMessage) -> bytes:
        return self.signer.sign(build_csp_message(message))

    def _message_id(self) -> RequestId:
        return RequestId.make(self.eui, self.broker, next(self.numbers))
