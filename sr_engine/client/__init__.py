"""Sending Service Requests: build, sign, submit, and learn what became of each device.

    with Client(url, key=key, trust=trust_folder, counters=counters_file) as client:
        result = client.send(schedule(firmware, hubs, start=start, end=end))

`result.devices` says of each device whether it was accepted, or refused and why; `result.outcome` what the request came
to as a whole. A request that was not answered is sent again with the same RequestID and bytes, so it is carried out
once. `AsyncClient` is the same for asyncio.
"""

from __future__ import annotations

from signing import KeyUnavailable, SigningKey, SoftwareKey, Trust
from sr_engine.client.client import AsyncClient, Client, Options, Sequencing
from sr_engine.client.core import ACCESS_CONTROL_BROKER, MOST_DEVICES, NoResponse
from sr_engine.client.errors import (
    AnswerRefused,
    ClientError,
    NotAnswered,
    NotTaken,
    PartlyRefused,
    Refusal,
    RequestNotSent,
    RequestRefused,
    SenderNotAuthenticated,
    SigningFailed,
)
from sr_engine.client.exchange import Answer, Retries, SignedRequest
from sr_engine.client.requests import (
    ListRequest,
    ServiceRequestBody,
    approve,
    cancellation,
    decline,
    defer,
    delete_schedule,
    exclude,
    include,
    read_hub,
    read_inventory,
    read_schedule,
    schedule,
    update_meter_firmware,
    update_ppmid_firmware,
)
from sr_engine.client.results import InventoryResult, ListResult, Result, ScheduleResult
from sr_engine.client.signing import SigningServer, Signs
from sr_engine.counters import Counters, CounterSource, CountersUnusable
from sr_engine.parsing import DeviceOutcome, Firmware, Outcome, Phase, RequestId, Response, Verdict

__all__ = [
    "ACCESS_CONTROL_BROKER",
    "MOST_DEVICES",
    "Answer",
    "AnswerRefused",
    "AsyncClient",
    "Client",
    "ClientError",
    "CounterSource",
    "Counters",
    "CountersUnusable",
    "DeviceOutcome",
    "Firmware",
    "InventoryResult",
    "KeyUnavailable",
    "ListRequest",
    "ListResult",
    "NoResponse",
    "NotAnswered",
    "NotTaken",
    "Options",
    "Outcome",
    "PartlyRefused",
    "Phase",
    "Refusal",
    "RequestId",
    "RequestNotSent",
    "RequestRefused",
    "Response",
    "Result",
    "Retries",
    "ScheduleResult",
    "SenderNotAuthenticated",
    "Sequencing",
    "ServiceRequestBody",
    "SignedRequest",
    "SigningFailed",
    "SigningKey",
    "SigningServer",
    "Signs",
    "SoftwareKey",
    "Trust",
    "Verdict",
    "approve",
    "cancellation",
    "decline",
    "defer",
    "delete_schedule",
    "exclude",
    "include",
    "read_hub",
    "read_inventory",
    "read_schedule",
    "schedule",
    "update_meter_firmware",
    "update_ppmid_firmware",
]
