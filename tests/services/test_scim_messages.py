"""What identity providers send is understood, and what is no SCIM is refused in SCIM's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.model.errors import InvalidInput
from controls.services.scim_messages import (
    ENTERPRISE,
    PATCH,
    SCIM_TYPES,
    USER,
    Filter,
    GroupWanted,
    UserWanted,
    patched_group,
    patched_user,
    read_filter,
    read_group,
    read_user,
)


def a_patch(*operations: Any) -> dict[str, Any]:
    return {"schemas": [PATCH], "Operations": list(operations)}


def code(read: Callable[[Any], object], said: Any) -> str:
    with pytest.raises(InvalidInput) as refused:
        read(said)
    return SCIM_TYPES[refused.value.code]


# -- users -------------------------------------------------------------------------------------------------

# As Microsoft Entra ID sends it (its tutorial for SCIM endpoints).
ENTRA_USER = {
    "schemas": [USER, ENTERPRISE],
    "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
    "userName": "Test_User_ab6490ee-1e48-479e-a20b-2d77186b5dd1",
    "active": True,
    "emails": [{"primary": True, "type": "work", "value": "Test_User@example.com"}],
    "meta": {"resourceType": "User"},
    "name": {"formatted": "givenName familyName", "familyName": "familyName", "givenName": "givenName"},
    ENTERPRISE: {"department": "Sales", "manager": {"value": "acc_1"}, "employeeNumber": "7"},
    "roles": [],
}
# As Okta sends it.
OKTA_USER = {
    "schemas": [USER],
    "userName": "test.user@okta.example",
    "name": {"givenName": "Test", "familyName": "User"},
    "emails": [{"primary": True, "value": "test.user@okta.example", "type": "work"}],
    "displayName": "Test User",
    "locale": "en-US",
    "externalId": "00ujl29u0le5T6Aj10h7",
    "groups": [],
    "password": "1mz050nq",
    "active": True,
}


def test_a_user_of_entra_is_read() -> None:
    """Extension, name and external id; what is not kept is passed over. Empty roles give nothing."""
    said = {name: value for name, value in ENTRA_USER.items() if name != "roles"}
    assert read_user(said) == UserWanted(
        "Test_User_ab6490ee-1e48-479e-a20b-2d77186b5dd1",
        "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
        "givenName familyName",
        True,
        "Sales",
        "acc_1",
    )
    assert read_user(ENTRA_USER) == read_user(said)


def test_a_user_of_okta_is_read() -> None:
    """Without the extension there is no department and no manager: as the whole user that it is."""
    assert read_user(OKTA_USER) == UserWanted(
        "test.user@okta.example", "00ujl29u0le5T6Aj10h7", "Test User", True, "", ""
    )


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"op": "Replace", "path": "active", "value": "False"}, UserWanted(active=False)),
        ({"op": "Replace", "path": "active", "value": False}, UserWanted(active=False)),
        ({"op": "replace", "value": {"active": False}}, UserWanted(active=False)),
        ({"op": "Add", "path": "externalId", "value": "x-1"}, UserWanted(external_id="x-1")),
        ({"op": "Replace", "path": "userName", "value": "ana@b.example"}, UserWanted(login="ana@b.example")),
        ({"op": "replace", "path": f"{USER}:userName", "value": "ana"}, UserWanted(login="ana")),
        ({"op": "Replace", "path": "DISPLAYNAME", "value": "Ana"}, UserWanted(name="Ana")),
        ({"op": "Add", "path": f"{ENTERPRISE}:department", "value": "Risk"}, UserWanted(department="Risk")),
        ({"op": "Remove", "path": f"{ENTERPRISE}:department"}, UserWanted(department="")),
        ({"op": "Add", "path": f"{ENTERPRISE}:manager", "value": "acc_1"}, UserWanted(manager="acc_1")),
        ({"op": "Add", "path": f"{ENTERPRISE}:manager.value", "value": "acc_1"}, UserWanted(manager="acc_1")),
        (
            {"op": "Add", "path": f"{ENTERPRISE}:manager", "value": [{"value": "acc_1"}]},
            UserWanted(manager="acc_1"),
        ),
        (
            {"op": "Add", "path": f"{ENTERPRISE}:manager", "value": {"$ref": "x", "value": "acc_1"}},
            UserWanted(manager="acc_1"),
        ),
        ({"op": "Remove", "path": f"{ENTERPRISE}:manager"}, UserWanted(manager="")),
        ({"op": "Replace", "path": f"{ENTERPRISE}:manager", "value": ""}, UserWanted(manager="")),
        (
            {"op": "replace", "value": {f"{ENTERPRISE}:department": "Risk", "name.formatted": "Ana Arce"}},
            UserWanted(name="Ana Arce", department="Risk"),
        ),
        ({"op": "replace", "value": {ENTERPRISE: {"department": "Risk"}}}, UserWanted(department="Risk")),
        ({"op": "replace", "path": 'emails[type eq "work"].value', "value": "a@b.example"}, UserWanted()),
        ({"op": "replace", "path": "name.givenName", "value": "Ana"}, UserWanted()),
        ({"op": "remove", "path": "title"}, UserWanted()),
        ({"OP": "replace", "PATH": "active", "VALUE": "true"}, UserWanted(active=True)),
    ],
)  # fmt: skip
def test_patches_of_users_are_understood(operation: Any, expected: UserWanted) -> None:
    """In every shape that identity providers are known to send."""
    assert patched_user(a_patch(operation)) == expected


def test_later_operations_go_before_earlier_ones() -> None:
    """The operations of one PATCH are done in their order."""
    said = a_patch(
        {"op": "replace", "path": "active", "value": False},
        {"op": "replace", "value": {"active": True, "displayName": "Ana"}},
    )
    assert patched_user(said) == UserWanted(active=True, name="Ana")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, "invalidSyntax"),
        ({"schemas": [PATCH]}, "invalidSyntax"),
        ({"schemas": [PATCH], "Operations": []}, "invalidSyntax"),
        (
            {"schemas": [USER], "Operations": [{"op": "add", "path": "active", "value": True}]},
            "invalidSyntax",
        ),
        (a_patch("add"), "invalidSyntax"),
        (a_patch({"op": "move", "path": "active"}), "invalidSyntax"),
        (a_patch({"op": "remove"}), "noTarget"),
        (a_patch({"op": "replace", "value": "x"}), "invalidSyntax"),
        (a_patch({"op": "replace", "path": 7, "value": "x"}), "invalidPath"),
        (a_patch({"op": "replace", "path": "active", "value": "maybe"}), "invalidValue"),
        (a_patch({"op": "replace", "path": "active", "value": None}), "invalidValue"),
        (a_patch({"op": "replace", "path": "userName", "value": "a;b"}), "invalidValue"),
        (a_patch({"op": "remove", "path": "userName"}), "invalidValue"),
        (a_patch({"op": "replace", "path": "displayName", "value": "x" * 257}), "invalidValue"),
        (a_patch({"op": "replace", "path": "externalId", "value": "a\tb"}), "invalidValue"),
        (a_patch({"op": "replace", "path": f"{ENTERPRISE}:department", "value": "x" * 200}), "invalidValue"),
        (a_patch({"op": "replace", "path": f"{ENTERPRISE}:manager", "value": {"value": 7}}), "invalidValue"),
        (a_patch({"op": "add", "path": "roles", "value": [{"value": "administrator"}]}), "invalidValue"),
        (a_patch({"op": "add", "path": 'roles[primary eq "True"].value', "value": "x"}), "invalidValue"),
        (a_patch({"op": "add", "value": {"entitlements": [{"value": "x"}]}}), "invalidValue"),
    ],
)
def test_what_is_no_patch_is_refused(said: Any, expected: str) -> None:
    """With the `scimType` that RFC 7644 gives it."""
    assert code(patched_user, said) == expected


def test_a_user_needs_a_name_to_log_in_with() -> None:
    """All else may be left out."""
    assert code(read_user, {"displayName": "Ana"}) == "invalidValue"
    assert read_user({"username": "ana"}) == UserWanted("ana", "", None, None, "", "")


# -- groups ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        (
            [{"op": "Add", "path": "members", "value": [{"value": "a"}, {"value": "b"}]}],
            GroupWanted(added=frozenset("ab")),
        ),
        ([{"op": "add", "value": {"members": [{"value": "a"}]}}], GroupWanted(added=frozenset("a"))),
        (
            [{"op": "Remove", "path": "members", "value": [{"value": "a"}]}],
            GroupWanted(removed=frozenset("a")),
        ),
        ([{"op": "remove", "path": 'members[value eq "a"]'}], GroupWanted(removed=frozenset("a"))),
        ([{"op": "remove", "path": "members"}], GroupWanted(members=frozenset())),
        (
            [{"op": "replace", "path": "members", "value": [{"value": "a"}]}],
            GroupWanted(members=frozenset("a")),
        ),
        ([{"op": "Replace", "path": "displayName", "value": "trader"}], GroupWanted("trader")),
        ([{"op": "replace", "value": {"id": "trader", "displayName": "trader"}}], GroupWanted("trader")),
        (
            [
                {"op": "add", "path": "members", "value": [{"value": "a"}]},
                {"op": "remove", "path": 'members[value eq "a"]'},
                {"op": "add", "path": "members", "value": {"value": "b"}},
            ],
            GroupWanted(added=frozenset("b"), removed=frozenset("a")),
        ),
        (
            [
                {"op": "replace", "path": "members", "value": []},
                {"op": "add", "path": "members", "value": [{"value": "b"}, {"value": "c"}]},
                {"op": "remove", "path": "members", "value": [{"value": "b"}]},
            ],
            GroupWanted(members=frozenset("c")),
        ),
    ],
)  # fmt: skip
def test_patches_of_groups_are_understood(operations: Any, expected: GroupWanted) -> None:
    """Adding, removing by filter or by value, replacing; one operation after the other."""
    assert patched_group(a_patch(*operations)) == expected


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"op": "add", "path": "members", "value": [{"display": "a"}]}, "invalidValue"),
        ({"op": "add", "path": "members", "value": ["a"]}, "invalidValue"),
        ({"op": "add", "path": 'members[value eq "a"]', "value": {}}, "invalidPath"),
        ({"op": "remove"}, "noTarget"),
    ],
)
def test_members_are_users_ids(operation: Any, expected: str) -> None:
    """Nothing else can be a member."""
    assert code(patched_group, a_patch(operation)) == expected


def test_a_group_has_a_name() -> None:
    """The role that it is."""
    assert code(read_group, {"members": []}) == "invalidValue"
    assert read_group({"displayName": "trader", "members": [{"value": "a"}]}) == GroupWanted(
        "trader", "", frozenset("a")
    )


# -- filters -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('userName eq "ana@bank.example"', Filter("username", "ana@bank.example")),
        (' USERNAME  EQ "a\\"b" ', Filter("username", 'a"b')),
        (f'{USER}:externalId eq "x"', Filter("externalid", "x")),
        ("active eq true", Filter("active", True)),
        ("active eq False", Filter("active", False)),
    ],
)
def test_filters_with_eq_are_read(text: str, expected: Filter) -> None:
    """Attribute and operator in any case, values as JSON has them."""
    assert read_filter(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "userName",
        'userName co "a"',
        'userName eq "a" and active eq true',
        "userName eq a",
        'userName eq "a',
        'userName eq "\\x"',
        'emails[type eq "work"]',
        'userName eq "' + "x" * 1_000 + '"',
    ],
)
def test_other_filters_are_refused(text: str) -> None:
    """Rather than answered with something that was not asked for."""
    assert code(read_filter, text) == "invalidFilter"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ("userName", "active", "members", "displayName", "externalId", ENTERPRISE, "name", "roles")
)
BODIES = st.dictionaries(NAMES | st.text(max_size=5), JSON, max_size=5)
PATCHES = st.lists(
    st.fixed_dictionaries(
        {"op": st.sampled_from(("add", "Remove", "replace"))},
        optional={"path": NAMES | st.text(max_size=20), "value": JSON | BODIES},
    ),
    max_size=4,
).map(lambda operations: a_patch(*operations))


@pytest.mark.parametrize("read", [read_user, read_group, patched_user, patched_group])
@given(said=BODIES | PATCHES)
def test_whatever_is_sent_is_read_or_refused(read: Callable[[Any], object], said: Any) -> None:
    """No body of any shape is a defect, and each refusal has a `scimType`."""
    assert isinstance(answered(read, said), UserWanted | GroupWanted | str)


def answered(read: Callable[[Any], object], said: Any) -> object:
    """What was read, or the `scimType` of the refusal."""
    try:
        return read(said)
    except InvalidInput as refused:
        return SCIM_TYPES[refused.code]


@given(st.text(max_size=60) | st.text(alphabet='userName eq"\\ true', max_size=60))
def test_any_filter_is_read_or_refused(text: str) -> None:
    """A filter comes from a query string: anybody's text."""
    found = answered(read_filter, text)
    assert found == "invalidFilter" or isinstance(found, Filter)


