"""Releases: those that wait for the Supplier, and its hubs of each by state and region, as numbers and charts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from starlette.exceptions import HTTPException
from starlette.responses import Response

from sr_engine.console.charts import TONES, Bar, Part, Stack, bars, stacks
from sr_engine.console.counting import Counted as Numbers
from sr_engine.console.pages import Visit, url
from sr_engine.console.supplier.desk import SupplierDesk, viewer_of
from sr_engine.console.supplier.wishes import named
from sr_engine.console.supplier.words import TONE_NAMES, tone_of, words
from sr_engine.console.tables import Badge, Cell, Column, Link, Table
from sr_engine.domain.upgrades import Release
from sr_engine.messages.model import UpgradeStatus
from sr_engine.operations.supplier_hubs import ReleaseAtSupplier, UnknownRelease
from sr_engine.store import proposals
from sr_engine.store.reading import Connection
from sr_engine.store.supplier_hubs import Counted


@dataclass(frozen=True, slots=True)
class ReleasePages:
    """The pages about releases."""

    supplier: SupplierDesk

    async def listed(self, visit: Visit) -> Response:
        """What waits for an answer first, then the other releases that concern hubs of the Supplier."""
        known, waiting_proposals = await visit.read(
            lambda connection: (
                self.supplier.hubs.concerning(connection, viewer_of(visit), visit.now),
                proposals.waiting(connection, visit.organisation, visit.now),
            )
        )
        counted = [(release, await self.numbers(visit, release)) for release in known if release.status != "Withdrawn"]
        mine = [
            ReleaseAtSupplier(release, tuple(numbers.value))
            for release, numbers in counted
            if numbers.value is not None
        ]
        open_ones = [one for one in mine if one.release.status == "Open"]
        waiting = sorted((one for one in open_ones if one.waiting), key=_by_urgency)
        others = [one for one in mine if one not in waiting]
        return await visit.show(
            "supplier/releases.html",
            waiting=[(one, _share(one), one.release.comply_by) for one in waiting],
            others=_others(others),
            counting=any(numbers.value is None for _, numbers in counted),
            age=max((numbers.age for _, numbers in counted), default=0.0),
            waiting_proposals=waiting_proposals,
            named=named,
            live=url("/releases/live"),
        )

    async def numbers(self, visit: Visit, release: Release) -> Numbers[list[Counted]]:
        """The Supplier's hubs of a release by region and state, counted not long ago."""
        viewer, release_id = viewer_of(visit), release.release_id
        return await visit.desk.counting.get(
            (visit.organisation, release_id),
            lambda connection: self.supplier.hubs.counts(connection, viewer, release_id, visit.now),
        )

    async def one(self, visit: Visit) -> Response:
        """One release: what it asks for, and the Supplier's hubs by state and region."""
        release_id, viewer = visit.request.path_params["release_id"], viewer_of(visit)
        try:
            release = await visit.read(
                lambda connection: self.supplier.hubs.release(connection, viewer, release_id, visit.now)
            )
        except UnknownRelease:
            raise HTTPException(404) from None
        numbers = await self.numbers(visit, release)
        counts = numbers.value or []
        return await visit.show(
            "supplier/release.html",
            release=release,
            name=named(release.firmware),
            counting=numbers.value is None,
            age=numbers.age,
            total=sum(one.hubs for one in counts),
            waiting=sum(one.hubs for one in counts if one.waiting),
            by_state=_by_state(release_id, counts),
            by_region=_by_region(release_id, counts),
            facts=_facts(release),
            tones=TONE_NAMES,
            live=url(f"/releases/{release_id}/live"),
        )

    def stamp(self, visit: Visit, connection: Connection) -> str:
        """Changes when something was counted, and every minute, so that what is old is counted anew."""
        waiting = proposals.waiting(connection, visit.organisation, visit.now)
        minute = int(visit.desk.signing_in.clock.now().timestamp()) // 60
        return f"{visit.desk.counting.finished(visit.organisation)}|{minute}|{waiting}"


