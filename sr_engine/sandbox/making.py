"""Makes the instance of a sandbox, whose parties all listen on one port, and a first request to try."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from signing import Signer, SoftwareKey
from sr_engine.bootstrap import open_instance
from sr_engine.configuration import ClockSettings, Region
from sr_engine.instance import SupplierSeed
from sr_engine.messages.compose import build_request
from sr_engine.messages.model import Firmware, Period, Phase, ScheduleCommsHubFirmware
from sr_engine.replay.given import Given, Standing
from sr_engine.replay.homes import MANUFACTURER, MODEL
from sr_engine.replay.remote import GIVEN_FILE, digest_of
from sr_engine.replay.theatre import closing, furnish, make_instance
from sr_engine.sandbox.town import VERSION

FIRST_REQUEST = "first-request.xml"
CSP_PATH, SUPPLIER_PATH = "/sandbox/csp", "/sandbox/suppliers"
_HUBS_OF_FIRST_REQUEST = 3


@dataclass(frozen=True, slots=True)
class Sandbox:
    """An instance that is ready to be served on a port of this computer."""

    directory: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def make_sandbox(directory: Path, given: Given, *, now: datetime, port: int, rate: float) -> Sandbox:
    """Make it in an empty folder, as of now; its clock runs `rate` times as fast as others.

    Raises InstanceExistsError for a folder that is not empty.
    """
    suppliers = {
        name: replace(one, receiving_url=f"http://127.0.0.1:{port}{SUPPLIER_PATH}/{one.name}")
        for name, one in given.suppliers.items()
    }
    made = replace(given, at=now, suppliers=suppliers)
    clock = None if rate == 1 else ClockSettings(now, now, rate)
    make_instance(directory, made, port=port, environment="sandbox", clock=clock)
    _point_regions_at(directory / "config" / "regions.toml", port)
    _look_often(directory / "config" / "policy.toml")
    instance = open_instance(directory)
    with closing(instance.engine, instance.reading_engine):
        furnish(instance, made)
        broker = instance.configuration.policy.access_control_broker_eui
    if (first := _first_request(directory, made, broker, now)) is not None:
        (directory / FIRST_REQUEST).write_bytes(first)
    # Last: without it the sandbox was not finished.
    (directory / GIVEN_FILE).write_text(f"{digest_of(given)}\n", encoding="utf-8")
    return Sandbox(directory, port)


def path_of_region(region: Region) -> str:
    """Where the CSP of a region receives."""
    return f"{CSP_PATH}/{region.name.lower().replace(' ', '-')}"


def _homes_alone(given: Given, supplier: SupplierSeed) -> list[str]:
    """The hubs of homes for which one Supplier alone is responsible, if it may send requests."""
    if supplier.status != Standing.ACTIVE:
        return []
    return [one.chf for one in given.homes.values() if {one.electricity, one.gas} - {None} == {supplier.name}]


def _point_regions_at(file: Path, port: int) -> None:
    """Every region's lists go to its CSP in the sandbox."""
    text = file.read_text(encoding="utf-8")
    blocks = re.split(r"(?m)^(?=\[region\.)", text)
    moved = [blocks[0]]
    for block in blocks[1:]:
        name = re.match(r'\[region\."?([^"\]]+)"?\]', block)
        path = "" if name is None else f"{CSP_PATH}/{name[1].lower().replace(' ', '-')}"
        moved.append(re.sub(r'(?m)^endpoint = ".*"$', f'endpoint = "http://127.0.0.1:{port}{path}"', block))
    file.write_text("".join(moved), encoding="utf-8")


def _look_often(file: Path) -> None:
    """Have it look for what is due every few seconds: else, on a fast clock, nights lie between two looks."""
    text = file.read_text(encoding="utf-8")
    file.write_text(re.sub(r"(?m)^tick_seconds = \d+$", "tick_seconds = 5", text), encoding="utf-8")


def _first_request(directory: Path, given: Given, broker: str, now: datetime) -> bytes | None:
    """An 11.5 of the first User that has homes for the first that are its alone, in a window that begins tomorrow.

    None where no User has homes alone.
    """
    alone = {name: _homes_alone(given, one) for name, one in given.suppliers.items() if name not in given.strangers}
    name, own = next(((name, own) for name, own in alone.items() if own), ("", []))
    if not own:
        return None
    supplier = given.suppliers[name]
    start = now.replace(microsecond=0) + timedelta(days=1)
    version = given.releases[0].version if given.releases else VERSION
    body = ScheduleCommsHubFirmware(
        Firmware(MANUFACTURER, MODEL, version),
        Period(start, start + timedelta(days=14)),
        Phase.GENERAL,
        tuple(own[:_HUBS_OF_FIRST_REQUEST]),
    )
    root = build_request(
        schema_version="5.4",
        request_id=f"{supplier.eui}:{broker}:{int(now.timestamp() * 1000)}",
        command_variant=8,
        service_reference="11.5",
        service_reference_variant="11.5",
        body=body,
    )
    folder = directory / "pki" / given.suppliers[name].name
    return Signer(SoftwareKey.load(folder / "key.pem", folder / "certificate.pem")).sign(root)
