"""Whether a wheel and a source distribution hold what they should, and nothing else."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

from packaging.metadata import Metadata

from tests.release.building import ROOT, SHIPPED_LOCK, Built, files_of_repository

PACKAGES = ("sr_engine/", "signing/")
DATA = {"xsd/": "sr_engine/_data/xsd/", "config/": "sr_engine/_data/config/"}
"""Where what stands at the top of the repository is in a wheel."""
LICENCES = ("LICENSE", "docs/third-party.md")
NEEDED = (
    "sr_engine/py.typed",
    "signing/py.typed",
    "signing/verify.py",
    "sr_engine/_data/xsd/duis.xsd",
    "sr_engine/_data/xsd/csp.xsd",
    "sr_engine/_data/config/policy.toml",
    "sr_engine/_data/config/response_codes.toml",
    "sr_engine/_data/config/national.toml",
    "sr_engine/console/templates/base.html",
    "sr_engine/console/static/console.css",
    "sr_engine/migrations/r0001_the_first_schema.py",
)
"""One of each kind that has been forgotten by others: the rest follows from the files of the repository."""
_NOT_SOURCE = frozenset({"PKG-INFO"})
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)(\[[^]]*])?==(\S+)", re.MULTILINE)


def version_of_project() -> str:
    """The one place where the version stands."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def pythons_of_project() -> list[str]:
    """The Pythons that it is said to run on."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    marker = "Programming Language :: Python :: "
    return [one.removeprefix(marker) for one in project["classifiers"] if one.startswith(marker)]


def pinned(lock: str) -> dict[str, str]:
    """The versions that a file of requirements names, by normalised name."""
    return {re.sub(r"[-_.]+", "-", one[1]).lower(): one[3] for one in _PINNED.finditer(lock)}


def problems(built: Built) -> Iterator[str]:
    """What is not as it should be."""
    repository = files_of_repository()
    yield from _differences("wheel", built.in_wheel(), _in_wheel(repository))
    yield from _missing_from_sdist(built.in_sdist(), repository)
    yield from (f"the wheel lacks {one}" for one in NEEDED if one not in built.in_wheel())
    yield from _of_metadata(built)


def _in_wheel(repository: set[str]) -> set[str]:
    information = f"sr_engine-{version_of_project()}.dist-info/"
    expected = {name for name in repository if name.startswith(PACKAGES)}
    expected |= {
        name.replace(source, target, 1)
        for source, target in DATA.items()
        for name in repository
        if name.startswith(source)
    }
    expected |= {information + name for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
    return expected | {f"{information}licenses/{name}" for name in LICENCES}


def _differences(of: str, has: set[str], expected: set[str]) -> Iterator[str]:
    yield from (f"the {of} lacks {name}" for name in sorted(expected - has))
    yield from (f"the {of} holds {name}, which is no part of it" for name in sorted(has - expected))


def _missing_from_sdist(has: set[str], repository: set[str]) -> Iterator[str]:
    """All that is needed to build, read and test; what is in it must be of the repository."""
    tops = (*PACKAGES, *DATA, "fixtures/", "tests/", "docs/")
    wanted = {name for name in repository if name.startswith(tops)}
    wanted |= {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "Makefile"}
    wanted |= {name for name in repository if re.fullmatch(r"requirements.*\.lock", name)}
    yield from (f"the source distribution lacks {name}" for name in sorted(wanted - has))
    others = sorted(has - repository - _NOT_SOURCE)
    yield from (f"the source distribution holds {name}, which is not in the repository" for name in others)


def _of_metadata(built: Built) -> Iterator[str]:
    """By the rules of the package index, and by what the project says elsewhere."""
    try:
        metadata = Metadata.from_email(built.metadata(), validate=True)
    except ExceptionGroup as wrong:
        yield from (f"metadata: {one}" for one in wrong.exceptions)
        return
    if str(metadata.version) != version_of_project():
        yield f"metadata: version {metadata.version}, and pyproject.toml says {version_of_project()}"
    if not metadata.description or metadata.description_content_type != "text/markdown":
        yield "metadata: the description is not README.md as Markdown"
    if metadata.license_expression is None or tuple(metadata.license_files or ()) != LICENCES:
        yield f"metadata: licence {metadata.license_expression}, in {metadata.license_files}"
    locked = pinned(SHIPPED_LOCK.read_text(encoding="utf-8"))
    for one in metadata.requires_dist or ():
        version = locked.get(re.sub(r"[-_.]+", "-", one.name).lower())
        if one.marker is not None and not one.marker.evaluate({"extra": ""}):
            continue
        if version is None or not one.specifier.contains(version, prereleases=True):
            yield f"metadata: needs {one}, and {SHIPPED_LOCK.name} has {version or 'none'}"
