"""Messages that were taken and sent: found by a RequestID, a hub, a Supplier, a code or a time."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.responses import Response

from sr_engine.configuration.console import ConsoleRole
from sr_engine.console.operator.office import Office, Span, not_found, span_of
from sr_engine.console.operator.sheets import Sheet, sheet_response
from sr_engine.console.pages import Entry, Page, Section, Visit, url
from sr_engine.console.tables import Badge, Cell, Column, Link, Mono, Table
from sr_engine.messages.identifiers import canonical_eui
from sr_engine.pipeline.acting import INTERFACES
from sr_engine.pipeline.process import DUIS
from sr_engine.store import inventory, message_search
from sr_engine.store.looking_back import Found
from sr_engine.store.message_search import ExchangeLine, OfHub, SentLine, Sought
from sr_engine.store.outbox import DELIVERED, EXPIRED, PARKED, PENDING
from sr_engine.store.reading import Connection

CSP = "CSP"
ALL_INTERFACES = (DUIS, CSP, *sorted(INTERFACES))
_PATH = "/operator/messages"
_MOST_OF_HUB = 100
_REQUEST_ID = re.compile(r"[0-9A-F]{2}(-[0-9A-F]{2}){7}:[0-9A-F]{2}(-[0-9A-F]{2}){7}:[0-9]{1,20}")
_OUR_ID = re.compile(r"[0-9a-f]{32}")
STATE_TONES = {PENDING: "busy", DELIVERED: "ok", PARKED: "bad", EXPIRED: "plain"}


@dataclass(frozen=True, slots=True)
class Filter:
    """What messages are sought by, as it was typed."""

    text: str
    supplier: str
    code: str
    variant: str
    interface: str
    span: Span

    @property
    def query(self) -> dict[str, str]:
        """The same for an address."""
        return {
            "q": self.text,
            "supplier": self.supplier,
            "code": self.code,
            "variant": self.variant,
            "interface": self.interface,
            "since": self.span.since_text,
            "until": self.span.until_text,
        }


@dataclass(frozen=True, slots=True)
class Messages:
    """The page by which messages are found."""

    office: Office

    def section(self) -> Section:
        """Their addresses."""
        operator = ConsoleRole.OPERATOR
        return Section(
            pages=(
                Page(_PATH, self.search, operator),
                Page(f"{_PATH}/sheet", self.sheet, operator),
            ),
            navigation=(Entry("Messages", _PATH, operator, "Look up"),),
        )

    # --- finding ---

    async def search(self, visit: Visit) -> Response:
        """Messages by what is known of them."""
        chosen = _filter_of(visit)
        text = chosen.text.upper()
        problem, of_hub, keyed, found = chosen.span.problem, None, None, None
        if text and not problem:
            if _REQUEST_ID.fullmatch(text):
                keyed = await visit.read(lambda one: message_search.of_keys(one, [text], ALL_INTERFACES, _MOST_OF_HUB))
                if len(keyed) == 1:
                    return visit.go(f"{_PATH}/{keyed[0].exchange_id}")
            elif _OUR_ID.fullmatch(text.lower()):
                if await visit.read(lambda one: message_search.sent(one, text.lower())) is not None:
                    return visit.go(f"{_PATH}/sent/{text.lower()}")
                problem = f"There is no message {text.lower()} in the outbox."
            else:
                device_id = _device_id(chosen.text)
                if device_id is None:
                    problem = (
                        f"“{chosen.text}” is neither a RequestID or MessageID (two EUI-64s and a counter, with colons) "
                        "nor the EUI-64 of a hub nor the id of a message that was sent."
                    )
                else:
                    of_hub = await visit.read(lambda one: _of_hub(one, device_id))
        elif not problem:
            problem, found = await self._searched(visit, chosen)
        users = self.office.users
        return await visit.show(
            "operator/messages.html",
            status=422 if problem else 200,
            chosen=chosen,
            problem=problem,
            suppliers=[("", "Any"), *((one.id, one.id) for one in users.organisations())],
            interfaces=[("", "Any"), *((one, one) for one in ALL_INTERFACES)],
            taken=None if found is None else self._found(visit, chosen, found),
            found=found,
            keyed=None if keyed is None else self._lines("Messages with this RequestID", keyed),
            of_hub_taken=None if of_hub is None else self._lines("Requests about this hub", of_hub.taken),
            of_hub_sent=None
            if of_hub is None
            else self.sent_lines("Messages about this hub that were sent", of_hub.sent, hidden=True),
            more=None if found is None or found.before is None else url(_PATH, **chosen.query, before=found.before),
        )

    async def _searched(self, visit: Visit, chosen: Filter) -> tuple[str, Found[ExchangeLine] | None]:
        before = visit.query("before")
        if before and not before.isdecimal():
            raise not_found()
        sought = self._sought(chosen)
        if isinstance(sought, str):
            return sought, None
        rows, budget = visit.desk.rules.pages.rows, self.office.budget
        return "", await visit.read(
            lambda one: message_search.search(
                one, sought, before=int(before) if before else None, limit=rows, budget=budget
            )
        )

    def _sought(self, chosen: Filter) -> Sought | str:
        """What is sought, or why that cannot be."""
        senders = None
        if chosen.supplier:
            users = self.office.users.users_of(chosen.supplier)
            if not users:
                return f"There is no Supplier {chosen.supplier}."
            senders = [user.eui for user in users]
        return Sought(
            sender_euis=senders,
            code=chosen.code.upper() or None,
            variant=chosen.variant or None,
            interface=chosen.interface or None,
            since=chosen.span.since,
            until=chosen.span.until,
        )

    def _found(self, visit: Visit, chosen: Filter, found: Found[ExchangeLine]) -> Table:
        lines = self._lines("Messages that were taken, newest first", found.rows)
        first = url(_PATH, **chosen.query) if visit.query("before") else None
        following = url(_PATH, **chosen.query, before=found.before) if found.full and found.before else None
        return Table(
            lines.caption,
            lines.columns,
            lines.rows,
            empty=lines.empty,
            next_href=following,
            first_href=first,
            export_href=url(f"{_PATH}/sheet", **chosen.query),
            caption_hidden=True,
        )

    def _lines(self, caption: str, lines: tuple[ExchangeLine, ...] | list[ExchangeLine]) -> Table:
        columns = ("Received", "From", "Message", "Code", "RequestID", "By", "Detail")
        rows: list[tuple[Cell, ...]] = [
            (
                line.received_at,
                self._sender_cell(line),
                line.service_reference_variant,
                code_badge(line.code),
                Link(end_of(line.message_key), url(f"{_PATH}/{line.exchange_id}"), mono=True),
                line.interface,
                _short(line.detail),
            )
            for line in lines
        ]
        return Table(
            caption, [Column(title) for title in columns], rows, empty="Nothing was found.", caption_hidden=True
        )

    def sender(self, line: ExchangeLine) -> str:
        """Who sent a message, in words."""
        if line.interface != CSP:
            return self.office.party(f"user:{line.sender_eui}")
        regions = [name for name, region in self.office.regions.items() if region.csp_eui == line.sender_eui]
        return f"CSP of {', '.join(regions)}" if regions else line.sender_eui

    def _sender_cell(self, line: ExchangeLine) -> Cell:
        """Who sent a message, leading to all that it has sent."""
        user = None if line.interface == CSP else self.office.users.by_eui(line.sender_eui)
        if user is None:
            return self.sender(line)
        return Link(user.organisation_id, url(_PATH, supplier=user.organisation_id))

    def sent_lines(self, caption: str, lines: tuple[SentLine, ...], *, hidden: bool = False) -> Table:
        """Messages of the outbox as a table; its caption may be hidden where a heading says the same."""
        columns = ("Queued", "To", "Event", "State", "Hub", "Message", "Last error")
        rows: list[tuple[Cell, ...]] = [
            (
                line.created_at,
                Link(self.office.party(line.destination), url("/operator/deliveries", to=line.destination)),
                line.event,
                Badge(line.state, STATE_TONES[line.state]),
                Mono(line.hub_id) if line.hub_id else None,
                Link(f"{line.message_id[:12]}…", url(f"{_PATH}/sent/{line.message_id}"), mono=True),
                line.last_error,
            )
            for line in lines
        ]
        return Table(
            caption,
            [Column(title) for title in columns],
            rows,
            empty="Nothing was found.",
            caption_hidden=hidden,
        )

    async def sheet(self, visit: Visit) -> Response:
        """The same as a sheet; no more than may be looked through for one."""
        sought = self._sought(_filter_of(visit))
        if isinstance(sought, str):
            raise not_found()
        columns = ("Received", "From", "Message", "Code", "RequestID or MessageID", "By", "Detail")

        def rows(connection: Connection, most: int) -> list[tuple[object, ...]]:
            found = message_search.search(connection, sought, limit=most, budget=self.office.sheet_budget)
            return [
                (
                    line.received_at,
                    self.sender(line),
                    line.service_reference_variant,
                    line.code,
                    line.message_key,
                    line.interface,
                    line.detail,
                )
                for line in found.rows
            ]

        return await sheet_response(visit, self.office, Sheet("messages", columns, rows))


def _filter_of(visit: Visit) -> Filter:
    return Filter(
        text=visit.query("q"),
        supplier=visit.query("supplier"),
        code=visit.query("code"),
        variant=visit.query("variant"),
        interface=visit.query("interface"),
        span=span_of(visit),
    )


def _device_id(text: str) -> str | None:
    try:
        return canonical_eui(text.strip())
    except ValueError:
        return None


def _of_hub(connection: Connection, device_id: str) -> OfHub:
    """By its CHF or its GPF; one that has left the inventory by the id of its CHF."""
    hub_id = inventory.hub_ids_of(connection, [device_id]).get(device_id, device_id)
    return message_search.of_hub(connection, hub_id, ALL_INTERFACES, _MOST_OF_HUB)


def code_badge(code: str) -> Badge:
    """A response code; what refuses is bad, what waits is not."""
    if code.startswith(("E", "4")):
        return Badge(code, "bad")
    return Badge(code, "warn" if code == "I99" else "ok")


def end_of(message_key: str) -> str:
    """What tells one message from others: the counter of a RequestID, the beginning of an id of ours."""
    return f"…:{message_key.rpartition(':')[2]}" if ":" in message_key else f"{message_key[:12]}…"


def _short(text: str) -> str:
    most = 160
    return text if len(text) <= most else f"{text[:most]}…"
