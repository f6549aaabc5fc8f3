"""Who may send Service Requests: organisations and their Users (`users.toml` of an instance)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from sr_engine.configuration import values
from sr_engine.configuration.duis import UserRole
from sr_engine.configuration.reader import Array, ASet, ConfigurationError, Key, Place, Table, read_file


class Status(StrEnum):
    """Whether an organisation or a User may act."""

    ACTIVE = "Active"
    SUSPENDED = "Suspended"


@dataclass(frozen=True, slots=True)
class Organisation:
    """One party; decisions belong to organisations (section 2 of the domain description)."""

    id: str
    """A short name used inside the processor only, never sent to anybody."""
    status: Status
    """Suspended: none of its Users may act, and all still receive."""


@dataclass(frozen=True, slots=True)
class User:
    """One EUI under which an organisation sends and receives."""

    eui: str
    """An EUI-64, canonical once it is read."""
    organisation_id: str
    roles: frozenset[UserRole]
    """User Roles that it may act in."""
    receiving_url: str
    """Where Responses and DCC Alerts are posted to."""
    duis_version: Decimal
    """The newest schemaVersion its systems understand."""
    status: Status
    """Suspended: it may not act, and still receives."""
    token_sha256: str | None = None
    """SHA-256 of the bearer token with which its systems fetch messages; None: they cannot."""
    allocation_per_second: int | None = None
    """Requests it may send while the processor is busy; None: as many as `policy.toml` says."""


class UserDirectory:
    """Looks up Users and organisations; an EUI belongs to exactly one organisation."""

    __slots__ = ("_by_eui", "_by_token", "_of_organisation", "_organisations")

    def __init__(self, organisations: Iterable[Organisation], users: Iterable[User]) -> None:
        """Raises ValueError if an id or an EUI stands twice or a User belongs to no organisation given."""
        self._organisations: dict[str, Organisation] = {}
        self._by_eui: dict[str, User] = {}
        self._by_token: dict[str, User] = {}
        self._of_organisation: dict[str, tuple[User, ...]] = {}
        for organisation in organisations:
            if organisation.id in self._organisations:
                raise ValueError(f"organisation {organisation.id} stands twice")
            self._organisations[organisation.id] = organisation
        for user in users:
            if user.eui in self._by_eui:
                raise ValueError(f"EUI {user.eui} stands twice")
            if user.organisation_id not in self._organisations:
                raise ValueError(f"EUI {user.eui} belongs to {user.organisation_id}, which is not an organisation")
            self._by_eui[user.eui] = user
            if user.token_sha256 is not None:
                self._by_token[user.token_sha256] = user
            self._of_organisation[user.organisation_id] = (*self.users_of(user.organisation_id), user)

    def by_eui(self, eui: str) -> User | None:
        """Return the User with an EUI, in whatever case it is written; None if nobody has it."""
        return self._by_eui.get(eui.upper())

    def by_token(self, token_sha256: str | None) -> User | None:
        """Return the User whose token has this SHA-256; None if nobody's has."""
        return None if token_sha256 is None else self._by_token.get(token_sha256)

    def organisation(self, organisation_id: str) -> Organisation | None:
        """Return an organisation by its id; None if there is none."""
        return self._organisations.get(organisation_id)

    def organisations(self) -> tuple[Organisation, ...]:
        """Return all organisations."""
        return tuple(self._organisations.values())

    def users(self) -> tuple[User, ...]:
        """Return all Users."""
        return tuple(self._by_eui.values())

    def users_of(self, organisation_id: str) -> tuple[User, ...]:
        """Return the Users of an organisation in the order of the file."""
        return self._of_organisation.get(organisation_id, ())

    def is_active(self, user: User) -> bool:
        """Whether a User may act: neither it nor its organisation is suspended (E3 otherwise)."""
        organisation = self._organisations[user.organisation_id]
        return user.status is Status.ACTIVE and organisation.status is Status.ACTIVE

    def receiving_user(self, organisation_id: str, roles: Collection[UserRole]) -> User | None:
        """Return the User of an organisation to whom news for it in one of `roles` is sent, IS first.

        Among several with the same role the first in the file is taken. A suspended User still receives: it must be
        able to learn what happens to its hubs. None if the organisation has no User with any of these roles.
        """
        for role in UserRole:
            if role in roles:
                for user in self.users_of(organisation_id):
                    if role in user.roles:
                        return user
        return None


def load_users(path: Path) -> UserDirectory:
    """Read a file of organisations and Users.

    Raises ConfigurationError naming every problem in it.
    """
    problems: list[str] = []
    content = read_file(path, USERS, problems)
    if content is None:
        raise ConfigurationError(tuple(problems))
    return UserDirectory(
        (Organisation(entry.id, entry.status) for entry in content.organisation),
        (
            User(
                user.eui,
                entry.id,
                user.roles,
                user.receiving_url,
                user.duis_version,
                user.status,
                user.token_sha256,
                user.allocation_per_second,
            )
            for entry in content.organisation
            for user in entry.user
        ),
    )


@dataclass(frozen=True, slots=True)
class _UserEntry:
    eui: str
    roles: frozenset[UserRole]
    receiving_url: str
    duis_version: Decimal
    status: Status
    token_sha256: str | None = None
    allocation_per_second: int | None = None


@dataclass(frozen=True, slots=True)
class _OrganisationEntry:
    id: str
    status: Status
    user: tuple[_UserEntry, ...]


@dataclass(frozen=True, slots=True)
class _File:
    organisation: tuple[_OrganisationEntry, ...]


def _check_file(content: _File, place: Place) -> None:
    ids: set[str] = set()
    owners: dict[str, str] = {}
    tokens: set[str] = set()
    for number, organisation in enumerate(content.organisation, 1):
        here = place.inside("organisation").item(number)
        if organisation.id in ids:
            here.inside("id").report(f"{organisation.id} already stands further up; every organisation has its own id")
        ids.add(organisation.id)
        for user_number, user in enumerate(organisation.user, 1):
            if user.eui in owners:
                here.inside("user").item(user_number).inside("eui").report(
                    f"{user.eui} already belongs to {owners[user.eui]}; an EUI belongs to one organisation, once"
                )
            owners.setdefault(user.eui, organisation.id)
            if user.token_sha256 in tokens:
                here.inside("user").item(user_number).inside("token_sha256").report(
                    "stands further up already; every User has a token of its own"
                )
            if user.token_sha256 is not None:
                tokens.add(user.token_sha256)


_USER = Table(
    _UserEntry,
    Key("eui", values.eui()),
    Key("roles", ASet(Array(values.member(UserRole), may_be_empty=False))),
    Key("receiving_url", values.url()),
    Key("duis_version", values.schema_version()),
    Key("status", values.member(Status)),
    Key("token_sha256", values.token_sha256(), optional=True),
    Key("allocation_per_second", values.whole_number(1), optional=True),
)

_ORGANISATION = Table(
    _OrganisationEntry,
    Key("id", values.pattern("a short name of lower-case letters, digits and hyphens", "[a-z0-9][a-z0-9-]{0,62}")),
    Key("status", values.member(Status)),
    Key("user", Array(_USER, may_be_empty=False)),
)

USERS = Table(_File, Key("organisation", Array(_ORGANISATION, may_be_empty=False)), check=_check_file)
