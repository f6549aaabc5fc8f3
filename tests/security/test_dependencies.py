"""Dependencies: what is known against them, and which of them are shipped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.security.dependencies import audit, judged
from tests.security.sbom import shipped, write


def test_an_advisory_about_a_dependency_fails_the_check() -> None:
    weak = {"name": "lxml", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}
    sound = {"name": "click", "version": "8.2", "vulns": []}

    assert judged(json.dumps({"dependencies": [sound, weak]}), "") == (1, ["lxml 1.0: PYSEC-1, mended in 1.1"])
    assert judged(json.dumps({"dependencies": [sound]}), "") == (0, ["1 dependencies, none with a known weakness"])


def test_what_could_not_be_looked_up_is_not_called_sound() -> None:
    unknown = [{"name": f"package-{number}", "skip_reason": "not found"} for number in range(7)]
    sound = {"name": "click", "version": "8.2", "vulns": []}
    weak = {"name": "lxml", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": []}]}
    said = (
        "7 dependencies could not be looked up, so nothing is known of them: package-0, package-1, package-2, "
        "package-3, package-4, ..."
    )

    assert judged(json.dumps({"dependencies": unknown}), "") == (0, [said])
    some = judged(json.dumps({"dependencies": [*unknown, sound]}), "")
    assert some == (0, [said, "1 dependencies, none with a known weakness"])
    assert judged(json.dumps({"dependencies": [*unknown, weak]}), "") == (
        1,
        ["lxml 1.0: PYSEC-1, mended in none yet", said],
    )


@pytest.mark.slow
def test_without_a_network_it_says_that_it_could_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")

    code, (said,) = audit(["--timeout", "1", "--cache-dir", str(tmp_path)])

    assert code == 0
    assert said.startswith("dependencies could not be audited, so nothing is known of them: ")


@pytest.mark.slow
def test_the_bill_of_materials_holds_what_is_shipped_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "sbom.json")

    bill = json.loads((tmp_path / "sbom.json").read_text())
    components = {one["name"]: one["version"] for one in bill["components"]}
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "sr-engine"
    assert components == shipped()
    assert {"lxml", "cryptography", "sqlalchemy", "psycopg-binary"} <= components.keys()
    assert not {"pytest", "mypy", "ruff", "pip-audit"} & components.keys()
