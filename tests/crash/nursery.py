"""Starts processes that serve an instance with hooks, each a fork of one that has loaded the program.

Each line on stdin is JSON: `log`, a file to write to; `environment`, what is added to its own (`hooks`); `arguments`,
those of `sr-engine`. Its id is printed as `started ID`, and once it has ended `ended ID STATUS`, below 0 for a signal.
"""

from __future__ import annotations

import json
import os
import select
import signal
from typing import Any

from sr_engine.cli.main import commands
from tests.crash import hooks


def main() -> None:
    """Start processes until stdin is closed; then kill those that are left."""
    pending = b""
    children: dict[int, int] = {}
    while True:
        for ready in select.select([0, *children], [], [])[0]:
            if ready != 0:
                _tell_of_end(children.pop(ready))
                os.close(ready)
                continue
            data = os.read(0, 65_536)
            if not data:
                for process in children.values():
                    os.kill(process, signal.SIGKILL)
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                process = _start(json.loads(line), list(children))
                children[os.pidfd_open(process)] = process
                print(f"started {process}", flush=True)


def _start(wanted: dict[str, Any], open_files: list[int]) -> int:
    process = os.fork()
    if process != 0:
        return process
    log = os.open(str(wanted["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    for one in (0, log, *open_files):
        os.close(one)
    os.environ.update(wanted["environment"])
    hooks.install(os.environ)
    commands.main(wanted["arguments"], prog_name="sr-engine")
    raise SystemExit("a command ends by itself")


def _tell_of_end(process: int) -> None:
    _, status = os.waitpid(process, 0)
    print(f"ended {process} {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    main()
