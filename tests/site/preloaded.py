"""Runs commands in processes forked from one that has imported what they need: importing costs more than most of them.

`python -m tests.site.preloaded SOCKET` serves; CLIENT is a program that has one command run there, in its own folder
and surroundings, with its own standard files, and ends as it does.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import traceback

import click

CLIENT = """\
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({socket!r})
    asked = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(asked).to_bytes(4, "big") + asked], [0, 1, 2])
    sys.exit(int(server.recv(16) or b"99"))
"""


def serve(path: str) -> None:
    """Take commands until it is told to stop; says so once it does."""
    from sr_engine.cli.main import commands, main

    nothing = click.Context(commands)
    for name in commands.list_commands(nothing):
        commands.get_command(nothing, name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        print("ready", flush=True)
        while True:
            connection, _ = listening.accept()
            with connection:
                if os.fork() == 0:
                    listening.close()
                    connection.sendall(str(_run(connection, main)).encode())
                    os._exit(0)


def _run(connection: socket.socket, main: object) -> int:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    data, files, _, _ = socket.recv_fds(connection, 1 << 16, 3)
    length = int.from_bytes(data[:4], "big")
    while len(data) < length + 4:
        data += connection.recv(1 << 16)
    arguments, folder, surroundings = json.loads(data[4:])
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(surroundings)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.argv = ["sr-engine", *arguments]
    try:
        assert callable(main)
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    serve(sys.argv[1])
