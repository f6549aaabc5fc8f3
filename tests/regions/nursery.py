"""Starts processes that serve an instance, each a fork of one that has loaded the program: that alone takes seconds.

Arguments: those of `sr-engine serve`. Each line on stdin is a file; a process is started that writes to it, and its id
is printed.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from sr_engine.cli.main import commands


def main(arguments: Sequence[str]) -> None:
    # Nobody asks what became of those that were killed.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in iter(sys.stdin.readline, ""):
        process = os.fork()
        if process == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            log = os.open(line.rstrip("\n"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            for stream in (1, 2):
                os.dup2(log, stream)
            os.close(0)
            commands.main(["serve", *arguments], prog_name="sr-engine")
        print(process, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
