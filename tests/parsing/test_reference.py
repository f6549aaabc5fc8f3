"""Genuine messages, where they are at hand, are read."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pytest

from signing import Certificate, Trust
from sr_engine.parsing import Inventory, Parser, Response, Unknown, to_json

pytestmark = pytest.mark.reference

GENUINE = (
    "readfw-response.xml",
    "readfw-response-2022.xml",
    "readfw-response-resigned.xml",
    "read-inventory-response-4g.xml",
    "read-inventory-response-5.4.xml",
)


@pytest.fixture(scope="module")
def parser(duis_reference: Path) -> Parser:
    files = sorted((duis_reference / "certificates").glob("*.pem"))
    trust = Trust(pinned=[Certificate.from_pem(path.read_bytes()) for path in files])
    return Parser.trusting(trust, roles={"89", "04", "137"})


@pytest.mark.parametrize("name", GENUINE)
def test_a_genuine_response_is_read_in_full(duis_reference: Path, parser: Parser, name: str) -> None:
    data = (duis_reference / "messages" / "signed" / name).read_bytes()
    found = re.search(rb"ResponseDateTime>([^<]+)<", data)
    assert found is not None
    response = parser.response(data, at=datetime.fromisoformat(found[1].decode()))

    assert isinstance(response, Response)
    assert response.body is not None
    assert not isinstance(response.body, Unknown)
    assert response.unknown == ()
    assert to_json(response)["body"]["type"] == type(response.body).__name__
    if name.startswith("read-inventory"):
        assert isinstance(response.body, Inventory)
        assert len(response.body.devices) > 1
