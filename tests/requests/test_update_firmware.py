"""11.1 and 11.4: what is said of an image, and of each device of a list."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_engine.configuration.duis import CSP_REGIONS
from sr_engine.domain.deliveries import CplEntry, FirmwareTargets
from sr_engine.instance import SupplierSeed
from sr_engine.messages.model import FirmwareRefusal, FirmwareWarning, UpdateFirmware, UpdatePPMIDFirmware
from sr_engine.requests import update_firmware
from sr_engine.requests.outcome import Sender
from sr_engine.store import inventory
from sr_engine.store.tables import devices
from tests.firmware import (
    ENTRY,
    GAS_ENTRY,
    IMAGE,
    PPMID,
    PPMID_ENTRY,
    VERSION,
    Meters,
    esme,
    gsme,
    listed,
    ota,
    ppmid,
    refused,
)
from tests.world import NOW, A, B, TestHub, eui, make_world

HUB, SECOND = TestHub(1), TestHub(2, region="North")
FOREIGN = TestHub(3, electricity=B.name, gas=B.name)
SPLIT = TestHub(4, gas=B.name, han=PPMID)
UNKNOWN = eui(0xE0, 99)


@pytest.fixture
def meters(tmp_path: Path) -> Iterator[Meters]:
    world = make_world(tmp_path / "instance")
    world.add_hubs([HUB, SECOND, FOREIGN, SPLIT])
    listed(world, ENTRY, GAS_ENTRY, PPMID_ENTRY)
    yield Meters(world)
    world.close()


def change(meters: Meters, device_id: str, **values: object) -> None:
    """Change a device in the inventory."""
    meters.world.run(
        lambda uow: uow.connection.execute(devices.update().where(devices.c.device_id == device_id).values(**values))
    )


# --- the image -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "version", "code"),
    [
        (b"no header at all", VERSION, "E110105"),
        (ota(total=7), VERSION, "E110105"),
        (ota(file_version=0xACDCACDC), "00000000", "E110105"),
        (ota(file_version=0x00000001), "00000001", "E110101"),
        (ota(b"another payload"), VERSION, "E110102"),
        (IMAGE, VERSION, "I99"),
    ],
)
def test_an_image_is_refused_for_its_header_its_version_and_its_hash_in_that_order(
    meters: Meters, image: bytes, version: str, code: str
) -> None:
    answer = meters.update([esme(HUB)], image=image, version=version)

    assert (answer.code, answer.result) == (code, None)
    assert bool(meters.states()) == (code == "I99")


@pytest.mark.parametrize("status", ["Cancelled", "Expired", "Withdrawn"])
def test_a_version_that_is_not_active_on_the_cpl_is_refused(meters: Meters, status: str) -> None:
    listed(meters.world, replace(ENTRY, status=status), replace(GAS_ENTRY, status=status))

    assert meters.update([esme(HUB)]).code == "E110101"
    assert meters.update_ppmids([ppmid(SPLIT)]).code == "I99"


def test_the_entries_of_meters_are_none_for_ppmids(meters: Meters) -> None:
    listed(meters.world, replace(PPMID_ENTRY, status="Withdrawn"))

    assert meters.update_ppmids([ppmid(SPLIT)]).code == "E110401"


def test_the_codes_of_11_4_are_its_own(meters: Meters) -> None:
    assert meters.update_ppmids([ppmid(SPLIT)], image=b"").code == "E110405"
    assert meters.update_ppmids([ppmid(SPLIT)], image=ota(b"other")).code == "E110402"
    answer = meters.update_ppmids([esme(HUB)])
    assert (answer.code, refused(answer)) == ("E110403", {"InvalidDeviceIDList": (esme(HUB),)})


# --- the list --------------------------------------------------------------------------------------------------------


def test_a_list_that_is_accepted_in_full_is_answered_i99_without_a_result(meters: Meters) -> None:
    answer = meters.update([esme(HUB), esme(SECOND), esme(HUB).lower()])

    assert (answer.code, answer.result, answer.body_element) == ("I99", None, None)
    assert meters.states() == {esme(HUB): "Listed", esme(SECOND): "Listed"}


def test_each_device_that_is_refused_stands_in_the_first_list_that_applies_as_it_was_written(meters: Meters) -> None:
    change(meters, esme(SECOND), device_status="Pending", model="OTHER")

    answer = meters.update([esme(HUB), UNKNOWN.lower(), esme(SECOND).lower(), esme(FOREIGN), UNKNOWN, ppmid(SPLIT)])

    assert answer.code == "W110101"
    assert refused(answer) == {
        "InvalidDeviceIDList": (UNKNOWN.lower(), esme(FOREIGN), ppmid(SPLIT)),
        "NotCommissionedDeviceIDList": (esme(SECOND).lower(),),
    }
    assert meters.states() == {esme(HUB): "Listed"}


@pytest.mark.parametrize(
    "unfit",
    [
        {"model": "OTHER"},
        {"manufacturer": "121D"},
        {"firmware_version": VERSION},
        {"hub_id": None},
        {"hub_id": eui(0xC0, 98)},
    ],
)
def test_firmware_for_another_model_or_that_is_there_already_or_has_no_way_is_not_applicable(
    meters: Meters, unfit: dict[str, object]
) -> None:
    change(meters, esme(HUB), **unfit)

    answer = meters.update([esme(HUB)])

    assert answer.code == "E110103"
    assert refused(answer) == {"NotApplicableFirmwareDeviceIDList": (esme(HUB),)}


def test_the_header_names_the_manufacturer_of_the_devices(meters: Meters) -> None:
    answer = meters.update([esme(HUB)], image=ota(manufacturer=0x121D))

    assert refused(answer) == {"NotApplicableFirmwareDeviceIDList": (esme(HUB),)}


def test_where_it_is_known_from_which_versions_firmware_is_reachable_others_are_not_applicable(meters: Meters) -> None:
    listed(meters.world, replace(ENTRY, from_versions=frozenset({"00020001", "00020002"})))
    change(meters, esme(HUB), firmware_version="00020002")
    change(meters, esme(SECOND), firmware_version="00010009")

    answer = meters.update([esme(HUB), esme(SECOND)])

    assert (answer.code, refused(answer)) == ("W110101", {"NotApplicableFirmwareDeviceIDList": (esme(SECOND),)})


@pytest.mark.parametrize("region", ["Unknown", "SMETS1", None])
def test_a_region_whose_csp_is_not_served_has_no_firmware_and_the_hub_decides_the_region(
    meters: Meters, region: str | None
) -> None:
    change(meters, HUB.chf, csp_region=region)
    change(meters, esme(SECOND), csp_region=region)

    answer = meters.update([esme(HUB), esme(SECOND)])

    assert refused(answer) == {"NotApplicableFirmwareDeviceIDList": (esme(HUB),)}
    assert [one.hubs for one in meters.lists("North")] == [{SECOND.chf: (esme(SECOND),)}]


def test_a_device_takes_part_in_one_request_at_a_time(meters: Meters) -> None:
    meters.update([esme(HUB)])

    again = meters.update([esme(HUB), esme(SECOND)])

    assert (again.code, refused(again)) == ("W110101", {"OtherRequestInProgressList": (esme(HUB),)})


def test_another_gbcs_version_than_the_one_the_firmware_is_for_is_said(meters: Meters) -> None:
    listed(meters.world, replace(ENTRY, gbcs_version="4.1"))
    change(meters, esme(HUB), gbcs_version="3.2")
    change(meters, esme(SECOND), gbcs_version="4.1")

    answer = meters.update([esme(HUB), esme(SECOND), esme(SPLIT)])

    assert refused(answer) == {"InvalidGBCSVersionList": (esme(HUB),)}
    assert meters.states().keys() == {esme(SECOND), esme(SPLIT)}


def test_a_list_of_both_kinds_of_meter_is_refused_as_a_list(meters: Meters) -> None:
    answer = meters.update([esme(HUB), gsme(HUB)])

    assert (answer.code, answer.result) == ("E110106", None)
    assert meters.states() == {}


def test_a_list_without_any_meter_of_ones_own_devices_is_refused_as_a_list(meters: Meters) -> None:
    assert meters.update([HUB.chf, HUB.gpf, ppmid(SPLIT)]).code == "E110106"


# --- whose device it is ----------------------------------------------------------------------------------------------


def test_what_belongs_to_another_supplier_is_answered_like_what_does_not_exist(meters: Meters) -> None:
    """Electricity or gas, meter or hub, busy or not: nothing of it shows."""
    meters.update([esme(FOREIGN)], B)
    for device_id in (esme(FOREIGN), gsme(FOREIGN), gsme(SPLIT), FOREIGN.chf, UNKNOWN):
        alone = meters.update([device_id])
        assert (alone.code, refused(alone)) == ("E110103", {"InvalidDeviceIDList": (device_id,)})


def test_the_electricity_supplier_is_responsible_for_the_esme_and_the_gas_supplier_for_the_gsme(meters: Meters) -> None:
    assert meters.update([esme(SPLIT)], A).code == "I99"
    assert meters.update([gsme(SPLIT)], B).code == "I99"


@pytest.mark.parametrize("supplier", [A, B])
def test_either_supplier_of_a_home_may_update_its_ppmid(meters: Meters, supplier: SupplierSeed) -> None:
    assert meters.update_ppmids([ppmid(SPLIT)], supplier).code == "I99"


def test_authority_is_that_of_the_moment(meters: Meters) -> None:
    day = timedelta(days=1)
    row = {"mpxn": HUB.mpan, "role": "IS", "effective_from": NOW + day, "organisation": B.name}
    meters.world.run(lambda uow: inventory.put_registrations(uow.connection, [row]))
    assert meters.update([esme(HUB)], B).code == "E110103"

    meters.world.clock.set(NOW + day)

    assert meters.update([esme(HUB)], A).code == "E110103"
    assert meters.update([esme(HUB)], B).code == "I99"


# --- against a plain model -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Known:
    """Facts that are given."""

    targets: Mapping[str, FirmwareTargets]
    entries: Sequence[CplEntry]

    def cpl_entries(self, version: str, device_types: Collection[str]) -> Sequence[CplEntry]:
        return [one for one in self.entries if one.version == version and one.device_type in device_types]

    def firmware_targets(self, device_ids: Sequence[str]) -> Sequence[FirmwareTargets]:
        return [self.targets[device_id] for device_id in device_ids if device_id in self.targets]


_organisations = st.sampled_from(["me", "they", None])
_targets = st.builds(
    FirmwareTargets,
    device_type=st.sampled_from(["ESME", "ESME", "GSME", "PPMID", "CHF"]),
    status=st.sampled_from(["Commissioned", "Commissioned", "Suspended", "Recovered", "Pending", None]),
    manufacturer=st.sampled_from(["2B7E", "2b7e", "121D"]),
    model=st.sampled_from(["M1", "M2"]),
    version=st.sampled_from([None, "V1", VERSION]),
    gbcs_version=st.sampled_from([None, "3.2", "4.1"]),
    region=st.sampled_from(["North", "North", *CSP_REGIONS, None]),
    electricity=_organisations,
    gas=_organisations,
    in_progress=st.sampled_from([False, False, True]),
    device_ids=st.just(("",)),
    hub_ids=st.just((HUB.chf,)),
)
_entries = st.builds(
    CplEntry,
    manufacturer=st.sampled_from(["2B7E", "2b7e", "121D"]),
    model=st.sampled_from(["M1", "M2"]),
    device_type=st.sampled_from(["ESME", "GSME", "PPMID"]),
    version=st.just(VERSION),
    image_hash=st.just(ENTRY.image_hash),
    status=st.sampled_from(["Active", "Active", "Withdrawn"]),
    gbcs_version=st.sampled_from([None, "4.1"]),
    from_versions=st.sampled_from([frozenset[str](), frozenset({"V1"})]),
)
SERVED = frozenset({"North", "Central", "South"})


@settings(deadline=None, max_examples=150)
@given(
    numbers=st.lists(st.integers(0, 9), min_size=1, max_size=12, unique=True),
    targets=st.lists(_targets, max_size=8),
    entries=st.lists(_entries, max_size=6, unique_by=lambda one: (one.manufacturer, one.model, one.device_type)),
    roles=st.sampled_from([frozenset({"IS"}), frozenset({"GS"}), frozenset({"IS", "GS"})]),
    of_ppmids=st.booleans(),
)
def test_devices_are_judged_as_a_plain_model_judges_them(
    numbers: list[int], targets: list[FirmwareTargets], entries: list[CplEntry], roles: frozenset[str], of_ppmids: bool
) -> None:
    known = {eui(1, n): replace(target, device_ids=(eui(1, n),)) for n, target in enumerate(targets)}
    named = tuple(eui(1, number) for number in numbers)
    request = (UpdatePPMIDFirmware if of_ppmids else UpdateFirmware)(IMAGE, VERSION, named)
    sender = Sender("id", A.eui, "me", roles)
    types = {"PPMID"} if of_ppmids else {"ESME", "GSME"}
    family = "1104" if of_ppmids else "1101"

    outcome = update_firmware.decide(request, sender, Known(known, entries), regions=SERVED)

    usable = [one for one in entries if one.device_type in types and one.status == "Active"]
    if not usable:
        assert outcome.code == f"E{family}01"
        return
    mine = {
        one
        for one in named
        if one in known
        and (("IS" in roles and known[one].electricity == "me") or ("GS" in roles and known[one].gas == "me"))
    }
    kinds = {known[one].device_type for one in mine}
    if not of_ppmids and ({"ESME", "GSME"} <= kinds or (kinds and not kinds & types)):
        assert (outcome.code, outcome.result, outcome.firmware) == ("E110106", None, None)
        return
    expected = {one: _by_the_book(known.get(one), one in mine, types, usable) for one in named}
    accepted = tuple(one for one in named if expected[one] is None)
    rest = [one for one in named if expected[one] is not None]
    code = f"E{family}03" if not accepted else f"W{family}01" if rest else "I99"
    assert outcome.code == code
    assert (() if outcome.firmware is None else outcome.firmware.targets) == tuple(known[one] for one in accepted)
    said = outcome.result.refused if isinstance(outcome.result, FirmwareWarning) else {}
    assert {one: reason for reason, device_ids in said.items() for one in device_ids} == {
        one: expected[one] for one in rest
    }


def _by_the_book(
    target: FirmwareTargets | None, is_mine: bool, types: set[str], usable: Sequence[CplEntry]
) -> FirmwareRefusal | None:
    """The five lists in their order, each with the whole of what it is for."""
    if target is None or not is_mine or target.device_type not in types:
        return FirmwareRefusal.INVALID
    entry = next(
        (
            one
            for one in usable
            if (one.manufacturer, one.model, one.device_type) == (target.manufacturer, target.model, target.device_type)
        ),
        None,
    )
    checks: list[tuple[FirmwareRefusal, Callable[[CplEntry], bool]]] = [
        (
            FirmwareRefusal.NOT_APPLICABLE_FIRMWARE,
            lambda entry: (
                target.manufacturer.upper() != "2B7E"
                or target.version == VERSION
                or bool(entry.from_versions and target.version not in entry.from_versions)
                or target.region not in SERVED
            ),
        ),
        (FirmwareRefusal.OTHER_REQUEST_IN_PROGRESS, lambda _entry: target.in_progress),
        (
            FirmwareRefusal.INVALID_GBCS_VERSION,
            lambda entry: entry.gbcs_version is not None and target.gbcs_version == "3.2",
        ),
    ]
    if target.status not in {"Commissioned", "Suspended", "Recovered"}:
        return FirmwareRefusal.NOT_COMMISSIONED
    if entry is None:
        return FirmwareRefusal.NOT_APPLICABLE_FIRMWARE
    return next((reason for reason, applies in checks if applies(entry)), None)
