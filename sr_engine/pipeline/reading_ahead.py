"""What the requests of one transaction are known to need: read for all of them at once, before any is executed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from sr_engine.messages.model import ApproveCommsHubFirmware, Firmware, ScheduleCommsHubFirmware
from sr_engine.pipeline.process import DUIS, Admitted, Processor
from sr_engine.requests.lists import canonical
from sr_engine.store import anomalies, exchanges, facts, held, sharing
from sr_engine.store.units_of_work import ReadAhead, UnitOfWork


def reading_ahead(processor: Processor) -> ReadAhead[Admitted]:
    """Reads for `Processor.execute` what is asked for again by nearly every request."""
    return partial(_read_ahead, processor=processor)


def _read_ahead(unit_of_work: UnitOfWork, asked: Sequence[Admitted], *, processor: Processor) -> None:
    connection, now = unit_of_work.connection, unit_of_work.now
    shared = sharing.of(connection)
    if shared is None:
        return
    headers = [one.request.header for one in asked]
    wanted: defaultdict[tuple[Firmware, bool], list[str]] = defaultdict(list)
    for one in asked:
        match one.request.body:
            case ApproveCommsHubFirmware() as body:
                wanted[body.firmware, False] += canonical(body.device_ids)
            case ScheduleCommsHubFirmware() as body:
                wanted[body.firmware, True] += canonical(body.device_ids)
            case _:
                pass
    keys = [(one.request_id.key, one.command_variant) for one in headers]
    takes = [
        facts.ask_ahead(connection, shared, wanted, now, processor.quiet_days),
        exchanges.ask_ahead(connection, shared, DUIS, keys),
        held.ask_ahead(connection, shared, sorted({key for key, _ in keys})),
        anomalies.ask_ahead(connection, shared, sorted({one.sender.eui for one in asked}), now),
    ]
    for take in takes:
        take()
