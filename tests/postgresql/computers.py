"""Starts `sr-engine serve` with the arguments that are asked for, each a fork of a process that has loaded the program.

Each line on stdin is JSON: the file to log to, and the arguments; the id of the process is printed.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from sr_engine.cli.main import commands


def main() -> None:
    # Nobody asks what became of those that were killed.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in iter(sys.stdin.readline, ""):
        log, arguments = json.loads(line)
        process = os.fork()
        if process == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            for stream in (1, 2):
                os.dup2(output, stream)
            os.close(0)
            commands.main(["serve", *arguments], prog_name="sr-engine")
        print(process, flush=True)


if __name__ == "__main__":
    main()
