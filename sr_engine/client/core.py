"""What both clients do, as steps: number, sign, split, send, merge, and fetch."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from signing import Trust
from sr_engine.bearer import bearer
from sr_engine.client.errors import ClientError, RequestNotSent
from sr_engine.client.exchange import (
    AGAIN,
    Answer,
    Call,
    Pause,
    Reply,
    Retries,
    SignedRequest,
    Steps,
    exchange,
)
from sr_engine.client.requests import (
    ListRequest,
    ServiceRequestBody,
    read_schedule,
)
from sr_engine.client.results import InventoryResult, ListResult, Result, ScheduleResult
from sr_engine.client.signing import Draft, Signs, signed
from sr_engine.clock import Clock, SystemClock
from sr_engine.counters import Counters, CounterSource, CountersUnusable
from sr_engine.messages.identifiers import RequestId, canonical_eui
from sr_engine.messages.model import ReadInventory, ScheduleCommsHubFirmware
from sr_engine.parsing import MessageRefused, Parser, Response
from sr_engine.watching import Watched

ACCESS_CONTROL_BROKER = "90-B3-D5-1F-30-00-00-02"
"""The published EUI that Non-Device requests are sent to (FACTS RQ13)."""

MOST_DEVICES = 50_000
"""Devices in one request; longer lists are split."""


class NoResponse(ClientError):
    """There is and will be no Response to a request: it was cancelled."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a client needs to know."""

    url: str
    """Of the processor, without /api/v1."""
    key: Signs
    """Who signs."""
    trust: Trust | Path
    """Whose answers are believed; a folder is read as `Trust.from_directory` does, and again when it has changed."""
    counters: CounterSource | Path
    """Where RequestIDs get their counters; a path is a file of `Counters`, which several processes may share."""
    token: str | None = field(default=None, repr=False)
    """Lets `fetch_response` in."""
    schema_version: str = "5.4"
    broker: str = ACCESS_CONTROL_BROKER
    retries: Retries = field(default_factory=Retries)
    clock: Clock = field(default_factory=SystemClock)
    uniform: Callable[[float, float], float] = random.uniform
    """Draws a number between two, so that clients which failed together do not come back together."""
    most_devices: int = MOST_DEVICES


