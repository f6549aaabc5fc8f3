"""Keys to sign with, and our schemas."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from lxml import etree

from signing import Participant, Signer, Trust, VerifiedDocument, Verifier, make_pki, parse
from sr_engine.messages.schema import Schema, SchemaRefused
from sr_engine.resources import data_directory

NOW = datetime(2026, 11, 22, 10, 15, 5, 123456, tzinfo=UTC)
ROLE = "87"


@dataclass(frozen=True, slots=True)
class Exchange:
    """The way of a message from one side to the other: signed, parsed, validated, verified."""

    signer: Signer
    verifier: Verifier
    duis: Schema
    csp: Schema

    def send(self, root: etree._Element) -> VerifiedDocument:
        return self._receive(self.signer.sign(root), self.duis)

    def send_csp(self, root: etree._Element) -> VerifiedDocument:
        return self._receive(self.signer.sign(root), self.csp)

    def send_text(self, text: str) -> VerifiedDocument:
        return self._receive(self.signer.sign_bytes(text.encode()), self.duis)

    def _receive(self, data: bytes, schema: Schema) -> VerifiedDocument:
        document = parse(data)
        schema.check(document)
        return self.verifier.verify(document, roles={ROLE}, at=NOW)


@pytest.fixture(scope="session")
def duis() -> Schema:
    return Schema(data_directory("xsd") / "duis.xsd")


@pytest.fixture(scope="session")
def csp() -> Schema:
    return Schema(data_directory("xsd") / "csp.xsd")


@pytest.fixture(scope="session")
def exchange(tmp_path_factory: pytest.TempPathFactory, duis: Schema, csp: Schema) -> Exchange:
    participant = Participant("someone", "90-B3-D5-1F-30-01-00-00", ROLE)
    pki = make_pki(tmp_path_factory.mktemp("pki"), [], now=NOW)
    signer = Signer(pki.issue(participant))
    return Exchange(signer, Verifier(Trust.from_directory(pki.trust_directory)), duis, csp)


def refusal(schema: Schema, text: str | bytes) -> SchemaRefused:
    """Why a schema refuses a document."""
    with pytest.raises(SchemaRefused) as caught:
        schema.check(parse(text.encode() if isinstance(text, str) else text))
    return caught.value
