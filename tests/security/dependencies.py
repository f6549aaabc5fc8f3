"""Whether a pinned dependency has a known weakness, as `make check` and `make check-security` ask.

Ends with 1 if one has. Without a network nothing can be said, which is said, and is no failure.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

LOCK = Path(__file__).parents[2] / "requirements.lock"
WAIT_SECONDS = 120
_NAMED = 5


def judged(output: str, said: str) -> tuple[int, list[str]]:
    """What the audit's JSON, or its lack, comes to: an exit code, and lines for people."""
    try:
        dependencies = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (said.strip().splitlines() or ["it said nothing"])[-1]
        return 0, [f"dependencies could not be audited, so nothing is known of them: {last}"]
    weak = [
        f"{one['name']} {one['version']}: {found['id']}, mended in {', '.join(found['fix_versions']) or 'none yet'}"
        for one in dependencies
        for found in one.get("vulns", ())
    ]
    passed_over = [one["name"] for one in dependencies if "skip_reason" in one]
    told = []
    if passed_over:
        # An index that knows no advisories says of each package that there is none, which is not that it is sound.
        some = ", ".join(passed_over[:_NAMED]) + (", ..." if len(passed_over) > _NAMED else "")
        told.append(f"{len(passed_over)} dependencies could not be looked up, so nothing is known of them: {some}")
    if not weak and len(passed_over) < len(dependencies):
        told.append(f"{len(dependencies) - len(passed_over)} dependencies, none with a known weakness")
    return (1 if weak else 0), [*weak, *told]


def audit(arguments: Sequence[str] = ()) -> tuple[int, list[str]]:
    """Ask the advisory database; further arguments go to pip-audit."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--disable-pip", "--format", "json"]
    try:
        done = subprocess.run(
            [*command, "--progress-spinner", "off", *arguments],
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return judged("", f"there was no answer within {WAIT_SECONDS} s")
    return judged(done.stdout, done.stderr)


if __name__ == "__main__":
    code, lines = audit(sys.argv[1:])
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.exit(code)
