from __future__ import annotations

from pathlib import Path

import pytest

from sr_engine import resources


def test_the_shipped_files_are_found_in_a_checkout() -> None:
    assert (resources.data_directory("config") / "policy.toml").is_file()
    assert (resources.data_directory("xsd") / "duis.xsd").is_file()


def test_the_files_inside_the_package_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "sr_engine"
    (tmp_path / "config").mkdir()
    (package / "_data" / "config").mkdir(parents=True)
    monkeypatch.setattr(resources, "_PACKAGE", package)
    assert resources.data_directory("config") == package / "_data" / "config"


def test_a_missing_folder_is_said_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "sr_engine")
    with pytest.raises(FileNotFoundError, match="the folder 'xsd' was found neither in"):
        resources.data_directory("xsd")
