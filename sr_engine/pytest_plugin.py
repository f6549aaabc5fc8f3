"""The pytest plugin: `pytest --sr-fixtures DIR` runs message fixtures as tests, one each, in anybody's suite.

Without the option it does nothing, and loads nothing of the processor.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sr_engine.replay.remote import Target
    from sr_engine.replay.theatre import Theatre

_STAGES = pytest.StashKey["Stages"]()


class Stages:
    """Where the fixtures of one session are played: prepared at the first that needs it, gone at the end."""

    def __init__(self, url: str | None, directory: str | None) -> None:
        from sr_engine.replay.fixture import Shelf  # noqa: PLC0415 - only where there are fixtures

        self.shelf = Shelf()
        self._url, self._directory = url, directory
        self._target: Target | None = None
        self._folder: TemporaryDirectory[str] | None = None
        self._theatre: Theatre | None = None

    def target(self) -> Target | None:
        """The processor they are sent to; None: each has one of its own in this process."""
        from sr_engine.replay.remote import Target  # noqa: PLC0415

        if self._url is None:
            return None
        if self._directory is None:
            raise pytest.UsageError("--sr-to needs --sr-dir: the folder with the test keys of that processor")
        if self._target is None:
            # One for all fixtures: it counts the RequestIDs.
            self._target = Target.at(self._url, Path(self._directory))
        return self._target

    def theatre(self) -> Theatre:
        """Where they are played in this process."""
        from sr_engine.replay.theatre import Theatre  # noqa: PLC0415

        if self._theatre is None:
            self._folder = TemporaryDirectory(prefix="sr-engine-replay-")
            self._theatre = Theatre(Path(self._folder.name))
        return self._theatre

    def close(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options."""
    group = parser.getgroup("sr-engine", "message fixtures of the Service Request processor")
    group.addoption(
        "--sr-fixtures", action="append", metavar="DIR", default=[], help="Run the message fixtures below this folder."
    )
    group.addoption("--sr-to", metavar="URL", help="Send them to a processor that runs instead.")
    group.addoption("--sr-dir", metavar="DIR", help="With --sr-to: the folder with the test keys of that processor.")


def pytest_configure(config: pytest.Config) -> None:
    """Adds the folders of fixtures to what is collected."""
    folders: list[str] = config.getoption("--sr-fixtures")
    for one in folders:
        if Path(one).is_dir() and not any(not file.name.endswith(".given.toml") for file in Path(one).rglob("*.toml")):
            raise pytest.UsageError(f"--sr-fixtures: there are no fixtures, that is no .toml files, in {one}")
    if folders:
        config.stash[_STAGES] = Stages(config.getoption("--sr-to"), config.getoption("--sr-dir"))
        config.args += [one for one in folders if one not in config.args]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Lets go of what was prepared."""
    if (stages := config.stash.get(_STAGES, None)) is not None:
        stages.close()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A fixture is collected below the folders named, and nowhere else."""
    folders: list[str] = parent.config.getoption("--sr-fixtures")
    if not folders or file_path.suffix != ".toml" or file_path.name.endswith(".given.toml"):
        return None
    if not any(file_path.is_relative_to(Path(one).resolve()) for one in folders):
        return None
    return FixtureFile.from_parent(parent, path=file_path)


class FixtureFile(pytest.File):
    """The file of a fixture."""

    def collect(self) -> Iterable[pytest.Item]:
        """The one test in it."""
        yield FixtureItem.from_parent(self, name=self.path.stem)


class FixtureItem(pytest.Item):
    """One fixture as a test."""

    def runtest(self) -> None:
        """Play it; an exception says that it failed."""
        from sr_engine.replay.fixture import read_fixture  # noqa: PLC0415
        from sr_engine.replay.remote import NotOverHttp, RemoteStage  # noqa: PLC0415
        from sr_engine.replay.runner import play  # noqa: PLC0415

        stages = self.config.stash[_STAGES]
        fixture = read_fixture(self.path, stages.shelf)
        target = stages.target()
        if target is None:
            with stages.theatre().stage(fixture) as stage:
                play(fixture, stage)
            return
        try:
            play(fixture, RemoteStage(fixture, target))
        except NotOverHttp as unable:
            pytest.skip(str(unable))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What differs, in words; all else as usual."""
        from sr_engine.configuration import ConfigurationError  # noqa: PLC0415
        from sr_engine.replay.fixture import FixtureRefused  # noqa: PLC0415
        from sr_engine.replay.runner import FixtureFailed  # noqa: PLC0415

        if isinstance(excinfo.value, FixtureFailed | FixtureRefused):
            return str(excinfo.value)
        if isinstance(excinfo.value, ConfigurationError):
            return "\n".join(f"{self.path.name}: {one}" for one in excinfo.value.problems)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """The file, and what the test is called."""
        return self.path, None, f"fixture {self.name}"
