"""TLS of the soak: everybody shows a certificate; all are renewed on the disk meanwhile, the former ones revoked."""

from __future__ import annotations

import asyncio
import random
import shutil
import ssl
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from cryptography import x509

from tests.authority import Authority, common_name, unique_identifier

SERVER, PROCESSOR, PEOPLE = "server", "processor", "people"
_HELD_FOR_SECONDS = 1.0
"""How long a connection is kept that nothing is sent over: others are made often."""
_IN_FORCE_WITHIN_SECONDS, _LOOK_SECONDS = 30.0, 0.25
_HALF = 0.5


@dataclass
class Certificates:
    """Files below a folder, and what everybody connects with; `euis` are those whom certificates name, by name."""

    folder: Path
    euis: Mapping[str, str]
    used: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._servers, self._clients = Authority(self.folder, "servers"), Authority(self.folder, "clients")
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._former: list[Path] = []
        self._issue()
        self._clients.revoke([])
        self.receiving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        """With what the receivers of the processor's messages take them: from it alone."""
        self.receiving.verify_mode = ssl.CERT_REQUIRED
        self.receiving.load_verify_locations(self._clients.path)
        self.receiving.load_cert_chain(*self._files(SERVER))

    @property
    def settings(self) -> str:
        """Tables of sr-engine.toml."""
        own = f'certificate = "{self.folder}/{PROCESSOR}.crt"\nkey = "{self.folder}/{PROCESSOR}.key"\n'
        own += f'trusted = "{self._servers.path}"\n'
        return (
            f'\n[tls]\ncertificate = "{self.folder}/{SERVER}.crt"\nkey = "{self.folder}/{SERVER}.key"\n'
            f'client_ca = "{self._clients.path}"\nclient_crl = "{self.folder}/revoked.crl"\n'
            f"\n[outgoing_tls.users]\n{own}\n[outgoing_tls.csps]\n{own}"
        )

    def context(self, name: str) -> ssl.SSLContext:
        """With what somebody connects; from a renewal on, with the new certificate."""
        if name not in self._contexts:
            self._contexts[name] = self._client(self._files(name))
        return self._contexts[name]

    def session(self, name: str, chance: random.Random) -> aiohttp.ClientSession:
        """Of somebody who makes a connection for each request, or keeps some for a while."""
        if chance.random() < _HALF:
            connector = aiohttp.TCPConnector(ssl=self.context(name), force_close=True)
        else:
            connector = aiohttp.TCPConnector(ssl=self.context(name), keepalive_timeout=_HELD_FOR_SECONDS)
        return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60))

    async def run(self, port: int, pause: float, stopped: asyncio.Event) -> None:
        """Renew all every so many seconds, and see that the processor at a port goes by it, until `stopped`."""
        while not stopped.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await stopped.wait()
                    return
            await self._renew(port)

    async def _renew(self, port: int) -> None:
        names = [*self.euis, PEOPLE]
        revoked = [self._put_aside(name, self.used["renewals of all certificates"]) for name in names]
        await asyncio.to_thread(self._issue)
        for name, context in self._contexts.items():
            context.load_cert_chain(*self._files(name))
        self.receiving.load_cert_chain(*self._files(SERVER))
        self._former += [certificate for certificate, _ in revoked]
        await asyncio.to_thread(self._clients.revoke, self._former)
        serial = x509.load_pem_x509_certificate(self._files(SERVER)[0].read_bytes()).serial_number
        until = time.monotonic() + _IN_FORCE_WITHIN_SECONDS
        old, new = self._client(revoked[0]), self._client(self._files(names[0]))
        while True:
            shown, taken = await _asked(port, new), await _asked(port, old)
            if shown == serial and taken is None:
                self.used["renewals of all certificates"] += 1
                self.used["connections with a revoked certificate, turned away"] += 1
                return
            if time.monotonic() > until:
                self.wrong.append(f"after a renewal of {serial:x}: {shown} is shown, and to a revoked one {taken}")
                return
            await asyncio.sleep(_LOOK_SECONDS)

    def _put_aside(self, name: str, number: int) -> tuple[Path, Path]:
        certificate, key = (
            Path(shutil.copy(path, path.with_stem(f"{path.stem}-{number}"))) for path in self._files(name)
        )
        return certificate, key

    def _issue(self) -> None:
        self._servers.issue(SERVER, common_name("127.0.0.1"))
        for name in (PROCESSOR, PEOPLE):
            self._clients.issue(name, common_name(name))
        for name, eui in self.euis.items():
            self._clients.issue(name, unique_identifier(eui))

    def _files(self, name: str) -> tuple[Path, Path]:
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"

    def _client(self, files: Sequence[Path]) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self._servers.path))
        certificate, key = files
        context.load_cert_chain(certificate, key)
        return context


async def _asked(port: int, tls: ssl.SSLContext) -> int | None:
    """The serial number that is shown to somebody who is answered; None: nothing is answered."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    except (OSError, ssl.SSLError):
        return None
    try:
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        answered = await reader.read(1)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    except (OSError, ssl.SSLError):
        return None
    finally:
        writer.close()
        with suppress(OSError, ssl.SSLError):
            await writer.wait_closed()
    return x509.load_der_x509_certificate(shown).serial_number if answered else None
