"""The licences of all that is installed beside sr-engine: `python -m tests.release.notices`, as `make notices` does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata

from tests.release.building import ROOT, SHIPPED_LOCK
from tests.release.contents import pinned

NOTICES = ROOT / "docs" / "third-party.md"
_HEAD = f"""# Licences of what sr-engine needs

Written by `make notices` from the packages' own metadata, for the versions in `{SHIPPED_LOCK.name}`. Neither the wheel
nor the source distribution holds any of them. Whoever passes on an environment or a container image in which they are
installed passes them on, each with the licence texts in its folder `.dist-info`.

| package | version | licence, as it says itself | where it comes from |
|---|---|---|---|
"""
_PLACES = ("source", "source code", "repository", "homepage", "github", "code", "home-page")
_WHOLE_TEXT = 80
"""A field for the name of a licence that is longer holds the licence."""


class NoticeMissing(Exception):
    """Of a package nothing can be said; names it."""


def text() -> str:
    """The whole file; raises NoticeMissing if a package says nothing of its licence."""
    return _HEAD + "".join(f"| {' | '.join(row)} |\n" for row in _rows())


def _rows() -> Iterator[tuple[str, str, str, str]]:
    for name, version in sorted(pinned(SHIPPED_LOCK.read_text(encoding="utf-8")).items()):
        try:
            found = metadata(name)
        except PackageNotFoundError:
            # For another platform or Python.
            continue
        yield name, version, _licence(found), _place(found)


def _value(of: PackageMetadata, field: str) -> str:
    said = of.get_all(field)
    return said[0] if said else ""


def _licence(of: PackageMetadata) -> str:
    said = _value(of, "License-Expression")
    classifiers = [one for one in of.get_all("Classifier") or () if one.startswith("License ::")]
    if not said and len(_value(of, "License")) <= _WHOLE_TEXT:
        said = _value(of, "License").strip()
    if not said:
        said = "; ".join(one.rpartition(" :: ")[2] for one in classifiers)
    if not said or said.upper() == "UNKNOWN":
        raise NoticeMissing(f"{of['Name']} {of['Version']} does not say what its licence is: look, and say it here")
    return " ".join(said.split())


def _place(of: PackageMetadata) -> str:
    named = {}
    for line in of.get_all("Project-URL") or ():
        label, _, url = line.partition(", ")
        named[label.lower()] = url
    if home := _value(of, "Home-page"):
        named["home-page"] = home
    address = next((named[one] for one in _PLACES if one in named), f"https://pypi.org/project/{of['Name']}/")
    return re.sub(r"[<>|\s]", "", address)


if __name__ == "__main__":
    NOTICES.write_text(text(), encoding="utf-8")
