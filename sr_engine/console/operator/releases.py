"""Releases and how they stand in each region: what they may fail before they are halted, and the operator's word."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from hashlib import sha256

from starlette.responses import Response

from sr_engine.configuration.console import ConsoleRole
from sr_engine.console import charts
from sr_engine.console.counting import Counted
from sr_engine.console.operator import looks
from sr_engine.console.operator.office import Office, how, not_found
from sr_engine.console.pages import Entry, Page, Section, Visit, url
from sr_engine.console.rendering import shown_span
from sr_engine.console.tables import Badge, Column, Link, Table
from sr_engine.domain.phases import OutcomeCounts, PilotCounts, RegionPhase, gate_opens_at
from sr_engine.domain.states import AttemptState
from sr_engine.domain.upgrades import Release
from sr_engine.operations import phases as operations
from sr_engine.operations.releases import ReleaseRefused
from sr_engine.store import phases, releases, under_way
from sr_engine.store.reading import Connection
from sr_engine.store.under_way import Attempts
from sr_engine.store.units_of_work import UnitOfWork

_PATH = "/operator/releases"
_TOLD_AGAIN_AT_ONCE = 200
"""Portions of hubs whose Suppliers are told of a halt after it was answered, at most; a processor that runs goes on."""
STATUS_TONES = {"Open": "ok", "Closed": "plain", "Withdrawn": "bad"}
DONE = {
    "halted": "{region} is halted: nothing more is listed there, and the Suppliers of hubs that wait are told.",
    "halted-before": "{region} was halted already: nothing changed.",
    "resumed": "{region} goes on: the next lists are cut as planned, and the Suppliers of hubs that wait are told.",
    "resumed-before": "{region} was not halted: nothing changed.",
    "opened": "The gate of {region} is open: hubs of the General phase are listed from the next night on.",
    "opened-before": "The gate of {region} was open already: nothing changed.",
}


@dataclass(frozen=True, slots=True)
class RegionView:
    """How a release stands in a region."""

    phase: RegionPhase
    pilot: PilotCounts
    outcomes: OutcomeCounts | None
    """Since it was last resumed; None: they are being counted."""
    gate_opens_at: datetime | None
    attempts: Attempts
    shares: tuple[tuple[str, int], ...]

    @property
    def failure_percent(self) -> str | None:
        """Of outcomes since it was last resumed, the share that failed; None: there is none, or not yet."""
        counts = self.outcomes
        return f"{counts.failures * 100 / counts.sample:.1f}" if counts is not None and counts.sample else None

    def with_outcomes(self, counts: OutcomeCounts | None) -> RegionView:
        """The same with outcomes that were counted."""
        if counts is None:
            return self
        # Those since it was resumed are all there are where it never was.
        attempts = self.attempts.with_outcomes(counts) if self.phase.resumed_at is None else self.attempts
        return replace(self, outcomes=counts, attempts=attempts)


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """A release and its regions."""

    release: Release
    regions: tuple[RegionView, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What an operator is about to do in a region."""

    action: str
    """halt, resume or gate."""
    title: str
    button: str
    danger: bool = False


ACTIONS = {
    "halt": Asked("halt", "Halt", "Halt now", danger=True),
    "resume": Asked("resume", "Resume", "Resume now"),
    "gate": Asked("gate", "Open the gate", "Open the gate now"),
}


