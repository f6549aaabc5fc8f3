"""Whether an instance is in order: `doctor`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from sr_engine.cli.failures import ANYTHING_ELSE
from sr_engine.cli.opening import instance_option
from sr_engine.clock import SystemClock
from sr_engine.doctor.examining import examine
from sr_engine.doctor.findings import Finding, Verdict


@click.command(short_help="Look whether everything is in order, and say what to do.")
@instance_option
@click.option("--offline", is_flag=True, help="Do not look whether receivers can be reached.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def doctor(directory: Path, *, offline: bool, as_json: bool) -> None:
    """Examine configuration, keys, certificates, permissions, disk, database, clocks, receivers and the own address.

    Changes nothing, and may be run while the instance serves. Ends with 2 if there is an error; warnings alone are 0.
    """
    found = list(examine(directory, SystemClock().now(), offline=offline))
    if as_json:
        click.echo(json.dumps([_as_json(one) for one in found], indent=2))
    else:
        for one in found:
            click.echo(f"{one.verdict.upper():8}{one.of}: {one.says}")
            if one.to_do:
                click.echo(f"        -> {one.to_do}")
        click.echo(_summary(found))
    if any(one.verdict is Verdict.ERROR for one in found):
        click.get_current_context().exit(ANYTHING_ELSE)


def _summary(found: list[Finding]) -> str:
    errors, warnings = (sum(one.verdict is verdict for one in found) for verdict in (Verdict.ERROR, Verdict.WARNING))
    return f"{errors} error(s), {warnings} warning(s)" if errors or warnings else "all is in order"


def _as_json(one: Finding) -> dict[str, str]:
    return {"verdict": one.verdict.value, "of": one.of, "says": one.says, "to_do": one.to_do}
