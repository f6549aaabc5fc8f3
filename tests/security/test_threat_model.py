"""Each threat in the threat model names tests, and each of these exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_threat_names_tests_that_exist() -> None:
    text = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
    threats = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| threat")]
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    known = {name for source in sources for name in re.findall(r"^(?:async )?def (test_\w+)\(", source, re.MULTILINE)}

    named = {threat: re.findall(r"`(test_\w+)`", threat) for threat in threats}

    assert len(threats) > 20
    assert [threat for threat, tests in named.items() if not tests] == []
    assert sorted({test for tests in named.values() for test in tests} - known) == []


def test_the_rules_that_forbid_shells_pickles_and_evaluation_are_on_for_the_product() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    ignored = re.findall(r'^"(\S+)" = \[(.*)\]$', text, re.MULTILINE)

    assert re.search(r'^select = \[.*"S",', text, re.MULTILINE)
    off = {path: set(re.findall(r"S\d*", rules)) for path, rules in ignored if not path.startswith("tests")}
    # The demonstration starts processes of its own, without a shell, and asks them over loopback.
    assert off.pop("sr_engine/demo/**") == {"S603", "S310"}
    assert not [path for path, rules in off.items() if rules]