@dataclass(frozen=True, slots=True)
class Releases:
    """The pages about releases."""

    office: Office

    def section(self) -> Section:
        """Their addresses."""
        operator = ConsoleRole.OPERATOR
        return Section(
            pages=(
                Page(_PATH, self.list, operator),
                Page(f"{_PATH}/{{release_id}}", self.show, operator, stamp=self.stamp),
                Page(f"{_PATH}/{{release_id}}/count", self.count, operator, stamp=self.count_stamp),
                Page(f"{_PATH}/{{release_id}}/{{region}}/{{action}}", self.ask, operator),
                Page(f"{_PATH}/{{release_id}}/{{region}}/{{action}}", self.do, operator, changes=True),
            ),
            navigation=(Entry("Releases", _PATH, operator, "Upgrades"),),
        )

    async def list(self, visit: Visit) -> Response:
        """All releases, newest first."""
        found = await visit.read(releases.all_releases)
        rows = [
            (
                Link(_named(one), url(f"{_PATH}/{one.release_id}"), mono=True),
                Badge(one.status, STATUS_TONES.get(one.status, "plain")),
                Badge(one.cpl_status, "ok" if one.cpl_status == "Active" else "bad"),
                one.obligation,
                ", ".join(sorted(one.regions)),
                ", ".join(sorted(one.regions - one.general_open)),
                Badge(", ".join(sorted(one.halted)), "bad") if one.halted else None,
            )
            for one in found
        ]
        columns = ("Firmware", "Status", "CPL", "Obligation", "Regions", "Pilot only in", "Halted in")
        table = Table(
            "All releases",
            [Column(title) for title in columns],
            rows,
            empty="No release has been opened. `sr-engine release open` opens one.",
            caption_hidden=True,
        )
        return await visit.show("operator/releases.html", table=table)

    # --- one release ---

    def look(self, visit: Visit, connection: Connection) -> ReleaseView | None:
        """A release and how it stands, but for its outcomes; None for an unknown one."""
        release_id = visit.request.path_params["release_id"]
        try:
            release = releases.by_id(connection, release_id)
        except LookupError:
            return None
        shares = phases.shares_of(connection, release_id)
        most = self.office.rules.releases.count_up_to
        views = []
        for region, phase in phases.of_release(connection, release_id).items():
            pilot = phases.pilot_counts(connection, phase, visit.now)
            views.append(
                RegionView(
                    phase,
                    pilot,
                    None,
                    None if phase.general_open else gate_opens_at(phase.plan, pilot),
                    under_way.attempts_at(connection, release_id, region, most),
                    tuple((organisation, hubs) for where, organisation, hubs in shares if where == region),
                )
            )
        return ReleaseView(release, tuple(views))

    async def counted(self, visit: Visit, found: ReleaseView) -> ReleaseView:
        """The same with its outcomes, of which there are millions: counted beside the page, not long ago."""
        standing = {view.phase.region: view.phase for view in found.regions}

        def count(connection: Connection) -> dict[str, OutcomeCounts]:
            return {region: phases.outcome_counts(connection, phase) for region, phase in standing.items()}

        counted = await visit.desk.counting.get(_counts_of(found), count)
        outcomes = counted.value or {}
        regions = tuple(view.with_outcomes(outcomes.get(view.phase.region)) for view in found.regions)
        return ReleaseView(found.release, regions)

    def stamp(self, visit: Visit, connection: Connection) -> str:
        """Changes when the page would show anything else, and every minute, so that what is old is counted anew."""
        return _stamp(visit, self.look(visit, connection))

    async def show(self, visit: Visit) -> Response:
        """One release."""
        looked = await visit.read(lambda connection: self.look(visit, connection))
        if looked is None:
            raise not_found()
        found = await self.counted(visit, looked)
        release_id = found.release.release_id
        stamp = _stamp(visit, looked)
        done, region = visit.query("done"), visit.query("region")
        known = done in DONE and region in found.release.regions
        return await visit.show(
            "operator/release.html",
            found=found,
            named=_named(found.release),
            done=DONE[done].format(region=region) if known else "",
            done_tone="info" if done.endswith("-before") else "ok",
            chart=_chart(found),
            attempts=_attempts(found),
            span=shown_span,
            status_tone=STATUS_TONES.get(found.release.status, "plain"),
            base=f"{_PATH}/{release_id}",
            live=url(f"{_PATH}/{release_id}/live", stamp=stamp),
        )

    # --- counting every hub ---

    async def count(self, visit: Visit) -> Response:
        """Every hub of a release by the state of its newest attempt: counted beside everything else."""
        release_id = visit.request.path_params["release_id"]
        try:
            release = await visit.read(lambda connection: releases.by_id(connection, release_id))
        except LookupError:
            raise not_found() from None
        looked = self.office.looks.look(
            f"release {release_id}",
            lambda now: partial(looks.release, place=self.office.place, now=now, release_id=release_id),
        )
        table = None
        if looked.result is not None:
            states = [state for state in AttemptState if any(state in one.states for one in looked.result.regions)]
            table = Table(
                "Hubs by region and the state of their newest attempt",
                [
                    Column("Region"),
                    *(Column(title, numeric=True) for title in ("Hubs of the model", "On this version", *states)),
                ],
                [
                    (one.region, one.hubs, one.on_version, *(one.states.get(state, 0) for state in states))
                    for one in looked.result.regions
                ],
            )
        return await visit.show(
            "operator/release_count.html",
            release=release,
            named=_named(release),
            looked=looked,
            table=table,
            answers=[] if looked.result is None else list(looked.result.answers.items()),
            base=f"{_PATH}/{release_id}",
            live=url(f"{_PATH}/{release_id}/count/live", stamp=looked.stamp),
        )

    def count_stamp(self, visit: Visit, _connection: Connection) -> str:
        """Changes as the counting goes on."""
        return self.office.looks.known(f"release {visit.request.path_params['release_id']}").stamp

    # --- what an operator does ---

    def _asked(self, visit: Visit, connection: Connection) -> tuple[Asked, ReleaseView, RegionView]:
        """What is asked for, of what; raises HTTPException for what there is not."""
        found = self.look(visit, connection)
        asked = ACTIONS.get(visit.request.path_params["action"])
        region = visit.request.path_params["region"]
        if found is None or asked is None:
            raise not_found()
        view = next((one for one in found.regions if one.phase.region == region), None)
        if view is None:
            raise not_found()
        return asked, found, view

    async def ask(self, visit: Visit) -> Response:
        """What would happen, and the button that does it."""
        asked, found, view = await visit.read(lambda connection: self._asked(visit, connection))
        found = await self.counted(visit, found)
        view = next(one for one in found.regions if one.phase.region == view.phase.region)
        reason = visit.query("reason")
        return await self._confirm(visit, asked, found, view, reason=reason)

    async def _confirm(
        self,
        visit: Visit,
        asked: Asked,
        found: ReleaseView,
        view: RegionView,
        *,
        reason: str,
        problem: str = "",
        status: int = 200,
    ) -> Response:
        return await visit.show(
            "operator/release_action.html",
            status=status,
            asked=asked,
            found=found,
            view=view,
            named=_named(found.release),
            reason=reason,
            seen=_seen(view.phase),
            problem=problem,
            base=f"{_PATH}/{found.release.release_id}",
            action=f"{_PATH}/{found.release.release_id}/{view.phase.region}/{asked.action}",
        )

    async def do(self, visit: Visit) -> Response:
        """Halt, resume or open the gate, once, if all stands as it was shown."""
        asked, found, view = await visit.read(lambda connection: self._asked(visit, connection))
        release_id, region = found.release.release_id, view.phase.region
        seen, reason = visit.field("seen"), visit.field("reason")
        work = self._work(asked, found.release, region, reason, how(visit))

        def once(unit_of_work: UnitOfWork) -> str:
            phase = phases.of_release(unit_of_work.connection, release_id)[region]
            if _is_so(asked, phase):
                return f"{_WORDS[asked.action]}-before"
            if _seen(phase) != seen:
                raise ReleaseRefused("it has been halted or resumed since this page was made: look again")
            return _WORDS[asked.action] if work(unit_of_work) else f"{_WORDS[asked.action]}-before"

        try:
            done = await visit.write(once)
        except ReleaseRefused as refused:
            _, now_found, now_view = await visit.read(lambda connection: self._asked(visit, connection))
            return await self._confirm(
                visit, asked, now_found, now_view, reason=reason, problem=str(refused), status=422
            )
        if done in {"halted", "resumed"}:
            visit.desk.go_on(asyncio.create_task(self._tell(visit, found.release, region)))
        visit.desk.after_work()
        return visit.go(f"{_PATH}/{release_id}", done=done, region=region)

    def _work(self, asked: Asked, release: Release, region: str, reason: str, by: str) -> Callable[[UnitOfWork], bool]:
        steps, firmware = self.office.phases, release.firmware
        match asked.action:
            case "halt":
                return lambda uow: operations.halt(uow, steps, firmware, region, reason, how=by)
            case "resume":
                return lambda uow: operations.resume(uow, steps, firmware, region, how=by)
            case _:
                return lambda uow: operations.open_gate(uow, firmware, region, how=by)

    async def _tell(self, visit: Visit, release: Release, region: str) -> None:
        """Tell the Suppliers of all hubs that wait, portion by portion."""
        for _ in range(_TOLD_AGAIN_AT_ONCE):
            try:
                more = await visit.write(
                    lambda uow: operations.tell(uow, self.office.phases, release.firmware, region), heavy=True
                )
            except ReleaseRefused:
                # It was withdrawn meanwhile.
                return
            visit.desk.after_work()
            if not more:
                return


