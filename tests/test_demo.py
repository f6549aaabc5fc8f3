"""The demonstration, as `make demo` runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


def _processes_of_the_demonstration() -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if "sr_engine.demo" in command or "sr-engine-demo-" in command:
            found.append(command)
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes left behind in /proc")
def test_the_demonstration_comes_out_as_it_should_and_leaves_no_process_behind() -> None:
    command = [sys.executable, "-m", "sr_engine", "demo"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "not as it should be" not in done.stdout
    assert re.search(r"Done in [\d.]+ s; no process left behind", done.stdout)
    for region in ("Central", "North", "South"):
        assert re.search(rf"│ {region} +│", done.stdout)
    assert _processes_of_the_demonstration() == []
