"""One exchange, without input or output: what to send, how long to wait, and what the answer means.

It is written once as a generator of steps; a driver for blocking code and one for asyncio carry them out.
"""

from __future__ import annotations

import email.utils
import hashlib
import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import TypeVar

from sr_engine.client.errors import AnswerRefused, NotAnswered, NotTaken, SenderNotAuthenticated
from sr_engine.clock import Clock
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.reasons import MAY_HAVE_BEEN_TAKEN
from sr_engine.parsing import MessageRefused, Outcome, Parser, Response, UnsignedRefusal

XML = "application/xml"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Call:
    """An HTTP request to make."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    """With the token of the User, perhaps."""
    body: bytes = field(default=b"", repr=False)
    timeout: float = 30.0
    """Seconds until the whole answer has to be there."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NoReply:
    """Nothing came back, or not all of it; `sent` is False if the request cannot have arrived."""

    reason: str
    sent: bool = True


@dataclass(frozen=True, slots=True)
class Pause:
    """Time to let pass, in seconds."""

    seconds: float


Steps = Generator[Call | Pause, Reply | NoReply, _T]
"""Yields what is to be done, is sent what came of a Call, and returns the result. What a Pause is sent is not read."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How a request is sent again, always with the same RequestID and bytes, when no answer came.

    Waits grow from `first_wait` to `longest_wait`, each a random half to whole of that, unless the processor names a
    time in Retry-After; if that is longer than `patience`, the client gives up. All in seconds.
    """

    tries: int = 6
    timeout: float = 30.0
    first_wait: float = 0.5
    longest_wait: float = 15.0
    patience: float = 60.0

    def longest(self, tries: int) -> float:
        """The longest wait after so many tries."""
        return float(min(self.longest_wait, self.first_wait * 2 ** min(tries - 1, 60)))


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request ready to be sent, as often as need be."""

    request_id: RequestId
    service_reference_variant: str
    device_ids: tuple[str, ...]
    """Those that it names, in canonical form, if it is about a list."""
    waits: bool
    """It has a date or a preceding request, so that I99 can only mean that it is held."""
    data: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        """Of the bytes that are sent."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True)
class Answer:
    """The genuine answer to one request."""

    request: SignedRequest
    response: Response
    detail: str
    """Why, in words; they come in a header, which nobody has signed."""
    follows: bool
    """A Response follows: the request is held."""
    tries: int

    @property
    def outcome(self) -> Outcome:
        """What the request came to."""
        return Outcome.HELD if self.follows else self.response.outcome


_NOTHING_TAKEN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
AGAIN = _NOTHING_TAKEN | {HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT}
_ENDS_WITH_A_RESULT = frozenset({"8.2", "11.5", "11.7"})
"""Service Requests whose success is I0, never I99."""
_DETAIL = re.compile(rb"<detail>([^<]*)</detail>")


def exchange(
    request: SignedRequest,
    url: str,
    *,
    parser: Parser,
    clock: Clock,
    retries: Retries,
    uniform: Callable[[float, float], float],
) -> Steps[Answer]:
    """Send a signed request until it is answered, and return the verified answer.

    Raises NotTaken, NotAnswered, AnswerRefused or SenderNotAuthenticated.
    """
    call = Call("POST", url, {"Content-Type": XML, "Accept": XML}, request.data, retries.timeout)
    taken, reason, asked_for = False, "it was never tried", None
    for number in range(1, retries.tries + 1):
        reply = yield call
        if isinstance(reply, Reply) and reply.status == HTTPStatus.OK:
            return _answer(request, reply, parser, clock.now(), number)
        if isinstance(reply, Reply) and reply.status not in AGAIN:
            reason = _detail(reply) or "it does not say why"
            raise NotTaken(request, reply.status, reason, may_have_been_taken=taken)
        taken, reason = taken or _may_have_been_taken(reply), _reason(reply)
        asked_for = _retry_after(reply, clock.now())
        if number == retries.tries or (asked_for or 0) > retries.patience:
            break
        longest = retries.longest(number)
        # To be asked for no time at all, or for one that is over by this clock, would use up all tries at once.
        yield Pause(asked_for or uniform(longest / 2, longest))
    raise NotAnswered(request, reason, may_have_been_taken=taken, retry_after=asked_for)


def _answer(request: SignedRequest, reply: Reply, parser: Parser, now: datetime, tries: int) -> Answer:
    detail = reply.headers.get("duis-response-detail", "")
    try:
        found = parser.answer(reply.body, at=now)
    except MessageRefused as refused:
        raise AnswerRefused(request, refused.reason) from None
    if found.request_id.key != request.request_id.key:
        raise AnswerRefused(request, f"it answers {found.request_id.text}")
    if isinstance(found, UnsignedRefusal):
        raise SenderNotAuthenticated(request, found.code, detail)
    if found.service_reference_variant != request.service_reference_variant:
        raise AnswerRefused(request, f"it answers a Service Request {found.service_reference_variant}")
    if found.response_id is not None:
        raise AnswerRefused(request, "it is a Response that was sent later, of its own")
    return Answer(request, found, detail, _follows(request, found, reply), tries)


def _follows(request: SignedRequest, response: Response, reply: Reply) -> bool:
    """Whether an I99 says that the request is held, in quarantine perhaps, rather than done."""
    if response.code != "I99":
        return False
    said = reply.headers.get("duis-response-follows", "").lower() == "true"
    return said or request.waits or request.service_reference_variant in _ENDS_WITH_A_RESULT


def _may_have_been_taken(reply: Reply | NoReply) -> bool:
    if isinstance(reply, NoReply):
        return reply.sent
    return reply.status not in _NOTHING_TAKEN or MAY_HAVE_BEEN_TAKEN in _detail(reply)


def _reason(reply: Reply | NoReply) -> str:
    if isinstance(reply, NoReply):
        return reply.reason
    detail = _detail(reply)
    return f"HTTP {reply.status}" + (f": {detail}" if detail else "")


def _detail(reply: Reply) -> str:
    """What the processor says in words, in a header or a problem document; nothing if it says nothing."""
    detail = reply.headers.get("duis-response-detail", "")
    if not detail and (found := _DETAIL.search(reply.body)) is not None:
        detail = found[1].decode("utf-8", "replace")
    return detail


def _retry_after(reply: Reply | NoReply, now: datetime) -> float | None:
    """Seconds that a processor asks to be left alone for, None if it does not."""
    text = "" if isinstance(reply, NoReply) else reply.headers.get("retry-after", "").strip()
    if re.fullmatch("[0-9]{1,9}", text):
        return float(text)
    try:
        until = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    # A date without a zone of its own is none of HTTP's.
    return None if until.tzinfo is None else max(0.0, (until - now).total_seconds())