def _by_urgency(one: ReleaseAtSupplier) -> tuple[bool, datetime | str, int]:
    comply_by = one.release.comply_by
    return (comply_by is None, "" if comply_by is None else comply_by.isoformat(), -one.waiting)


def _share(one: ReleaseAtSupplier) -> object:
    tones = _by_tone(one.counts)
    parts = [Part(TONE_NAMES[tone], tones[tone], tone) for tone in TONES]
    return stacks("Your hubs of this release", [Stack("Your hubs", parts)], key=one.release.release_id)


def _by_tone(counts: Sequence[Counted]) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in counts:
        found["warn" if one.waiting else tone_of(one.status)] += one.hubs
    return found


def _others(found: Sequence[ReleaseAtSupplier]) -> Table:
    rows: list[list[Cell]] = []
    for one in found:
        status = one.release.status
        tones = _by_tone(one.counts)
        rows.append(
            [
                Link(named(one.release.firmware), url(f"/releases/{one.release.release_id}")),
                Badge(status, "ok" if status == "Open" else "plain"),
                one.hubs,
                tones["ok"],
                tones["busy"],
                tones["bad"],
            ]
        )
    titles = ("Your hubs", "Upgraded", "Under way", "Failed or missed")
    columns = (Column("Firmware"), Column("Release"), *(Column(title, numeric=True) for title in titles))
    return Table("Other releases", columns, rows, "There is no other release for your hubs.", caption_hidden=True)


def _facts(release: Release) -> list[tuple[str, Cell]]:
    found: list[tuple[str, Cell]] = [
        ("State", Badge(release.status, "ok" if release.status == "Open" else "plain")),
        ("Obligation", release.obligation),
    ]
    if release.comply_by is not None:
        found.append(("To be complied with by", release.comply_by))
    found += [
        ("Decided by", "the DCC" if release.management == "DCCManaged" else "the Suppliers"),
        ("Can be installed on", ", ".join(sorted(release.reachable_from))),
        ("Regions", ", ".join(sorted(release.regions))),
        ("General phase open in", ", ".join(sorted(release.general_open)) or None),
    ]
    if release.halted:
        found.append(("Halted in", Badge(", ".join(sorted(release.halted)), "bad")))
    if release.han_models:
        models = ", ".join(f"{manufacturer} {model}" for manufacturer, model in sorted(release.han_models))
        found.append(("Devices in the home that may stop working", models))
    return found


def _by_state(release_id: str, counts: Sequence[Counted]) -> dict[str, object]:
    numbers: Counter[UpgradeStatus] = Counter()
    for one in counts:
        numbers[one.status] += one.hubs
    states = [status for status in UpgradeStatus if numbers[status]]
    rows: list[list[Cell]] = [
        [Link(words(one), url("/hubs", release=release_id, state=one.value)), numbers[one]] for one in states
    ]
    drawn = bars("Your hubs by state", [Bar(words(one), numbers[one], tone_of(one)) for one in states], key="states")
    table = Table("Your hubs by state", (Column("State"), Column("Hubs", numeric=True)), rows, caption_hidden=True)
    return {"svg": drawn, "table": table}


def _by_region(release_id: str, counts: Sequence[Counted]) -> dict[str, object]:
    regions = sorted({one.region for one in counts})
    rows: list[list[Cell]] = []
    drawn = []
    for region in regions:
        here = [one for one in counts if one.region == region]
        tones = _by_tone(here)
        drawn.append(Stack(region, [Part(TONE_NAMES[tone], tones[tone], tone) for tone in TONES]))
        link = Link(region, url("/hubs", release=release_id, region=region))
        rows.append([link, sum(tones.values()), *(tones[tone] for tone in TONES)])
    columns = (
        Column("Region"),
        Column("Hubs", numeric=True),
        *(Column(TONE_NAMES[tone], numeric=True) for tone in TONES),
    )
    table = Table("Your hubs by region", columns, rows, caption_hidden=True)
    return {"svg": stacks("Your hubs by region", drawn, key="regions"), "table": table}
