"""What every input must do: be refused, or say what one of the known good messages says."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from signing import ParsedDocument, SigningError, Trust, VerifiedDocument, Verifier, parse
from sr_engine.messages.csp import decode_csp_message
from sr_engine.messages.decode import decode_request, decode_response
from sr_engine.messages.schema import Schema, SchemaRefused

ROOT = Path(__file__).resolve().parents[2]
ATTACKS = ROOT / "fixtures" / "attacks"
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
"""The time for which the fixtures are made."""
_CSP = "{urn:sr-engine:csp}"


class Finding(Exception):
    """An authentic document that none of the known ones is."""


@dataclass(slots=True)
class Judge:
    """Judges bytes as the processor does; `known` holds what the authentic fixtures say, by digest and signer."""

    verifier: Verifier
    duis: Schema
    csp: Schema
    known: dict[tuple[bytes, bytes], object] = field(default_factory=dict)

    @classmethod
    def of_fixtures(cls) -> Judge:
        """A judge that knows every authentic file of `fixtures/attacks`."""
        xsd = ROOT / "xsd"
        trust = Trust.from_directory(ATTACKS / "pki" / "trust")
        judge = cls(Verifier(trust), Schema(xsd / "duis.xsd"), Schema(xsd / "csp.xsd"))
        for path in seeds():
            judge._learn(path.read_bytes())
        return judge

    def judge(self, data: bytes) -> str:
        """Return the name of the refusal, or `authentic` for what is known; raises Finding, or whatever went wrong."""
        try:
            document = parse(data)
            valid = self._valid(document)
            verified = self._verify(document)
        except SigningError as refused:
            return type(refused).__name__
        key = verified.digest, verified.signer.der
        if key not in self.known:
            raise Finding(f"authentic and not known: {verified.data!r}")
        if valid and decoded(verified) != self.known[key]:
            raise Finding(f"authentic and says something else: {verified.data!r}")
        return "authentic" if valid else "authentic, not valid"

    def _learn(self, data: bytes) -> None:
        try:
            document = parse(data)
            valid = self._valid(document)
            verified = self._verify(document)
        except SigningError:
            return
        self.known[verified.digest, verified.signer.der] = decoded(verified) if valid else None

    def _valid(self, document: ParsedDocument) -> bool:
        schema = self.csp if str(document.root.tag).startswith(_CSP) else self.duis
        try:
            schema.check(document)
        except SchemaRefused:
            return False
        return True

    def _verify(self, document: ParsedDocument) -> VerifiedDocument:
        tag = str(document.root.tag)
        role = "06" if tag.startswith(_CSP) else "89" if tag.endswith("}Response") else "87"
        return self.verifier.verify(document, roles={role}, at=NOW)


def decoded(document: VerifiedDocument) -> object:
    """Return what a verified, valid document says."""
    tag = str(document.root.tag)
    if tag.startswith(_CSP):
        return decode_csp_message(document)
    if tag.endswith("}Request"):
        return decode_request(document)
    return decode_response(document)


def seeds() -> list[Path]:
    """Every kept fixture, good and bad."""
    return sorted((*ATTACKS.glob("good/*.xml"), *ATTACKS.glob("bad/*.xml")))
