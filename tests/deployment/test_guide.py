"""docs/deployment.md: what it names is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.deployment.files import DEPLOYMENT, ROOT, SYSTEMD, understood, units

GUIDE = ROOT / "docs" / "deployment.md"
TEXT = GUIDE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)


def test_every_file_that_it_links_to_is_there_and_every_file_is_named() -> None:
    linked = {one.partition("#")[0] for one in re.findall(r"]\(([^)]+)\)", TEXT)}

    assert [one for one in linked if not (GUIDE.parent / one).exists()] == []
    top = {one.name for one in DEPLOYMENT.iterdir() if one.is_file()}
    assert top <= {Path(one).name for one in linked}


def test_every_unit_that_it_starts_is_there() -> None:
    names = {one.name for one in units()}
    started = re.findall(r"\bsr-engine[-@.\w]*", "\n".join(one for one in BLOCKS if "systemctl" in one))
    for one in {name for name in started if re.search(r"^sr-engine-(gateway|worker|backup|restore)|\.target$", name)}:
        name = re.sub(r"@\d+", "@", one)
        assert name in names or f"{name}.service" in names, one
    assert {"sr-engine.sysusers.conf", "sr-engine.tmpfiles.conf"} <= {one.name for one in SYSTEMD.iterdir()}


def test_what_was_sent_to_a_gateway_that_is_gone_is_given_to_another_by_machines_alone() -> None:
    """What a person sends twice may be done twice."""
    config = (DEPLOYMENT / "nginx.conf").read_text(encoding="utf-8")
    everybody, machines, people = config.split("    server {\n")

    assert "server_name duis.example;" in machines
    assert "server_name people.example;" in people
    again = [re.findall(r"proxy_next_upstream ([^;]+);", one) for one in (everybody, machines, people)]
    assert again == [["error timeout"], ["error timeout non_idempotent"], []]


@pytest.mark.parametrize("block", BLOCKS)
def test_every_command_of_ours_in_it_is_one_that_there_is(block: str, tmp_path: Path) -> None:
    assert subprocess.run(["/bin/sh", "-n"], input=block, text=True, capture_output=True, check=False).returncode == 0
    lines = block.replace("\\\n", " ").splitlines()
    for arguments in (found[1].split() for one in lines if (found := re.search(r"/bin/sr-engine ((?!/).+)$", one))):
        # A folder that has to be there is one here.
        here = [str(tmp_path) if one.startswith(("/var/", "$")) else one for one in arguments]
        assert understood(here).command.name == arguments[0] or arguments[0] in {"db", "lease"}
