"""Judges one unit repeated up to a size, in every place, in a process with limits on memory and CPU time.

    python -m tests.fuzz.bounded BYTES MEBIBYTES CPU_SECONDS

Prints for each document what became of it and the CPU milliseconds it took; a limit that is hit ends the process.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.judge import Judge

ROOT = b'<r xmlns:q="urn:q">'
UNITS = (
    b"<a>",
    b"<a/>",
    b"</a>",
    b"<a></a>",
    b'<a b="c"/>',
    b'<a xmlns="urn:a"/>',
    b"<q:a/>",
    b"<a",
    b"<",
    b">",
    b"&",
    b"&amp;",
    b"&#65;",
    b"&x;",
    b"x",
    b" ",
    b"\n",
    b"\r\n",
    b"\xc3\xa9",
    b"\xf0\x9f\x92\xa1",
    b"\xff",
    b"\x01",
    b"]]>",
    b"<!",
    b"<!--",
    b"<?",
    b"<![CDATA[",
    b"<!ENTITY a 'b'>",
    b"xmlns",
    b" xmlns:a='b'",
    b'"',
    b"'=",
    b'<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"/>',
)
PLACES = (
    (b"", b""),
    (ROOT, b"</r>"),
    (b"<r a='", b"'/>"),
    (b"<r ", b"/>"),
    (b"<", b"/>"),
    (b'<r xmlns:a="', b'"/>'),
    (b"<!DOCTYPE r [", b"]><r/>"),
    (b"<?xml ", b"?><r/>"),
)


def documents(size: int) -> Iterator[tuple[str, bytes]]:
    """Yield every unit in every place, up to `size` bytes each, and names and attributes that all differ."""
    for before, after in PLACES:
        for unit in UNITS:
            yield f"{before!r} {unit!r}", before + unit * ((size - len(before) - len(after)) // len(unit)) + after
    number = size // 24
    yield "attributes", b"<r" + b"".join(b' a%d=""' % each for each in range(number)) + b"/>"
    yield "declarations", b"<r" + b"".join(b' xmlns:a%d="u:%d"' % (each, each) for each in range(number)) + b"/>"
    yield "names", b"<r>" + b"".join(b"<a%d/>" % each for each in range(number)) + b"</r>"
    yield "nested", b"<a>" * (size // 7) + b"</a>" * (size // 7)


def main(size: int, mebibytes: int, seconds: int) -> None:
    """Judge them all."""
    judge = Judge.of_fixtures()
    resource.setrlimit(resource.RLIMIT_AS, (mebibytes << 20, mebibytes << 20))
    for name, data in documents(size):
        used = int(time.process_time()) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (used + seconds, resource.RLIM_INFINITY))
        started = time.process_time()
        outcome = judge.judge(data)
        sys.stdout.write(f"{outcome}\t{(time.process_time() - started) * 1000:.0f}\t{name}\n")
        sys.stdout.flush()
    sys.stdout.write(f"peak\t{_peak()}\tMiB\n")


def _peak() -> int:
    """Return the most memory this process has had; getrusage would count what its parent had as well."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
