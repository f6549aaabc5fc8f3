"""Every response code that the table does not reserve is answered by at least one request here, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from sr_engine.domain.holding import CANCELLATION
from sr_engine.instance import SAMPLE_SUPPLIERS, SupplierSeed
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Body,
    CommsHubFirmwareResult,
    Decision,
    DeleteCommsHubFirmwareSchedule,
    ExclusionAction,
    Firmware,
    Period,
    Phase,
    ReadCommsHubFirmwareSchedule,
    ReadInventory,
    ScheduleCommsHubFirmware,
    UpdateCommsHubFirmwareExclusion,
    UpdateFirmware,
    UpdatePPMIDFirmware,
)
from sr_engine.store.tables import attempts, releases
from tests.firmware import (
    ENTRY,
    GAS_ENTRY,
    IMAGE,
    PPMID,
    PPMID_ENTRY,
    VERSION,
    esme,
    gsme,
    listed,
    ota,
    ppmid,
)
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, World, edit, eui, make_world

NETWORK = SupplierSeed("network", "00-00-5E-EF-10-00-00-A3", "http://127.0.0.1:8093/duis", roles=("ED",))
SUSPENDED = SupplierSeed("suspended", "00-00-5E-EF-10-00-00-A4", "http://127.0.0.1:8094/duis")
UNKNOWN = SupplierSeed("unknown", "00-00-5E-EF-10-00-00-A5", "http://127.0.0.1:8095/duis")

MANAGED = replace(FIRMWARE, version="9003")
NOWHERE = replace(FIRMWARE, version="1234")
NO_NIGHT = Period(NOW + timedelta(days=6, hours=3), NOW + timedelta(days=6, hours=5))
BACKWARDS = Period(WINDOW.end, WINDOW.start)
STRANGE = eui(0xEE, 1)


@dataclass
class Stage:
    """A world in which every request has fresh hubs of its own."""

    world: World
    numbers: Iterator[int]

    def hub(self, *, gas: str = A.name) -> TestHub:
        """A new hub of Supplier A."""
        hub = TestHub(next(self.numbers), gas=gas, han=PPMID)
        self.world.add_hubs([hub])
        return hub

    def send(self, body: Body, variant: str, supplier: SupplierSeed = A) -> str:
        return self.world.send(supplier, body, variant).code

    def scheduled(self, *hubs: TestHub) -> int:
        """A schedule of Supplier A for these hubs; its id."""
        answer = self.world.send(A, schedule(*hubs), "11.5")
        assert isinstance(answer.result, CommsHubFirmwareResult)
        assert answer.result.schedule_id is not None
        return answer.result.schedule_id

    def listed(self) -> tuple[TestHub, int]:
        """A hub that is with its CSP, and the schedule it rests on."""
        hub = self.hub()
        schedule_id = self.scheduled(hub)
        self.world.run(
            lambda uow: uow.connection.execute(
                attempts.update().where(attempts.c.hub_id == hub.chf).values(state="Listed", list_id="1" * 32)
            )
        )
        return hub, schedule_id


def schedule(*hubs: TestHub, firmware: Firmware = FIRMWARE, window: Period = WINDOW) -> ScheduleCommsHubFirmware:
    return ScheduleCommsHubFirmware(firmware, window, Phase.GENERAL, tuple(hub.chf for hub in hubs))


def approve(*hubs: TestHub, firmware: Firmware = FIRMWARE) -> ApproveCommsHubFirmware:
    return ApproveCommsHubFirmware(firmware, Decision.APPROVE, tuple(hub.chf for hub in hubs))


def delete(schedule_id: int, *hubs: TestHub) -> DeleteCommsHubFirmwareSchedule:
    return DeleteCommsHubFirmwareSchedule(schedule_id, tuple(hub.chf for hub in hubs))


def exclude(*hubs: TestHub) -> UpdateCommsHubFirmwareExclusion:
    return UpdateCommsHubFirmwareExclusion(ExclusionAction.EXCLUDE, tuple(hub.chf for hub in hubs))


def include(*hubs: TestHub) -> UpdateCommsHubFirmwareExclusion:
    return replace(exclude(*hubs), action=ExclusionAction.INCLUDE)


def bring(*meters: str, image: bytes = IMAGE, version: str = VERSION) -> UpdateFirmware:
    return UpdateFirmware(image, version, meters)


def bring_to_ppmids(*ppmids: str, image: bytes = IMAGE, version: str = VERSION) -> UpdatePPMIDFirmware:
    return UpdatePPMIDFirmware(image, version, ppmids)


ELSE = ota(b"another payload")
FIRST = ota(file_version=1)
"""Of a version that is not on the CPL."""


def _changed_under_its_signature(stage: Stage) -> str:
    """The one answer that is not signed."""
    data = stage.world.signed(A, approve(stage.hub()), "11.6").replace(b">Approve<", b">Decline<")
    return stage.world.post(data).code or ""


def _to_the_wrong_service(stage: Stage) -> str:
    return stage.world.post(stage.world.signed(A, approve(stage.hub()), "11.6"), "serviceS").code or ""


def _by_the_wrong_variant(stage: Stage) -> str:
    data = stage.world.signed(A, approve(stage.hub()), "11.6", command_variant=4)
    return stage.world.post(data).code or ""


def _after_another(stage: Stage) -> str:
    world = stage.world
    return world.post(world.signed(A, approve(stage.hub()), "11.6", preceding=world.request_id(B))).code or ""


def _finally(stage: Stage, preceding: Body | None, *, hours: int) -> str:
    """The final code of a request that waited for another, so many hours later."""
    world = stage.world
    before, now = world.request_id(A), world.clock.now()
    if preceding is not None:
        world.post(world.signed(A, preceding, "11.6", request_id=before))
    world.post(world.signed(A, approve(stage.hub()), "11.6", preceding=before))
    world.resume(now + timedelta(hours=hours))
    world.clock.set(now)
    return world.sent(A, "response")[-1].code


def _deleted_twice(stage: Stage) -> str:
    schedule_id = stage.scheduled(stage.hub())
    stage.send(delete(schedule_id), "11.8")
    return stage.send(delete(schedule_id), "11.8")


def _delete_listed(stage: Stage) -> str:
    _, schedule_id = stage.listed()
    return stage.send(delete(schedule_id), "11.8")


def _foreign(stage: Stage) -> TestHub:
    hub = TestHub(next(stage.numbers), electricity=B.name, gas=B.name)
    stage.world.add_hubs([hub])
    return hub


PAST = NOW - timedelta(days=1)

ROWS: dict[str, Callable[[Stage], str]] = {
    "I0": lambda stage: stage.send(schedule(stage.hub()), "11.5"),
    "I99": lambda stage: stage.send(approve(stage.hub()), "11.6"),
    "E1": lambda stage: stage.send(approve(stage.hub()), "11.6", UNKNOWN),
    "E2": lambda stage: stage.send(approve(stage.hub()), "11.6", NETWORK),
    "E3": lambda stage: stage.send(approve(stage.hub()), "11.6", SUSPENDED),
    "E4": lambda stage: stage.send(ReadCommsHubFirmwareSchedule(device_id=_foreign(stage).chf), "11.7"),
    "E11": lambda stage: stage.send(ReadCommsHubFirmwareSchedule(device_id=eui(0xE0, stage.hub().number)), "11.7"),
    "E12": _by_the_wrong_variant,
    "E13": _to_the_wrong_service,
    "E19": lambda stage: stage.send(ReadCommsHubFirmwareSchedule(device_id=STRANGE), "11.7"),
    "E40": lambda stage: _finally(stage, approve(stage.hub(), firmware=NOWHERE), hours=1),
    "E41": lambda stage: _finally(stage, None, hours=24),
    "E42": _after_another,
    "E100": _changed_under_its_signature,
    "E080201": lambda stage: stage.send(ReadInventory(device_id=STRANGE), "8.2"),
    "E110101": lambda stage: stage.send(bring(esme(stage.hub()), image=FIRST, version="00000001"), "11.1"),
    "E110102": lambda stage: stage.send(bring(esme(stage.hub()), image=ELSE), "11.1"),
    "E110103": lambda stage: stage.send(bring(esme(_foreign(stage))), "11.1"),
    "E110105": lambda stage: stage.send(bring(esme(stage.hub()), image=b"no header"), "11.1"),
    "E110106": lambda stage: stage.send(bring(esme(hub := stage.hub()), gsme(hub)), "11.1"),
    "W110101": lambda stage: stage.send(bring(esme(stage.hub()), STRANGE), "11.1"),
    "E110401": lambda stage: stage.send(bring_to_ppmids(ppmid(stage.hub()), image=FIRST, version="00000001"), "11.4"),
    "E110402": lambda stage: stage.send(bring_to_ppmids(ppmid(stage.hub()), image=ELSE), "11.4"),
    "E110403": lambda stage: stage.send(bring_to_ppmids(STRANGE), "11.4"),
    "E110405": lambda stage: stage.send(bring_to_ppmids(ppmid(stage.hub()), image=b"no header"), "11.4"),
    "W110401": lambda stage: stage.send(bring_to_ppmids(ppmid(stage.hub()), STRANGE), "11.4"),
    "E110501": lambda stage: stage.send(schedule(stage.hub(), firmware=NOWHERE), "11.5"),
    "E110502": lambda stage: stage.send(schedule(stage.hub(), window=BACKWARDS), "11.5"),
    "E110503": lambda stage: stage.send(schedule(_foreign(stage)), "11.5"),
    "E110504": lambda stage: stage.send(schedule(stage.hub(), window=NO_NIGHT), "11.5"),
    "E110505": lambda stage: stage.send(replace(schedule(stage.hub()), execution_date_time=PAST), "11.5"),
    "E110509": lambda stage: stage.send(replace(schedule(stage.hub()), execution_date_time=CANCELLATION), "11.5"),
    "E110506": lambda stage: stage.send(schedule(stage.hub(), firmware=MANAGED), "11.5"),
    "E110507": lambda stage: stage.send(replace(schedule(stage.hub()), replaces_schedule_id=1), "11.5"),
    "E110508": lambda stage: stage.send(schedule(stage.listed()[0]), "11.5"),
    "W110501": lambda stage: stage.send(schedule(stage.hub(), _foreign(stage)), "11.5"),
    "E110601": lambda stage: stage.send(approve(stage.hub(), firmware=NOWHERE), "11.6"),
    "E110603": lambda stage: stage.send(approve(_foreign(stage)), "11.6"),
    "E110605": lambda stage: stage.send(
        replace(approve(stage.hub()), decision=Decision.DEFER, defer_until=PAST), "11.6"
    ),
    "E110606": lambda stage: stage.send(approve(stage.hub(), firmware=MANAGED), "11.6"),
    "E110609": lambda stage: stage.send(replace(approve(stage.hub()), execution_date_time=CANCELLATION), "11.6"),
    "E110608": lambda stage: stage.send(approve(stage.listed()[0]), "11.6"),
    "W110601": lambda stage: stage.send(approve(stage.hub(), _foreign(stage)), "11.6"),
    "E110707": lambda stage: stage.send(ReadCommsHubFirmwareSchedule(schedule_id=1), "11.7"),
    "E110803": lambda stage: stage.send(delete(stage.scheduled(stage.hub()), stage.hub()), "11.8"),
    "E110807": lambda stage: stage.send(delete(1), "11.8"),
    "E110808": _delete_listed,
    "E110809": _deleted_twice,
    "W110801": lambda stage: stage.send(delete(stage.scheduled(hub := stage.hub()), hub, stage.hub()), "11.8"),
    "E110903": lambda stage: stage.send(exclude(_foreign(stage)), "11.9"),
    "E110905": lambda stage: stage.send(replace(exclude(stage.hub()), exclude_until=PAST), "11.9"),
    "E110908": lambda stage: stage.send(exclude(stage.listed()[0]), "11.9"),
    "E110909": lambda stage: stage.send(include(stage.hub()), "11.9"),
    "W110901": lambda stage: stage.send(exclude(stage.hub(), _foreign(stage)), "11.9"),
}


def _prepare(directory: Path) -> None:
    """One User is suspended, another is gone."""
    users = directory / "users.toml"
    edit(users, 'id = "suspended"\nstatus = "Active"', 'id = "suspended"\nstatus = "Suspended"')
    blocks = users.read_text(encoding="utf-8").split("[[organisation]]")
    users.write_text("[[organisation]]".join(block for block in blocks if UNKNOWN.eui not in block), encoding="utf-8")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    suppliers = (*SAMPLE_SUPPLIERS, NETWORK, SUSPENDED, UNKNOWN)
    world = make_world(tmp_path_factory.mktemp("instance"), suppliers=suppliers, prepare=_prepare)
    world.open_release()
    world.open_release(MANAGED)
    listed(world, ENTRY, GAS_ENTRY, PPMID_ENTRY)
    world.run(
        lambda uow: uow.connection.execute(
            releases.update().where(releases.c.version == MANAGED.version).values(management="DCCManaged")
        )
    )
    yield Stage(world, count(1))
    world.close()


@pytest.mark.parametrize("code", ROWS)
def test_the_code_is_answered(code: str, stage: Stage) -> None:
    assert ROWS[code](stage) == code


def test_no_row_of_the_table_is_left_out(stage: Stage) -> None:
    codes = stage.world.instance.configuration.response_codes
    assert set(ROWS) == {name for name, code in codes.items() if not code.reserved}
