"""Where things are in the text of a settings file, everything else of which stays as it is."""

from __future__ import annotations

import json
import re

_LINE = re.compile(r"^[ \t]*database_url[ \t]*=.*$", re.MULTILINE)
_ARCHIVE = re.compile(r"^[ \t]*archive_directory[ \t]*=.*$", re.MULTILINE)


def with_database(text: str, url: str) -> str:
    """The text with another address of the database; settings that named none name it above all else."""
    line = f"database_url = {json.dumps(url)}"
    replaced, found = _LINE.subn(lambda _: line, text, count=1)
    return replaced if found else f"{line}\n{text}"


def without_archive(text: str) -> str:
    """The text without the line that names the archive, which stands there as a comment."""
    return _ARCHIVE.sub(lambda line: f"# of the instance the backup was taken of: {line[0].strip()}", text, count=1)
