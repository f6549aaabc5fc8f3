"""The address of the database in the text of a settings file, everything else of which stays as it is."""

from __future__ import annotations

import json
import re

_LINE = re.compile(r"^[ \t]*database_url[ \t]*=.*$", re.MULTILINE)


def with_database(text: str, url: str) -> str:
    """The text with another address of the database; settings that named none name it above all else."""
    line = f"database_url = {json.dumps(url)}"
    replaced, found = _LINE.subn(lambda _: line, text, count=1)
    return replaced if found else f"{line}\n{text}"
