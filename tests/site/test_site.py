"""The site as it is published: every page is built, and every link leads somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

ASKED_FOR = {
    "index": "Why",
    "tour": "Five-minute tour",
    "suppliers": "Adapter teams",
    "csps": "For CSPs",
    "operators": "Day by day",
    "wire/index": "Wire reference",
    "configuration": "Configuration reference",
    "decisions": "Decisions",
    "glossary": "Glossary",
}


def build(config: Path, to: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(to)]
    surroundings = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make docs` builds it; a page, link or anchor that there is not would have stopped it."""
    folder = tmp_path_factory.mktemp("site")
    built = build(ROOT / "mkdocs.yml", folder)
    assert (built.returncode, re.findall("WARNING.*", built.stderr)) == (0, []), built.stderr
    return folder


def test_every_page_is_built_and_can_be_reached(site: Path) -> None:
    page = (site / "index.html").read_text("utf-8")

    written = {str(one.relative_to(ROOT / "docs").with_suffix(".html")) for one in (ROOT / "docs").rglob("*.md")}
    assert {name for name in written if not (site / name).is_file()} == set()
    reached = set(
        re.findall(r'class="md-nav__link[^"]*"[^>]*href="([^"#]+)"|href="([^"#]+)" class="md-nav__link', page)
    )
    named = {name for pair in reached for name in pair if name}
    assert {name for name in written | {f"{name}.html" for name in ASKED_FOR} if name not in named} - {
        "index.html"
    } == set()


def test_nothing_in_it_is_fetched_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        assert re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="https?://[^"]*"', text) == [], page


def test_schemas_and_files_that_pages_link_to_are_in_it(site: Path) -> None:
    assert (site / "files" / "xsd" / "duis.xsd").read_bytes() == (ROOT / "xsd" / "duis.xsd").read_bytes()
    assert (site / "files" / "config" / "policy.toml").is_file()


def test_links_that_lead_nowhere_stop_the_build(tmp_path: Path) -> None:
    wrong = ("no-page.md", "#no-anchor", "../xsd/no-file.xsd", "wire/codes.md#no-code")
    (tmp_path / "docs").mkdir()
    links = "\n\n".join(f"[a]({target})" for target in wrong)
    (tmp_path / "docs" / "index.md").write_text(f"# A page\n\n{links}\n", encoding="utf-8")
    for name in ("README.md", "CHANGELOG.md"):
        (tmp_path / name).write_text("# A page\n", encoding="utf-8")
    for name in ("xsd", "config"):
        (tmp_path / name).symlink_to(ROOT / name)
    text = (ROOT / "mkdocs.yml").read_text("utf-8").partition("nav:\n  - Why")[0]
    text = text.replace("tests/site/hook.py", str(ROOT / "tests" / "site" / "hook.py"))
    text = text.replace("omitted_files: warn", "omitted_files: ignore")
    (tmp_path / "mkdocs.yml").write_text(text, encoding="utf-8")

    built = build(tmp_path / "mkdocs.yml", tmp_path / "site")

    assert built.returncode == 1
    assert [target for target in wrong if target.removeprefix("../") not in built.stderr] == []
