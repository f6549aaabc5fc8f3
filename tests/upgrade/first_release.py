"""The program of the first release, as it was: taken out of this repository's history, where there is any."""

from __future__ import annotations

import shutil
import subprocess
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

from tests.drill.site import ROOT

COMMIT = "e9069682d389d361820fea05d41ac50111363575"
"""Of 0.1.0, whose schema is of revision 0005."""
REVISION = "0005"
NEW_KEYS = {
    ("policy.toml", "limits"): ("portion_devices", "kept_portions"),
    ("console.toml", "sign_in"): ("failures_anywhere", "hashes_waiting"),
    ("console.toml", "pages"): ("streams_at_once", "streams_of_one"),
}
"""What its `config/` lacks, by file and section: docs/deployment.md says that an operator has to bring it."""


class HistoryMissing(Exception):
    """This is no clone of the repository, or a shallow one."""


def unpack(folder: Path) -> None:
    """Put its files into an empty folder. Raises HistoryMissing."""
    git = shutil.which("git")
    if git is None:
        raise HistoryMissing("there is no git, which has the program of the first release")
    packed = subprocess.run([git, "-C", str(ROOT), "archive", "--format=zip", COMMIT], capture_output=True, check=False)
    if packed.returncode != 0:
        raise HistoryMissing(f"the history of the repository does not go back to the first release, {COMMIT[:7]}")
    with ZipFile(BytesIO(packed.stdout)) as archive:
        archive.extractall(folder)


def bring_new_keys(config: Path) -> None:
    """Take from `config/` as it is shipped now what an instance of the first release lacks."""
    for (name, section), keys in NEW_KEYS.items():
        shipped = (ROOT / "config" / name).read_text(encoding="utf-8").splitlines()
        lines = [line for line in shipped if line.partition(" = ")[0] in keys]
        assert len(lines) == len(keys), f"{name}: {keys}"
        path = config / name
        heading = f"[{section}]\n"
        before, found, after = path.read_text(encoding="utf-8").partition(heading)
        assert found, f"{name}: [{section}]"
        path.write_text("".join((before, heading, *(f"{line}\n" for line in lines), after)), encoding="utf-8")
