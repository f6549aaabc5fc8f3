"""Exchanges as traces: a span each, with its stages within, in the trace that the request names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry import context, trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from sr_engine.observing.counting import Stage
from sr_engine.observing.exchanges import Observer
from sr_engine.observing.tracing import tracing

_BILLION = 1_000_000_000


class Noted(NonRecordingSpan):
    """A span that remembers."""

    def __init__(self, number: int, name: str, parent: trace.Span, start: int, attributes: dict[str, object]) -> None:
        super().__init__(SpanContext(1, number, is_remote=False, trace_flags=TraceFlags(1)))
        self.name, self.parent, self.start, self.attributes = name, parent.get_span_context(), start, attributes
        self.ended: int | None = None

    def end(self, end_time: int | None = None) -> None:
        self.ended = end_time


class Notes(trace.TracerProvider, trace.Tracer):
    """Takes spans as an SDK would."""

    def __init__(self) -> None:
        self.spans: list[Noted] = []

    def get_tracer(self, *_: Any, **__: Any) -> trace.Tracer:
        return self

    def start_span(
        self, name: str, context: context.Context | None = None, *_: Any, start_time: int | None = None, **named: Any
    ) -> trace.Span:
        parent = trace.get_current_span(context)
        span = Noted(len(self.spans) + 1, name, parent, start_time or 0, dict(named.get("attributes") or {}))
        self.spans.append(span)
        return span

    @contextmanager
    def start_as_current_span(self, *_: Any, **__: Any) -> Iterator[trace.Span]:  # type: ignore[override]
        raise NotImplementedError


def test_an_exchange_is_a_span_with_its_stages_within_in_the_trace_of_its_request() -> None:
    notes, times = Notes(), iter([10.0, 10.5, 11.0, 12.0])
    observer = Observer(trace=tracing(notes, wall=lambda: 100 * _BILLION), now=lambda: next(times))
    parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    exchange = observer.begin("serviceD", [(b"traceparent", parent)])
    exchange.over(Stage.BODY)
    exchange.over(Stage.TURN)
    exchange.variant, exchange.user = "8.2", "a user"
    observer.end(exchange, "I0")

    whole, *stages = notes.spans
    assert (whole.name, whole.start, whole.ended) == ("8.2", 98 * _BILLION, 100 * _BILLION)
    assert (whole.attributes["sr_engine.code"], whole.attributes["sr_engine.user"]) == ("I0", "a user")
    assert f"{whole.parent.span_id:016x}" == "b7ad6b7169203331"
    assert [(one.name, one.start, one.ended) for one in stages] == [
        ("body", 98 * _BILLION, 98.5 * _BILLION),
        ("turn", 98.5 * _BILLION, 99 * _BILLION),
    ]
    assert {one.parent.span_id for one in stages} == {1}


def test_without_an_sdk_a_trace_is_nothing() -> None:
    observer = Observer(trace=tracing())

    observer.end(observer.begin("csp"), "204")

    assert _spans_of_the_process() == []


def _spans_of_the_process() -> Sequence[object]:
    return getattr(trace.get_tracer_provider(), "spans", [])
