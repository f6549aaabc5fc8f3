"""`python -m tests.release`, as `make check-release`: builds wheel and source distribution, and tries them.

What was tried is left in dist/, with its checksums. Ends with 1 if anything is not as it should be.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

from tests.release.building import ROOT, Built, ReleaseFailed, build, uncommitted
from tests.release.contents import problems, pythons_of_project
from tests.release.trying import Tried, try_with

DIST = ROOT / "dist"


def main() -> int:
    """0 if it can be released."""
    parser = argparse.ArgumentParser(prog="python -m tests.release", description=__doc__)
    parser.add_argument("--python", action="append", help="instead of every version that pyproject.toml names")
    parser.add_argument("--allow-missing", action="store_true", help="a Python that is not to be had is no failure")
    parser.add_argument("--allow-uncommitted", action="store_true", help="files that are not committed are no failure")
    parser.add_argument("--no-demo", action="store_true", help="leave out the demonstration, a minute for each Python")
    wanted = parser.parse_args()
    wrong = [] if wanted.allow_uncommitted else [f"not committed: {one}" for one in uncommitted()]
    tried: list[Tried] = []
    try:
        built = _build()
        wrong += problems(built)
        # What lacks something need not be installed to be known to fail.
        for python in [] if wrong else wanted.python or pythons_of_project():
            with tempfile.TemporaryDirectory(prefix="sr-engine-release-") as folder:
                tried.append(try_with(python, built, Path(folder), say=_say, demo=not wanted.no_demo))
    except ReleaseFailed as failed:
        wrong.append(str(failed))
    for one in tried:
        _say(one.line())
    wrong += [one.line() for one in tried if one.problem and not (one.missing and wanted.allow_missing)]
    for problem in wrong:
        _say(f"not as it should be: {problem}")
    return 1 if wrong else 0


def _build() -> Built:
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    built = build(DIST)
    lines = []
    for file in (built.sdist, built.wheel):
        lines.append(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n")
        _say(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB")
    (DIST / "SHA256SUMS").write_text("".join(lines), encoding="ascii")
    return built


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
