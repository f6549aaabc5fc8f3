"""What the comments of a shipped configuration file say of its keys.

Three forms: a line of the file's head, `#   key, other   What it is.`; a comment above a key, which also holds for the
keys that follow at once and have none of their own; and one behind the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile

_HEAD_SECTION = re.compile(r"# (\[+[^\]]*\]+)(?:\s{2,}.*)?$")
_HEAD_KEY = re.compile(r"#( +)([A-Za-z_][\w.]*(?:, [A-Za-z_]\w*)*) {2,}(\S.*)$")
_TABLE = re.compile(r"\[+([^\]]+)\]+\s*(?:# *(.*))?$")
_KEY = re.compile(r'("[^"]+"|[\w-]+) = (.*)$')
_BEHIND = re.compile(r"^(?:[^\"#]|\"[^\"]*\")*# *(.*)$")
_RANGE = re.compile(r"^\d[\d_]*(?: to \d[\d_]*| or more)[;.,]? *")
_FEW_WORDS = 3
_HEAD_INDENT = 3
"""Of keys below the table they stand in."""


@dataclass(slots=True)
class _Reading:
    """Where the reader of a file is."""

    section: str = ""
    head_section: str = ""
    above: list[str] = field(default_factory=list)
    """The comment that has just been read."""
    group: str = ""
    """The comment that holds for the keys that follow at once."""
    has_keys: bool = False
    """Whether a key of the section has been read."""
    found: dict[tuple[str, str], str] = field(default_factory=dict)


def meanings(text: str) -> Mapping[tuple[str, str], str]:
    """By the first name of a table (empty: none) and the rest of the key's path, what is said; of a table by ''."""
    reading = _Reading()
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("#"):
            reading.above.append(line)
        elif not line.strip():
            _end_of_block(reading)
        elif table := _TABLE.match(line):
            _new_section(reading, table)
        elif key := _KEY.match(line):
            _key(reading, key[1].strip('"'), key[2])
            _skip_array(key[2], lines)
    return reading.found


def _end_of_block(reading: _Reading) -> None:
    """A comment with a space below it is about the file, or about the table it stands in."""
    _read_head(reading)
    words = _words(reading.above)
    if reading.section and words and not reading.has_keys:
        reading.found.setdefault((_first(reading.section), _rest(reading.section)), words)
    reading.above, reading.group = [], ""


def _new_section(reading: _Reading, table: re.Match[str]) -> None:
    reading.section, reading.has_keys = table[1], False
    _read_head(reading)
    words = " ".join(filter(None, (_words(reading.above), table[2])))
    if words:
        reading.found.setdefault((_first(reading.section), _rest(reading.section)), words)
    reading.above, reading.group = [], ""


def _key(reading: _Reading, name: str, value: str) -> None:
    behind = _BEHIND.match(value)
    after = "" if behind is None else behind[1]
    if reading.above:
        reading.group = _words(reading.above)
        said = [reading.group, after]
    elif len(_RANGE.sub("", after).split()) >= _FEW_WORDS:
        said = [after]
    else:
        said = [reading.group, after]
    reading.above, reading.has_keys = [], True
    words = " ".join(filter(None, said))
    if words:
        path = ".".join(filter(None, (_rest(reading.section), name)))
        reading.found.setdefault((_first(reading.section), path), words)


def _skip_array(value: str, lines: Iterator[str]) -> None:
    if value.lstrip().startswith("[") and "]" not in value:
        for line in lines:
            if line.startswith("]"):
                return


def _read_head(reading: _Reading) -> None:
    """Lines of a head, each with those that go on below it."""
    section = reading.head_section if any(_HEAD_SECTION.match(line) for line in reading.above) else ""
    names: list[str] = []
    words: list[str] = []
    indent = 0

    def done() -> None:
        for name in names:
            reading.found.setdefault((_first(section or reading.section), name.split(".")[0]), " ".join(words))
            if not section and not reading.section:
                reading.found.setdefault(("", name), " ".join(words))

    for line in reading.above:
        if heading := _HEAD_SECTION.match(line):
            done()
            section = heading[1].strip("[]")
            told = line[len("# " + heading[1]) :].strip()
            names, words, indent = [""] if told else [], [told], _HEAD_INDENT
        elif (key := _HEAD_KEY.match(line)) and (not names or len(key[1]) <= indent):
            done()
            names, words, indent = key[2].split(", "), [key[3]], len(key[1])
        elif names and line.startswith("#" + " " * (indent + 1)):
            words.append(line[1:].strip())
        else:
            done()
            names = []
    done()
    reading.head_section = section


def _words(block: list[str]) -> str:
    """The text of a comment, up to the first key that it names at the beginning of a line."""
    lines = takewhile(lambda line: _HEAD_KEY.match(line) is None, block)
    return " ".join(filter(None, (line.removeprefix("#").strip() for line in lines)))


def _first(section: str) -> str:
    return re.split(r"[.\[]", section.strip("[] "))[0]


def _rest(section: str) -> str:
    return ".".join(section.strip("[] ").split(".")[1:])
