"""The configuration agrees with the schemas and with what is published."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from lxml import etree

from sr_engine.configuration import CatalogueSource, Configuration, FutureDating
from sr_engine.configuration.duis import CSP_REGIONS, DCC_ALERT_CODES, AlertBodyElement
from sr_engine.resources import data_directory

XS = {"xs": "http://www.w3.org/2001/XMLSchema"}

FUTURE_DATED = {
    "No": frozenset[FutureDating](),
    "DSP": frozenset({FutureDating.DSP}),
    "Device": frozenset({FutureDating.DEVICE}),
    "DSP & Device": frozenset({FutureDating.DSP, FutureDating.DEVICE}),
}


def _schema(*paths: Path) -> list[etree._Element]:
    return [etree.parse(path).getroot() for path in paths]


def _enumerations(schema: list[etree._Element]) -> list[frozenset[str]]:
    """The values of every enumeration of a schema."""
    return [
        frozenset(str(value.get("value")) for value in restriction.iterfind("xs:enumeration", XS))
        for root in schema
        for restriction in root.iter(f"{{{XS['xs']}}}restriction")
    ]


def _enumeration_with(schema: list[etree._Element], *values: str) -> frozenset[str]:
    """The largest enumeration that has these values among its own."""
    return max((found for found in _enumerations(schema) if found.issuperset(values)), key=len)


def _choice_with(schema: list[etree._Element], *elements: str) -> frozenset[str]:
    """The elements of the smallest choice that has these among its own, choices within it included."""
    choices = [
        frozenset(str(element.get("name")) for element in choice.iterfind(".//xs:element", XS))
        for root in schema
        for choice in root.iter(f"{{{XS['xs']}}}choice")
    ]
    return min((found for found in choices if found.issuperset(elements)), key=len)


@pytest.fixture(scope="module")
def our_schema() -> list[etree._Element]:
    folder = data_directory("xsd")
    return _schema(folder / "duis.xsd", folder / "types.xsd")


@pytest.fixture(scope="module")
def official_schema(duis_reference: Path) -> list[etree._Element]:
    return _schema(duis_reference / "schema" / "DUIS-5.4.xsd")


def test_our_schema_has_every_response_code(shipped: Configuration, our_schema: list[etree._Element]) -> None:
    assert _enumeration_with(our_schema, "I0", "I99", "E100") >= set(shipped.response_codes)


def test_our_schema_has_every_alert_code_that_may_be_configured(our_schema: list[etree._Element]) -> None:
    assert _enumeration_with(our_schema, "N18", "N64") == DCC_ALERT_CODES


def test_our_schema_has_every_region(our_schema: list[etree._Element]) -> None:
    assert _enumeration_with(our_schema, "4G North") == set(CSP_REGIONS)


def test_our_schema_has_every_service_request(shipped: Configuration, our_schema: list[etree._Element]) -> None:
    catalogue = shipped.catalogue.service_request
    assert _enumeration_with(our_schema, "6.2.4", "11.5") == set(catalogue)
    bodies = {entry.body_element for entry in catalogue.values()}
    assert _choice_with(our_schema, "ReadInventory", "ScheduleCommsHubFirmware") == bodies | {"SignedPreCommand"}


@pytest.mark.reference
def test_the_catalogue_agrees_with_the_published_matrix(shipped: Configuration, duis_reference: Path) -> None:
    with (duis_reference / "service-requests.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["variant"]: row for row in csv.DictReader(file)}
    published = {
        variant: entry
        for variant, entry in shipped.catalogue.service_request.items()
        if entry.source is CatalogueSource.PUBLISHED
    }
    assert published.keys() == rows.keys()
    for variant, row in rows.items():
        entry = published[variant]
        # The matrix was once a spreadsheet: 6.20 reads 6.2 there.
        assert entry.reference == ("6.20" if variant.startswith("6.20.") else row["reference"])
        assert entry.critical == (row["critical"] == "Yes"), variant
        assert entry.on_demand == (row["on_demand"] == "Yes"), variant
        assert entry.dcc_scheduled == (row["dcc_scheduled"] == "Yes"), variant
        assert entry.non_device == (row["non_device"] == "Yes"), variant
        assert entry.future_dated_by == FUTURE_DATED[row["future_dated"]], variant
        assert entry.roles == set(row["roles"].split()), variant


@pytest.mark.reference
def test_the_catalogue_agrees_with_the_published_schema(
    shipped: Configuration, official_schema: list[etree._Element]
) -> None:
    published = [
        entry for entry in shipped.catalogue.service_request.values() if entry.source is CatalogueSource.PUBLISHED
    ]
    bodies = {entry.body_element for entry in published}
    assert _choice_with(official_schema, "ReadInventory", "TopUpDevice") == bodies | {"SignedPreCommand"}
    assert _enumeration_with(official_schema, "6.2.4", "11.1") == {entry.variant for entry in published}
    assert _enumeration_with(official_schema, "6.20", "11.1") == {entry.reference for entry in published}


@pytest.mark.reference
def test_published_sample_requests_agree_with_the_catalogue(shipped: Configuration, duis_reference: Path) -> None:
    samples = sorted((duis_reference / "messages" / "published").glob("*.XML"))
    assert samples
    for sample in samples:
        root = etree.parse(sample).getroot()
        found = {etree.QName(element).localname: element for element in root.iter("{*}*")}
        entry = shipped.catalogue.by_variant(str(found["ServiceReferenceVariant"].text))
        assert entry is not None
        assert entry.reference == found["ServiceReference"].text
        assert int(str(found["CommandVariant"].text)) in entry.command_variants
        assert etree.QName(next(found["Body"].iterchildren("{*}*"))).localname == entry.body_element


@pytest.mark.reference
def test_the_published_schema_has_what_is_called_published(
    shipped: Configuration, official_schema: list[etree._Element]
) -> None:
    ours = {code for code in shipped.response_codes if code[1:].startswith(("1105", "1106", "1107", "1108", "1109"))}
    published = _enumeration_with(official_schema, "I0", "I99", "E100")
    assert set(shipped.response_codes) - ours <= published
    assert not ours & published
    assert _enumeration_with(official_schema, "N18", "N64") == DCC_ALERT_CODES
    assert _enumeration_with(official_schema, "4G North") == set(CSP_REGIONS)
    assert _choice_with(official_schema, "CommsHubAlert", "ECoSAlert") >= set(AlertBodyElement)
