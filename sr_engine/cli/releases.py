"""Firmware releases: opening them, listing them, opening the gate to the General phase."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click

from sr_engine.bootstrap import draw_id
from sr_engine.cli.opening import fully_opened, instance_option, opened
from sr_engine.cli.output import show_table
from sr_engine.messages.model import Firmware
from sr_engine.operations.releases import open_gate, open_release
from sr_engine.store import releases

_MANUFACTURER = click.option("--manufacturer", required=True, help="DeviceManufacturer of the hub model.")
_MODEL = click.option("--model", required=True, help="DeviceModel of the hub model.")
_VERSION = click.option("--version", required=True, help="The firmware version.")


@click.group()
def release() -> None:
    """Firmware releases."""


@release.command("open", short_help="Open a release for scheduling and approval.")
@_MANUFACTURER
@_MODEL
@_VERSION
@click.option("--image-hash", help="SHA-256 of the image, 64 hexadecimal digits.")
@click.option("--image", type=click.Path(path_type=Path), help="The image itself, to take the hash of; it is not kept.")
@click.option("--region", "regions", multiple=True, required=True, help="CSP region it is for; may be repeated.")
@click.option(
    "--from-version", "from_versions", multiple=True, required=True, help="Version it installs on; may be repeated."
)
@click.option(
    "--han-model",
    "han_models",
    multiple=True,
    metavar="MANUFACTURER:MODEL",
    help="HAN device it may break; may be repeated.",
)
@click.option("--pilot-first", is_flag=True, help="List only pilot hubs until `release gate` opens a region.")
@instance_option
def open_(
    *,
    manufacturer: str,
    model: str,
    version: str,
    image_hash: str | None,
    image: Path | None,
    regions: tuple[str, ...],
    from_versions: tuple[str, ...],
    han_models: tuple[str, ...],
    pilot_first: bool,
    directory: Path,
) -> None:
    """Open a release: its Suppliers are told which of their hubs it concerns, and may schedule and approve."""
    if (image is None) == (image_hash is None):
        raise click.UsageError("name the image by --image or its hash by --image-hash")
    if image is not None:
        image_hash = hashlib.sha256(image.read_bytes()).hexdigest()
    with fully_opened(directory) as instance:
        _opened, hubs = instance.transactions.run_now(
            lambda unit_of_work: open_release(
                unit_of_work,
                configuration=instance.configuration,
                alerts=instance.alerts,
                draw_id=draw_id,
                firmware=Firmware(manufacturer, model, version),
                image_hash=image_hash or "",
                regions=regions,
                reachable_from=from_versions,
                han_models=[_han_model(text) for text in han_models],
                general_open=not pilot_first,
            )
        )
    click.echo(f"opened firmware {version} for {manufacturer} {model}: it concerns {hubs:,} hubs")


@release.command("list")
@instance_option
def list_(directory: Path) -> None:
    """List all releases, newest first."""
    with opened(directory) as instance, instance.engine.connect() as connection:
        found = releases.all_releases(connection)
    show_table(
        "Releases",
        ("Manufacturer", "Model", "Version", "Status", "Installs on", "Regions", "General phase open in", "HAN models"),
        (
            (
                one.firmware.manufacturer,
                one.firmware.model,
                one.firmware.version,
                one.status,
                ", ".join(sorted(one.reachable_from)),
                ", ".join(sorted(one.regions)),
                ", ".join(sorted(one.general_open)) or "none",
                ", ".join(":".join(pair) for pair in sorted(one.han_models)),
            )
            for one in found
        ),
    )


@release.command("gate", short_help="Open a region's gate to the General phase.")
@_MANUFACTURER
@_MODEL
@_VERSION
@click.option("--region", required=True, help="CSP region whose gate is opened.")
@instance_option
def gate(manufacturer: str, model: str, version: str, region: str, directory: Path) -> None:
    """Open a region's gate to the General phase: from now on not only pilot hubs are listed."""
    firmware = Firmware(manufacturer, model, version)
    with opened(directory, writing=True) as instance:
        changed = instance.transactions.run_now(lambda unit_of_work: open_gate(unit_of_work, firmware, region))
    click.echo(f"the gate of region {region} {'is open now' if changed else 'was open already'}")


def _han_model(text: str) -> tuple[str, str]:
    manufacturer, separator, model = text.partition(":")
    if not (manufacturer and separator and model):
        raise click.BadParameter(f"{text!r} is not MANUFACTURER:MODEL", param_hint="--han-model")
    return manufacturer, model
