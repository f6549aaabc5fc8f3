"""The console script: `sr-engine` and its commands."""

from __future__ import annotations

from importlib.metadata import version

import click

from sr_engine.cli.accounts import account
from sr_engine.cli.api_tokens import api_token
from sr_engine.cli.audit import audit
from sr_engine.cli.backup import backup, restore
from sr_engine.cli.cpl import cpl
from sr_engine.cli.data import inventory, registration
from sr_engine.cli.database import db
from sr_engine.cli.doctor import doctor
from sr_engine.cli.exclusions import exclusion
from sr_engine.cli.failures import EXIT_CODES, Commands
from sr_engine.cli.insight import status, why
from sr_engine.cli.instance import init, pki
from sr_engine.cli.leases import lease
from sr_engine.cli.lifecycle import lifecycle
from sr_engine.cli.lists import list_
from sr_engine.cli.messages import sign, validate, verify
from sr_engine.cli.outbox import outbox
from sr_engine.cli.parse import parse_
from sr_engine.cli.phases import phase
from sr_engine.cli.plan import plan
from sr_engine.cli.policy import policy
from sr_engine.cli.prune import archive, prune
from sr_engine.cli.quarantine import anomaly, held_, quarantine
from sr_engine.cli.receive import receive
from sr_engine.cli.releases import release
from sr_engine.cli.replay import replay_
from sr_engine.cli.report import report
from sr_engine.cli.sandbox import sandbox
from sr_engine.cli.serve import serve
from sr_engine.cli.sign_server import sign_server
from sr_engine.cli.simulate import simulate
from sr_engine.cli.simulate_csp import simulate_csp
from sr_engine.cli.spreadsheet import spreadsheet
from sr_engine.cli.submit import submit
from sr_engine.cli.webhooks import webhook

_DESCRIPTION = f"""Schedule and approve Communications Hub firmware upgrades over DUIS.

Commands that work on an instance take its folder from --dir, from the environment variable SR_ENGINE_DIR, or use the
current one.

{EXIT_CODES}"""


@click.group(cls=Commands, help=_DESCRIPTION, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("sr-engine"), prog_name="sr-engine")
@click.option("--traceback", is_flag=True, help="Show where an error arose; for reports of defects.")
def commands(traceback: bool) -> None:
    pass


@click.command(short_help="Run the main job on a small country, end to end.")
def demo() -> None:
    """Run the main job on a small synthetic country and show it working."""
    # Nobody else needs what the demonstration loads.
    from sr_engine.demo.play import run  # noqa: PLC0415 - see above

    click.get_current_context().exit(run())


for command in (
    init,
    db,
    backup,
    restore,
    serve,
    doctor,
    sign_server,
    demo,
    sandbox,
    simulate,
    simulate_csp,
    inventory,
    registration,
    cpl,
    release,
    phase,
    policy,
    list_,
    lease,
    plan,
    exclusion,
    held_,
    quarantine,
    anomaly,
    api_token,
    webhook,
    report,
    status,
    why,
    audit,
    account,
    outbox,
    prune,
    archive,
    lifecycle,
    sign,
    verify,
    validate,
    parse_,
    submit,
    spreadsheet,
    receive,
    replay_,
    pki,
):
    commands.add_command(command)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    commands.main(prog_name="sr-engine")
