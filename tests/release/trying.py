"""Tries a wheel as whoever installs it does: in an empty environment, from an empty folder, outside the repository."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.release.building import ROOT, SHIPPED_LOCK, Built, ReleaseFailed, uv
from tests.release.contents import pinned, version_of_project

STEP_SECONDS = 60
DEMO_SECONDS = 900
TYPED = Path(__file__).with_name("typed_use.py.txt")
RIGHT, WRONG = 'schedule(Firmware("2B7E", "C1A20001", "9002"), hubs', 'schedule("2B7E", hubs'
"""In it, and used wrongly: that this is found shows that the types are heeded."""
_STATIC = re.compile(r'href="(/console/static/[^"]+\.css)"')


class PythonMissing(ReleaseFailed):
    """A version of Python is not to be had here."""


@dataclass
class Tried:
    """What came of a wheel with one version of Python."""

    python: str
    steps: dict[str, float] = field(default_factory=dict)
    """Seconds that each took which went well."""
    says: str = ""
    """Of the Python itself."""
    problem: str = ""
    missing: bool = False

    def line(self) -> str:
        """For people."""
        done = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.steps.items())
        return f"Python {self.says or self.python}: {done or 'nothing'}" + (f"; {self.problem}" if self.problem else "")


def try_with(python: str, built: Built, folder: Path, *, say: Callable[[str], None], demo: bool = True) -> Tried:
    """Install with one version of Python into an empty folder, and use it."""
    tried = Tried(python)
    try:
        environment = _installed(tried, built, folder)
        for name, step in _steps(environment, demo=demo).items():
            began = time.monotonic()
            step()
            tried.steps[name] = time.monotonic() - began
            say(f"Python {tried.says}: {name} in {tried.steps[name]:.1f} s")
    except ReleaseFailed as failed:
        tried.problem, tried.missing = str(failed), isinstance(failed, PythonMissing)
    return tried


@dataclass(frozen=True, slots=True)
class _Environment:
    """Where a wheel is installed, and from where it is used."""

    programs: Path
    workplace: Path

    def run(self, *arguments: str, seconds: float = STEP_SECONDS) -> str:
        """Run a program of it, and return its stdout; raises ReleaseFailed."""
        command = [str(self.programs / arguments[0]), *arguments[1:]]
        try:
            done = subprocess.run(
                command,
                cwd=self.workplace,
                env=self.surroundings(),
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ReleaseFailed(f"{' '.join(arguments)} had not ended after {seconds:.0f} s") from None
        if done.returncode != 0:
            said = (done.stdout + done.stderr).strip()[-1500:]
            raise ReleaseFailed(f"{' '.join(arguments)} ended with {done.returncode}: {said}")
        return done.stdout

    def surroundings(self) -> Mapping[str, str]:
        """Nothing of whoever runs the check: no PYTHONPATH, no instance, no proxy."""
        return {"PATH": f"{self.programs}:/usr/bin:/bin", "HOME": str(self.workplace), "LANG": "C.UTF-8", "TZ": "UTC"}


def _installed(tried: Tried, built: Built, folder: Path) -> _Environment:
    began = time.monotonic()
    place, workplace = folder / "environment", folder / "empty"
    workplace.mkdir(parents=True)
    try:
        uv("venv", "--python", tried.python, str(place), cwd=folder, environment={"PATH": _with_pyenv()})
    except ReleaseFailed as failed:
        raise PythonMissing(f"not to be had here: {str(failed).splitlines()[-1].strip()}") from None
    python = str(place / "bin" / "python")
    install = ("pip", "install", "--python", python)
    locked = ("--require-hashes", "--only-binary", ":all:", "--requirements", str(SHIPPED_LOCK))
    uv(*install, "--compile-bytecode", *locked, cwd=folder)
    uv(*install, "--compile-bytecode", "--no-deps", "--offline", str(built.wheel), cwd=folder)
    uv("pip", "check", "--python", python, cwd=folder)
    environment = _Environment(place / "bin", workplace)
    tried.says = environment.run("python", "-c", "import platform; print(platform.python_version())").strip()
    tried.steps["installed"] = time.monotonic() - began
    _nothing_else(environment)
    return environment


def _with_pyenv() -> str:
    """Where programs are looked for, and where pyenv keeps versions: what it puts there itself leads to one alone.

    A version that is in neither is downloaded by uv, if it can be.
    """
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return os.pathsep.join([os.environ["PATH"], *map(str, sorted(root.glob("versions/*/bin")))])


def _nothing_else(environment: _Environment) -> None:
    """What is there is what is locked and the wheel, and comes from nowhere but the environment."""
    code = "import importlib.metadata as m; print(*(one.name for one in m.distributions()))"
    there = {re.sub(r"[-_.]+", "-", one).lower() for one in environment.run("python", "-c", code).split()}
    others = there - pinned(SHIPPED_LOCK.read_text(encoding="utf-8")).keys() - {"sr-engine"}
    if others:
        raise ReleaseFailed(f"installed too, and not locked: {', '.join(sorted(others))}")
    for name in ("sr_engine", "signing"):
        file = environment.run("python", "-c", f"import {name}; print({name}.__file__)").strip()
        if not Path(file).is_relative_to(environment.programs.parent) or Path(file).is_relative_to(ROOT):
            raise ReleaseFailed(f"{name} is imported from {file}, which is not in the environment")


def _steps(environment: _Environment, *, demo: bool) -> dict[str, Callable[[], None]]:
    steps: dict[str, Callable[[], None]] = {
        "--version": lambda: _version(environment),
        "init": lambda: _made(environment),
        "doctor": lambda: _healthy(environment),
        "serve": lambda: _served(environment),
        "types": lambda: _typed(environment),
    }
    if demo:
        steps["demo"] = lambda: _demonstrated(environment)
    return steps


def _version(environment: _Environment) -> None:
    said = environment.run("sr-engine", "--version").strip()
    if said != f"sr-engine, version {version_of_project()}":
        raise ReleaseFailed(f"--version says {said!r}, and pyproject.toml {version_of_project()}")


def _made(environment: _Environment) -> None:
    environment.run("sr-engine", "init", "trial", "--port", "18080")
    if "current: revision" not in environment.run("sr-engine", "db", "check", "--dir", "trial"):
        raise ReleaseFailed("the database of a new instance is not of the current revision")


def _healthy(environment: _Environment) -> None:
    environment.run("sr-engine", "doctor", "--offline", "--dir", "trial")


def _served(environment: _Environment) -> None:
    """It takes requests, and has its templates and what they refer to."""
    command = [str(environment.programs / "sr-engine"), "serve", "--dir", "trial", "--port", "0"]
    log = environment.workplace / "serve.log"
    with log.open("wb") as into:
        serving = subprocess.Popen(
            command,
            cwd=environment.workplace,
            env=environment.surroundings(),
            stdout=subprocess.PIPE,
            stderr=into,
            text=True,
        )
    with serving:
        try:
            assert serving.stdout is not None
            ready = re.match(r"ready: (http://\S+) ", serving.stdout.readline())
            if ready is None:
                raise ReleaseFailed(f"serve did not start: {log.read_text(errors='replace')[-1500:]}")
            _fetched(f"{ready[1]}/health/ready")
            page = _fetched(f"{ready[1]}/console/sign-in")
            style = _STATIC.search(page)
            if style is None:
                raise ReleaseFailed("the console's first page names no style sheet")
            _fetched(ready[1] + style[1])
        finally:
            serving.send_signal(signal.SIGTERM)
        if serving.wait(STEP_SECONDS) != 0:
            raise ReleaseFailed(f"serve, told to stop, ended with {serving.returncode}")


def _fetched(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=STEP_SECONDS) as answer:
            return str(answer.read().decode())
    except OSError as error:
        raise ReleaseFailed(f"{url}: {error}") from None


def _typed(environment: _Environment) -> None:
    """Whoever uses the client has its types, and what is wrong is found."""
    text = TYPED.read_text(encoding="utf-8")
    right, wrong = environment.workplace / "right.py", environment.workplace / "wrong.py"
    right.write_text(text, encoding="utf-8")
    wrong.write_text(text.replace(RIGHT, WRONG), encoding="utf-8")
    code, said = _checked(environment, right)
    if code != 0:
        raise ReleaseFailed(f"types: {said}")
    code, said = _checked(environment, wrong)
    if code == 0 or "[arg-type]" not in said:
        raise ReleaseFailed(f"types: what is wrong was not found: {said}")


def _checked(environment: _Environment, file: Path) -> tuple[int, str]:
    """By the mypy that the repository has, with the packages that are installed in the environment."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=.mypy", "--no-error-summary"]
    done = subprocess.run(
        [*command, "--python-executable", str(environment.programs / "python"), file.name],
        cwd=environment.workplace,
        env={**os.environ, "MYPYPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def _demonstrated(environment: _Environment) -> None:
    said = environment.run("sr-engine", "demo", seconds=DEMO_SECONDS)
    if "no process left behind" not in said or "not as it should be" in said:
        raise ReleaseFailed(f"demo: {said[-1500:]}")
