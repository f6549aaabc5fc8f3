"""Whether a pinned dependency has a known weakness, as `make check-security` asks.

Ends with 1 if one has. Without a network nothing can be said, which is said, and is no failure.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

LOCK = Path(__file__).parents[2] / "requirements.lock"
WAIT_SECONDS = 600


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
    return (1 if weak else 0), weak or [f"{len(dependencies)} dependencies, none with a known weakness"]


def audit(arguments: Sequence[str] = ()) -> tuple[int, list[str]]:
    """Ask the advisory database; further arguments go to pip-audit."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--disable-pip", "--format", "json"]
    done = subprocess.run(
        [*command, "--progress-spinner", "off", *arguments],
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    return judged(done.stdout, done.stderr)


if __name__ == "__main__":
    code, lines = audit(sys.argv[1:])
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.exit(code)
