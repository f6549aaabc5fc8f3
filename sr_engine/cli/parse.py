"""Responses and Alerts as JSON: `parse`."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path

import click

from signing import Trust
from sr_engine import configuration
from sr_engine.cli.failures import REFUSED
from sr_engine.cli.opening import instance_option, settings_of
from sr_engine.cli.times import as_moment
from sr_engine.clock import SystemClock
from sr_engine.configuration import clock_of
from sr_engine.parsing import MessageRefused, Parser, json_schema, to_json
from sr_engine.resources import data_directory


@click.command("parse", short_help="Print Responses and Alerts as JSON.")
@click.argument("files", nargs=-1, metavar="FILE...")
@click.option("--trust", type=click.Path(path_type=Path), help="Folder of trusted certificates, not an instance's.")
@instance_option
@click.option(
    "--at",
    metavar="TIME",
    callback=lambda context, option, text: None if text is None else as_moment(context, option, text),
    help="Verify as of this time, such as 2026-11-23T09:00:00Z; otherwise now.",
)
@click.option("--schema", is_flag=True, help="Print the JSON Schema (2020-12) of what is printed, and nothing else.")
def parse_(*, files: tuple[str, ...], trust: Path | None, directory: Path, at: datetime | None, schema: bool) -> None:
    """Verify Responses and Alerts (`-` is stdin) and print each as a line of JSON.

    Whose signature is believed comes from --trust, otherwise from the instance. What is not known here is in `unknown`.

    Exit codes: 0 good, 3 certificates missing, 10 refused, 2 anything else.
    """
    if schema:
        click.echo(json.dumps(json_schema(), indent=2))
        return
    if not files:
        raise click.UsageError("name at least one file, or --schema")
    config, now = data_directory("config"), SystemClock().now()
    if trust is None:
        settings = settings_of(directory)
        config, trust, now = settings.config_directory, settings.trust_directory, clock_of(settings).now()
    roles = configuration.load(config).policy.certificate_roles.responses
    parser = Parser.trusting(Trust.from_directory(trust), roles=frozenset(roles))
    refused = False
    for file in files:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        try:
            click.echo(json.dumps(to_json(parser.message(data, at=at or now))))
        except MessageRefused as error:
            refused = True
            place = file if error.line is None else f"{file}:{error.line}"
            click.echo(f"{place}: {error.reason}" + (f" ({error.path})" if error.path else ""), err=True)
    if refused:
        click.get_current_context().exit(REFUSED)
