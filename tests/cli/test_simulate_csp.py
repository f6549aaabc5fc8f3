"""What the simulated CSP refuses before it listens; what it does is in tests/simulator."""

from __future__ import annotations

import re

import pytest

from tests.cli.conftest import Run
from tests.world import World


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("https://csp.example/central", "is not http on this computer"),
        ("http://127.0.0.1:8090/south", "is that of another region too"),
    ],
)
def test_endpoints_that_cannot_be_served_are_refused(run: Run, world: World, endpoint: str, said: str) -> None:
    regions = world.directory / "config" / "regions.toml"
    regions.write_text(regions.read_text().replace("http://127.0.0.1:8090/central", endpoint))

    done = run("simulate-csp", "--dir", world.directory)

    assert done.exit_code == 2
    assert re.search(rf"sr-engine: regions.toml: region\.\w+\.endpoint: .*{said}", done.stderr)


def test_only_regions_that_are_upgraded_have_a_csp(run: Run, world: World) -> None:
    done = run("simulate-csp", "--dir", world.directory, "--region", "SMETS1")

    assert (done.exit_code, "'SMETS1' is not a region that is upgraded; there are" in done.stderr) == (2, True)
