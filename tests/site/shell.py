"""Runs what a page tells its reader to type: in the order of the page, in a folder that is like a clone of this one.

What the page starts in a second terminal goes on beside the rest. Ports that documents name are others here, as more
than one page may be played at a time on a computer.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT
from tests.site.blocks import Block
from tests.site.preloaded import CLIENT

PORTS = (8080, 8090, 8091, 8092, 8100)
"""That documents, and what `sr-engine init` writes, name."""
SECONDS = 120
_LINKED = ("fixtures", "config", "docs", "xsd")
_ELSEWHERE = re.compile(r"# in a (?:second|third) terminal")
_PREAMBLE = """\
set -eu
ready() { until grep -q '^ready' "$1" "$2"; do kill -0 "$3"; sleep 0.1; done; }
PS4='$SECONDS seconds $ '
set -x
"""
_COMMAND = """\
#!/bin/sh -e
# Says which port, where the page leaves it to the usual one.
case "$1 $*" in
*" --port "*|*" --url "*) ;;
sandbox\\ *) set -- "$@" --port {8080} ;;
sign-server\\ *) set -- "$@" --port {8100} ;;
receive\\ *) set -- "$@" --port {8091} ;;
submit\\ *) set -- "$@" --url http://127.0.0.1:{8080} ;;
esac
case "$1" in
serve|sandbox|sign-server|simulate-csp|receive) exec "{python}" -m sr_engine "$@" ;;
init) ;;
*) exec "{python}" -SE "{client}" "$@" ;;
esac
"{python}" -SE "{client}" "$@"
find "$2" -name '*.toml' -exec sed -i {changes} '{{}}' +
"""


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a page."""

    code: int
    said: str


def furnish(folder: Path, ports: Mapping[int, int], preloaded: str) -> None:
    """Make a folder in which the commands of a page can be typed; `preloaded` is where those run that soon end."""
    for name in _LINKED:
        (folder / name).symlink_to(ROOT / name)
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "activate").touch()
    changes = " ".join(f"-e s/:{usual}/:{other}/ -e 's/= {usual}$/= {other}/'" for usual, other in ports.items())
    client = programs / "client.py"
    client.write_text(CLIENT.format(socket=preloaded), encoding="utf-8")
    text = _COMMAND.replace("{client}", str(client))
    text = text.replace("{python}", sys.executable).replace("{changes}", changes).replace("'{{}}'", "'{}'")
    for usual, other in ports.items():
        text = text.replace(f"{{{usual}}}", str(other))
    _program(programs / "sr-engine", text)
    _program(programs / "python", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')


def play(folder: Path, blocks: Iterable[Block], ports: Mapping[int, int]) -> Played:
    """Run the blocks of a page, shell and Python, as one session."""
    script = _PREAMBLE + "".join(_session(block) for block in blocks)
    for usual, other in ports.items():
        script = script.replace(f":{usual}", f":{other}")
    path = os.pathsep.join([str(folder / ".venv" / "bin"), os.environ["PATH"]])
    surroundings = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    surroundings.pop("SR_ENGINE_DIR", None)
    with subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=surroundings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            _end_all_of(process)
            said, _ = process.communicate()
            said += f"\nnot done after {SECONDS} seconds\n"
        finally:
            _end_all_of(process)
    background = "".join(f"\n{path.name}:\n{path.read_text()}" for path in sorted(folder.glob("terminal-*")))
    return Played(process.returncode, said + background)


def _end_all_of(process: subprocess.Popen[str]) -> None:
    """What goes on in other terminals does not end by itself, and takes a while if it is asked to."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _session(block: Block) -> str:
    if block.language == "python":
        return f"python - <<'END_OF_BLOCK'\n{block.text}END_OF_BLOCK\n"
    return "".join(
        _beside(line, f"terminal-{block.line}-{number}") if _ELSEWHERE.search(line) else f"{line}\n"
        for number, line in enumerate(block.text.splitlines())
    )


def _beside(line: str, name: str) -> str:
    command = line.partition("#")[0].strip()
    return f"{command} > {name}.out 2> {name}.err &\nready {name}.out {name}.err $!\n"


def _program(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
