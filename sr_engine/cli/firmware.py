"""How commands name a firmware release: by manufacturer, model and version, as Suppliers do."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from sr_engine.messages.model import Firmware

_F = TypeVar("_F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--manufacturer", required=True, help="DeviceManufacturer of the hub model."),
    click.option("--model", required=True, help="DeviceModel of the hub model."),
    click.option("--version", required=True, help="The firmware version."),
)


def firmware_options(command: _F) -> Callable[..., Any]:
    """Adds --manufacturer, --model and --version to a command, together as the parameter `firmware`."""

    @wraps(command)
    def with_firmware(*, manufacturer: str, model: str, version: str, **others: Any) -> Any:
        return command(firmware=Firmware(manufacturer, model, version), **others)

    decorated: Callable[..., Any] = with_firmware
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated
