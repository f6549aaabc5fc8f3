"""What the documentation tells its readers to type, or to write into a file, does what it should."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import validate
from lxml import etree

from sr_engine.configuration.reader import Place, Unusable
from sr_engine.configuration.settings import settings_table
from sr_engine.messages.schema_files import read_schema
from sr_engine.replay.fixture import read_fixture
from tests.conftest import ROOT
from tests.site.blocks import CHECKED, PAGES, SHOWN, Block, blocks_of
from tests.site.shell import furnish, play

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
TYPED = [page for page in PAGES if any(one.language in {"sh", "python"} and not one.not_run for one in blocks_of(page))]
BEGIN_WITH_NOTHING = {"README.md", "tour.md"}
"""Pages that make what they need; the others go on with the instance that README.md has made."""
SLOW = {"csps.md", "fixtures.md", "suppliers.md"}
SAID: Mapping[str, tuple[str, ...]] = {
    "README.md": ("HTTP 200, W110501: 11 hub(s) accepted; refused 1", '{"message":"', '{"hubs":[{', '{"changes":[{'),
    "tour.md": (
        "duis-response-detail: 3 hub(s) accepted",
        '"code": "I0"',
        "it runs firmware 9002",
        '"hubs accepted":3',
    ),
    "suppliers.md": ("HTTP 200, I99: 2 hub(s) accepted", "AwaitingApproval Approved Pending"),
    "operators.md": ("configuration: trial: 6 regions, 2 Users", "chain 1 (processor)"),
    "fixtures.md": ("10 fixtures: 10 passed",),
}
"""What a reader is told by then; that commands end well is not enough, as curl does whatever it was answered."""
SCHEMAS = {"http://www.dccinterface.co.uk/ServiceUserGateway": "duis.xsd", "urn:sr-engine:csp": "csp.xsd"}


def of(language: str) -> list[Any]:
    return [pytest.param(one, id=one.place) for one in BLOCKS if one.language == language]


def test_every_block_says_what_it_is() -> None:
    assert {one.place: one.language for one in BLOCKS if one.language not in CHECKED | SHOWN} == {}


def test_only_what_is_typed_may_have_a_reason_not_to_be_run() -> None:
    assert [one.place for one in BLOCKS if one.not_run and one.language != "sh"] == []


@pytest.mark.parametrize(
    "page",
    [pytest.param(one, id=one.name, marks=pytest.mark.slow if one.name in SLOW else ()) for one in TYPED],
)
def test_what_a_page_says_can_be_typed(
    page: Path, tmp_path: Path, ports: Mapping[int, int], first_instance: Path, preloaded: str
) -> None:
    furnish(tmp_path, ports, preloaded)
    if page.name not in BEGIN_WITH_NOTHING:
        shutil.copytree(first_instance, tmp_path / "trial")
        (tmp_path / "INSTANCE").symlink_to(tmp_path / "trial")
        _at_other_ports(tmp_path / "trial", ports)
    blocks = [one for one in blocks_of(page) if one.language in {"sh", "python"} and not one.not_run]

    played = play(tmp_path, blocks, ports)

    assert played.code == 0, played.said
    assert [words for words in SAID.get(page.name, ()) if words not in played.said] == [], played.said


@pytest.mark.parametrize("block", [one for one in of("sh") if one.values[0].not_run])
def test_what_is_not_run_is_a_shell_s_language_all_the_same(block: Block) -> None:
    read = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)

    assert (read.returncode, read.stderr) == (0, "")


@pytest.mark.parametrize("block", of("toml"))
def test_what_is_written_into_a_file_is_understood(block: Block, tmp_path: Path, first_instance: Path) -> None:
    content = tomllib.loads(block.text, parse_float=Decimal)

    if "step" in content:
        assert read_fixture(_as_a_fixture(block.text, tmp_path)).steps
    else:
        own = tomllib.loads((first_instance / "sr-engine.toml").read_text("utf-8"), parse_float=Decimal)
        problems: list[str] = []
        with suppress(Unusable):
            settings_table(tmp_path).read(_merged(own, content), Place("sr-engine.toml", problems))
        assert problems == []


@pytest.mark.parametrize("block", of("json"))
def test_json_is_a_message_as_the_parser_prints_it(block: Block) -> None:
    schema = json.loads((ROOT / "docs" / "messages.schema.json").read_text("utf-8"))

    validate(schema, json.loads(block.text))


@pytest.mark.parametrize("block", of("xml"))
def test_xml_is_valid(block: Block) -> None:
    root = etree.fromstring(block.text.encode())
    schema = etree.XMLSchema(read_schema(ROOT / "xsd" / SCHEMAS[etree.QName(root).namespace or ""]))

    assert schema.validate(root), schema.error_log


def _as_a_fixture(text: str, tmp_path: Path) -> Path:
    messages = ROOT / "fixtures" / "messages"
    for name in ("town.given.toml", "templates"):
        (tmp_path / name).symlink_to(messages / name)
    (tmp_path / "own").mkdir()
    file = tmp_path / "own" / "fixture.toml"
    file.write_text(text, encoding="utf-8")
    return file


def _merged(own: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with what a page says to add, table by table."""
    for key, value in more.items():
        own[key] = _merged(own.get(key, {}), value) if isinstance(value, dict) else value
    return own


def _at_other_ports(trial: Path, ports: Mapping[int, int]) -> None:
    for file in (trial / "sr-engine.toml", trial / "users.toml", trial / "config" / "regions.toml"):
        text = file.read_text(encoding="utf-8")
        for usual, other in ports.items():
            text = text.replace(f":{usual}/", f":{other}/").replace(f"= {usual}\n", f"= {other}\n")
        file.write_text(text, encoding="utf-8")
