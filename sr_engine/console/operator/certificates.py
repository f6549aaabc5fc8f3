"""Users and what they may do, and every certificate by when it ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from starlette.responses import Response

from sr_engine.configuration import User
from sr_engine.configuration.console import ConsoleRole
from sr_engine.console.operator.office import Office, not_found
from sr_engine.console.operator.overview import VALIDITY_TONES
from sr_engine.console.operator.sheets import Sheet, sheet_response
from sr_engine.console.pages import Entry, Page, Section, Visit, url
from sr_engine.console.tables import Badge, Cell, Column, Mono, Table
from sr_engine.operations.certificates import CertificateLine
from sr_engine.store.reading import Connection

_USERS, _CERTIFICATES = "/operator/users", "/operator/certificates"


@dataclass(frozen=True, slots=True)
class Parties:
    """The pages about Users and certificates."""

    office: Office

    def section(self) -> Section:
        """Their addresses."""
        operator = ConsoleRole.OPERATOR
        return Section(
            pages=(
                Page(_USERS, self.users, operator),
                Page(f"{_USERS}/sheet", self.users_sheet, operator),
                Page(_CERTIFICATES, self.certificates, operator),
                Page(f"{_CERTIFICATES}/sheet", self.certificates_sheet, operator),
            ),
            navigation=(
                Entry("Users", _USERS, operator, "Parties"),
                Entry("Certificates", _CERTIFICATES, operator, "Parties"),
            ),
        )

    def _lines(self, now: datetime) -> list[CertificateLine]:
        return self.office.certificates.lines(now, self.office.rules.attention.certificate)

    def _signing(self, now: datetime) -> dict[str, CertificateLine]:
        """By EUI, the certificate in the role of requests that lasts longest."""
        roles = {role.upper() for role in self.office.messages.roles.requests}
        found: dict[str, CertificateLine] = {}
        for line in self._lines(now):
            # The last one of each ends last.
            if line.eui is not None and (line.role or "").upper() in roles:
                found[line.eui] = line
        return found

    # --- Users ---

    async def users(self, visit: Visit) -> Response:
        """Every User, by organisation."""
        users = sorted(self.office.users.users(), key=lambda one: (one.organisation_id, one.eui))
        start = _start(visit, len(users))
        rows, now = visit.desk.rules.pages.rows, visit.now
        signing = self._signing(now)
        columns = ("Organisation", "EUI", "Roles", "May act", "DUIS", "Signs until", "Certificate")
        table = Table(
            "Users",
            [Column(title) for title in columns],
            [self._user(one, signing.get(one.eui)) for one in users[start : start + rows]],
            empty="There is no User.",
            next_href=url(_USERS, after=start + rows) if start + rows < len(users) else None,
            first_href=url(_USERS) if start else None,
            export_href=url(f"{_USERS}/sheet"),
            caption_hidden=True,
        )
        without = [
            self.office.party(f"user:{eui}")
            for eui in self.office.certificates.without(now, self.office.messages.roles.requests)
        ]
        return await visit.show("operator/users.html", table=table, without=without, count=len(users))

    def _user(self, user: User, line: CertificateLine | None) -> tuple[Cell, ...]:
        active = self.office.users.is_active(user)
        return (
            user.organisation_id,
            Mono(user.eui),
            ", ".join(sorted(str(role) for role in user.roles)),
            Badge("yes", "ok") if active else Badge("suspended", "bad"),
            str(user.duis_version),
            None if line is None else line.not_after,
            Badge("none", "bad") if line is None else Badge(line.validity.value, VALIDITY_TONES[line.validity]),
        )

    async def users_sheet(self, visit: Visit) -> Response:
        """The same as a sheet."""
        signing, now = self._signing(visit.now), visit.now

        def rows(_connection: Connection, most: int) -> list[tuple[object, ...]]:
            users = sorted(self.office.users.users(), key=lambda one: (one.organisation_id, one.eui))[:most]
            return [
                (
                    user.organisation_id,
                    user.eui,
                    ", ".join(sorted(str(role) for role in user.roles)),
                    self.office.users.is_active(user),
                    str(user.duis_version),
                    user.receiving_url,
                    line.not_after if line else None,
                    line.days_left(now) if line else None,
                )
                for user in users
                for line in [signing.get(user.eui)]
            ]

        columns = ("Organisation", "EUI", "Roles", "May act", "DUIS", "Receives at", "Ends", "Days left")
        return await sheet_response(visit, self.office, Sheet("users", columns, rows))

    # --- certificates ---

    async def certificates(self, visit: Visit) -> Response:
        """Every certificate and revocation list, what ends first first."""
        lines, now = self._lines(visit.now), visit.now
        start, rows = _start(visit, len(lines)), visit.desk.rules.pages.rows
        columns = ("Ends", "Days left", "Standing", "Whose", "EUI", "Role", "Serial", "Issuer")
        table = Table(
            "Certificates",
            [Column(title, numeric=title == "Days left") for title in columns],
            [_certificate(one, now) for one in lines[start : start + rows]],
            next_href=url(_CERTIFICATES, after=start + rows) if start + rows < len(lines) else None,
            first_href=url(_CERTIFICATES) if start else None,
            export_href=url(f"{_CERTIFICATES}/sheet"),
            caption_hidden=True,
        )
        own = next(one for one in lines if one.serial == self.office.certificates.own.serial and one.eui is not None)
        days = self.office.rules.attention.certificate.days
        return await visit.show(
            "operator/certificates.html",
            table=table,
            own=own,
            own_tone=VALIDITY_TONES[own.validity],
            now=now,
            days=days,
        )

    async def certificates_sheet(self, visit: Visit) -> Response:
        """The same as a sheet."""
        now = visit.now

        def rows(_connection: Connection, most: int) -> list[tuple[object, ...]]:
            return [
                (
                    *(
                        one.not_before,
                        one.not_after,
                        one.days_left(now),
                        one.validity.value,
                        one.whose,
                        one.eui,
                        one.role,
                    ),
                    *(None if one.serial is None else str(one.serial), one.issuer),
                )
                for one in self._lines(now)[:most]
            ]

        columns = ("Valid from", "Ends", "Days left", "Standing", "Whose", "EUI", "Role", "Serial", "Issuer")
        return await sheet_response(visit, self.office, Sheet("certificates", columns, rows))


def _certificate(one: CertificateLine, now: datetime) -> tuple[Cell, ...]:
    serial = None if one.serial is None else str(one.serial)
    return (
        one.not_after,
        one.days_left(now),
        Badge(one.validity.value, VALIDITY_TONES[one.validity]),
        one.whose,
        Mono(one.eui) if one.eui else None,
        one.role,
        None if serial is None else serial if len(serial) <= 12 else f"{serial[:12]}…",
        one.issuer,
    )


def _start(visit: Visit, length: int) -> int:
    after = visit.query("after")
    if after and not (after.isdecimal() and int(after) < length):
        raise not_found()
    return int(after or 0)