_WORDS = {"halt": "halted", "resume": "resumed", "gate": "opened"}


def _counts_of(found: ReleaseView) -> Hashable:
    """Under what its outcomes are kept: since it was resumed they are others."""
    return "outcomes", found.release.release_id, tuple(view.phase.resumed_at for view in found.regions)


def _stamp(visit: Visit, looked: ReleaseView | None) -> str:
    minute = int(visit.desk.signing_in.clock.now().timestamp()) // 60
    counted: Counted[object] | None = None if looked is None else visit.desk.counting.known(_counts_of(looked))
    return sha256(repr((looked, minute, counted and counted.value)).encode()).hexdigest()


def _is_so(asked: Asked, phase: RegionPhase) -> bool:
    match asked.action:
        case "halt":
            return phase.halted_at is not None
        case "resume":
            return phase.halted_at is None
        case _:
            return phase.general_open


def _seen(phase: RegionPhase) -> str:
    """Changes whenever a region is halted or resumed: what is decided is done to what was seen, and nothing else."""
    halted, resumed = (None if at is None else at.isoformat() for at in (phase.halted_at, phase.resumed_at))
    return f"{halted or '-'} {resumed or '-'}"


def _named(release: Release) -> str:
    firmware = release.firmware
    return f"{firmware.manufacturer} {firmware.model} {firmware.version}"


def _chart(found: ReleaseView) -> object:
    rows = [
        charts.Stack(
            view.phase.region,
            (
                charts.Part("activated", view.attempts.outcomes["Activated"].number, "ok"),
                charts.Part("under way", view.attempts.with_csp_or_waiting.number, "busy"),
                charts.Part("failed", view.attempts.outcomes["Failed"].number, "bad"),
                charts.Part("missed", view.attempts.outcomes["Missed"].number, "warn"),
            ),
        )
        for view in found.regions
    ]
    return charts.stacks("Attempts by region and what they have come to", rows, key="attempts", unit="attempts")


def _attempts(found: ReleaseView) -> Table:
    titles = ("Scheduled", "Under way", "Activated", "Failed", "Missed")
    rows = [
        (
            view.phase.region,
            str(view.attempts.scheduled),
            str(view.attempts.with_csp_or_waiting),
            *(str(view.attempts.outcomes[state]) for state in ("Activated", "Failed", "Missed")),
        )
        for view in found.regions
    ]
    return Table("Attempts by region", [Column("Region"), *(Column(one, numeric=True) for one in titles)], rows)
