"""The container file: what it copies is there, what it starts is ours, and its steps work where no image is built."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deployment.files import ROOT, instructions, moved, understood
from tests.ports import reserved_port
from tests.release.building import build
from tests.release.contents import pythons_of_project
from tests.world import make_world

WAIT = 400
HOME = "/opt/sr-engine"


def only(name: str) -> str:
    (found,) = [one for one in instructions() if one.name == name]
    return found.text


def words(name: str) -> list[str]:
    (found,) = [one for one in instructions() if one.name == name]
    return found.words


def test_it_is_of_two_stages_on_a_python_that_is_promised() -> None:
    first, second = [one.text for one in instructions() if one.name == "FROM"]

    assert first == f"{second} AS build"
    assert only("ARG").removeprefix("PYTHON=") in pythons_of_project()


def test_what_it_copies_is_of_the_repository_or_comes_out_of_a_release() -> None:
    copied = [one.text.split()[:-1] for one in instructions() if one.name == "COPY"]

    assert copied == [["requirements-run.lock", "dist/sr_engine-*.whl"], ["--from=build", HOME]]
    assert (ROOT / "requirements-run.lock").is_file()


def test_everything_it_installs_is_locked_by_hash() -> None:
    installs = [one.text for one in instructions() if one.name == "RUN" and " install " in one.text]

    assert ["--require-hashes" in one for one in installs] == [True, False]
    assert "--no-deps sr_engine-*.whl" in installs[1]


def test_it_runs_as_nobody_in_particular_a_command_that_there_is(tmp_path: Path) -> None:
    names = [one.name for one in instructions()]

    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", only("USER"))
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert words("ENTRYPOINT") == ["sr-engine"]
    context = understood([moved(word, {"/instance": str(tmp_path)}) for word in words("CMD")])
    assert context.params["port"] == int(only("EXPOSE"))
    assert f":{only('EXPOSE')}/health/ready" in words("HEALTHCHECK")[-1]


@pytest.mark.slow
def test_its_steps_install_what_it_starts_and_that_is_found_healthy(tmp_path: Path) -> None:
    """Each step as a shell would run it, in a folder instead of an image."""
    home, workplace = tmp_path / "home", tmp_path / "build"
    workplace.mkdir()
    shutil.copy(ROOT / "requirements-run.lock", workplace)
    shutil.copy(build(tmp_path / "dist").wheel, workplace)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "bin" / "python").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    for step in (one.text for one in instructions() if one.name == "RUN"):
        command = ["/bin/sh", "-ec", moved(step, {HOME: str(home)})]
        done = subprocess.run(
            command, cwd=workplace, env=environment, capture_output=True, text=True, timeout=WAIT, check=False
        )
        assert done.returncode == 0, f"{step}\n{done.stdout[-800:]}{done.stderr[-800:]}"
    world = make_world(tmp_path / "instance")
    world.close()

    with reserved_port() as port, (tmp_path / "log").open("wb") as log:
        paths = {"/instance": str(world.directory), "8080": str(port), "0.0.0.0": "127.0.0.1"}
        inside = {"PATH": f"{home}/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
        command = [moved(word, paths) for word in words("ENTRYPOINT") + words("CMD")]
        with subprocess.Popen(
            [f"{home}/bin/{command[0]}", *command[1:]],
            cwd=tmp_path,
            env=inside,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as served:
            try:
                assert served.stdout is not None
                assert served.stdout.readline().startswith("ready: "), (tmp_path / "log").read_text()
                check = [moved(word, paths) for word in words("HEALTHCHECK")]
                healthy = subprocess.run([f"{home}/bin/{check[0]}", *check[1:]], env=inside, timeout=WAIT, check=False)
            finally:
                served.send_signal(getattr(signal, only("STOPSIGNAL")))
            assert served.wait(WAIT) == 0
        gone = subprocess.run(
            [f"{home}/bin/{check[0]}", *check[1:]], env=inside, capture_output=True, timeout=WAIT, check=False
        )

    assert healthy.returncode == 0
    assert gone.returncode != 0


@pytest.mark.slow
def test_an_image_can_be_built_where_there_is_something_to_build_it_with(tmp_path: Path) -> None:
    builder = next((one for one in ("podman", "docker") if shutil.which(one)), None)
    if builder is None or subprocess.run([builder, "info"], capture_output=True, check=False).returncode != 0:
        pytest.skip("neither podman nor docker can build here")
    build(tmp_path / "dist")
    shutil.copy(ROOT / "requirements-run.lock", tmp_path)
    file = ROOT / "docs" / "deployment" / "Containerfile"
    built = subprocess.run(
        [builder, "build", "--quiet", "--file", str(file), str(tmp_path)], capture_output=True, text=True, check=False
    )
    if "pull" in built.stderr or "lookup" in built.stderr:
        pytest.skip(f"the image that it begins with cannot be fetched: {built.stderr.strip()[-200:]}")
    assert built.returncode == 0, built.stderr
    image = built.stdout.strip()

    said = subprocess.run([builder, "run", "--rm", image, "--version"], capture_output=True, text=True, check=True)

    assert said.stdout.startswith("sr-engine, version ")
