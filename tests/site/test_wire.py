"""The wire reference beside the schemas and tables it is written from: nothing of them is left out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from lxml import etree

from sr_engine import configuration
from sr_engine.configuration import Configuration
from sr_engine.configuration.advice import load_advice
from sr_engine.messages.schema_files import read_schema
from sr_engine.resources import data_directory
from tests.conftest import ROOT
from tests.site import wire

XS = "{http://www.w3.org/2001/XMLSchema}"
SCHEMAS = ("duis.xsd", "csp.xsd", "types.xsd", "signature.xsd")
CLOSED = ("ResponseCode", "DCCAlertCode", "ServiceReferenceVariant", "CSPRegion", "UpgradeStatus", "Approval", "Phase")
"""Closed lists that whoever writes an adapter has to know."""
Pages = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Declared:
    """An element or attribute of a schema, by its name and what the schema says of it."""

    name: str
    says: str


@pytest.fixture(scope="module")
def pages() -> Pages:
    return wire.pages()


@pytest.fixture(scope="module")
def loaded() -> Configuration:
    return configuration.load(data_directory("config"))


def declared() -> Iterator[Declared]:
    """Every declaration in the text of the schemas."""
    for file in SCHEMAS:
        for one in etree.parse(ROOT / "xsd" / file).iter(f"{XS}element", f"{XS}attribute"):
            if (name := one.get("name")) is not None:
                words = one.findtext(f"{XS}annotation/{XS}documentation") or ""
                yield Declared(name, " ".join(words.split()))


def left_out(pages: Pages) -> set[str]:
    """The names of what is declared and does not stand there, as often and with what the schema says of it."""
    lines = [line.replace("\\|", "|") for text in pages.values() for line in text.splitlines() if "`" in line]
    return {one.name for one, times in Counter(declared()).items() if not _stands(one, times, lines, pages)}


def _stands(one: Declared, times: int, lines: list[str], pages: Pages) -> bool:
    """In rows of its own, or as what a part of a page is about."""
    row = re.compile(rf"`(?:[\w/@]*/)?@?{one.name}`")
    if sum(one.says in line and row.search(line) is not None for line in lines) >= times:
        return True
    about = (f"{{#{one.name}}}", f"`{one.name}` holds:")
    return times == 1 and any(
        one.says and one.says in text and any(mark in text for mark in about) for text in pages.values()
    )


def values_of(name: str) -> list[str]:
    """The values of a closed list."""
    for file in SCHEMAS:
        found = etree.parse(ROOT / "xsd" / file).findall(f"{XS}simpleType[@name='{name}']//{XS}enumeration")
        if found:
            return [str(one.get("value")) for one in found]
    raise LookupError(name)


def section(text: str, anchor: str) -> str:
    """What stands below a heading, up to the next one; empty if there is no such heading."""
    below = text.partition(f"{{#{anchor}}}\n")[2]
    return re.split(r"\n#+ .*\{#", below)[0]


def test_every_element_and_attribute_stands_in_it_with_its_meaning(pages: Pages) -> None:
    assert len(list(declared())) > 350
    assert left_out(pages) == set()


def test_every_element_that_is_spelt_out_has_a_meaning() -> None:
    silent = {
        one.get("name")
        for file in SCHEMAS
        for one in etree.parse(ROOT / "xsd" / file).iter(f"{XS}element", f"{XS}attribute")
        if one.get("name") and one.get("type") != "sr:Open" and not one.findtext(f"{XS}annotation/{XS}documentation")
    }

    assert silent == set()


@pytest.mark.parametrize(
    ("page", "name"),
    [
        ("envelope.md", "PrecedingServiceRequestID"),
        ("envelope.md", "URI"),
        ("requests.md", "DeferUntil"),
        ("csp.md", "ReplacesUpgradeListID"),
        ("catalogue.md", "RequestWANMatrix"),
    ],
)
def test_an_element_that_is_left_out_is_missed(pages: Pages, page: str, name: str) -> None:
    lines = pages[page].splitlines()
    row = next(number for number, line in enumerate(lines) if f"{name}` |" in line)
    without = "\n".join(lines[:row] + lines[row + 1 :])

    assert name in left_out({**pages, page: without})


@pytest.mark.parametrize("name", CLOSED)
def test_every_value_of_a_closed_list_stands_under_its_type(pages: Pages, name: str) -> None:
    told = section(pages["types.md"], name)

    missing = [value for value in values_of(name) if not re.search(rf"(?:\| \[?|`){re.escape(value)}\b", told)]
    assert missing == []


def codes_without(text: str, loaded: Configuration) -> set[str]:
    """The response codes that a page does not say when they are answered, what to do about them, or show answered."""
    advice = load_advice(data_directory("config"), loaded.response_codes)
    found = set()
    for code, one in loaded.response_codes.items():
        told = section(text, code)
        shown = one.reserved or "```toml" in told
        if not (one.meaning in told and one.when in told and advice.for_code(code) in told and shown):
            found.add(code)
    return found


def test_every_response_code_stands_in_it_with_what_to_do_and_an_example(pages: Pages, loaded: Configuration) -> None:
    advice = load_advice(data_directory("config"), loaded.response_codes)
    refusals = [one.code for one in loaded.response_codes.values() if one.code[0] != "I" and not one.reserved]

    assert codes_without(pages["codes.md"], loaded) == set()
    assert [code for code in refusals if not advice.for_code(code)] == []


def test_a_response_code_that_is_left_out_is_missed(pages: Pages, loaded: Configuration) -> None:
    without = pages["codes.md"].replace("{#E110505}", "{#elsewhere}")

    assert codes_without(without, loaded) == {"E110505"}


def test_every_alert_stands_in_it_with_its_number_and_an_example(pages: Pages, loaded: Configuration) -> None:
    for one in loaded.alerts.values():
        told = section(pages["alerts.md"], one.event)

        assert one.meaning in told
        assert f"<sr:DCCAlertCode>{one.code}</sr:DCCAlertCode>" in told
        assert f"<sr:{one.body}>" in told
        assert one.hub_alert_code is None or f"<sr:AlertCode>{one.hub_alert_code}</sr:AlertCode>" in told


def test_every_service_request_stands_in_the_catalogue_and_each_that_is_offered_has_an_example(
    pages: Pages, loaded: Configuration
) -> None:
    for variant, one in loaded.catalogue.service_request.items():
        assert re.search(rf"^\| \[?{re.escape(variant)}\b.*`{one.body_element}`", pages["catalogue.md"], re.MULTILINE)
        told = section(pages["requests.md"], f"sr-{variant}")
        assert (f"<sr:{one.body_element}>" in told) == one.offered


def test_a_service_request_names_the_codes_that_can_answer_it_and_no_other(pages: Pages) -> None:
    named = {
        variant: set(re.findall(r"\(codes\.md#(\w+)\)", section(pages["requests.md"], f"sr-{variant}")))
        for variant in ("8.2", "11.6", "11.7")
    }

    always = {"I99", "E1", "E2", "E3", "E12", "E13", "E40", "E41", "E42", "E100"}
    assert named["8.2"] == always | {"I0", "E080201"}
    assert named["11.7"] == always | {"I0", "E4", "E11", "E19", "E110707"}
    assert named["11.6"] == always | {"W110601"} | {f"E11060{number}" for number in (1, 3, 5, 6, 8, 9)}


def test_every_message_of_the_exchange_with_csps_has_an_example(pages: Pages) -> None:
    roots = etree.parse(ROOT / "xsd" / "csp.xsd").findall(f"{XS}element")

    assert roots
    for root in roots:
        assert f"<csp:{root.get('name')} " in section(pages["csp.md"], str(root.get("name")))


def test_every_example_is_valid(pages: Pages) -> None:
    schemas = {name: etree.XMLSchema(read_schema(ROOT / "xsd" / name)) for name in ("duis.xsd", "csp.xsd")}
    examples = [
        (page, text) for page, whole in pages.items() for text in re.findall(r"```xml\n(.*?)```", whole, re.DOTALL)
    ]

    assert len(examples) > 40
    for page, text in examples:
        schema = schemas["csp.xsd" if page == "csp.md" else "duis.xsd"]
        assert schema.validate(etree.fromstring(text)), (page, schema.error_log, text)
