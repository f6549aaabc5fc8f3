"""The audit trail: showing it, verifying that nobody changed it, pruning what is old."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from signing import Certificate, SoftwareKey
from sr_engine.cli.failures import REFUSED, Failure
from sr_engine.cli.opening import instance_option, opened
from sr_engine.cli.output import moment, show_table
from sr_engine.cli.times import as_moment
from sr_engine.configuration import Settings
from sr_engine.importers.csv_table import eui
from sr_engine.operations.audit import prune as prune_once
from sr_engine.operations.audit_verification import ChainReport, Verification
from sr_engine.operations.audit_verification import verify as verify_all
from sr_engine.operations.why import newest_records
from sr_engine.store import inventory, releases
from sr_engine.store.units_of_work import NO_HUBS

_HASH_BYTES = 32
CERTIFICATE = click.option(
    "--certificate",
    "certificates",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Certificate of an earlier key of the instance, if that has signed the newest checkpoint; may be repeated.",
)


def _as_eui(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    try:
        return None if text is None else eui(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not an EUI-64, such as 00-DB-12-34-56-78-90-A2") from None


class _ShowByDefault(click.Group):
    """Without the name of a command, `show` is meant."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named else ["show", *args])


@click.group(cls=_ShowByDefault, short_help="The audit trail: show it, verify it, prune it.")
def audit() -> None:
    """The audit trail. Without the name of a command, its newest records are shown."""


@audit.command("show", short_help="The newest records.")
@instance_option
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="How many records.")
@click.option("--release-version", metavar="VERSION", help="Only records about the releases of this firmware version.")
@click.option("--hub", "device_id", callback=_as_eui, metavar="DEVICE_ID", help="Only records about a hub: CHF or GPF.")
def show(directory: Path, limit: int, release_version: str | None, device_id: str | None) -> None:
    """The newest records of the audit trail, newest first."""
    with opened(directory) as instance, instance.engine.connect() as connection:
        if release_version not in {None, *(one.firmware.version for one in releases.all_releases(connection))}:
            raise Failure(f"there is no release of firmware {release_version}: `sr-engine release list` shows all")
        found = newest_records(connection, limit, version=release_version, device_id=device_id)
        if device_id is not None and not found and inventory.device_type(connection, device_id) is None:
            raise Failure(f"no such device: {device_id} is not in the inventory")
    show_table(
        "Audit trail",
        ("Time", "Who", "What", "Firmware", "From", "To", "Hubs", "Message", "Detail"),
        (
            (
                one.entry.at,
                one.entry.actor,
                one.entry.action,
                one.firmware,
                one.entry.from_state,
                one.entry.to_state,
                len(one.entry.hubs),
                one.entry.message_key,
                one.entry.detail,
            )
            for one in found
        ),
    )


@audit.command("verify", short_help="Verify that no record was changed, added or taken away.")
@instance_option
@click.option(
    "--head",
    "heads",
    multiple=True,
    metavar="HEX",
    help="Hash printed by an earlier verification, which has to be in the trail still; may be repeated.",
)
@CERTIFICATE
def verify(directory: Path, heads: tuple[str, ...], certificates: tuple[Path, ...]) -> None:
    """Recompute the hash chains of the audit trail, from their beginning or from where they were last pruned.

    Keep the hash of the head that is printed in a safe place: with --head a later verification also finds that the
    newest records were cut off, or that all was written anew. Ends with exit code 10 if anything is wrong.
    """
    sought = [_hash(head) for head in heads]
    with opened(directory) as instance, instance.engine.connect() as connection:
        found = verify_all(connection, _certificates(instance.settings, certificates), sought)
    intact, wrong = lines_about(found)
    for line in intact:
        click.echo(line)
    if wrong:
        raise Failure("\n".join(wrong), REFUSED)


@audit.command("prune", short_help="Delete records older than a time.")
@instance_option
@click.option(
    "--before",
    required=True,
    callback=as_moment,
    metavar="TIME",
    help="Delete what is older, such as 2026-01-01T00:00:00Z.",
)
@CERTIFICATE
def prune(directory: Path, before: datetime, certificates: tuple[Path, ...]) -> None:
    """Delete whole links of the chains and their records, and sign with the instance's key where each begins now.

    What is deleted is verified first. The newest link stays, whatever its age.
    """
    with opened(directory, writing=True) as instance:
        if before > instance.clock.now():
            raise click.BadParameter(f"{moment(before)} has not come yet", param_hint="--before")
        key = SoftwareKey.load(instance.settings.signing.key, instance.settings.signing.certificate)
        known = _certificates(instance.settings, certificates)
        links = records = 0
        while (
            done := instance.transactions.run_now(lambda uow: prune_once(uow, before, key, known), hubs=NO_HUBS)
        ).links:
            links += done.links
            records += done.records
    click.echo(f"pruned {records:,} records in {links:,} links" if links else "there is nothing to prune")


def lines_about(found: Verification) -> tuple[list[str], list[str]]:
    """What to say of chains that are whole, and of what is wrong."""
    intact = [_intact(chain) for chain in found.chains if chain.broken is None]
    if not found.chains:
        intact.append("the audit trail has no chain: nothing was ever recorded, or all of it was taken away")
    return intact, _wrong(found)


def _certificates(settings: Settings, others: tuple[Path, ...]) -> list[Certificate]:
    return [Certificate.from_file(path) for path in (settings.signing.certificate, *others)]


def _hash(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != _HASH_BYTES:
        raise click.BadParameter(f"{text!r} is not a hash of {2 * _HASH_BYTES} hexadecimal digits", param_hint="--head")
    return found


def _name(chain: ChainReport) -> str:
    return f"chain {chain.chain_id} ({chain.writer})"


def _intact(chain: ChainReport) -> str:
    since = ""
    if chain.checkpoint is not None:
        since = f" since it was pruned up to link {chain.checkpoint.link.number} at {chain.checkpoint.pruned_at[:19]}Z"
    head = "none" if chain.head is None else chain.head.hex()
    return f"{_name(chain)}: {chain.links:,} links, {chain.records:,} records{since}, head {head}"


def _wrong(found: Verification) -> list[str]:
    lines = [f"{_name(chain)}: {chain.broken}" for chain in found.chains if chain.broken is not None]
    lines += [str(stray) for stray in found.strays]
    lines += [
        f"no chain holds the hash {head.hex()}: the trail was cut off or written anew since, or pruned beyond it"
        for head in found.heads_missing
    ]
    return lines
