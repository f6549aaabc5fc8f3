"""What waits to be delivered and what was given up, and sending that again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from starlette.responses import Response

from sr_engine.configuration.console import ConsoleRole
from sr_engine.console.operator.messages import STATE_TONES, Messages
from sr_engine.console.operator.office import Office, how, not_found
from sr_engine.console.operator.sheets import Sheet, sheet_response
from sr_engine.console.pages import Entry, Page, Section, Visit, url
from sr_engine.console.tables import Badge, Column, Link, Table
from sr_engine.operations import outbox as operations
from sr_engine.operations.outbox import RESENT_AT_ONCE, NotParked
from sr_engine.store import circuits, delivery_queue, message_search
from sr_engine.store.circuits import OpenCircuit
from sr_engine.store.delivery_queue import STATES, Queue
from sr_engine.store.message_search import SentLine
from sr_engine.store.outbox import PARKED, PENDING
from sr_engine.store.paging import Page as PageOf
from sr_engine.store.reading import Connection

_PATH = "/operator/deliveries"


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page shows."""

    queues: tuple[Queue, ...]
    circuits: tuple[OpenCircuit, ...]
    messages: PageOf[SentLine]


@dataclass(frozen=True, slots=True)
class Deliveries:
    """The pages about deliveries."""

    office: Office
    messages: Messages

    def section(self) -> Section:
        """Their addresses."""
        operator = ConsoleRole.OPERATOR
        return Section(
            pages=(
                Page(_PATH, self.list, operator, stamp=self.stamp),
                Page(f"{_PATH}/sheet", self.sheet, operator),
                Page(f"{_PATH}/resend", self.ask, operator),
                Page(f"{_PATH}/resend", self.resend, operator, changes=True),
            ),
            navigation=(Entry("Deliveries", _PATH, operator, "Upgrades"),),
        )

    def _chosen(self, visit: Visit) -> tuple[str, str | None]:
        """State and receiver that are to be shown; without a word, what waits for a receiver, or all that is parked."""
        to = visit.query("to") or None
        state = visit.query("state") or (PENDING if to else PARKED)
        if state not in STATES:
            raise not_found()
        return state, to

    def look(self, visit: Visit, connection: Connection) -> Shown:
        """What waits now; raises ValueError for a place that no page gave."""
        state, to = self._chosen(visit)
        rules = self.office.rules.attention
        after, rows = visit.query("after") or None, visit.desk.rules.pages.rows
        return Shown(
            tuple(delivery_queue.queues(connection, rules.count_up_to)),
            tuple(circuits.all_open(connection)),
            delivery_queue.messages(connection, state, to, after=after, limit=rows, budget=self.office.budget),
        )

    def stamp(self, visit: Visit, connection: Connection) -> str:
        """Changes when the page would show anything else."""
        try:
            return sha256(repr(self.look(visit, connection)).encode()).hexdigest()
        except ValueError:
            return ""

    async def list(self, visit: Visit) -> Response:
        """Receivers for which anything waits, and messages in a state."""
        state, to = self._chosen(visit)
        try:
            found = await visit.read(lambda one: self.look(visit, one))
        except ValueError:
            raise not_found() from None
        query = {"state": state, "to": to}
        named = f"{state} messages" + (f" to {self.office.party(to)}" if to else "")
        lines = self.messages.sent_lines(named, found.messages.rows)
        table = Table(
            lines.caption,
            lines.columns,
            lines.rows,
            empty=f"There are no {state.lower()} messages{' to this receiver' if to else ''}"
            + (" among those that one page may look through." if found.messages.after else "."),
            next_href=url(_PATH, **query, after=found.messages.after) if found.messages.after else None,
            first_href=url(_PATH, **query) if visit.query("after") else None,
            export_href=url(f"{_PATH}/sheet", **query),
        )
        receivers = sorted({*self._receivers(), *(one.destination for one in found.queues)})
        stamp = sha256(repr(found).encode()).hexdigest()
        again = url(f"{_PATH}/live", **query, after=visit.query("after"), stamp=stamp)
        parked = next((one.parked for one in found.queues if one.destination == to), None)
        return await visit.show(
            "operator/deliveries.html",
            queues=self._queues(found),
            table=table,
            state=state,
            to=to,
            to_named=None if to is None else self.office.party(to),
            states=[(one, one) for one in STATES],
            receivers=[("", "Any"), *((one, f"{self.office.party(one)}: {one}") for one in receivers)],
            resend=url(f"{_PATH}/resend", to=to) if to and parked else None,
            parked=parked,
            resent=visit.query("resent"),
            going_on=visit.query("more") == "yes",
            live=again,
        )

    def _receivers(self) -> Iterator[str]:
        yield from (f"user:{user.eui}" for user in self.office.users.users())
        yield from (f"csp:{name}" for name in self.office.regions)

    def _queues(self, found: Shown) -> Table:
        failing = {one.destination: one for one in found.circuits}
        rows = []
        for one in found.queues:
            circuit = failing.get(one.destination)
            standing = (
                Badge("failing", "bad")
                if circuit
                else Badge("in order", "ok")
                if not one.tries
                else Badge("retrying", "warn")
            )
            rows.append(
                (
                    Link(self.office.party(one.destination), url(_PATH, to=one.destination)),
                    standing,
                    str(one.pending),
                    one.queued_at,
                    circuit.retry_at if circuit else one.due_at,
                    Link(str(one.parked), url(_PATH, to=one.destination, state=PARKED)) if one.parked else "0",
                    circuit.last_error if circuit else one.last_error,
                )
            )
        titles = ("Receiver", "Standing", "Waiting", "First queued", "Next try", "Parked", "Last error")
        numeric = {"Waiting", "Parked"}
        columns = [Column(title, numeric=title in numeric) for title in titles]
        return Table(
            "Receivers for which something waits", columns, rows, empty="Nothing waits: everything was delivered."
        )

    async def sheet(self, visit: Visit) -> Response:
        """The messages as a sheet."""
        state, to = self._chosen(visit)

        def rows(connection: Connection, most: int) -> Iterator[tuple[object, ...]]:
            after, left = None, most
            while left > 0:
                page = delivery_queue.messages(
                    connection, state, to, after=after, limit=min(left, 1000), budget=self.office.sheet_budget
                )
                for line in page.rows:
                    yield (
                        *(
                            line.created_at,
                            self.office.party(line.destination),
                            line.destination,
                            line.event,
                            line.state,
                        ),
                        *(line.tries, line.hub_id, line.message_id, line.delivered_at, line.last_error),
                    )
                left -= len(page.rows)
                after = page.after
                if after is None:
                    return

        columns = (
            "Queued",
            "To",
            "Destination",
            "Event",
            "State",
            "Tries",
            "Hub",
            "Message",
            "Delivered",
            "Last error",
        )
        return await sheet_response(visit, self.office, Sheet("deliveries", columns, rows))

    # --- sending again ---

    async def ask(self, visit: Visit) -> Response:
        """What would be sent again, and the button that does it."""
        message_id, to = visit.query("message"), visit.query("to")
        if bool(message_id) == bool(to):
            raise not_found()

        def look(connection: Connection) -> tuple[SentLine | None, Queue | None]:
            line = message_search.sent(connection, message_id) if message_id else None
            queues = delivery_queue.queues(connection, self.office.rules.attention.count_up_to) if to else []
            return line, next((one for one in queues if one.destination == to), None)

        line, queue = await visit.read(look)
        if message_id and line is None:
            raise not_found()
        destination = to or (line.destination if line else "")
        return await visit.show(
            "operator/resend.html",
            line=line,
            state=None if line is None else Badge(line.state, STATE_TONES[line.state]),
            parked=None if queue is None else queue.parked,
            to=to,
            to_named=self.office.party(destination),
            back=url(f"/operator/messages/sent/{message_id}") if line else url(_PATH, to=to, state=PARKED),
        )

    async def resend(self, visit: Visit) -> Response:
        """Send one message again, or all to a receiver: the first at once, the others after the answer."""
        message_id, to, by = visit.field("message"), visit.field("to"), how(visit)
        if bool(message_id) == bool(to):
            raise not_found()
        if message_id:
            done = "resent"
            try:
                await visit.write(lambda uow: operations.resend(uow, message_id, how=by))
            except NotParked:
                done = "not-parked"
            visit.desk.after_work()
            return visit.go(f"/operator/messages/sent/{message_id}", done=done)
        queued = await visit.write(lambda uow: operations.resend_to(uow, to, how=by), heavy=True)
        visit.desk.after_work()
        more = queued == RESENT_AT_ONCE
        if more:
            visit.desk.go_on(asyncio.create_task(self._resend_rest(visit, to, by)))
        return visit.go(_PATH, to=to, resent=str(queued), more="yes" if more else "")

    async def _resend_rest(self, visit: Visit, to: str, by: str) -> None:
        while await visit.write(lambda uow: operations.resend_to(uow, to, how=by), heavy=True) == RESENT_AT_ONCE:
            visit.desk.after_work()
        visit.desk.after_work()
