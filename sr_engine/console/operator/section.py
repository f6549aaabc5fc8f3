"""What the pages of an operator are."""

from __future__ import annotations

from collections.abc import Sequence

from sr_engine.console.operator.audit import Audit
from sr_engine.console.operator.certificates import Parties
from sr_engine.console.operator.csp import Csps
from sr_engine.console.operator.deliveries import Deliveries
from sr_engine.console.operator.levels import ServiceLevels
from sr_engine.console.operator.messages import Messages
from sr_engine.console.operator.office import Office
from sr_engine.console.operator.overview import Overview
from sr_engine.console.operator.plan import PlanPreview
from sr_engine.console.operator.quarantine import Quarantine
from sr_engine.console.operator.releases import Releases
from sr_engine.console.operator.viewer import Viewer
from sr_engine.console.pages import Section


def sections(office: Office) -> Sequence[Section]:
    """All of them, in the order of the navigation."""
    messages = Messages(office)
    return (
        Overview(office).section(),
        Releases(office).section(),
        PlanPreview(office).section(),
        Csps(office).section(),
        ServiceLevels(office).section(),
        Deliveries(office, messages).section(),
        Quarantine(office).section(),
        messages.section(),
        Viewer(office, messages).section(),
        Audit(office).section(),
        Parties(office).section(),
    )
