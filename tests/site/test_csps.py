"""An adapter written from the page for CSPs: what it takes is genuine, and what it sends is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from signing import NotAuthenticated, Signer, SoftwareKey, Trust, Verifier, parse
from sr_engine.messages.csp import decode_csp_message
from sr_engine.messages.model import RefusedHubs, UpgradeListAcknowledgement
from sr_engine.messages.schema_files import read_schema
from tests.conftest import ROOT
from tests.site.blocks import blocks_of
from tests.site.examples import csp_messages

HUBS = ["00-00-5E-EF-C0-00-00-01", "00-00-5E-EF-C0-00-00-02"]


@pytest.fixture
def adapter(first_instance: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the page's Python defines, run beside the instance."""
    monkeypatch.chdir(first_instance.parent)
    (block,) = (one for one in blocks_of(ROOT / "docs" / "csps.md") if one.language == "python")
    names: dict[str, Any] = {}
    exec(compile(block.text, block.place, "exec"), names)
    return names


def upgrade_list(pki: Path, signer: str = "broker") -> bytes:
    """The example of the wire reference, signed."""
    example = etree.fromstring(csp_messages()["UpgradeList"], etree.XMLParser(remove_blank_text=True))
    return Signer(SoftwareKey.load(pki / signer / "key.pem", pki / signer / "certificate.pem")).sign(example)


def test_a_list_of_the_processor_is_taken_and_its_acknowledgement_is_one_that_the_processor_takes(
    adapter: dict[str, Any], first_instance: Path
) -> None:
    pki = first_instance / "pki"

    taken = adapter["taken"](upgrade_list(pki))
    sent = adapter["acknowledgement"](taken, HUBS[:1], {"no coverage": HUBS[1:]})

    schema = etree.XMLSchema(read_schema(ROOT / "xsd" / "csp.xsd"))
    assert schema.validate(etree.fromstring(sent)), schema.error_log
    verified = Verifier(Trust.from_directory(pki / "trust")).verify(parse(sent), roles={"06"}, at=datetime.now(UTC))
    message = decode_csp_message(verified)
    assert isinstance(message, UpgradeListAcknowledgement)
    assert (message.region, message.message_id.originator) == ("Central", verified.signer.eui)
    assert message.list_id == taken.findtext(".//{*}UpgradeListID")
    assert (message.accepted, message.refused) == ((HUBS[0],), (RefusedHubs("no coverage", (HUBS[1],)),))


def test_a_list_that_another_has_signed_is_not_taken(adapter: dict[str, Any], first_instance: Path) -> None:
    with pytest.raises(NotAuthenticated):
        adapter["taken"](upgrade_list(first_instance / "pki", "supplier-a"))
