"""Puts together what counts, shows and traces the work of an instance."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.routing import Route

from signing import Certificate
from sr_engine.bootstrap import Instance
from sr_engine.configuration import (
    SETTINGS_FILE,
    Configuration,
    ConfigurationError,
    Metrics,
    Settings,
)
from sr_engine.gateway.app import CSP_SHARE, REGISTRATION_SHARE, UPSTREAM_SHARE
from sr_engine.observing.cells import Cells
from sr_engine.observing.counting import Counting, Layout
from sr_engine.observing.exchanges import Note
from sr_engine.observing.exposition import Health, MetricsDesk, monitoring_app
from sr_engine.observing.standing import Standing
from sr_engine.operations.expiries import expiries
from sr_engine.store.reading import Reading
from sr_engine.transport import peers_of


def layout_of(loaded: Configuration) -> Layout:
    """What is counted of an instance with this configuration."""
    return Layout.of(loaded, (CSP_SHARE, REGISTRATION_SHARE, UPSTREAM_SHARE))


def counting_of(instance: Instance, cells: Cells | None = None, row: int = 0) -> Counting:
    """What one process counts: in a row of memory that it shares with others, or alone."""
    layout = layout_of(instance.configuration)
    return Counting(layout, cells or Cells(layout.columns, 1), row)


def metrics_desk_of(instance: Instance, counting: Counting) -> MetricsDesk:
    """What shows the metrics of an instance."""
    settings = instance.settings
    metrics = settings.monitoring.metrics or Metrics()
    standing = Standing(
        Reading(instance.reading_engine),
        instance.clock,
        instance.configuration.regions,
        lambda: expiries(settings, instance.trust),
    )
    return MetricsDesk(counting, standing, settings.environment, metrics.addresses, peers_of(settings))


def metrics_routes(instance: Instance, counting: Counting) -> Sequence[Route]:
    """Where metrics can be fetched beside requests, if settings say that they can be there."""
    metrics = instance.settings.monitoring.metrics
    return [] if metrics is None or metrics.port is not None else metrics_desk_of(instance, counting).routes()


def health_of(instance: Instance, live: Callable[[], str] = lambda: "alive") -> Health:
    """What says whether an instance can take requests."""
    until = Certificate.from_file(instance.settings.signing.certificate).not_after
    return Health(Reading(instance.reading_engine), instance.clock, until, live=live)


def tracing_of(settings: Settings) -> Note | None:
    """What traces exchanges, if settings ask for it; raises ConfigurationError where it is not installed."""
    if not settings.monitoring.tracing.enabled:
        return None
    try:
        # An extra: whoever wants no traces need not have it.
        from sr_engine.observing.tracing import tracing  # noqa: PLC0415 - see above
    except ImportError:
        problem = f"{SETTINGS_FILE}: monitoring.tracing.enabled: needs the extra: pip install 'sr-engine[tracing]'"
        raise ConfigurationError((problem,)) from None
    return tracing()


def monitoring_of(instance: Instance, counting: Counting) -> Starlette:
    """What is served at the listener for monitoring alone."""
    return monitoring_app(metrics_desk_of(instance, counting), health_of(instance))
