"""A real nginx for tests: the one that is installed, or else the system's package, unpacked into the user's cache."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.deployment.files import DEPLOYMENT, moved

FETCH_SECONDS = 60
WAIT = 90
_OWN_PATHS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def program() -> str:
    """Where it is; skips, saying why, where none is to be had."""
    installed = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if installed is not None:
        return installed
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sr-engine-tests"
    found = cache / "nginx" / "usr" / "sbin" / "nginx"
    if not found.exists():
        _fetch(cache)
    done = subprocess.run([str(found), "-V"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"the nginx that was fetched does not run here: {done.stderr.strip()[-200:]}")
    return str(found)


def _fetch(cache: Path) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        pytest.skip("nginx is not installed, and there is no apt-get to fetch it with")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as place:
        command = ["apt-get", "-o", "APT::Sandbox::User=root", "download", "nginx"]
        try:
            done = subprocess.run(
                command, cwd=place, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"nginx is not installed, and could not be fetched within {FETCH_SECONDS} s")
        packages = list(Path(place).glob("nginx_*.deb"))
        if done.returncode != 0 or not packages:
            pytest.skip(f"nginx is not installed, and could not be fetched: {done.stderr.strip()[-200:]}")
        subprocess.run(["dpkg", "-x", str(packages[0]), f"{place}/whole"], check=True)
        # Another process may have been faster; then its folder is as good.
        if not (cache / "nginx").is_dir():
            shutil.copytree(f"{place}/whole", f"{place}.whole", symlinks=True)
            Path(f"{place}.whole").rename(cache / "nginx")


@contextmanager
def serving(folder: Path, paths: Mapping[str, str], port: int) -> Iterator[None]:
    """Run the example configuration, with some of its paths and addresses replaced, until the end of the block."""
    text = (DEPLOYMENT / "nginx.conf").read_text(encoding="utf-8")
    text = moved(text, {**paths, "/var/log/nginx": str(folder), "/run/nginx.pid": str(folder / "nginx.pid")})
    text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    own = "".join(f"    {name}_temp_path {folder}/{name};\n" for name in _OWN_PATHS)
    (folder / "nginx.conf").write_text(text.replace("http {\n", f"http {{\n{own}"), encoding="utf-8")
    account = "user root; " if os.geteuid() == 0 else ""
    command = [program(), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", f"{account}daemon off;"]
    with (folder / "said").open("wb") as said, subprocess.Popen(command, stdout=said, stderr=said) as process:
        try:
            _wait(port, process, folder)
            yield
        finally:
            process.terminate()
            process.wait(WAIT)


def _wait(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + WAIT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nginx did not start: {(folder / 'said').read_text()}") from None
            time.sleep(0.02)
        else:
            return


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: HTTPMessage
    body: bytes


def ask(
    port: int,
    context: ssl.SSLContext,
    path: str,
    body: bytes | None = None,
    *,
    name: str | None = None,
    host: str = "duis.example",
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Send one request over a connection of its own.

    `name` is the server that the TLS handshake asks for, `host` the one that the request does.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as plain:
        connection = HTTPConnection("127.0.0.1", port, timeout=WAIT)
        connection.sock = context.wrap_socket(plain, server_hostname=name or host)
        content = {} if body is None else {"Content-Type": "application/xml"}
        method = "GET" if body is None else "POST"
        # It may answer, and close, before it has read all that is too large.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, path, body, {"Host": host, **content, **(headers or {})})
        answer = connection.getresponse()
        reply = Reply(answer.status, answer.headers, answer.read())
        connection.close()
    return reply
