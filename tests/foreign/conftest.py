"""DUIS software that DCC has published, installed when a test asks for it; nothing of it is part of this repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PACKAGES = ("@smartdcc/duis-parser@0.6.0", "@smartdcc/duis-templates@0.5.0", "@smartdcc/duis-sign-wrap@0.1.2")
INSTALL_SECONDS = 120
RUN_SECONDS = 60

Foreign = Callable[..., Any]


@pytest.fixture(scope="session")
def foreign() -> Foreign:
    """Runs a task of `foreign.mjs` and returns its result; skips where node, npm or the packages are not to be had."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    folder = _installed()
    script = Path(__file__).with_name("foreign.mjs")

    def run(task: str, **arguments: object) -> Any:
        done = subprocess.run(
            [node, str(script), str(folder)],
            input=json.dumps({"task": task, **arguments}),
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="session")
def java() -> None:
    """The signing tool is written in Java."""
    if shutil.which("java") is None:
        pytest.skip("java is not installed")


def _installed() -> Path:
    """The folder of the packages: they are fetched once for all runs, into the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sr-engine-tests"
    folder = cache / "-".join(package.rpartition("/")[2].replace("@", "-") for package in PACKAGES)
    if folder.is_dir():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as place:
        (Path(place) / "package.json").write_text("{}", encoding="utf-8")
        options = ("--no-audit", "--no-fund", "--ignore-scripts", "--prefix", place)
        try:
            done = subprocess.run(
                [npm, "install", *options, *PACKAGES],
                capture_output=True,
                text=True,
                timeout=INSTALL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm could not install the packages within {INSTALL_SECONDS} s")
        if done.returncode != 0:
            pytest.skip(f"npm could not install the packages: {done.stderr.strip().splitlines()[-1:]}")
        # Another process may have been faster; then its folder is as good.
        if not folder.is_dir():
            shutil.copytree(place, f"{place}.whole", symlinks=True)
            Path(f"{place}.whole").rename(folder)
    return folder
