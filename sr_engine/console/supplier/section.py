"""What the pages of a Supplier are, and who may use them."""

from __future__ import annotations

from starlette.responses import Response

from sr_engine.configuration.console import ConsoleRole
from sr_engine.console.pages import Entry, Page, Section, Visit


def section() -> Section:
    """The pages of a Supplier."""
    view = ConsoleRole.VIEW
    return Section(
        pages=(Page("/releases", releases, view),),
        navigation=(Entry("Releases", "/releases", view, "Upgrades"),),
    )


async def releases(visit: Visit) -> Response:
    """The releases that wait for the Supplier."""
    return await visit.show("supplier/releases.html")
