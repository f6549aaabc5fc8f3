"""Somebody who signs as the DCC does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from lxml import etree

from signing import Participant, Pki, Signer, Trust, make_pki
from sr_engine.messages.build import build_alert, build_response
from sr_engine.messages.model import AlertBody, Result
from sr_engine.parsing import Parser

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
BROKER, SUPPLIER = "90-B3-D5-1F-30-00-00-02", "00-00-5E-EF-10-00-00-A1"
HUB = "00-00-5E-EF-C0-00-00-01"
REQUEST_ID = f"{SUPPLIER}:{BROKER}:17"
NAMESPACE = "http://www.dccinterface.co.uk/ServiceUserGateway"


@dataclass(frozen=True, slots=True)
class Dcc:
    """Its key, and whom a receiver trusts."""

    pki: Pki
    signer: Signer
    user: Signer
    """Somebody who is known, and is not the DCC."""
    trust: Trust
    parser: Parser

    def response(self, result: Result | None, *, code: str = "I0", variant: str = "11.5", late: bool = False) -> bytes:
        root = build_response(
            schema_version="5.4",
            request_id=REQUEST_ID,
            response_id=f"{BROKER}:{SUPPLIER}:17" if late else None,
            code=code,
            at=NOW,
            service_reference=variant,
            service_reference_variant=variant,
            result=result,
        )
        return self.signer.sign(root)

    def alert(self, body: AlertBody, *, code: str = "N62") -> bytes:
        return self.signer.sign(build_alert(schema_version="5.4", alert_code=code, body=body, at=NOW))

    def changed(self, data: bytes, old: str, new: str) -> bytes:
        """The message with another text in it, signed anew."""
        assert data.count(old.encode()) == 1
        return self.signer.sign_bytes(data.replace(old.encode(), new.encode()))

    def message(self, body: str, *, request_id: bool = False, code: str = "I0") -> bytes:
        """A Response whose Body is written by hand."""
        header = f"<sr:RequestID>{REQUEST_ID}</sr:RequestID>" if request_id else ""
        text = (
            f'<sr:Response xmlns:sr="{NAMESPACE}" schemaVersion="5.4"><sr:Header>{header}<sr:ResponseCode>{code}'
            f"</sr:ResponseCode><sr:ResponseDateTime>2026-11-23T09:00:00.000Z</sr:ResponseDateTime></sr:Header>"
            f"<sr:Body>{body}</sr:Body></sr:Response>"
        )
        return self.signer.sign(etree.fromstring(text))

    def dcc_alert(self, body: str, *, more: str = "") -> bytes:
        return self.message(
            f"<sr:DCCAlertMessage><sr:DCCAlertCode>N62</sr:DCCAlertCode>{more}<sr:DCCAlert>{body}</sr:DCCAlert>"
            "</sr:DCCAlertMessage>"
        )


@pytest.fixture(scope="session")
def dcc(tmp_path_factory: pytest.TempPathFactory) -> Dcc:
    pki = make_pki(tmp_path_factory.mktemp("parsing-pki"), [], now=NOW)
    signer = Signer(pki.issue(Participant("broker", BROKER, "89")))
    user = Signer(pki.issue(Participant("user", "90-B3-D5-1F-30-01-00-00", "87")))
    trust = Trust.from_directory(pki.trust_directory)
    return Dcc(pki, signer, user, trust, Parser.trusting(trust))
