"""The operator's copy of the official schema: found, loaded and named, or refused with what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from signing import parse
from sr_engine.messages.official import OfficialSchema
from sr_engine.messages.schema import Schema, SchemaRefused
from sr_engine.messages.schema_files import SchemaUnusable
from tests.messages.strategies import HUB, request_text
from tests.official import COMMON, MAIN, write_official

BY_DEVICE = f"<sr:ReadInventory><sr:DeviceID>{HUB}</sr:DeviceID></sr:ReadInventory>"
BY_UPRN = "<sr:ReadInventory>\n<sr:UPRN>1</sr:UPRN></sr:ReadInventory>"


def test_imports_are_found_beside_it_however_people_have_named_them_and_never_on_a_network(tmp_path: Path) -> None:
    official = OfficialSchema.load(write_official(tmp_path))

    official.check(parse(request_text(body=BY_DEVICE).encode()))
    with pytest.raises(SchemaRefused) as refused:
        official.check(parse(request_text(body=BY_UPRN).encode()))
    assert (refused.value.line, refused.value.path) == (4, "/sr:Request/sr:Body/sr:ReadInventory/sr:UPRN")
    assert refused.value.reason == (
        "Element 'UPRN': This element is not expected. Expected is ( DeviceID ). (official DUIS schema 9.7)"
    )


@pytest.mark.filterwarnings("error")
def test_any_schema_of_an_operator_is_found_whole_so_and_refusals_by_it_are_explained(tmp_path: Path) -> None:
    schema = Schema(write_official(tmp_path))

    with pytest.raises(SchemaRefused, match="UPRN"):
        schema.check(parse(request_text(body=BY_UPRN).encode()))


def test_the_file_of_exactly_that_name_is_preferred(tmp_path: Path) -> None:
    path = write_official(tmp_path, common="Common Types V9.7.xsd")
    (tmp_path / "common-types-v9.7.xsd").write_text("not a schema", encoding="utf-8")

    assert OfficialSchema.load(path).version == "9.7"


@pytest.mark.parametrize(
    ("main", "version"),
    [
        (MAIN, "9.7"),
        (MAIN.replace("<xs:schema ", '<xs:schema version="9.8" ', 1), "9.8"),
        (MAIN.replace("XML Schema Version", "XML Schema"), "9.6"),
    ],
    ids=["comment", "attribute", "file name"],
)
def test_its_version_is_what_the_file_says(tmp_path: Path, main: str, version: str) -> None:
    assert OfficialSchema.load(write_official(tmp_path, main=main)).version == version


def test_a_file_that_names_no_version_says_so(tmp_path: Path) -> None:
    path = write_official(tmp_path, main=MAIN.replace("XML Schema Version", "XML Schema"))

    assert OfficialSchema.load(path.rename(tmp_path / "duis.xsd")).version == "of unknown version"


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: path.unlink(), "The Schema V9.6.xsd is not a usable XML Schema: No such file or directory"),
        (lambda path: path.write_text("<xs:schema"), "The Schema V9.6.xsd is not a usable XML Schema: "),
        (lambda path: path.write_text(MAIN.replace("xs:decimal", "xs:digital")), "is not a usable XML Schema: "),
        (
            lambda path: path.write_text(COMMON),
            "is not the DUIS schema: it has no element Request of namespace http://www.dccinterface.co.uk/",
        ),
        (
            lambda path: (path.parent / "dsig-core.xsd").unlink(),
            "The Schema V9.6.xsd names dsig core.xsd, which is not beside it: put it into ",
        ),
        (
            lambda path: (path.parent / "DSIG core.xsd").write_text(""),
            "names dsig core.xsd, which may be DSIG core.xsd and dsig-core.xsd: keep one of them in ",
        ),
        (
            lambda path: (path.parent / "dsig-core.xsd").write_text("no XML"),
            "dsig-core.xsd is not a usable XML Schema: ",
        ),
    ],
    ids=[
        "absent",
        "not XML",
        "wrong in itself",
        "another schema",
        "import absent",
        "import ambiguous",
        "import no XML",
    ],
)
def test_what_is_wrong_with_it_is_said(tmp_path: Path, spoil: object, problem: str) -> None:
    path = write_official(tmp_path)
    assert callable(spoil)
    spoil(path)

    with pytest.raises(SchemaUnusable) as unusable:
        OfficialSchema.load(path)
    assert problem in str(unusable.value)


@pytest.mark.reference
def test_the_published_schema_loads_and_says_that_it_is_5_4(duis_reference: Path) -> None:
    assert OfficialSchema.load(duis_reference / "schema" / "DUIS-5.4.xsd").version == "5.4"