@pytest.mark.parametrize(
    ("read", "operation", "told"),
    [
        (patched_user, {"op": "remove", "path": 'roles[value eq "trader"]'}, "invalidPath"),
        (patched_user, {"op": "remove", "path": USER}, "invalidPath"),
        (patched_user, {"op": "replace", "value": {USER: {"roles": ["trader"]}}}, "invalidValue"),
        (patched_user, {"op": "add", "path": "groups", "value": [{"value": "trader"}]}, "mutability"),
        (patched_group, {"op": "remove", "path": 'members[display eq "Ana"]'}, "invalidPath"),
        (patched_group, {"op": "add", "path": "members.value", "value": "a"}, "invalidPath"),
    ],
)
def test_nobody_is_left_in_the_belief_that_roles_changed(
    read: Callable[[Any], object], operation: Any, told: str
) -> None:
    """Ways to give or take a role that change nothing here are refused, not passed over."""
    assert code(read, a_patch(operation)) == told


def test_a_schema_alone_stands_for_its_attributes() -> None:
    """As path and as name: what is said there is not passed over either."""
    wanted = UserWanted(active=False)
    assert patched_user(a_patch({"op": "replace", "value": {USER: {"active": False}}})) == wanted
    assert patched_user(a_patch({"op": "replace", "path": USER, "value": {"active": "False"}})) == wanted
