"""How fixtures went, as JUnit XML for continuous integration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sr_engine.messages.junit import Case, junit_xml
from sr_engine.replay.running import Result, Verdict


def write_junit(file: Path, results: Sequence[Result]) -> None:
    """Write a test suite with a test case for each fixture, named by its file and filed under its folder."""
    cases = []
    for one in results:
        kind = {Verdict.FAILED: "failure", Verdict.REFUSED: "error", Verdict.SKIPPED: "skipped"}.get(one.verdict)
        cases.append(Case(one.path.parent.as_posix(), one.path.stem, one.seconds, kind, one.words))
    file.write_bytes(junit_xml("sr-engine replay", cases))
