"""What somebody wants done: worked out, looked at, confirmed, by a second person where that is wanted, and done once.

Each request of a proposal has a key made of the proposal's id: however often it is confirmed, by a double click or
after a crash, it is done once. The hubs are frozen with what was looked at, and selected anew when it is confirmed: if
others are selected by then, it is looked at again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from sr_engine.console.desk import Desk
from sr_engine.console.supplier.contents import Content
from sr_engine.console.supplier.desk import SupplierDesk, viewer
from sr_engine.console.supplier.plans import Plan, SelectionPlan, SheetPlan
from sr_engine.console.supplier.selecting import Selection, SelectionRefused
from sr_engine.console.supplier.wishes import Wish
from sr_engine.domain.eligibility import Applicant
from sr_engine.messages.model import Firmware
from sr_engine.operations.accounts import actor_of
from sr_engine.operations.supplier_answers import UnknownSchedule
from sr_engine.operations.supplier_hubs import UnknownRelease
from sr_engine.pipeline.acting import Act, ActAnswer, Channel, KeyUsedBefore, NotTaken, Prepared, Tally
from sr_engine.spreadsheets.refusals import SheetRefused
from sr_engine.store import proposals
from sr_engine.store.audit import Entry, record
from sr_engine.store.proposals import Proposal, ProposalState
from sr_engine.store.reading import Connection
from sr_engine.store.units_of_work import UnitOfWork

log = logging.getLogger(__name__)

_SHEETS_KEPT = timedelta(days=30)
"""Then a sheet and its report are forgotten; what was done stays."""
_TAKEN_UP_WITHIN = timedelta(days=1)
"""What was confirmed longer ago, in a database that was restored say, somebody has to go on with who knows."""
_TITLE_MAX = 200
_BEFORE_CONFIRMED = (ProposalState.DRAFT,)


class ProposalRefused(Exception):
    """A proposal cannot be confirmed or turned down so, and why."""


class HasChanged(Exception):
    """What would be done is not what was looked at any more; nothing was done."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who wants or confirms something, for an organisation and in the name of one of its Users."""

    login: str
    organisation: str
    user_eui: str


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A sheet that somebody brought."""

    name: str
    data: bytes


class Proposing:
    """Works proposals out and carries them out, each in a task of its own; pages look at how far it has come."""

    def __init__(self, desk: Desk, supplier: SupplierDesk) -> None:
        self._desk = desk
        self._supplier = supplier
        self._rules = desk.rules.proposals
        self._most = desk.configuration.policy.limits.list_max_devices
        self._running: dict[str, asyncio.Task[None]] = {}

    async def propose(
        self, person: Person, wish: Wish | None, selection: Selection, title: str, *, sheet: Uploaded | None = None
    ) -> str:
        """Record what somebody wants and begin to work out what it would come to; returns the proposal's id.

        With a sheet its rows say what, and the selection no more than for which release if a row names none.
        """
        proposal_id = self._desk.draw_id()
        content = Content(person.user_eui, wish, selection).write()

        def add(unit_of_work: UnitOfWork) -> None:
            now = unit_of_work.now
            proposals.forget(unit_of_work.connection, now, kept=_SHEETS_KEPT)
            proposals.add(
                unit_of_work.connection,
                proposal_id=proposal_id,
                organisation=person.organisation,
                author=person.login,
                now=now,
                expires_at=now + self._rules.draft,
                title=title[:_TITLE_MAX],
                content=content,
                file_name=None if sheet is None else sheet.name,
                file=None if sheet is None else sheet.data,
            )

        await self._desk.transactions.run(add, heavy=sheet is not None, of=person.user_eui)
        await self.prepare(person, proposal_id)
        return proposal_id

    async def prepare(self, person: Person, proposal_id: str) -> None:
        """Begin, or begin again, to work out what a proposal would come to."""
        await self._begin(proposal_id, lambda: self._prepare(person, proposal_id))

    async def confirm(self, person: Person, proposal: Proposal, seen: str) -> None:
        """Have a proposal done that its author has looked at, or leave it to a second person.

        `seen` is what `proposals.seen` said when they looked. Raises ProposalRefused, and HasChanged if what would be
        done now is something else.
        """
        now = self._desk.clock.now()
        if proposal.is_over(now):
            raise ProposalRefused("it was left for too long: begin again")
        if proposal.state is ProposalState.DRAFT:
            if proposal.author != person.login:
                raise ProposalRefused("only its author can confirm a draft")
            if self._rules.four_eyes and proposal.hub_count > self._rules.four_eyes_above:
                await self._desk.transactions.run(lambda uow: self._leave_to_another(uow, proposal, seen))
                return
        elif proposal.state is ProposalState.WAITING:
            if proposal.author == person.login:
                raise ProposalRefused("somebody else has to confirm what you want done")
        else:
            return
        await self._desk.read(lambda connection: _check_seen(connection, proposal, seen))
        await self._begin(proposal.proposal_id, lambda: self._carry_out(person, proposal, seen))

    async def go_on(self, person: Person, proposal: Proposal) -> None:
        """Go on with what was confirmed and begun, and what a process that ended has left half done."""
        await self._begin(proposal.proposal_id, lambda: self._carry_out(person, proposal, None))

    async def left(self) -> list[Proposal]:
        """What was confirmed not long ago, and is neither done nor worked on by this process."""
        since = self._desk.clock.now() - _TAKEN_UP_WITHIN
        found = await self._desk.read(lambda connection: proposals.working(connection, since))
        return [one for one in found if not self.is_at_work(one.proposal_id)]

    async def take_up(self, proposal: Proposal) -> None:
        """Go on with it in the name of who confirmed it."""
        kept = await self._desk.read(lambda connection: proposals.content(connection, proposal.proposal_id))
        login = proposal.decided_by or proposal.author
        await self.go_on(Person(login, proposal.organisation, Content.read(kept).user_eui), proposal)

    async def turn_down(self, person: Person, proposal: Proposal, *, withdraw: bool) -> None:
        """Have nothing done: by its author (`withdraw`), or by the second person."""
        states = (ProposalState.DRAFT, ProposalState.WAITING, ProposalState.PREPARING, ProposalState.FAILED)

        def end(unit_of_work: UnitOfWork) -> None:
            ended = proposals.change(
                unit_of_work.connection,
                proposal.proposal_id,
                in_states=states,
                state=ProposalState.TURNED_DOWN.value,
                decided_by=person.login,
                decided_at=unit_of_work.now,
            )
            if ended and proposal.state is ProposalState.WAITING:
                how = "withdrawn" if withdraw else "turned down"
                self._audit(unit_of_work, person.login, f"proposal {how}", proposal)

        await self._desk.transactions.run(end)

    async def _begin(self, proposal_id: str, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """One task for a proposal, however often its button is pressed; waits a little, for most are done at once."""
        task = self._running.get(proposal_id)
        if task is None or task.done():
            task = self._running[proposal_id] = asyncio.create_task(work())
            task.add_done_callback(lambda _: self._running.pop(proposal_id, None))
            self._desk.go_on(task)
        await asyncio.wait({task}, timeout=self._desk.rules.pages.wait.total_seconds())

    def is_at_work(self, proposal_id: str) -> bool:
        """Whether this process works on a proposal; what no process works on can be begun again."""
        return proposal_id in self._running

    async def _prepare(self, person: Person, proposal_id: str) -> None:
        now = self._desk.clock.now()
        try:
            values = await self._desk.read(lambda connection: self._preview(connection, person, proposal_id, now))
        except (SelectionRefused, SheetRefused, NotTaken, UnknownSchedule, UnknownRelease) as refused:
            values = _failed(str(refused) or "what was selected is not there any more")
        except Exception:
            log.exception("proposal %s could not be worked out", proposal_id)
            values = _failed("it could not be worked out; begin again, or tell your operator the time")
        states = (ProposalState.PREPARING, ProposalState.DRAFT)
        await self._desk.transactions.run(
            lambda uow: proposals.change(uow.connection, proposal_id, in_states=states, **values),
            heavy=True,
            of=person.user_eui,
        )

    def _preview(self, connection: Connection, person: Person, proposal_id: str, now: datetime) -> dict[str, object]:
        content = Content.read(proposals.content(connection, proposal_id))
        if content.wish is not None:
            content = replace(content, hub_ids=self._select(connection, person, content.selection, now))
        plan = self._plan(connection, person, content, proposal_id, actor_of(person.login))
        if content.wish is None:
            named = [hub_id for act in plan.acts for hub_id in act.body.device_ids]
            same = self._supplier.hubs.named_twice(connection, self._viewer(person), named, now)
            content = replace(content, same=same, keys=())
            plan = self._plan(connection, person, content, proposal_id, actor_of(person.login)) if same else plan
        unit_of_work = UnitOfWork(connection, now)
        acting, tally = self._supplier.acting, Tally()
        prepared = [acting.prepare(act) for act in plan.acts]
        answers = [acting.preview(unit_of_work, one, tally) for one in prepared]
        if content.wish is None:
            answers = [self._as_before(connection, one, answer) for one, answer in zip(prepared, answers, strict=True)]
            told = zip(prepared, answers, strict=True)
            keys = (self._key_not_refused(connection, one) if answer.accepted else one.act.key for one, answer in told)
            content = replace(content, keys=tuple(keys))
        return {
            "state": ProposalState.DRAFT.value,
            "hub_count": plan.hubs,
            "acts": len(plan.acts),
            "content": content.write(),
            **plan.told(answers, preview=True),
        }

    def _as_before(self, connection: Connection, prepared: Prepared, answer: ActAnswer) -> ActAnswer:
        """What an act would be answered that was done before, by the same sheet: it is not done again."""
        code = self._supplier.acting.answered(connection, prepared)
        return answer if code is None or code.startswith("E") else replace(answer, repeated=True)

    def _key_not_refused(self, connection: Connection, prepared: Prepared) -> str:
        """The first key under which it was not refused: what was done is done once, what was not can be done by now.

        The keys follow from each other, so that all who bring the same sheet come to the same one.
        """
        acting = self._supplier.acting
        while (acting.answered(connection, prepared) or "").startswith("E"):
            key = hashlib.sha256(f"{prepared.act.key} again".encode()).hexdigest()
            prepared = acting.prepare(replace(prepared.act, key=key))
        return prepared.act.key

    def _plan(self, connection: Connection, person: Person, content: Content, proposal_id: str, account: str) -> Plan:
        """The requests, which are the same each time; raises SheetRefused and UnknownRelease."""
        if content.wish is not None:
            bodies = content.wish.bodies(content.hub_ids, self._most)
            return SelectionPlan(
                [
                    Act(Channel.CONSOLE, account, content.user_eui, f"{proposal_id}-{number}", body)
                    for number, body in enumerate(bodies)
                ]
            )
        name, data = proposals.file(connection, proposal_id)
        release_id = content.selection.release_id
        plan = SheetPlan.of(
            name,
            data,
            self._desk.configuration.spreadsheets,
            firmware=None if release_id is None else self._firmware(connection, person, release_id),
            account=account,
            user_eui=content.user_eui,
            most=self._most,
            same=content.same,
        )
        if not content.keys:
            return plan
        return replace(plan, acts=[replace(act, key=key) for act, key in zip(plan.acts, content.keys, strict=True)])

    def _firmware(self, connection: Connection, person: Person, release_id: str) -> Firmware:
        now = self._desk.clock.now()
        return self._supplier.hubs.release(connection, self._viewer(person), release_id, now).firmware

    def _select(self, connection: Connection, person: Person, selection: Selection, now: datetime) -> tuple[str, ...]:
        return selection.hubs(connection, self._supplier, self._viewer(person), now, most=self._rules.most_hubs)

    def _viewer(self, person: Person) -> Applicant:
        return viewer(self._desk.users, person.organisation)

    def _leave_to_another(self, unit_of_work: UnitOfWork, proposal: Proposal, seen: str) -> None:
        _check_seen(unit_of_work.connection, proposal, seen)
        left = proposals.change(
            unit_of_work.connection,
            proposal.proposal_id,
            in_states=_BEFORE_CONFIRMED,
            state=ProposalState.WAITING.value,
            expires_at=unit_of_work.now + self._rules.four_eyes_time,
        )
        if left:
            self._audit(unit_of_work, proposal.author, "proposal waits", proposal)

    async def _carry_out(self, person: Person, proposal: Proposal, seen: str | None) -> None:
        proposal_id = proposal.proposal_id
        # Whoever goes on with what was left half done has not confirmed it.
        confirmer = proposal.decided_by or person.login
        confirmed = "" if proposal.author == confirmer else f", confirmed by {confirmer}"
        account = actor_of(proposal.author) + confirmed
        try:
            now = self._desk.clock.now()
            if not await self._desk.read(lambda connection: self._is_as_shown(connection, person, proposal, now)):
                await self._look_again(person, proposal)
                return
            plan = await self._desk.read(
                lambda connection: self._plan(
                    connection, person, Content.read(proposals.content(connection, proposal_id)), proposal_id, account
                )
            )
            if not await self._desk.transactions.run(lambda uow: self._claim(uow, person, proposal, seen)):
                return
            answers = [await self._act(proposal_id, act, number) for number, act in enumerate(plan.acts, 1)]
        except (SelectionRefused, SheetRefused, NotTaken, KeyUsedBefore, UnknownSchedule, UnknownRelease) as refused:
            await self._fail(proposal, str(refused) or "what was selected is not there any more")
            return
        except Exception:
            log.exception("proposal %s could not be done to its end; it is taken up again", proposal_id)
            return
        self._desk.after_work()
        self._desk.counting.forget(proposal.organisation)
        told = await self._desk.apart(partial(plan.told, answers, preview=False))
        before = {"before": json.loads(proposal.summary).get("before", 0)}
        summary = json.dumps(json.loads(str(told["summary"])) | before)
        done = {"state": ProposalState.DONE.value, **told, "summary": summary}
        await self._desk.transactions.run(
            lambda uow: proposals.change(uow.connection, proposal_id, in_states=(ProposalState.WORKING,), **done),
            heavy=True,
            of=person.user_eui,
        )

    async def _act(self, proposal_id: str, act: Act, number: int) -> ActAnswer:
        prepared = await self._desk.apart(partial(self._supplier.acting.prepare, act))
        return await self._desk.transactions.run(
            partial(self._do, proposal_id=proposal_id, prepared=prepared, number=number), heavy=True, of=act.user_eui
        )

    def _do(self, unit_of_work: UnitOfWork, *, proposal_id: str, prepared: Prepared, number: int) -> ActAnswer:
        answer = self._supplier.acting.execute(unit_of_work, prepared)
        proposals.change(unit_of_work.connection, proposal_id, in_states=(ProposalState.WORKING,), acts_done=number)
        return answer

    def _is_as_shown(self, connection: Connection, person: Person, proposal: Proposal, now: datetime) -> bool:
        """Whether the same hubs are selected as when it was looked at; of what has begun that is not asked any more."""
        content = Content.read(proposals.content(connection, proposal.proposal_id))
        if proposal.state is ProposalState.WORKING or content.wish is None or not content.selection.is_filter:
            return True
        return self._select(connection, person, content.selection, now) == content.hub_ids

    def _claim(self, unit_of_work: UnitOfWork, person: Person, proposal: Proposal, seen: str | None) -> bool:
        """From now on it is being done; once in all processes, but again by whoever finds it left half done."""
        states = (proposal.state,)
        if seen is not None and proposals.seen(unit_of_work.connection, proposal.proposal_id) != seen:
            return False
        claimed = proposals.change(
            unit_of_work.connection,
            proposal.proposal_id,
            in_states=states,
            state=ProposalState.WORKING.value,
            decided_by=proposal.decided_by or person.login,
            decided_at=proposal.decided_at or unit_of_work.now,
        )
        if claimed and proposal.state is ProposalState.WAITING:
            self._audit(unit_of_work, person.login, "proposal confirmed", proposal)
        return claimed

    async def _look_again(self, person: Person, proposal: Proposal) -> None:
        """Work it out anew, and say that it has changed."""
        proposal_id = proposal.proposal_id
        begun = {"state": ProposalState.PREPARING.value, "expires_at": self._desk.clock.now() + self._rules.draft}
        await self._desk.transactions.run(
            lambda uow: proposals.change(uow.connection, proposal_id, in_states=(proposal.state,), **begun)
        )
        await self._prepare(person, proposal_id)

        def say(unit_of_work: UnitOfWork) -> None:
            found = proposals.find(unit_of_work.connection, proposal.organisation, proposal_id)
            if found is not None:
                changed = {"changed": {"before": proposal.hub_count, "now": found.hub_count}}
                told = json.dumps(json.loads(found.summary) | changed)
                proposals.change(unit_of_work.connection, proposal_id, in_states=_BEFORE_CONFIRMED, summary=told)

        await self._desk.transactions.run(say)

    async def _fail(self, proposal: Proposal, why: str) -> None:
        states = (ProposalState.DRAFT, ProposalState.WAITING, ProposalState.WORKING)

        def fail(unit_of_work: UnitOfWork) -> None:
            connection, proposal_id = unit_of_work.connection, proposal.proposal_id
            now = proposals.find(connection, proposal.organisation, proposal_id) or proposal
            done = f"; {now.acts_done} of its {now.acts} requests had been done, and stay so" if now.acts_done else ""
            proposals.change(connection, proposal_id, in_states=states, **_failed(why + done))

        await self._desk.transactions.run(fail)

    def _audit(self, unit_of_work: UnitOfWork, login: str, action: str, proposal: Proposal) -> None:
        detail = f"{proposal.proposal_id}: {proposal.title}, {proposal.hub_count:,} hubs"
        record(unit_of_work.connection, [Entry(unit_of_work.now, actor_of(login), action, detail)])


def _check_seen(connection: Connection, proposal: Proposal, seen: str) -> None:
    """Raises HasChanged."""
    if proposals.seen(connection, proposal.proposal_id) != seen:
        raise HasChanged


def _failed(why: str) -> dict[str, object]:
    return {"state": ProposalState.FAILED.value, "summary": json.dumps({"failed": why})}
