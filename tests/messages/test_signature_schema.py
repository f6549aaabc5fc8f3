"""The schema's part of the fixed signature profile: one form, no options."""

from __future__ import annotations

import pytest

from sr_engine.messages.schema import Schema
from tests.messages.conftest import Exchange, refusal
from tests.messages.strategies import request_text


@pytest.fixture
def signed(exchange: Exchange) -> str:
    return exchange.signer.sign_bytes(request_text().encode()).decode()


def test_what_our_signer_writes_is_valid(exchange: Exchange) -> None:
    assert exchange.send_text(request_text()).signer.role == "87"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2001/10/xml-exc-c14n#", "TR/2001/REC-xml-c14n-20010315"),
        ("#ecdsa-sha256", "#ecdsa-sha1"),
        ("xmlenc#sha256", "xmlenc#sha512"),
        ("#enveloped-signature", "#base64"),
        ('URI=""', 'URI="#x"'),
        ('<ds:Reference URI="">', '<ds:Reference Id="r" URI="">'),
        ('<ds:Reference URI="">', "<ds:Reference>"),
        ("</ds:Transform>", '</ds:Transform><ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>'),
        ("</ds:KeyInfo>", "</ds:KeyInfo><ds:Object/>"),
        ("</ds:X509IssuerSerial>", "</ds:X509IssuerSerial><ds:X509Certificate>AAAA</ds:X509Certificate>"),
        ("<ds:X509SerialNumber>", "<ds:X509SerialNumber>x"),
        ("<ds:DigestValue>", "<ds:DigestValue>?"),
        ("<ds:SignatureValue>", '<ds:SignatureValue Id="v">'),
        ("<sr:Header>", "<ds:Signature/><sr:Header>"),
    ],
)
def test_anything_off_the_profile_is_refused(duis: Schema, signed: str, old: str, new: str) -> None:
    assert old in signed
    text = signed.replace("<sr:Request ", '<sr:Request xmlns:ds="http://www.w3.org/2000/09/xmldsig#" ')
    assert refusal(duis, text.replace(old, new, 1)).reason


def test_a_second_signature_is_refused(duis: Schema, signed: str) -> None:
    start, end = signed.index("<ds:Signature "), signed.index("</sr:Request>")
    reason = refusal(duis, signed[:end] + signed[start:end] + signed[end:]).reason
    assert reason.startswith("Signature")
    assert "is not expected at this place" in reason
