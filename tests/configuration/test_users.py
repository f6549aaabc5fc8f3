from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sr_engine.configuration import (
    ConfigurationError,
    Organisation,
    Status,
    User,
    UserDirectory,
    UserRole,
    load_users,
)

USERS = """
[[organisation]]
id = "bright"
status = "Active"

[[organisation.user]]
eui = "00-00-5e-ef-10-00-00-01"
roles = ["GS"]
receiving_url = "https://bright.example/gas"
duis_version = 5.4
status = "Active"

[[organisation.user]]
eui = "00-00-5E-EF-10-00-00-02"
roles = ["IS", "ES"]
receiving_url = "https://bright.example/power"
duis_version = 5.1
status = "Suspended"

[[organisation]]
id = "calm"
status = "Suspended"

[[organisation.user]]
eui = "00-00-5E-EF-10-00-00-03"
roles = ["IS", "GS"]
receiving_url = "https://calm.example/"
duis_version = 5.4
status = "Active"
"""


@pytest.fixture
def directory(tmp_path: Path) -> UserDirectory:
    path = tmp_path / "users.toml"
    path.write_text(USERS, encoding="utf-8")
    return load_users(path)


def test_a_user_is_found_by_its_eui_in_whatever_case(directory: UserDirectory) -> None:
    user = directory.by_eui("00-00-5E-EF-10-00-00-01")
    assert user == User(
        eui="00-00-5E-EF-10-00-00-01",
        organisation_id="bright",
        roles=frozenset({UserRole.GS}),
        receiving_url="https://bright.example/gas",
        duis_version=Decimal("5.4"),
        status=Status.ACTIVE,
    )
    assert directory.by_eui("00-00-5e-ef-10-00-00-01") is user
    assert directory.by_eui("00-00-5E-EF-10-00-00-09") is None


def test_a_user_may_have_an_allocation_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "users.toml"
    path.write_text(USERS.replace("duis_version = 5.1", "duis_version = 5.1\nallocation_per_second = 250"), "utf-8")

    assert [user.allocation_per_second for user in load_users(path).users()] == [None, 250, None]


def test_an_organisation_has_its_users_in_the_order_of_the_file(directory: UserDirectory) -> None:
    assert directory.organisation("calm") == Organisation("calm", Status.SUSPENDED)
    assert directory.organisation("nobody") is None
    assert [organisation.id for organisation in directory.organisations()] == ["bright", "calm"]
    assert [user.eui[-2:] for user in directory.users_of("bright")] == ["01", "02"]
    assert directory.users_of("nobody") == ()


def test_a_user_may_act_only_while_it_and_its_organisation_are_active(directory: UserDirectory) -> None:
    active = {
        user.eui[-2:]: directory.is_active(user)
        for organisation in directory.organisations()
        for user in directory.users_of(organisation.id)
    }
    assert active == {"01": True, "02": False, "03": False}


def test_news_goes_to_the_electricity_user_first(directory: UserDirectory) -> None:
    def receiver(*roles: UserRole) -> str | None:
        user = directory.receiving_user("bright", roles)
        return None if user is None else user.receiving_url

    assert receiver(UserRole.GS, UserRole.IS) == "https://bright.example/power"
    assert receiver(UserRole.GS) == "https://bright.example/gas"
    assert receiver(UserRole.OU) is None
    assert directory.receiving_user("nobody", list(UserRole)) is None


@given(
    roles_of_users=st.lists(st.frozensets(st.sampled_from(UserRole), min_size=1), max_size=5),
    roles=st.frozensets(st.sampled_from(UserRole)),
)
def test_the_receiver_has_the_most_preferred_role_that_anyone_has(
    roles_of_users: list[frozenset[UserRole]], roles: frozenset[UserRole]
) -> None:
    users = [
        User(f"00-00-5E-EF-10-00-00-{number:02X}", "one", has, "https://one.example/", Decimal("5.4"), Status.ACTIVE)
        for number, has in enumerate(roles_of_users)
    ]
    receiver = UserDirectory([Organisation("one", Status.ACTIVE)], users).receiving_user("one", roles)
    shared = roles.intersection(frozenset[UserRole]().union(*roles_of_users))
    if not shared:
        assert receiver is None
    else:
        best = min(shared, key=list(UserRole).index)
        assert receiver == next(user for user in users if best in user.roles)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'id = "calm"',
            'id = "Calm Energy"',
            (
                "users.toml: organisation[2].id: must be a short name of lower-case letters, digits and hyphens, "
                "not 'Calm Energy'"
            ),
        ),
        (
            'id = "calm"',
            'id = "bright"',
            "users.toml: organisation[2].id: bright already stands further up; every organisation has its own id",
        ),
        (
            "00-00-5E-EF-10-00-00-03",
            "00-00-5E-EF-10-00-00-01",
            (
                "users.toml: organisation[2].user[1].eui: 00-00-5E-EF-10-00-00-01 already belongs to bright; an EUI "
                "belongs to one organisation, once"
            ),
        ),
        (
            '["IS", "ES"]',
            '["IS", "SI"]',
            "users.toml: organisation[1].user[2].roles[2]: must be one of IS, GS, ES, RSA, ED, GT, OU, not 'SI'",
        ),
        (
            '["IS", "ES"]',
            "[]",
            "users.toml: organisation[1].user[2].roles: must be a list of at least one, not []",
        ),
        (
            '"https://calm.example/"',
            '"calm.example"',
            (
                "users.toml: organisation[2].user[1].receiving_url: must be an http or https address, no user in it, "
                "not 'calm.example'"
            ),
        ),
        (
            '"https://calm.example/"',
            '"https://user@calm.example/"',
            (
                "users.toml: organisation[2].user[1].receiving_url: must be an http or https address, no user in it, "
                "not 'https://user@calm.example/'"
            ),
        ),
        (
            "duis_version = 5.1",
            'duis_version = "5.1"',
            "users.toml: organisation[1].user[2].duis_version: must be a schemaVersion such as 5.4, not '5.1'",
        ),
        (
            "duis_version = 5.1",
            "duis_version = 5.1\nallocation_per_second = 0",
            "users.toml: organisation[1].user[2].allocation_per_second: must be a whole number of at least 1, not 0",
        ),
        (
            'status = "Suspended"',
            'status = "suspended"',
            "users.toml: organisation[1].user[2].status: must be one of Active, Suspended, not 'suspended'",
        ),
    ],
)
def test_a_mistake_in_the_users_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "users.toml"
    path.write_text(USERS.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigurationError) as refusal:
        load_users(path)
    assert refusal.value.problems == (message,)


def test_a_directory_of_contradictions_cannot_be_built() -> None:
    one = Organisation("one", Status.ACTIVE)
    user = User(
        "00-00-5E-EF-10-00-00-01", "one", frozenset({UserRole.IS}), "https://one.example/", Decimal(5), Status.ACTIVE
    )
    with pytest.raises(ValueError, match="organisation one stands twice"):
        UserDirectory([one, one], [])
    with pytest.raises(ValueError, match="EUI 00-00-5E-EF-10-00-00-01 stands twice"):
        UserDirectory([one], [user, user])
    with pytest.raises(ValueError, match="belongs to one, which is not an organisation"):
        UserDirectory([], [user])
