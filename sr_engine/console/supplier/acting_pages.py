"""Having something done: what and to which hubs, a look at what it would come to, and the confirmation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from starlette.exceptions import HTTPException
from starlette.responses import Response

from sr_engine.configuration.console import ConsoleRole
from sr_engine.console.pages import Visit, url
from sr_engine.console.rendering import local_text, shown_span
from sr_engine.console.supplier.desk import SupplierDesk, acting_user, viewer_of
from sr_engine.console.supplier.hubs import badge_of_proposal
from sr_engine.console.supplier.selecting import Selection, SelectionRefused
from sr_engine.console.supplier.wishes import NEEDS_RELEASE, VERBS, Deed, Wish, WishRefused, named
from sr_engine.console.supplier.working_out import HasChanged, Person, ProposalRefused, Proposing
from sr_engine.console.tables import Cell, Column, Link, Table
from sr_engine.domain.upgrades import Release
from sr_engine.messages.model import RefusalReason
from sr_engine.operations.supplier_answers import UnknownSchedule
from sr_engine.operations.supplier_hubs import UnknownRelease
from sr_engine.store import proposals
from sr_engine.store.proposals import Proposal, ProposalState
from sr_engine.store.reading import Connection
from sr_engine.store.supplier_answers import OwnSchedule

_HINTS = {
    Deed.APPROVE: "You agree; it is scheduled once you, or the other Supplier of a split home, set a window.",
    Deed.SCHEDULE: "You agree, and set the window in which it is to happen.",
    Deed.DECLINE: "You do not agree. You can change that later.",
    Deed.DEFER: "You answer later; until then nothing happens.",
    Deed.EXCLUDE: "Kept out of pilots and voluntary waves, of every release. You need not say why.",
    Deed.INCLUDE: "Your own exclusion ends.",
    Deed.CANCEL: "Your schedule no longer holds for them.",
}
_NOT_TOLD: Mapping[str, object] = {
    "changed": None,
    "codes": None,
    "rows": None,
    "rows_refused": 0,
    "schedules": (),
    "accepted": 0,
    "before": 0,
    "repeated": False,
}
"""What is not said yet of a proposal that is being worked out."""
PROPOSAL_COLUMNS = (
    Column("What"),
    Column("State"),
    Column("Hubs", numeric=True),
    Column("By"),
    Column("Confirmed by"),
    Column("Begun"),
)
_SELECTED = ("release", "region", "state", "answer", "waiting", "id", "hubs", "schedule")


@dataclass(frozen=True, slots=True)
class _About:
    """What a selection is about."""

    release: Release | None
    schedule: OwnSchedule | None


@dataclass(frozen=True, slots=True)
class ActingPages:
    """The pages by which something is done."""

    supplier: SupplierDesk
    proposing: Proposing

    async def compose(self, visit: Visit) -> Response:
        """Ask what is to be done."""
        return await self._ask(visit, dict(visit.request.query_params), {}, {})

    async def _ask(
        self, visit: Visit, selected: Mapping[str, str], typed: Mapping[str, str], problems: Mapping[str, str]
    ) -> Response:
        try:
            selection = Selection.of(selected)
        except SelectionRefused:
            raise HTTPException(400) from None
        about = await visit.read(lambda connection: self._about(connection, visit, selection))
        offered = [
            deed
            for deed in Deed
            if (about.release is not None or deed not in NEEDS_RELEASE)
            and (selection.schedule_id is not None or deed is not Deed.CANCEL)
        ]
        zone, start = visit.desk.rules.pages.time_zone, visit.now + timedelta(days=4)
        defaults = {
            "window_start": local_text(start.replace(hour=0, minute=0), zone),
            "window_end": local_text(start.replace(hour=0, minute=0) + timedelta(days=14), zone),
        }
        chosen = typed.get("deed", "") or visit.query("deed")
        name = None if about.release is None else named(about.release.firmware)
        return await visit.show(
            "supplier/act.html",
            status=422 if problems else 200,
            problems=problems,
            selection_query=selection.query(),
            selection_words=selection.words(name),
            release=name,
            han=about.release is not None and bool(about.release.han_models),
            deeds=[(deed.value, VERBS[deed], _HINTS[deed]) for deed in offered],
            chosen=chosen or (Deed.CANCEL.value if selection.schedule_id is not None else ""),
            values={**defaults, **typed},
            user=acting_user(visit),
        )

    def _about(self, connection: Connection, visit: Visit, selection: Selection) -> _About:
        hubs = self.supplier.hubs
        try:
            if selection.schedule_id is not None:
                viewer = viewer_of(visit)
                schedule, _ = self.supplier.answers.schedule(connection, viewer, selection.schedule_id)
                return _About(hubs.release(connection, viewer, schedule.release_id, visit.now), schedule)
            if selection.release_id is not None:
                return _About(hubs.release(connection, viewer_of(visit), selection.release_id, visit.now), None)
        except (UnknownRelease, UnknownSchedule):
            raise HTTPException(404) from None
        return _About(None, None)

    async def take(self, visit: Visit) -> Response:
        """Take what is to be done, and show what it would come to."""
        typed = {name: visit.field(name) for name in visit.form}
        selected = {name: typed[name] for name in _SELECTED if typed.get(name)}
        try:
            selection = Selection.of(selected)
        except SelectionRefused:
            raise HTTPException(400) from None
        about = await visit.read(lambda connection: self._about(connection, visit, selection))
        firmware = None if about.release is None else about.release.firmware
        try:
            wish = Wish.of(typed, firmware, selection.schedule_id, visit.desk.rules.pages.time_zone)
        except WishRefused as refused:
            return await self._ask(visit, selected, typed, refused.problems)
        person = person_of(visit)
        if person is None:
            words = "your organisation has no User with the role IS or GS; ask the DCC"
            return await self._ask(visit, selected, typed, {"deed": words})
        release = None if about.release is None else named(about.release.firmware)
        title = f"{VERBS[wish.deed]}: {selection.words(release)}"
        proposal_id = await self.proposing.propose(person, wish, selection, title)
        return visit.go(f"/proposals/{proposal_id}")

    async def listed(self, visit: Visit) -> Response:
        """What was wanted lately, newest first."""
        before = None
        rows = visit.desk.rules.pages.rows
        if visit.query("before"):
            found = await visit.read(
                lambda connection: proposals.find(connection, visit.organisation, visit.query("before"))
            )
            before = None if found is None else (found.made_at, found.proposal_id)
        listed = await visit.read(
            lambda connection: proposals.listed(connection, visit.organisation, before=before, limit=rows + 1)
        )
        shown = listed[:rows]
        table = Table(
            "Actions",
            PROPOSAL_COLUMNS,
            [proposal_row(one, visit) for one in shown],
            "Nothing has been done here yet. Begin from a release, a list of hubs or a sheet.",
            next_href=url("/proposals", before=shown[-1].proposal_id) if len(listed) > rows else None,
            first_href=url("/proposals") if before is not None else None,
            export_href=url("/export/proposals"),
            caption_hidden=True,
        )
        return await visit.show("supplier/proposals.html", table=table)

    async def one(self, visit: Visit) -> Response:
        """A proposal: what it would come to, how far it has come, or what it has come to."""
        proposal_id = visit.request.path_params["proposal_id"]
        # What is seen comes first: if anything changes meanwhile, what is shown cannot be confirmed.
        seen, proposal, facts = await visit.read(
            lambda connection: (
                proposals.seen(connection, proposal_id),
                found := _find(connection, visit, proposal_id),
                _wanted(connection, found),
            )
        )
        told = _NOT_TOLD | json.loads(proposal.summary)
        rules, four_eyes = visit.desk.rules.proposals, False
        if rules.four_eyes and proposal.hub_count > rules.four_eyes_above:
            four_eyes = True
        over = proposal.is_over(visit.now)
        mine = proposal.author == visit.account.login
        busy = proposal.state in {ProposalState.PREPARING, ProposalState.WORKING}
        return await visit.show(
            "supplier/proposal.html",
            proposal=proposal,
            seen=seen,
            stale=visit.query("changed") == "yes",
            badge=badge_of_proposal("Expired" if over else proposal.state.value),
            facts=facts,
            told=told,
            refused=self._refused(told),
            codes=[
                (one["code"], one["detail"], self.supplier.advice.for_code(one["code"])) for one in told["codes"] or ()
            ],
            over=over,
            mine=mine,
            four_eyes=four_eyes,
            four_eyes_time=shown_span(rules.four_eyes_time),
            busy=busy,
            left=busy and not self.proposing.is_at_work(proposal.proposal_id),
            may_confirm=not over
            and (
                (proposal.state is ProposalState.DRAFT and mine and visit.may(ConsoleRole.ACT))
                or (proposal.state is ProposalState.WAITING and not mine and visit.may(ConsoleRole.APPROVE))
            ),
            may_turn_down=not over
            and proposal.state in {ProposalState.DRAFT, ProposalState.WAITING}
            and ((mine and visit.may(ConsoleRole.ACT)) or visit.may(ConsoleRole.APPROVE)),
            live=url(f"/proposals/{proposal.proposal_id}/live"),
        )

    def _refused(self, told: Mapping[str, object]) -> list[dict[str, object]]:
        refused = told.get("refused")
        found = []
        for reason, one in refused.items() if isinstance(refused, dict) else ():
            advice = self.supplier.advice.for_reason(RefusalReason(reason))
            found.append({"title": advice.title, "text": advice.text, "count": one["count"], "some": one["some"]})
        return found

    async def _found(self, visit: Visit) -> Proposal:
        return await visit.read(lambda connection: _find(connection, visit, visit.request.path_params["proposal_id"]))

    async def confirm(self, visit: Visit) -> Response:
        """Have it done; pressed twice, it is done once."""
        proposal = await self._found(visit)
        person = person_of(visit)
        wanted = ConsoleRole.APPROVE if proposal.state is ProposalState.WAITING else ConsoleRole.ACT
        if person is None or not visit.may(wanted):
            raise HTTPException(403)
        try:
            await self.proposing.confirm(person, proposal, visit.field("seen"))
        except HasChanged:
            return visit.go(f"/proposals/{proposal.proposal_id}", changed="yes")
        except ProposalRefused as refused:
            return await visit.show("error.html", status=409, heading="Not done", words=f"It was not done: {refused}.")
        return visit.go(f"/proposals/{proposal.proposal_id}")

    async def turn_down(self, visit: Visit) -> Response:
        """Have it not done."""
        proposal = await self._found(visit)
        person = person_of(visit)
        mine = proposal.author == visit.account.login
        if person is None or not (mine or visit.may(ConsoleRole.APPROVE)):
            raise HTTPException(403)
        await self.proposing.turn_down(person, proposal, withdraw=mine)
        return visit.go(f"/proposals/{proposal.proposal_id}")

    async def again(self, visit: Visit) -> Response:
        """Go on with what a process that ended has left half done."""
        proposal = await self._found(visit)
        person = person_of(visit)
        if person is None:
            raise HTTPException(403)
        if proposal.state is ProposalState.PREPARING:
            await self.proposing.prepare(person, proposal.proposal_id)
        elif proposal.state is ProposalState.WORKING:
            await self.proposing.go_on(person, proposal)
        return visit.go(f"/proposals/{proposal.proposal_id}")

    def stamp(self, visit: Visit, connection: Connection) -> str:
        """Changes with what is shown of a proposal."""
        return proposals.stamp(connection, visit.organisation, visit.request.path_params["proposal_id"])


def person_of(visit: Visit) -> Person | None:
    """As who somebody acts; None if there is no User to act for."""
    user = acting_user(visit)
    return None if user is None else Person(visit.account.login, visit.organisation, user.eui)


def _find(connection: Connection, visit: Visit, proposal_id: str) -> Proposal:
    found = proposals.find(connection, visit.organisation, proposal_id)
    if found is None:
        raise HTTPException(404)
    return found


def proposal_row(one: Proposal, visit: Visit) -> list[Cell]:
    """A proposal in a list."""
    state = "Expired" if one.is_over(visit.now) else one.state.value
    return [
        Link(one.title, url(f"/proposals/{one.proposal_id}")),
        badge_of_proposal(state),
        one.hub_count,
        one.author,
        one.decided_by,
        one.made_at,
    ]


def _wanted(connection: Connection, proposal: Proposal) -> list[tuple[str, object]]:
    kept = json.loads(proposals.content(connection, proposal.proposal_id))
    facts = [] if kept["wish"] is None else Wish.from_kept(kept["wish"]).facts()
    return [
        *facts,
        ("Hubs", proposal.hub_count),
        ("Wanted by", proposal.author),
        ("In the name of User", kept["user"]),
        *([("Confirmed by", proposal.decided_by)] if proposal.decided_by else []),
    ]
