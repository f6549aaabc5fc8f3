"""What a process counts while it works: exchanges by Service Request and code, how long stages take, deliveries."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from http import HTTPStatus

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from sr_engine.configuration import Configuration
from sr_engine.observing.cells import Cells

OTHER = "other"
"""Whatever is in no list: what a label may say is limited, whatever a request says."""
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper ends of the buckets of histograms."""
RECEIVERS = ("user", "csp")
RESULTS = ("taken", "refused", "failed")


class Stage(IntEnum):
    """Through which an exchange goes, one after the other, and all of it."""

    BODY = 0
    """Until the whole request has come."""
    TURN = 1
    """Until it is its sender's turn."""
    CHECKS = 2
    """Schema, signature, and what else needs no database; of all that are checked together."""
    TRANSACTION = 3
    """Until what it does is durable; of what is relayed, until upstream has answered."""
    WHOLE = 4


class Layout:
    """Where each number stands in a row."""

    def __init__(self, variants: Iterable[str], codes: Iterable[str]) -> None:
        self.variants = (*sorted(set(variants)), OTHER)
        self.codes = (*sorted(set(codes)), OTHER)
        self._variant = {name: number * len(self.codes) for number, name in enumerate(self.variants)}
        self._code = {name: number for number, name in enumerate(self.codes)}
        self._other = self._variant[OTHER], self._code[OTHER]
        self.stages = len(self.variants) * len(self.codes)
        self._per_stage = len(SECONDS) + 2
        self.deliveries = self.stages + len(Stage) * self._per_stage
        self.columns = self.deliveries + len(RECEIVERS) * len(RESULTS)

    @classmethod
    def of(cls, configuration: Configuration, others: Iterable[str]) -> Layout:
        """For the Service Requests and codes of a configuration; `others` are exchanges that are none."""
        statuses = [str(status.value) for status in HTTPStatus]
        variants = (*configuration.catalogue.service_request, *others)
        return cls(variants, (*configuration.response_codes, *statuses))

    def exchange(self, variant: str, code: str) -> int:
        """The place of exchanges of a Service Request that ended with a code."""
        other_variant, other_code = self._other
        return self._variant.get(variant, other_variant) + self._code.get(code, other_code)

    def stage(self, stage: Stage) -> int:
        """The place of a stage: its buckets, one for all that took longer, and the sum of seconds."""
        return self.stages + stage * self._per_stage

    def delivery(self, receiver: str, result: str) -> int:
        """The place of tries at deliveries."""
        return self.deliveries + RECEIVERS.index(receiver) * len(RESULTS) + RESULTS.index(result)


class Counting:
    """The counts of one process, beside those of the others of its parent."""

    def __init__(self, layout: Layout, cells: Cells, row: int) -> None:
        self.layout = layout
        self._cells = cells
        self._row = cells.row(row)
        self._places = [layout.stage(stage) for stage in Stage]

    def exchange(self, variant: str, code: str) -> None:
        """One has ended."""
        self._row[self.layout.exchange(variant, code)] += 1

    def took(self, stage: Stage, seconds: float) -> None:
        """One went through a stage."""
        place = self._places[stage]
        self._row[place + bisect_left(SECONDS, seconds)] += 1
        self._row[place + len(SECONDS) + 1] += seconds

    def delivery(self, receiver: str, result: str) -> None:
        """One try has ended."""
        if receiver in RECEIVERS:
            self._row[self.layout.delivery(receiver, result)] += 1

    def families(self) -> Iterator[Metric]:
        """All of it, over all processes."""
        totals = self._cells.totals()
        yield self._exchanges(totals)
        yield self._stages(totals)
        tries = CounterMetricFamily(
            "sr_engine_deliveries",
            "Tries at deliveries of messages, by what came of them.",
            labels=("receiver", "result"),
        )
        for receiver in RECEIVERS:
            for result in RESULTS:
                tries.add_metric((receiver, result), totals[self.layout.delivery(receiver, result)])
        yield tries

    def _exchanges(self, totals: Sequence[float]) -> Metric:
        family = CounterMetricFamily(
            "sr_engine_exchanges",
            "Exchanges by Service Request and by ResponseCode, or HTTP status where there is none.",
            labels=("srv", "code"),
        )
        for variant in self.layout.variants:
            for code in self.layout.codes:
                if number := totals[self.layout.exchange(variant, code)]:
                    family.add_metric((variant, code), number)
        return family

    def _stages(self, totals: Sequence[float]) -> Metric:
        family = HistogramMetricFamily(
            "sr_engine_exchange_seconds", "How long exchanges spent in each stage.", labels=("stage",)
        )
        for stage in Stage:
            place, so_far = self.layout.stage(stage), 0.0
            buckets = []
            for bound, number in zip((*map(str, SECONDS), "+Inf"), totals[place:], strict=False):
                so_far += number
                buckets.append((bound, so_far))
            family.add_metric((stage.name.lower(),), buckets, totals[place + len(SECONDS) + 1])
        return family
