"""CSP regions named on the command line: the same refusal wherever one is mistyped."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import click

from sr_engine.configuration import Region


def chosen_regions(regions: Mapping[str, Region], names: Collection[str]) -> list[Region]:
    """The regions that are named, or all if none is, in the order of regions.toml.

    Raises BadParameter, which says what there is to be named, if one is not a region that is upgraded.
    """
    for name in names:
        if name not in regions:
            there_are = ", ".join(regions)
            raise click.BadParameter(
                f"{name!r} is not a region that is upgraded; there are {there_are}", param_hint="--region"
            )
    return [region for region in regions.values() if not names or region.name in names]
