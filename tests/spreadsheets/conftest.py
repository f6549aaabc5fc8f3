"""The shipped words and limits, and files to read."""

from __future__ import annotations

import pytest

from sr_engine.configuration import Spreadsheets, load_spreadsheets
from sr_engine.resources import data_directory


@pytest.fixture(scope="session")
def spreadsheets() -> Spreadsheets:
    return load_spreadsheets(data_directory("config"))
