"""Devices from a CSV file: one row per device, with the fields of the published Device type (section 5, Inventory)."""

from __future__ import annotations

from pathlib import Path

from sr_engine.configuration.duis import CSP_REGIONS
from sr_engine.importers.csv_table import Column, Progress, day, digits, eui, one_of, read_csv, up_to

DEVICE_TYPES = ("CHF", "GPF", "ESME", "GSME", "PPMID", "IHD", "HCALCS", "CAD")
"""FACTS DM5."""
DEVICE_STATUSES = (
    "Pending",
    "Whitelisted",
    "InstalledNotCommissioned",
    "Commissioned",
    "Decommissioned",
    "Withdrawn",
    "Suspended",
    "Recovery",
    "Recovered",
)
"""FACTS DM6."""
_CERTIFICATION_STATUSES = ("Active", "Cancelled", "Expired", "Withdrawn")
_ESME_VARIANTS = (
    *("A", "B", "C", "AD", "BD", "CD", "ADE", "BDE", "CDE", "ADF", "BDF", "CDF", "ADEF", "BDEF", "CDEF", "ADG", "ADEG"),
    *("AF", "BF", "CF", "AEF", "BEF", "CEF", "AG", "AEG"),
)
_CONNECTIVITIES = ("Cellular", "Virtual")


def _text(name: str, length: int, *, required: bool = False) -> Column:
    return Column(name, f"text of at most {length} characters", up_to(length), required)


def _choice(name: str, values: tuple[str, ...], *, required: bool = False) -> Column:
    return Column(name, f"one of {', '.join(values)}", one_of(values), required)


def _uprn(text: str) -> int:
    if (number := int(digits(1, 12)(text))) == 0:
        raise ValueError(text)
    return number


def _postcode(text: str) -> str:
    if len(text) < 6:
        raise ValueError(text)
    return up_to(8)(text)


COLUMNS = (
    Column("device_id", "an EUI-64", eui, required=True),
    _choice("device_type", DEVICE_TYPES, required=True),
    Column("hub_id", "the EUI-64 of the CHF (a CHF: itself)", eui),
    _choice("device_status", DEVICE_STATUSES),
    _text("manufacturer", 30, required=True),
    _text("model", 30, required=True),
    _text("smets_chts_version", 20),
    _text("firmware_version", 8),
    _choice("firmware_version_status", _CERTIFICATION_STATUSES),
    _choice("cpl_status", _CERTIFICATION_STATUSES),
    Column("date_commissioned", "a date such as 2026-11-22", day),
    Column("import_mpxn", "an MPAN or MPRN of at most 13 digits", digits(1, 13)),
    Column("secondary_import_mpan", "an MPAN of 13 digits", digits(13, 13)),
    Column("export_mpan", "an MPAN of 13 digits", digits(13, 13)),
    _choice("esme_variant", _ESME_VARIANTS),
    Column("uprn", "a number above 0 of at most 12 digits", _uprn),
    Column("postcode", "a postcode of 6 to 8 characters", _postcode),
    _text("address_identifier", 30),
    _choice("csp_region", CSP_REGIONS),
    _text("gbcs_version", 20),
    _text("han_variant", 40),
    _text("s1sp", 40),
    _choice("connectivity", _CONNECTIVITIES),
)


def read_devices(path: Path, *, progress: Progress | None = None) -> list[dict[str, object]]:
    """Return rows of the inventory, each with every field; ids are canonical and a CHF stands behind itself.

    Raises CsvRefused with every problem of the file, OSError if it cannot be read.
    """
    return read_csv(path, COLUMNS, key=("device_id",), check=_check, progress=progress)


def _check(row: dict[str, object]) -> tuple[str, str] | None:
    if row["device_type"] == "CHF":
        if row["hub_id"] is None:
            row["hub_id"] = row["device_id"]
        if row["hub_id"] != row["device_id"]:
            return "hub_id", "of a CHF must be its own device_id, or empty"
    elif row["device_type"] == "GPF" and row["hub_id"] is None:
        return "hub_id", "is empty; a GPF must name the CHF it shares its hub with"
    return None
