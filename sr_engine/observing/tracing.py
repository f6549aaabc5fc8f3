"""Exchanges as OpenTelemetry traces: a span for each, and one within it for each of its stages.

Spans are made once an exchange is over, so that nobody waits for them. Which SDK takes them, and where to, is set up
outside of this program, as by `opentelemetry-instrument`; without one they are nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from opentelemetry import context, propagate, trace

from sr_engine.observing.exchanges import Exchange, Note

_NANOSECONDS = 1_000_000_000


def tracing(
    provider: trace.TracerProvider | None = None,
    *,
    wall: Callable[[], int] = time.time_ns,
) -> Note:
    """What notes exchanges with a provider of tracers, the one of the process if it is None.

    A request that names its own trace, in `traceparent`, is a part of it.
    """
    tracer = trace.get_tracer("sr_engine", tracer_provider=provider)

    def note(exchange: Exchange, ended: float) -> None:
        now = wall()

        def at(moment: float) -> int:
            return now - round((ended - moment) * _NANOSECONDS)

        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in exchange.headers}
        parent = propagate.extract(headers, context.Context())
        span = tracer.start_span(
            exchange.variant or exchange.name,
            parent,
            kind=trace.SpanKind.SERVER,
            start_time=at(exchange.began),
            attributes={
                "sr_engine.service": exchange.name,
                "sr_engine.request_id": exchange.request_id,
                "sr_engine.user": exchange.user,
                "sr_engine.srv": exchange.variant,
                "sr_engine.code": exchange.code,
            },
        )
        within = trace.set_span_in_context(span, parent)
        for stage, begin, end in exchange.stages:
            tracer.start_span(stage.name.lower(), within, start_time=at(begin)).end(at(end))
        span.end(now)

    return note
