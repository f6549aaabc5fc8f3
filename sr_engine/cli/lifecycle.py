"""The table of transitions, for people: as tables in the terminal or as the page of the documentation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from sr_engine import configuration
from sr_engine.cli.opening import settings_of
from sr_engine.cli.output import show_table
from sr_engine.configuration import AlertDefinition, AlertEvent, Configuration
from sr_engine.resources import data_directory

Row = tuple[str, ...]

_INTRODUCTION = """# What can become of an upgrade

Every attempt at a hub is in one state. It changes only by the events below; in a state that an event does not start
from, the event does nothing. An alert goes to every Supplier responsible for the hub; "unless alone" means: but not to
one that is alone responsible and whose own request brought it about. This page is written from `config/lifecycle.toml`
and `config/alerts.toml` by `sr-engine lifecycle --markdown`.
"""
_STATES = ("State", "Kind", "Too late with", "Meaning")
_OVERLAYS = ("Overlay", "Meaning")
_EVENTS = ("Event", "From", "To", "Alert", "Meaning")


@click.command(short_help="The states of an upgrade, and the events between them.")
@click.option("--markdown", is_flag=True, help="Print the page of the documentation instead of tables.")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of an instance; without it, the table as it is shipped.",
)
def lifecycle(markdown: bool, directory: Path | None) -> None:
    """The states an upgrade can be in, what can be laid over them, and the events that lead from one to another."""
    folder = data_directory("config") if directory is None else settings_of(directory).config_directory
    loaded = configuration.load(folder)
    if markdown:
        click.echo(page(loaded), nl=False)
        return
    show_table("States", _STATES, _states(loaded))
    show_table("Overlays", _OVERLAYS, _overlays(loaded))
    show_table("Events", _EVENTS, _events(loaded))


def page(loaded: Configuration) -> str:
    """The page of the documentation, in Markdown."""
    parts = [
        _INTRODUCTION,
        "## States\n\n" + _markdown(_STATES, _states(loaded)),
        "## Overlays\n\n" + _markdown(_OVERLAYS, _overlays(loaded)),
        "## Events\n\n" + _markdown(_EVENTS, _events(loaded)),
    ]
    return "\n".join(parts)


def _states(loaded: Configuration) -> Iterator[Row]:
    for state, one in loaded.lifecycle.state.items():
        yield state, one.kind, f"E11nn{one.refusal}" if one.refusal else "", one.meaning


def _overlays(loaded: Configuration) -> Iterator[Row]:
    for overlay, one in loaded.lifecycle.overlay.items():
        yield overlay, one.meaning


def _events(loaded: Configuration) -> Iterator[Row]:
    for event, one in loaded.lifecycle.event.items():
        before = ", ".join(sorted("none" if state is None else state for state in one.before))
        alert = _alert(loaded, one.alert) + (", unless alone" if one.unless_alone else "")
        yield event, before, one.after or "same", alert, one.meaning


def _alert(loaded: Configuration, event: AlertEvent | None) -> str:
    if event is None:
        return ""
    definition: AlertDefinition = loaded.alerts[event]
    code = definition.code if definition.hub_alert_code is None else f"{definition.code} {definition.hub_alert_code}"
    return f"{event} ({code})"


def _markdown(columns: Row, rows: Iterator[Row]) -> str:
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
