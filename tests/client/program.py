"""A small adapter as a Supplier would write it, for the type checker: it is never run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import assert_type

from sr_engine.client import (
    Answer,
    AsyncClient,
    Client,
    DeviceOutcome,
    Firmware,
    InventoryResult,
    ListResult,
    NotAnswered,
    Outcome,
    PartlyRefused,
    RequestRefused,
    Retries,
    ScheduleResult,
    SigningServer,
    SoftwareKey,
    Trust,
    Verdict,
    approve,
    read_hub,
    read_inventory,
    schedule,
    update_meter_firmware,
)
from sr_engine.parsing import (
    Alert,
    CommsHubFirmwareResult,
    FirmwareUpgradeRequested,
    HubEvent,
    Inventory,
    Response,
    ScheduleRead,
    Unknown,
    parse_alert,
    parse_response,
    to_json,
)
from sr_engine.receiver import HandlerRetries, Message, Pull, Receiver

FIRMWARE = Firmware("2B7E", "C1A20001", "9002")


class Token:
    """A key that lives in a device: any object with these will do."""

    eui = "00-00-5E-EF-10-00-00-A1"
    issuer_name = "CN=Z1,OU=07"
    serial = 17

    def sign(self, data: bytes) -> bytes:
        return bytes(64) + data[:0]


def send(hubs: list[str], folder: Path) -> ListResult:
    key: SoftwareKey | Token | SigningServer = Token()
    now = datetime.now(UTC)
    with Client(
        "https://dcc.example",
        key=key,
        trust=Trust.from_directory(folder / "trust"),
        counters=folder / "counters",
        retries=Retries(tries=3),
        token="a token",
    ) as client:
        assert_type(client.send(read_inventory(uprn=1)), InventoryResult)
        assert_type(client.send(read_hub(hubs[0])), ScheduleResult)
        assert_type(client.send(update_meter_firmware(b"", "0102", hubs)), ListResult)
        try:
            result = client.send(schedule(FIRMWARE, hubs, start=now, end=now + timedelta(days=9)), preceding="a:b:1")
        except NotAnswered as error:
            result = ListResult.of((assert_type(client.submit(error.request), Answer),))
        assert_type(client.fetch_response(result.answers[0].request.request_id), Response | None)
    assert_type(result.outcome, Outcome)
    assert_type(result.refused, Mapping[str, DeviceOutcome])
    assert_type(result.devices[hubs[0]].verdict, Verdict)
    try:
        result.raise_for_refusal()
    except RequestRefused:
        raise
    except PartlyRefused as partly:
        print(partly.result, partly)
    return result


async def send_async(client: AsyncClient, hubs: list[str]) -> tuple[str, ...]:
    return assert_type(await client.send(approve(FIRMWARE, hubs)), ListResult).accepted


async def handle(message: Message) -> None:
    match message:
        case Alert(body=FirmwareUpgradeRequested(device_ids=hubs)):
            print(assert_type(hubs, tuple[str, ...]))
        case Alert() if message.event is HubEvent.LISTED:
            print(message.device_ids)
        case Alert(body=Unknown(xml=xml)):
            print(xml)
        case Response():
            print(message.request_id.text, message.refused)


def read(data: bytes, trust: Trust) -> None:
    response = assert_type(parse_response(data, trust, at=datetime.now(UTC)), Response)
    match response.body:
        case CommsHubFirmwareResult(schedule_id=schedule_id):
            print(assert_type(schedule_id, int | None))
        case Inventory(devices=devices):
            print([device.firmware_version for device in devices])
        case ScheduleRead(upgrades=upgrades):
            print([upgrade.status for upgrade in upgrades])
    print(to_json(assert_type(parse_alert(data, trust, at=datetime.now(UTC)), Alert)))


receiver = Receiver(
    Path("inbox.db"),
    Path("trust"),
    handle,
    pull=Pull("https://dcc.example", "a token", every=timedelta(minutes=5)),
    retries=HandlerRetries(tries=5),
)
