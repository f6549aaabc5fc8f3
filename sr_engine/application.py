"""Puts a process of the processor together from the parts of an instance."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from sr_engine.apart import Apart
from sr_engine.bootstrap import (
    Instance,
    claims_of,
    csp_desk_of,
    destination_url,
    processor_of,
    pruning_of,
    receiving_desk_of,
    registration_desk_of,
    relay_of,
    resuming_of,
    shares_of,
    triggers,
)
from sr_engine.delivery.dispatch import Dispatcher
from sr_engine.faces import Console, api_desk_of, console_of, office_of
from sr_engine.gateway.app import Gateway
from sr_engine.gateway.binding import Binding
from sr_engine.gateway.doubts import Doubts
from sr_engine.gateway.fairness import Gate
from sr_engine.gateway.operator import OperatorDesk
from sr_engine.gateway.pull import PullDesk
from sr_engine.gateway.refusals import Refusals
from sr_engine.gateway.resumer import Resumer
from sr_engine.gateway.working import TELL_WITHIN_SECONDS, Role, Working
from sr_engine.heap import giving_back
from sr_engine.monitoring import counting_of, health_of, metrics_routes, tracing_of
from sr_engine.observing.counting import Counting
from sr_engine.observing.exchanges import Observer
from sr_engine.operations.retaining import DailyPruning
from sr_engine.peers import Forwarded, Peers
from sr_engine.regions.triggers import Leased, Ticker
from sr_engine.store.notices import Left, Listener
from sr_engine.store.reading import Reading
from sr_engine.transport import outgoing_tls, peers_of, watched_tls
from sr_engine.watching import Watched, Watcher

if TYPE_CHECKING:
    from sr_engine.api.desk import Desk as ApiDesk


def application(
    instance: Instance,
    *,
    role: Role = Role.ALL,
    monotonic: Callable[[], float] = time.monotonic,
    watched: Sequence[Watched] = (),
    counting: Counting | None = None,
) -> Starlette:
    """A process of the processor as an ASGI application: the gateway, the region triggers and delivery, or a part.

    `monotonic` tells the time, in seconds, by which the gateway judges how much each User sends, and this process
    whether it may still act on its leases. `watched` is read again, beside what the process knows of itself, when it
    changes. `counting` counts beside other processes.
    """
    counting = counting or counting_of(instance)
    policy = instance.configuration.policy
    outgoing = outgoing_tls(instance.settings)
    reading = Reading(instance.reading_engine)
    claims = claims_of(instance, reading, monotonic)
    dispatcher = Dispatcher(
        engine=instance.reading_engine,
        clock=instance.clock,
        policy=policy.delivery,
        resolve=lambda destination: destination_url(instance, destination),
        claims=claims,
        randbelow=instance.randbelow,
        tls=outgoing,
        count=counting.delivery,
    )
    instance.transactions.after_follow_up = dispatcher.wake
    resumer = Resumer(
        resuming=resuming_of(instance),
        transactions=instance.transactions,
        reading=reading,
        clock=instance.clock,
        monotonic=monotonic,
        grace=policy.held.answer_grace,
        after_work=dispatcher.wake,
        claims=claims,
    )
    processor = processor_of(instance)
    refusals = Refusals(processor, instance.transactions, instance.clock, monotonic)
    relay = relay_of(instance, processor, outgoing.get("relay"))
    due: list[Leased | DailyPruning] = [
        *(Leased(one, claims) for one in triggers(instance, dispatcher.wake)),
        DailyPruning(pruning_of(instance), claims, instance.clock),
    ]
    ticker = Ticker(due, policy.triggers.tick)

    def woken(left: Collection[Left]) -> None:
        if Left.OUTBOX in left:
            dispatcher.wake()
        if Left.TIDINGS in left:
            instance.transactions.follow()
        if Left.HELD in left:
            resumer.wake()

    listener = Listener(instance.reading_engine, woken)
    api = api_desk_of(instance, reading, dispatcher.wake)
    parts = [dispatcher.run, resumer.run, listener.run]
    if api is not None:
        from sr_engine.api.sending import Sending  # noqa: PLC0415 - as in api_desk_of

        parts.append(Sending(api, claims, instance.randbelow).run)
    working = Working(claims, ticker, parts, instance.transactions)
    trusted = Watched("the trusted certificates", instance.settings.trust_directory, instance.trust.reload)
    apart = Apart()
    console = (
        console_of(instance, dispatcher.wake, office=office_of(instance, resumer.wake, apart))
        if role is not Role.WORKER and instance.settings.console is not None
        else None
    )

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with instance.transactions.served(TELL_WITHIN_SECONDS):
            try:
                async with (
                    working.running() if role is not Role.GATEWAY else nullcontext(),
                    Watcher([trusted, *watched, *watched_tls(instance.settings, outgoing)]).running(),
                    relay.running() if relay and role is not Role.WORKER else nullcontext(),
                    console.taking_up.running() if console else nullcontext(),
                    giving_back(),
                ):
                    yield
            finally:
                apart.stop()
                if api is not None:
                    api.threads.shutdown(wait=False)
                    api.preparing.shutdown(wait=False)
                await refusals.close()

    if role is Role.WORKER:
        return Starlette(
            routes=[*metrics_routes(instance, counting), *health_of(instance, working.alive).routes()],
            lifespan=lifespan,
        )
    feed = instance.settings.registration_feed
    peers = peers_of(instance.settings)
    gateway = Gateway(
        processor=processor,
        csp_desk=csp_desk_of(instance),
        transactions=instance.transactions,
        clock=instance.clock,
        gate=Gate(shares_of(instance), monotonic),
        doubts=Doubts(policy.overload.unauthenticated_per_second, monotonic),
        refusals=refusals,
        reading=reading,
        retry_after=policy.overload.retry_after,
        after_work=dispatcher.wake,
        resumer=resumer,
        registration_desk=None if feed is None else registration_desk_of(instance, feed.token_sha256),
        peers=peers,
        binding=Binding(policy.connections.bound_to, instance.users),
        observer=Observer(counting, trace=tracing_of(instance.settings)),
        health=health_of(instance),
        more_routes=[
            *metrics_routes(instance, counting),
            *_faces(
                instance,
                reading=reading,
                api=api,
                console=console,
                after_decision=resumer.wake,
                monotonic=monotonic,
                peers=peers,
            ),
        ],
        relay=relay,
        receiving_desk=receiving_desk_of(instance),
    )
    app = gateway.app(lifespan)
    if instance.settings.proxy is not None:
        app.add_middleware(Forwarded, peers=peers)
    return app


def _faces(
    instance: Instance,
    *,
    reading: Reading,
    api: ApiDesk | None,
    console: Console | None,
    after_decision: Callable[[], None],
    monotonic: Callable[[], float],
    peers: Peers,
) -> Sequence[BaseRoute]:
    """The addresses beside those of the gateway, as far as the settings ask for them."""
    routes: list[BaseRoute] = [
        *PullDesk(instance.users, instance.configuration.regions, reading, instance.transactions).routes()
    ]
    if api is not None:
        from sr_engine.api.app import mounted  # noqa: PLC0415 - as in api_desk_of

        routes.append(mounted(api, monotonic, peers))
    operator = instance.settings.operator
    if operator is not None:
        operators = OperatorDesk(operator.token_sha256, reading, instance.transactions, after_decision)
        routes += operators.routes()
    if console is not None:
        routes += console.routes
    return routes
