"""The bill of materials of what is shipped, in CycloneDX: `python -m tests.security.sbom FILE`, as `make sbom` does."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Collection
from importlib.metadata import requires, version
from pathlib import Path

from packaging.requirements import Requirement

_ROOT = Path(__file__).parents[2]


def shipped() -> dict[str, str]:
    """Every package that sr-engine needs to run on this platform, with its version, by name."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting = [Requirement(text) for text in project["dependencies"] if _applies(Requirement(text), {""})]
    seen: dict[str, set[str]] = {}
    while waiting:
        one = waiting.pop()
        name = re.sub(r"[-_.]+", "-", one.name).lower()
        extras = {"", *one.extras}
        if extras <= seen.get(name, set()):
            continue
        seen.setdefault(name, set()).update(extras)
        waiting += [needed for needed in map(Requirement, requires(name) or ()) if _applies(needed, extras)]
    return {name: version(name) for name in sorted(seen)}


def _applies(one: Requirement, extras: Collection[str]) -> bool:
    return one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras)


def write(path: Path) -> None:
    """Write it; the same packages give the same file."""
    subprocess.run(
        [
            *(sys.executable, "-m", "cyclonedx_py", "requirements", "-", "--pyproject", str(_ROOT / "pyproject.toml")),
            *("--output-reproducible", "--output-file", str(path)),
        ],
        input="".join(f"{name}=={number}\n" for name, number in shipped().items()),
        text=True,
        check=True,
        capture_output=True,
    )


if __name__ == "__main__":
    write(Path(sys.argv[1]))
