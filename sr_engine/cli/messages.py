"""Signing, verifying and validating documents."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import click

from signing import (
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
from sr_engine.bootstrap import clock_of
from sr_engine.cli.failures import Failure, failure_of
from sr_engine.cli.opening import instance_option, settings_of
from sr_engine.clock import SystemClock
from sr_engine.configuration import Policy
from sr_engine.messages.csp import decode_csp_message
from sr_engine.messages.decode import decode_request, decode_response
from sr_engine.messages.elements import CSP, DUIS
from sr_engine.messages.schema import Schema, SchemaRefused
from sr_engine.resources import data_directory

_T = TypeVar("_T")

PASSWORD_VARIABLE = "SR_ENGINE_KEY_PASSWORD"  # noqa: S105 - the name of a variable, not a password

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


@click.command()
@_FILES
@click.option(
    "--key", "key_path", type=click.Path(path_type=Path), help="Private key: PKCS#8, or PKCS#12 (.p12, .pfx)."
)
@click.option("--cert", "certificate_path", type=click.Path(path_type=Path), help="Its certificate.")
@click.option("--as", "name", metavar="NAME", help="Sign with the key of this participant of the instance's pki/.")
@instance_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Where to write; a folder if there are several files. Otherwise stdout.",
)
def sign(
    *,
    files: tuple[str, ...],
    key_path: Path | None,
    certificate_path: Path | None,
    name: str | None,
    directory: Path,
    out: Path | None,
) -> None:
    """Sign XML documents (`-` is stdin) in DUIS's signature profile; a signature they have is replaced.

    The result is checked against the schema, and nothing is written unless every document passes. The password of an
    encrypted key is taken from the environment variable SR_ENGINE_KEY_PASSWORD.

    Exit codes: 0 good, 3 key or certificate missing, 10 refused, 2 anything else.
    """
    if len(files) > 1 and (out is None or not out.is_dir()):
        raise click.UsageError("several files need --out to be a folder that exists")
    if name is not None and key_path is not None:
        raise click.UsageError("name the key by --key or by --as, not by both")
    signer = Signer(_key(key_path, certificate_path, name, directory))
    schemas = Schemas()

    def sign_one(file: str) -> bytes:
        signed = signer.sign_bytes(_read(file))
        schemas.check(parse(signed))
        return signed

    signed = _for_each(files, sign_one)
    for file, data in zip(files, signed, strict=True):
        if out is None:
            sys.stdout.buffer.write(data)
        else:
            (out / Path(file).name if out.is_dir() else out).write_bytes(data)


@click.command()
@_FILES
@click.option("--trust", "trust_directory", type=click.Path(path_type=Path), help="Folder of trusted certificates.")
@instance_option
@click.option("--at", metavar="TIME", help="Verify as of this time, such as 2026-11-23T09:00:00Z; otherwise now.")
@click.option("--role", "roles", multiple=True, help="Remote-party role that may sign, such as 87; may be repeated.")
def verify(
    files: tuple[str, ...], trust_directory: Path | None, directory: Path, at: str | None, roles: tuple[str, ...]
) -> None:
    """Check documents (`-` is stdin) as the processor would: form, schema, signature, certificate.

    Prints who signed each. Trust comes from --trust, otherwise from the instance; roles, if none is named, are those
    that the policy accepts for requests, responses and CSP messages.

    Exit codes: 0 good, 3 certificates missing, 10 schema or signature refused, 2 anything else.
    """
    judge = _judge(trust_directory, directory, at, roles)
    schemas = Schemas()

    def verify_one(file: str) -> str:
        document = parse(_read(file))
        schemas.check(document)
        verified = judge.verifier.verify(document, roles=judge.roles, at=judge.at)
        signer = verified.signer
        return f"{file}: signed by {signer.eui}, role {signer.role}, serial {signer.serial}; {_names(verified)}"

    _for_each(files, verify_one, then=click.echo)


@click.command()
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
    verifier: Verifier
    roles: frozenset[str]
    at: datetime


def _judge(trust_directory: Path | None, directory: Path, at: str | None, roles: tuple[str, ...]) -> _Judge:
    moment = None if at is None else _moment(at)
    if trust_directory is None:
        settings = settings_of(directory)
        policy = configuration.load(settings.config_directory).policy
        trust_directory, clock = settings.trust_directory, clock_of(settings)
    else:
        policy = configuration.load(data_directory("config")).policy
        clock = SystemClock()
    trust = Trust.from_directory(trust_directory, crl_grace=policy.trust.crl_grace)
    return _Judge(Verifier(trust), frozenset(roles) or _all_roles(policy), moment or clock.now())


def _all_roles(policy: Policy) -> frozenset[str]:
    roles = policy.certificate_roles
    return frozenset(roles.requests) | frozenset(roles.responses) | frozenset(roles.csp)


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
        key_path, certificate_path = folder / "key.pem", folder / "certificate.pem"
    if key_path is None:
        raise KeyUnavailable("no key is named: use --key with --cert, or --as with the name of a folder in pki/")
    password = os.environ.get(PASSWORD_VARIABLE)
    return SoftwareKey.load(key_path, certificate_path, None if password is None else password.encode())


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
