"""Runs the fuzz target for a time, from the fixtures on, and says how it went.

    python -m tests.fuzz SECONDS

Exits with 1 if there was a finding; the input that led to it is kept in `.fuzz/`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.judge import ROOT, seeds

MAX_BYTES = 16 * 1024
TIMEOUT = 20
"""Seconds one input may take."""
MEMORY = 3072
"""Mebibytes the process may take."""

_EXECUTIONS = re.compile(r"^stat::number_of_executed_units:\s*([0-9]+)", re.MULTILINE)

_OUTCOMES = re.compile(r"^outcomes: (.*)$", re.MULTILINE)


def main(seconds: int) -> int:
    """Fuzz for that long; returns the exit code."""
    findings = ROOT / ".fuzz"
    findings.mkdir(exist_ok=True)
    before = set(findings.iterdir())
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder)
        for path in seeds():
            shutil.copy(path, corpus / f"{path.parent.name}-{path.name}")
        command = [
            sys.executable,
            "-m",
            "tests.fuzz.verify",
            str(corpus),
            f"-max_total_time={seconds}",
            f"-max_len={MAX_BYTES}",
            f"-timeout={TIMEOUT}",
            f"-rss_limit_mb={MEMORY}",
            f"-artifact_prefix={findings}/",
            "-print_final_stats=1",
        ]
        run = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, errors="replace")
        said = []
        for line in run.stderr or ():
            said.append(line)
            sys.stderr.write(line)
        code = run.wait()
        grown = len(list(corpus.iterdir())) - len(seeds())
    executions = _EXECUTIONS.search("".join(said))
    outcomes = _OUTCOMES.findall("".join(said))
    found = sorted(path.name for path in set(findings.iterdir()) - before)
    said_last = outcomes[-1] if outcomes else "none"
    sys.stdout.write(f"executions: {executions[1] if executions else 'unknown'}\n")
    sys.stdout.write(f"seeds: {len(seeds())}, inputs kept for new coverage: {grown}\n")
    sys.stdout.write(f"outcomes, as last reported: {said_last}\n")
    sys.stdout.write(f"findings: {len(found)} {' '.join(found)}\n")
    return 1 if code != 0 or found or executions is None else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 60))
