"""What the pages of a Supplier are, and who may use them."""

from __future__ import annotations

from sr_engine.configuration.console import ConsoleRole
from sr_engine.console.desk import Desk
from sr_engine.console.pages import Entry, Page, Section
from sr_engine.console.supplier.acting_pages import ActingPages
from sr_engine.console.supplier.desk import SupplierDesk
from sr_engine.console.supplier.hubs import HubPages
from sr_engine.console.supplier.releases import ReleasePages
from sr_engine.console.supplier.working_out import Proposing


def section(desk: Desk, supplier: SupplierDesk) -> Section:
    """The pages of a Supplier."""
    view, act = ConsoleRole.VIEW, ConsoleRole.ACT
    releases, hubs = ReleasePages(supplier), HubPages(supplier)
    acting = ActingPages(supplier, Proposing(desk, supplier))
    return Section(
        pages=(
            Page("/releases", releases.listed, view, stamp=releases.stamp),
            Page("/releases/{release_id}", releases.one, view, stamp=releases.stamp),
            Page("/hubs", hubs.listed, view),
            Page("/hubs/{hub_id}", hubs.one, view),
            Page("/act", acting.compose, act),
            Page("/act", acting.take, act, changes=True),
            Page("/proposals", acting.listed, view),
            Page("/proposals/{proposal_id}", acting.one, view, stamp=acting.stamp),
            Page("/proposals/{proposal_id}/confirm", acting.confirm, view, changes=True),
            Page("/proposals/{proposal_id}/turn-down", acting.turn_down, view, changes=True),
            Page("/proposals/{proposal_id}/again", acting.again, act, changes=True),
        ),
        navigation=(
            Entry("Releases", "/releases", view, "Upgrades"),
            Entry("Hubs", "/hubs", view, "Upgrades"),
            Entry("Actions", "/proposals", view, "Upgrades"),
        ),
    )
