"""The console script: `sr-engine` and its commands."""

from __future__ import annotations

import gc
from importlib import import_module
from importlib.metadata import version

import click

from sr_engine.cli.failures import EXIT_CODES, failure_of

_DESCRIPTION = f"""Schedule and approve Communications Hub firmware upgrades over DUIS.

Commands that work on an instance take its folder from --dir, from the environment variable SR_ENGINE_DIR, or use the
current one.

{EXIT_CODES}"""

_COMMANDS = {
    "account": "accounts:account",
    "anomaly": "quarantine:anomaly",
    "api-token": "api_tokens:api_token",
    "archive": "prune:archive",
    "audit": "audit:audit",
    "backup": "backup:backup",
    "cpl": "cpl:cpl",
    "db": "database:db",
    "demo": "demo:demo",
    "doctor": "doctor:doctor",
    "exclusion": "exclusions:exclusion",
    "held": "quarantine:held_",
    "init": "instance:init",
    "inventory": "data:inventory",
    "lease": "leases:lease",
    "lifecycle": "lifecycle:lifecycle",
    "list": "lists:list_",
    "outbox": "outbox:outbox",
    "parse": "parse:parse_",
    "phase": "phases:phase",
    "pki": "instance:pki",
    "plan": "plan:plan",
    "policy": "policy:policy",
    "prune": "prune:prune",
    "quarantine": "quarantine:quarantine",
    "receive": "receive:receive",
    "registration": "data:registration",
    "release": "releases:release",
    "replay": "replay:replay_",
    "report": "report:report",
    "restore": "backup:restore",
    "sandbox": "sandbox:sandbox",
    "serve": "serve:serve",
    "sign": "messages:sign",
    "sign-server": "sign_server:sign_server",
    "simulate": "simulate:simulate",
    "simulate-csp": "simulate_csp:simulate_csp",
    "spreadsheet": "spreadsheet:spreadsheet",
    "status": "insight:status",
    "submit": "submit:submit",
    "validate": "messages:validate",
    "verify": "messages:verify",
    "webhook": "webhooks:webhook",
    "why": "insight:why",
}
"""Of each command: the module of `sr_engine.cli` that holds it, and its name there.

All of them together take a second or two to import, and who runs one waits for no other.
"""


class Commands(click.Group):
    """The group of all commands: imports the one that is run, and turns every error into a Failure."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """The names of all commands."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """The command of a name, imported if it was not yet."""
        place = _COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command: click.Command = getattr(import_module(f"sr_engine.cli.{module}"), name)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command named on the command line."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if ctx.params["traceback"]:
                raise
            raise failure_of(error) from None


@click.group(cls=Commands, help=_DESCRIPTION, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("sr-engine"), prog_name="sr-engine")
@click.option("--traceback", is_flag=True, help="Show where an error arose; for reports of defects.")
def commands(traceback: bool) -> None:
    pass


def main() -> None:
    """Run the command line and end the process with its exit code."""
    # What is imported stays: looking for cycles in it again and again takes a seventh of the time of importing it.
    gc.set_threshold(10_000, 20, 10)
    commands.main(prog_name="sr-engine")
