"""The catalogue beside the published list of Service Requests, column by column."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from sr_engine.configuration import CatalogueSource, Configuration, FutureDating, ServiceReferenceVariant

pytestmark = pytest.mark.reference

_FUTURE_DATING = {
    frozenset[FutureDating](): "No",
    frozenset({FutureDating.DSP}): "DSP",
    frozenset({FutureDating.DEVICE}): "Device",
    frozenset(FutureDating): "DSP & Device",
}
REMARK = " (Current and Future Suppliers may use this Service Request)"
"""Said of 8.2 in the column of names."""
LOST_ITS_ZERO = {"6.20.1", "6.20.2"}
"""The published list was a spreadsheet, in which 6.20 became 6.2; the schema knows the former."""

COLUMNS: Mapping[str, Callable[[ServiceReferenceVariant], object]] = {
    "reference": lambda entry: entry.reference,
    "variant": lambda entry: entry.variant,
    "name": lambda entry: _words(entry.name),
    "critical": lambda entry: _yes_or_no(entry.critical),
    "on_demand": lambda entry: _yes_or_no(entry.on_demand),
    "future_dated": lambda entry: _FUTURE_DATING[entry.future_dated_by],
    "dcc_scheduled": lambda entry: _yes_or_no(entry.dcc_scheduled),
    "non_device": lambda entry: _yes_or_no(entry.non_device),
    "roles": lambda entry: set(entry.roles),
}


def _words(name: str) -> str:
    """A name without case and punctuation: there we are tidier than the list."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    return " ".join(word for word in words if word != "or")


def _yes_or_no(value: bool) -> str:
    return "Yes" if value else "No"


@pytest.fixture(scope="module")
def published(duis_reference: Path) -> dict[str, dict[str, str]]:
    """The rows of the published list by variant."""
    with (duis_reference / "service-requests.csv").open(encoding="utf-8", newline="") as file:
        return {row["variant"]: row for row in csv.DictReader(file)}


def test_the_same_service_requests_are_in_both(published: dict[str, dict[str, str]], shipped: Configuration) -> None:
    entries = shipped.catalogue.service_request.values()

    assert len(published) == 129
    assert {entry.variant for entry in entries if entry.source is CatalogueSource.PUBLISHED} == set(published)


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_of_the_published_list_is_as_in_the_catalogue(
    published: dict[str, dict[str, str]], shipped: Configuration, column: str
) -> None:
    def theirs(row: dict[str, str]) -> object:
        match column:
            case "roles":
                return set(row[column].split())
            case "reference" if row["variant"] in LOST_ITS_ZERO:
                return row[column] + "0"
            case "name":
                return _words(row[column].removesuffix(REMARK))
            case _:
                return row[column]

    found = {variant: COLUMNS[column](shipped.catalogue.service_request[variant]) for variant in published}

    assert found == {variant: theirs(row) for variant, row in published.items()}


def test_no_column_is_left_out(published: dict[str, dict[str, str]]) -> None:
    assert {column for row in published.values() for column in row} == set(COLUMNS)
