"""The HTTP face: the three DUIS services and the CSP endpoint (section 3)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import partial
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope

from sr_engine.clock import Clock
from sr_engine.gateway.binding import Binding
from sr_engine.gateway.bodies import Bodies
from sr_engine.gateway.csp import CspDesk
from sr_engine.gateway.doubts import Doubts
from sr_engine.gateway.fairness import OTHERS, Gate, claimed_originator
from sr_engine.gateway.gathering import Gathering
from sr_engine.gateway.receiving import ReceivingDesk
from sr_engine.gateway.refusals import Refusals
from sr_engine.gateway.registrations import JSON, RegistrationDesk
from sr_engine.gateway.registrations import problem as json_problem
from sr_engine.gateway.relay import Relay
from sr_engine.gateway.resumer import Resumer
from sr_engine.gateway.services import Direct, Service, response_of
from sr_engine.observing.counting import Stage
from sr_engine.observing.exchanges import Exchange, Observer
from sr_engine.observing.exposition import Health
from sr_engine.peers import Peer, Peers
from sr_engine.pipeline.answer import XML, Answer
from sr_engine.pipeline.problem import problem
from sr_engine.pipeline.process import Admitted, Checked, Processor, Turned
from sr_engine.pipeline.reading_ahead import reading_ahead
from sr_engine.store.database import DatabaseAway
from sr_engine.store.reading import Reading
from sr_engine.store.transactions import Transactions
from sr_engine.store.units_of_work import Foreseen

log = logging.getLogger(__name__)

HEAVY_BYTES = 8 * 1024
"""From this size on, some 300 hubs, a request is worked on in a thread, so that small ones pass in between."""

LOOKED_UP_AT_ONCE = 2
"""Of as many large requests the hubs are looked up while they wait: what is known of 50,000 takes up some 40 MB."""

CSP_SHARE = "csp"
REGISTRATION_SHARE = "registrations"
UPSTREAM_SHARE = "upstream"
"""The shares of those who are no User."""

Endpoint = Callable[[Request], Awaitable[Response]]
ShareOf = Callable[[bytes, Peer], str]
"""Whose a message is, judged by its first bytes and by who sends it."""
Guarded = Callable[[Scope, Receive], Awaitable[Answer]]
Taker = Callable[[bytes, Peer, Exchange], Awaitable[Answer | Awaitable[Answer]]]
"""Answers a message of a peer, or says what answers it once it no longer takes up a place here."""


class Gateway:
    """Takes messages over HTTP, each sender's in its turn, and answers them once what they did is durable."""

    def __init__(
        self,
        *,
        processor: Processor,
        csp_desk: CspDesk,
        transactions: Transactions,
        clock: Clock,
        gate: Gate,
        doubts: Doubts,
        refusals: Refusals,
        reading: Reading,
        retry_after: timedelta,
        after_work: Callable[[], None],
        resumer: Resumer,
        peers: Peers,
        binding: Binding,
        observer: Observer,
        health: Health,
        registration_desk: RegistrationDesk | None = None,
        relay: Relay | None = None,
        receiving_desk: ReceivingDesk | None = None,
        more_routes: Sequence[BaseRoute] = (),
    ) -> None:
        """`registration_desk` takes the registration feed; without it there is no such address.

        `relay` asks upstream for what is not offered here, and `receiving_desk` takes what upstream sends to Users.
        """
        self._peers = peers
        self._binding = binding
        self._observer = observer
        self._health = health
        self._relay = relay
        self._receiving_desk = receiving_desk
        self._resumer = resumer
        self._more_routes = more_routes
        self._registration_desk = registration_desk
        self._processor = processor
        self._read_ahead = reading_ahead(processor)
        self._checks: Gathering[Checked] = Gathering()
        self._reading = reading
        self._looking_up = 0
        self._csp_desk = csp_desk
        self._transactions = transactions
        self._clock = clock
        self._gate = gate
        self._doubts = doubts
        self._refusals = refusals
        self._after_work = after_work
        policy = processor.configuration.policy
        self._bodies = Bodies(
            max_bytes=policy.limits.max_body_bytes,
            seconds=policy.overload.body.total_seconds(),
            retry_after=round(retry_after.total_seconds()),
        )

    def app(self, lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]] | None = None) -> Starlette:
        """The ASGI application."""
        names = sorted(self._processor.configuration.catalogue.service)
        services = {f"/api/v1/{name}": self._service(name) for name in names}
        services["/api/v1/csp"] = Service(
            self._guarded(self._csp, lambda _head, _peer: CSP_SHARE, CSP_SHARE), self._resumer.answer_left
        )
        # Of these the router knows for those who do anything but post to them.
        routes: list[BaseRoute] = [Route(path, service, methods=["POST"]) for path, service in services.items()]
        if self._registration_desk is not None:
            routes.append(Route("/registrations", self._feed(self._registration_desk), methods=["POST"]))
        routes += self._more_routes
        if self._receiving_desk is not None:
            routes.append(Route("/api/v1/receive/{eui}", self._receive(self._receiving_desk), methods=["POST"]))
        routes += self._health.routes()
        app = Starlette(
            routes=routes,
            lifespan=lifespan,
            exception_handlers={HTTPException: _http_error, DatabaseAway: self._away, Exception: _failure},
        )
        # An address is taken as it is written: a redirect would have the client send its request twice.
        app.router.redirect_slashes = False
        app.add_middleware(Direct, services=services)
        return app

    async def _away(self, request: Request, error: Exception) -> Response:
        log.warning("%s %s: %s", request.method, request.url.path, error)
        return response_of(self._bodies.not_known())

    def _service(self, service: str) -> Service:
        return Service(self._guarded(partial(self._duis, service), self._claimed, service), self._resumer.answer_left)

    def _claimed(self, head: bytes, peer: Peer) -> str:
        """Whose share a request is of: nobody's, if its connection is not for what it claims, or that is in doubt."""
        originator = claimed_originator(head)
        if originator is None or self._binding.objection(peer, originator) is not None:
            return OTHERS
        return OTHERS if self._doubts.of(peer.origin, originator) else originator

    def _feed(self, desk: RegistrationDesk) -> Endpoint:
        """The registration feed; nothing of a body is read before its sender is let in."""

        async def take(data: bytes, _peer: Peer, exchange: Exchange) -> Answer:
            return await self._registrations(desk, data, exchange)

        guarded = self._guarded(
            take, lambda _head, _peer: REGISTRATION_SHARE, REGISTRATION_SHARE, media_type=JSON, bound=False
        )

        async def endpoint(request: Request) -> Response:
            if desk.lets_in(request.headers.get("authorization")):
                return response_of(await guarded(request.scope, request.receive))
            detail = "you are not let in: send the token that is known here, as Authorization: Bearer TOKEN"
            refused = response_of(json_problem(HTTPStatus.UNAUTHORIZED, detail))
            refused.headers["WWW-Authenticate"] = "Bearer"
            return refused

        return endpoint

    def _receive(self, desk: ReceivingDesk) -> Endpoint:
        """What upstream sends to a User; nothing of a body is read before its sender is let in."""

        async def endpoint(request: Request) -> Response:
            if not desk.lets_in(request.headers.get("authorization")):
                detail = "you are not let in: send the token that is known here, as Authorization: Bearer TOKEN"
                refused = response_of(problem(HTTPStatus.UNAUTHORIZED, detail))
                refused.headers["WWW-Authenticate"] = "Bearer"
                return refused

            async def take(data: bytes, _peer: Peer, exchange: Exchange) -> Answer:
                return await self._received(desk, request.path_params["eui"], data, exchange)

            guarded = self._guarded(take, lambda _head, _peer: UPSTREAM_SHARE, UPSTREAM_SHARE, bound=False)
            return response_of(await guarded(request.scope, request.receive))

        return endpoint

    def _guarded(
        self, take: Taker, share_of: ShareOf, name: str, *, media_type: str = XML, bound: bool = True
    ) -> Guarded:
        """Around a taker of bytes: overload, media type and size, the sender's turn.

        What is `bound` comes over connections that are their senders' own, where that is asked for. `name` is what is
        noted of each exchange.
        """

        async def guarded(scope: Scope, receive: Receive) -> Answer:
            exchange = self._observer.begin(name, scope["headers"])
            peer = self._peers.of(scope)
            if bound and peer.objection is not None:
                return self._ended(exchange, problem(HTTPStatus.FORBIDDEN, peer.objection))
            visit = self._gate.arrive(peer.origin)
            try:
                data = await self._bodies.read(scope, receive, media_type, visit, lambda head: share_of(head, peer))
                exchange.over(Stage.BODY)
                if isinstance(data, Answer):
                    return self._ended(exchange, data)
                if not await visit.turn():
                    return self._ended(exchange, self._bodies.overloaded("too many requests are waiting"))
                exchange.over(Stage.TURN)
                taken = await take(data, peer, exchange)
                if not isinstance(taken, Answer):
                    visit.leave()
                    taken = await taken
                return self._ended(exchange, taken)
            except DatabaseAway:
                return self._ended(exchange, self._bodies.not_known())
            except Exception:
                self._observer.end(exchange, str(HTTPStatus.INTERNAL_SERVER_ERROR.value))
                raise
            finally:
                visit.leave()

        return guarded

    def _ended(self, exchange: Exchange, answer: Answer) -> Answer:
        self._observer.end(exchange, answer.code or str(int(answer.status)))
        return answer

    async def _duis(self, service: str, data: bytes, peer: Peer, exchange: Exchange) -> Answer | Awaitable[Answer]:
        heavy = len(data) >= HEAVY_BYTES
        now, over = self._clock.now(), self._binding.of(peer)
        if heavy:
            admitted = await asyncio.to_thread(self._processor.admit, service, data, now, over)
        else:
            admitted = await self._checks.run(self._processor.admitting(service, data, now, over))
        exchange.over(Stage.CHECKS)
        match admitted:
            case Answer():
                self._doubt(data, peer)
                return admitted
            case Turned():
                if not admitted.sender_eui:
                    self._doubt(data, peer)
                exchange.request_id, exchange.user = admitted.request_key, admitted.sender_eui
                exchange.variant = admitted.variant
                answer = await self._refusals.record(admitted)
            case Admitted():
                exchange.request_id, exchange.user = admitted.sender.request_id, admitted.sender.eui
                exchange.variant = admitted.entry.variant
                if self._relay is not None and not admitted.entry.offered:
                    return self._relayed(self._relay, service, admitted, exchange, heavy=heavy)
                answer = await (self._large(admitted) if heavy else self._small(admitted))
                self._after_work()
                if answer.frees:
                    self._resumer.wake()
        exchange.over(Stage.TRANSACTION)
        return answer

    def _small(self, admitted: Admitted) -> Awaitable[Answer]:
        return self._transactions.run(
            lambda unit_of_work: self._processor.execute(unit_of_work, admitted),
            heavy=admitted.concerns_more,
            of=admitted.sender.eui,
            hubs=admitted.only_concerns,
            foreseen=Foreseen(admitted, self._read_ahead),
        )

    async def _large(self, admitted: Admitted) -> Answer:
        """A request that is decided before its transaction, and carried out after, so that others wait the less."""
        looked_up = None
        if may_look_up := self._looking_up < LOOKED_UP_AT_ONCE:
            self._looking_up += 1
        try:
            if may_look_up:
                now = self._clock.now()
                looked_up = await asyncio.to_thread(self._processor.look_ahead, self._reading, admitted, now)
            return await self._transactions.run(
                lambda unit_of_work: self._processor.execute_long(unit_of_work, admitted, looked_up),
                heavy=True,
                of=admitted.sender.eui,
                hubs=admitted.only_concerns,
            )
        finally:
            self._looking_up -= may_look_up

    def _doubt(self, data: bytes, peer: Peer) -> None:
        """Note that what was sent was not authenticated; of those who are no User nothing need be known."""
        originator = claimed_originator(data)
        if originator is not None and self._processor.users.by_eui(originator) is not None:
            self._doubts.count(peer.origin, originator)

    async def _relayed(
        self, relay: Relay, service: str, admitted: Admitted, exchange: Exchange, *, heavy: bool
    ) -> Answer:
        answer = await relay.answer(service, admitted, heavy=heavy)
        exchange.over(Stage.TRANSACTION)
        return answer

    async def _received(self, desk: ReceivingDesk, eui: str, data: bytes, exchange: Exchange) -> Answer:
        heavy = len(data) >= HEAVY_BYTES
        now = self._clock.now()
        received = await asyncio.to_thread(desk.admit, eui, data, now) if heavy else desk.admit(eui, data, now)
        exchange.over(Stage.CHECKS)
        if isinstance(received, Answer):
            return received
        exchange.request_id, exchange.user = received.key, received.eui
        answer = await self._transactions.run(lambda uow: desk.execute(uow, received), heavy=heavy, of=UPSTREAM_SHARE)
        self._after_work()
        exchange.over(Stage.TRANSACTION)
        return answer

    async def _csp(self, data: bytes, peer: Peer, exchange: Exchange) -> Answer:
        heavy = len(data) >= HEAVY_BYTES
        now, over = self._clock.now(), self._binding.of(peer)
        if heavy:
            admitted = await asyncio.to_thread(self._csp_desk.admit, data, now, over)
        else:
            admitted = self._csp_desk.admit(data, now, over)
        exchange.over(Stage.CHECKS)
        if isinstance(admitted, Answer):
            return admitted
        exchange.request_id, exchange.user = admitted.message.message_id.text, admitted.document.signer.eui
        answer = await self._transactions.run(
            lambda unit_of_work: self._csp_desk.execute(unit_of_work, admitted), heavy=True, of=CSP_SHARE
        )
        self._after_work()
        exchange.over(Stage.TRANSACTION)
        return answer

    async def _registrations(self, desk: RegistrationDesk, data: bytes, exchange: Exchange) -> Answer:
        admitted = await asyncio.to_thread(desk.admit, data) if len(data) >= HEAVY_BYTES else desk.admit(data)
        exchange.over(Stage.CHECKS)
        if isinstance(admitted, Answer):
            return admitted
        answer = await self._transactions.run(
            lambda unit_of_work: desk.execute(unit_of_work, admitted),
            heavy=len(data) >= HEAVY_BYTES,
            of=REGISTRATION_SHARE,
        )
        try:
            while await self._transactions.run(desk.changes, heavy=True):
                pass
        except Exception:
            # They are taken all the same; what they change is carried out at the next tick.
            log.exception("registrations were taken and could not be carried out yet")
        self._after_work()
        exchange.over(Stage.TRANSACTION)
        return answer


async def _http_error(_request: Request, error: Exception) -> Response:
    status = HTTPStatus(error.status_code) if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
    headers = dict((isinstance(error, HTTPException) and error.headers) or {})
    words = {
        HTTPStatus.METHOD_NOT_ALLOWED: f"this address takes {headers.get('Allow', 'other methods')} only",
        HTTPStatus.NOT_FOUND: "no such address; below /api/v1 are serviceD, serviceS, serviceT, csp, messages and more",
    }
    response = response_of(problem(status, words.get(status, status.phrase)))
    response.headers.update(headers)
    return response


async def _failure(_request: Request, _error: Exception) -> Response:
    detail = "the request could not be worked on and changed nothing; it may be sent again as it is"
    return response_of(problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail))
