"""Three independent verifiers judge the same files: they accept every good one, and where they are laxer is recorded.

Each is used as its documentation says, and is handed the certificate of the one whom the message claims to be from:
which certificate to believe is a caller's question to all three, so attacks on that are not for them, nor are
authentic documents that only a schema forbids.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from fixtures.write_attacks import ATTACKS

EXPECTED: dict[str, Any] = tomllib.loads((ATTACKS / "expected.toml").read_text(encoding="utf-8"))
LAXER: dict[str, dict[str, list[str]]] = tomllib.loads((ATTACKS / "laxer.toml").read_text(encoding="utf-8"))
FOR_THE_CALLER = "certificate"
CONTROLS = EXPECTED["control"]
CANDIDATES = [entry for entry in EXPECTED["attack"] if entry["item"] != FOR_THE_CALLER and entry.get("alone") != "none"]

Judgement = Callable[[Iterable[dict[str, str]]], list[str]]
"""Returns the files that a verifier accepts."""


def certificate(entry: dict[str, str]) -> Path:
    folder = "pinned" if entry["signer"] == "alice-pinned" else "certificates"
    return ATTACKS / "pki" / "trust" / folder / f"{entry['signer']}.pem"


def with_xmlsec(entries: Iterable[dict[str, str]]) -> list[str]:
    xmlsec = pytest.importorskip("xmlsec", reason="python-xmlsec is not installed here")

    def accepts(entry: dict[str, str]) -> bool:
        try:
            root = etree.fromstring((ATTACKS / entry["file"]).read_bytes())
            context = xmlsec.SignatureContext()
            context.key = xmlsec.Key.from_file(str(certificate(entry)), xmlsec.constants.KeyDataFormatCertPem)
            context.verify(xmlsec.tree.find_node(root, "Signature"))
        except (xmlsec.Error, etree.LxmlError, TypeError, ValueError):
            return False
        return True

    return [entry["file"] for entry in entries if accepts(entry)]


def with_signxml(entries: Iterable[dict[str, str]]) -> list[str]:
    signxml = pytest.importorskip("signxml", reason="signxml is not installed here")
    expected = signxml.SignatureConfiguration(require_x509=True)

    def accepts(entry: dict[str, str]) -> bool:
        try:
            signxml.XMLVerifier().verify(
                (ATTACKS / entry["file"]).read_bytes(),
                x509_cert=certificate(entry).read_text(encoding="ascii"),
                expect_config=expected,
            )
        except Exception:
            # It raises whatever the document leads it into, and every way of not accepting is one.
            return False
        return True

    return [entry["file"] for entry in entries if accepts(entry)]


@pytest.fixture(params=["jdk", "xmlsec", "signxml"])
def verifier(request: pytest.FixtureRequest) -> tuple[str, Judgement]:
    if request.param != "jdk":
        return request.param, {"xmlsec": with_xmlsec, "signxml": with_signxml}[request.param]
    jdk = request.getfixturevalue("jdk")

    def with_jdk(entries: Iterable[dict[str, str]]) -> list[str]:
        judged = list(entries)
        answers = jdk("judge", *(part for entry in judged for part in (certificate(entry), ATTACKS / entry["file"])))
        return [entry["file"] for entry, answer in zip(judged, answers, strict=True) if answer == "valid"]

    return "jdk", with_jdk


def test_an_independent_verifier_accepts_every_good_message(verifier: tuple[str, Judgement]) -> None:
    _, judge = verifier

    assert judge(CONTROLS) == [entry["file"] for entry in CONTROLS]


def test_where_an_independent_verifier_is_laxer_is_recorded(verifier: tuple[str, Judgement]) -> None:
    name, judge = verifier
    recorded = {f"bad/{attack}.xml" for attack, lax in LAXER["laxer"].items() if name in lax}

    assert sorted(judge(CANDIDATES)) == sorted(recorded)