class Core:
    """Makes the steps of whatever a client is asked for; safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        """Raises KeyUnavailable or CountersUnusable, naming the file, ValueError for no address, token or EUI."""
        self.settings = settings
        parts = urlsplit(settings.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{settings.url!r} is not an http or https address")
        _ = parts.port  # raises ValueError if it is none
        if settings.token is not None:
            bearer(settings.token)
        self._url = settings.url.rstrip("/")
        self._broker = canonical_eui(settings.broker)
        trust, counters = settings.trust, settings.counters
        self._watched: Watched | None = None
        if isinstance(trust, Path):
            folder, trust = trust, Trust.from_directory(trust)
            self._watched = Watched("the trusted certificates", folder, trust.reload)
        self._parser = Parser.trusting(trust)
        self._own: Counters | None = None
        if isinstance(counters, Path):
            counters = self._own = Counters(counters)
        self._counters: CounterSource = counters

    def close(self) -> None:
        """Give back what was opened here."""
        if self._own is not None:
            self._own.close()

    def sign(
        self, body: ServiceRequestBody, *, first_in_sequence: bool = False, preceding: RequestId | str | None = None
    ) -> Steps[SignedRequest]:
        """Give a request its RequestID and sign it; raises RequestNotSent or SigningFailed."""
        now = self.settings.clock.now()
        eui = self.settings.key.eui
        try:
            counter = self._counters.draw(eui, int(now.timestamp() * 1000))
        except (OSError, CountersUnusable) as error:
            raise RequestNotSent(f"there is no counter for a request: {error}") from error
        before = RequestId.parse(preceding) if isinstance(preceding, str) else preceding
        request_id = RequestId.make(eui, self._broker, counter)
        draft = Draft(request_id, body, self.settings.schema_version, first_in_sequence, before)
        return (yield from signed(draft, self.settings.key))

    def submit(self, request: SignedRequest) -> Steps[Answer]:
        """Send a signed request, as often as need be, and return the genuine answer."""
        settings = self.settings
        self._look()
        return (
            yield from exchange(
                request,
                f"{self._url}/api/v1/serviceD",
                parser=self._parser,
                clock=settings.clock,
                retries=settings.retries,
                uniform=settings.uniform,
            )
        )

    def send(
        self, body: ServiceRequestBody, *, first_in_sequence: bool = False, preceding: RequestId | str | None = None
    ) -> Steps[Result]:
        """Sign, send and verify; a list that is too long in parts, one after another."""
        answers: list[Answer] = []
        for part in self._parts(body, first_in_sequence=first_in_sequence):
            try:
                request = yield from self.sign(part, first_in_sequence=first_in_sequence, preceding=preceding)
                answers.append((yield from self.submit(request)))
            except ClientError as error:
                error.done = tuple(answers)
                raise
        if isinstance(body, ReadInventory):
            return InventoryResult.of(answers[0])
        if isinstance(body, ListRequest):
            return ListResult.of(tuple(answers))
        return ScheduleResult.of(answers[0])

    def read_whole_schedule(self, schedule_id: int) -> Steps[ScheduleResult]:
        """Read a schedule page by page; the first page that is refused or held is returned as it is."""
        after: str | None = None
        whole: ScheduleResult | None = None
        while True:
            page = yield from self.send(read_schedule(schedule_id, after=after))
            assert isinstance(page, ScheduleResult)  # noqa: S101 - what an 11.7 is answered with
            if not page.upgrades:
                return (
                    page if whole is None or page.answer.response.body is None else replace(whole, more_devices=False)
                )
            upgrades = (*(() if whole is None else whole.upgrades), *page.upgrades)
            whole = replace(page, upgrades=upgrades, schedule=page.schedule if whole is None else whole.schedule)
            if not page.more_devices:
                return whole
            after = page.upgrades[-1].device_id

    def fetch_response(self, request_id: RequestId | str) -> Steps[Response | None]:
        """Fetch the whole Response to a held request; None if there is none yet, or the request was not held."""
        wanted = RequestId.parse(request_id) if isinstance(request_id, str) else request_id
        settings = self.settings
        if settings.token is None:
            raise RequestNotSent("fetching a Response needs the token of this User")
        headers = {"Authorization": bearer(settings.token)}
        self._look()
        call = Call("GET", f"{self._url}/api/v1/responses/{wanted.text}", headers, b"", settings.retries.timeout)
        for number in range(1, settings.retries.tries + 1):
            reply = yield call
            if isinstance(reply, Reply):
                match reply.status:
                    case HTTPStatus.OK:
                        return self._fetched(reply.body, wanted)
                    case HTTPStatus.NOT_FOUND:
                        return None
                    case HTTPStatus.GONE:
                        raise NoResponse(f"there is no Response to {wanted.text}: it was cancelled")
                    case status if status in AGAIN:
                        pass
                    case status:
                        raise ClientError(f"the Response to {wanted.text} is not given out: HTTP {status}")
            if number < settings.retries.tries:
                yield Pause(settings.retries.longest(number))
        raise ClientError(f"the Response to {wanted.text} could not be fetched, try after try")

    def _look(self) -> None:
        """Revocation lists are renewed, and the processor's certificate is, while a client runs."""
        if self._watched is not None:
            self._watched.look()

    def _fetched(self, data: bytes, wanted: RequestId) -> Response:
        try:
            response = self._parser.response(data, at=self.settings.clock.now())
        except MessageRefused as refused:
            raise ClientError(f"the Response to {wanted.text} is refused: {refused.reason}") from None
        if response.request_id.key != wanted.key:
            raise ClientError(f"what was fetched answers {response.request_id.text}, not {wanted.text}")
        if response.response_id is None:
            # I99 means held there, and done in a Response.
            raise ClientError(f"what was fetched is the answer that {wanted.text} was given at once, not its Response")
        return response

    def _parts(self, body: ServiceRequestBody, *, first_in_sequence: bool) -> list[ServiceRequestBody]:
        most = self.settings.most_devices
        if not isinstance(body, ListRequest) or len(body.device_ids) <= most:
            return [body]
        if first_in_sequence:
            raise RequestNotSent(f"a list of more than {most} devices is split, and only one part can be first")
        if isinstance(body, ScheduleCommsHubFirmware) and body.replaces_schedule_id is not None:
            # The first part would cancel the hubs of all others.
            raise RequestNotSent(f"a schedule of more than {most} hubs is split, and cannot replace another")
        return [
            replace(body, device_ids=body.device_ids[start : start + most])
            for start in range(0, len(body.device_ids), most)
        ]
