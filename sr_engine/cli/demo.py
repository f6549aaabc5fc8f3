"""The demonstration: `demo`."""

from __future__ import annotations

import click

from sr_engine.demo.play import run


@click.command(short_help="Run the main job on a small country, end to end.")
def demo() -> None:
    """Run the main job on a small synthetic country and show it working."""
    click.get_current_context().exit(run())
