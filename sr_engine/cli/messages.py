"""Signing, verifying and validating documents."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import click

from signing import (
    Certificate,
    DocumentRefused,
    KeyUnavailable,
    ParsedDocument,
    ProfileRefused,
    Signer,
    SoftwareKey,
    Trust,
    VerifiedDocument,
    Verifier,
    parse,
)
from sr_engine import configuration
from sr_engine.cli.failures import Failure, failure_of
from sr_engine.cli.opening import instance_option, settings_of
from sr_engine.clock import Clock, FixedClock, SystemClock
from sr_engine.configuration import SETTINGS_FILE, clock_of
from sr_engine.counters import FILE_NAME, Counters, CounterSource, RunCounters
from sr_engine.messages.csp import decode_csp_message
from sr_engine.messages.decode import decode_request, decode_response
from sr_engine.messages.elements import CSP, DUIS
from sr_engine.messages.schema import Schema, SchemaRefused
from sr_engine.messages.unsigned import response_code
from sr_engine.resources import data_directory
from sr_engine.signservice.documents import REQUEST, RequestIdElement, drop_white_space, parse_unsigned
from sr_engine.signservice.service import AcceptedRoles, MessageJudge

_T = TypeVar("_T")

PASSWORD_VARIABLE = "SR_ENGINE_KEY_PASSWORD"  # noqa: S105 - the name of a variable, not a password

_path = click.Path(path_type=Path)
_FILES = click.argument("files", nargs=-1, required=True, metavar="FILE...")


class Schemas:
    """The schemas of this product, each loaded when a document first needs it."""

    def __init__(self) -> None:
        self._loaded: dict[str, Schema] = {}

    def check(self, document: ParsedDocument) -> None:
        """Raises SchemaRefused; a document of the CSP exchange is checked by its own schema."""
        name = "csp.xsd" if str(document.root.tag).startswith(CSP) else "duis.xsd"
        if name not in self._loaded:
            self._loaded[name] = Schema(data_directory("xsd") / name)
        self._loaded[name].check(document)


@click.command(short_help="Sign XML documents in DUIS's signature profile.")
@_FILES
@click.option("--key", "key_path", type=_path, help="Private key: PKCS#8, or PKCS#12 (.p12, .pfx).")
@click.option("--cert", "certificate_path", type=_path, help="Its certificate.")
@click.option("--as", "name", metavar="NAME", help="Sign with the key of this participant of the instance's pki/.")
@instance_option
@click.option(
    "--at", metavar="TIME", help="Sign as of this time, such as 2026-11-23T09:00:00Z; otherwise now (the instance's)."
)
@click.option("--preserve-counter", is_flag=True, help="Leave the counter of each RequestID as it is.")
@click.option(
    "--counters", type=_path, help=f"File of counters, on a local disk; otherwise {FILE_NAME} in the instance, if any."
)
@click.option(
    "--out",
    type=_path,
    help="Where to write; a folder if there are several files. Otherwise stdout.",
)
def sign(
    *,
    files: tuple[str, ...],
    key_path: Path | None,
    certificate_path: Path | None,
    name: str | None,
    directory: Path,
    at: str | None,
    preserve_counter: bool,
    counters: Path | None,
    out: Path | None,
) -> None:
    """Sign XML documents (`-` is stdin) in DUIS's signature profile; a signature they have is replaced.

    White space between elements is dropped, and the counter of a Request becomes the time in milliseconds since 1970,
    or the next higher number if that was used. With a file of counters no later run, and no sign-server that shares it,
    gives one out again.

    The result is checked against the schema, and nothing is written unless every document passes. The password of an
    encrypted key is taken from the environment variable SR_ENGINE_KEY_PASSWORD.

    Exit codes: 0 good, 3 key or certificate missing or not valid at the time, 10 refused, 2 anything else.
    """
    if len(files) > 1 and (out is None or not out.is_dir()):
        raise click.UsageError("several files need --out to be a folder that exists")
    if len({Path(file).name for file in files}) < len(files):
        raise click.UsageError("files of the same name would be written over each other: sign them one by one")
    if preserve_counter and counters is not None:
        raise click.UsageError("with --preserve-counter no --counters are used: name one of them")
    if name is not None and key_path is not None:
        raise click.UsageError("name the key by --key or by --as, not by both")
    fixed = None if at is None else FixedClock(_moment(at))
    key = _key(key_path, certificate_path, name, directory)
    used_clock, instance_counters = _clock_and_counters(directory)
    clock = fixed or used_clock
    _require_valid(key.certificate, clock.now())
    signer = Signer(key)
    schemas = Schemas()
    with _counter_source(None if preserve_counter else counters or instance_counters) as source:

        def sign_one(file: str) -> bytes:
            document = parse_unsigned(_read(file))
            drop_white_space(document)
            if document.root.tag == REQUEST and not preserve_counter:
                RequestIdElement.required(document, schemas.check).renew_counter(source, clock.now())
            schemas.check(document)
            return signer.sign(document.root)

        signed = _for_each(files, sign_one)
    for file, data in zip(files, signed, strict=True):
        if out is None:
            sys.stdout.buffer.write(data)
        else:
            (out / Path(file).name if out.is_dir() else out).write_bytes(data)


@click.command(short_help="Check documents as the processor would.")
@_FILES
@click.option("--trust", "trust_directory", type=_path, help="Folder of trusted certificates.")
@click.option(
    "--cert",
    "certificates",
    multiple=True,
    type=_path,
    help="Certificate to trust by itself, instead of a folder; may be repeated.",
)
@instance_option
@click.option("--at", metavar="TIME", help="Verify as of this time, such as 2026-11-23T09:00:00Z; otherwise now.")
@click.option("--role", "roles", multiple=True, help="Remote-party role that may sign, such as 87; may be repeated.")
def verify(
    *,
    files: tuple[str, ...],
    trust_directory: Path | None,
    certificates: tuple[Path, ...],
    directory: Path,
    at: str | None,
    roles: tuple[str, ...],
) -> None:
    """Check documents (`-` is stdin) as the processor would: form, schema, signature, certificate, originator.

    Prints who signed each. Trust comes from --trust or --cert, otherwise from the instance; roles, if none is named,
    are those that the policy accepts for the kind of message. A Response that is not signed passes if it refuses (an E
    code) and holds no result, and is said to be unsigned.

    Exit codes: 0 good, 3 certificates missing, 10 schema or signature refused, 2 anything else.
    """
    if trust_directory is not None and certificates:
        raise click.UsageError("name what is trusted by --trust or by --cert, not by both")
    judge = _judge(trust_directory, certificates, directory, at, roles)
    schemas = Schemas()

    def verify_one(file: str) -> str:
        document = parse(_read(file))
        schemas.check(document)
        verified = judge.verified(document)
        if verified is None:
            return f"{file}: not signed, and passes as a refusal without a result: {response_code(document.root)}"
        signer = verified.signer
        return f"{file}: signed by {signer.eui}, role {signer.role}, serial {signer.serial}; {_names(verified)}"

    _for_each(files, verify_one, then=click.echo)


@click.command(short_help="Check documents against the schema only.")
@_FILES
def validate(files: tuple[str, ...]) -> None:
    """Check documents (`-` is stdin) against the schema only; prints file:line: reason for each that is refused.

    Exit codes: 0 good, 10 refused, 2 anything else.
    """
    schemas = Schemas()

    def validate_one(file: str) -> str:
        schemas.check(parse(_read(file)))
        return f"{file}: valid"

    _for_each(files, validate_one, then=click.echo)


@dataclass(frozen=True, slots=True)
class _Judge:
    messages: MessageJudge
    csp_roles: frozenset[str]
    at: datetime

    def verified(self, document: ParsedDocument) -> VerifiedDocument | None:
        """What was signed by someone who may; None if it need not be signed."""
        if str(document.root.tag).startswith(CSP):
            return self.messages.verifier.verify(document, roles=self.csp_roles, at=self.at)
        return self.messages.verified(document, self.at)


def _judge(
    trust_directory: Path | None,
    certificates: tuple[Path, ...],
    directory: Path,
    at: str | None,
    roles: tuple[str, ...],
) -> _Judge:
    moment = None if at is None else _moment(at)
    clock: Clock = SystemClock()
    config = data_directory("config")
    if trust_directory is None and not certificates:
        settings = settings_of(directory)
        config, trust_directory, clock = settings.config_directory, settings.trust_directory, clock_of(settings)
    policy = configuration.load(config).policy
    grace = policy.trust.crl_grace
    trust = (
        Trust(pinned=[Certificate.from_file(path) for path in certificates], crl_grace=grace)
        if trust_directory is None
        else Trust.from_directory(trust_directory, crl_grace=grace)
    )
    accepted = policy.certificate_roles
    named = frozenset(roles)
    return _Judge(
        # The processor and the CSPs write to each other in the CSP exchange.
        MessageJudge(Verifier(trust), AcceptedRoles(named or accepted.requests, named or accepted.responses)),
        named or frozenset(accepted.csp) | frozenset(accepted.responses),
        moment or clock.now(),
    )


def _clock_and_counters(directory: Path) -> tuple[Clock, Path | None]:
    """The instance's; without one, the computer's clock and no file of counters."""
    if directory == Path() and not (directory / SETTINGS_FILE).is_file():
        return SystemClock(), None
    return clock_of(settings_of(directory)), directory / FILE_NAME


@contextmanager
def _counter_source(path: Path | None) -> Iterator[CounterSource]:
    if path is None:
        yield RunCounters()
        return
    with closing(Counters(path)) as counters:
        yield counters


def _require_valid(certificate: Certificate, at: datetime) -> None:
    if not certificate.is_valid(at):
        raise KeyUnavailable(
            f"{certificate} is not valid at {at:%Y-%m-%dT%H:%M:%SZ}: it runs from "
            f"{certificate.not_before:%Y-%m-%dT%H:%M:%SZ} to {certificate.not_after:%Y-%m-%dT%H:%M:%SZ}"
        )


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise click.BadParameter(f"{text!r} is not a time with a zone, such as 2026-11-23T09:00:00Z", param_hint="--at")
    return found.astimezone(UTC)


def _key(key_path: Path | None, certificate_path: Path | None, name: str | None, directory: Path) -> SoftwareKey:
    if name is not None:
        folder = directory / "pki" / name
        if not folder.is_dir():
            raise KeyUnavailable(
                f"there are no keys of {name!r} in {folder.parent}: name a folder in the pki/ of an instance, and the "
                "instance with --dir or SR_ENGINE_DIR"
            )
        key_path, certificate_path = folder / "key.pem", folder / "certificate.pem"
    if key_path is None:
        raise KeyUnavailable("no key is named: use --key with --cert, or --as with the name of a folder in pki/")
    return SoftwareKey.load(key_path, certificate_path, key_password())


def key_password() -> bytes | None:
    """What opens encrypted keys, if the environment has it."""
    password = os.environ.get(PASSWORD_VARIABLE)
    return None if password is None else password.encode()


def _names(verified: VerifiedDocument) -> str:
    """What a message calls itself."""
    tag = str(verified.root.tag)
    if tag.startswith(CSP):
        return f"MessageID {decode_csp_message(verified).message_id.text}"
    if tag == DUIS + "Request":
        return f"RequestID {decode_request(verified).header.request_id.text}"
    response = decode_response(verified)
    if response.request_id is not None:
        return f"RequestID {response.request_id.text}, ResponseCode {response.code}"
    return f"DCCAlertCode {response.alert_code}"


def _read(file: str) -> bytes:
    return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()


def _for_each(files: Iterable[str], work: Callable[[str], _T], then: Callable[[_T], None] | None = None) -> list[_T]:
    """Do `work` for every file, whatever becomes of the others; end the command if it failed for any of them."""
    done, worst = [], 0
    for file in files:
        try:
            result = work(file)
        except Exception as error:
            failure = failure_of(error)
            worst = max(worst, failure.exit_code)
            click.echo(_located(file, error, failure), err=True)
            continue
        if then is not None:
            then(result)
        done.append(result)
    if worst:
        click.get_current_context().exit(worst)
    return done


def _located(file: str, error: Exception, failure: Failure) -> str:
    """`file:line: reason`, as compilers and editors write it."""
    if isinstance(error, DocumentRefused | ProfileRefused | SchemaRefused):
        place = file if error.line is None else f"{file}:{error.line}"
        return f"{place}: {error.reason}" + (f" ({error.path})" if error.path else "")
    if isinstance(error, OSError):
        return f"{file}: {error.strerror}"
    return f"{file}: {failure.message}"
