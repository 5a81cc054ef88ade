"""SCIM 2.0 over HTTP, as identity providers speak it: users, groups, and what their key may not do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from controls.api import scim_documents
from controls.services.scim_messages import ENTERPRISE, GROUP, PATCH, USER
from tests.api.conftest import Api, StartApi
from tests.api.test_directory import in_force, propose
from tests.desk import DESK_KEYS, KeySpec, an_order

KEYS: Mapping[str, KeySpec] = {
    **DESK_KEYS,
    "abroad": KeySpec(("scim",), speaks_for="*@abroad.example", roles=("trader",)),
}
SCIM = "application/scim+json"


@dataclass(frozen=True, slots=True)
class Provider:
    """An identity provider, with its key."""

    api: Api
    key: str = "provider"

    def send(self, method: str, path: str, body: Any = None, *, media: str = SCIM) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.api.desk.keys[self.key]}", "Content-Type": media}
        content = None if body is None else json.dumps(body).encode()
        return self.api.client.request(method, f"/scim/v2/{path}", headers=headers, content=content)

    def done(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        told = self.send(method, path, body)
        assert told.status_code == status, told.text
        if not told.content:
            return None
        assert told.headers["content-type"] == SCIM
        return told.json()

    def refused(self, method: str, path: str, body: Any = None) -> tuple[int, str, str]:
        """Status, `scimType` and detail of an error, which must be one of SCIM's."""
        told = self.send(method, path, body)
        assert told.headers["content-type"] == SCIM, told.text
        error = scim_documents.ScimError.model_validate(told.json())
        assert error.status == str(told.status_code)
        return told.status_code, error.scim_type or "", error.detail

    def create(self, login: str = "nina@bank.example", **more: Any) -> Any:
        body = {"schemas": [USER, ENTERPRISE], "userName": login, "displayName": "Nina Núñez", **more}
        return self.done("POST", "Users", body, status=201)

    def patch(self, path: str, *operations: Any, status: int = 200) -> Any:
        return self.done("PATCH", path, a_patch(*operations), status=status)

    def group(self, role: str = "trader", *members: str) -> Any:
        said = {"schemas": [GROUP], "displayName": role, "members": [{"value": item} for item in members]}
        return self.done("POST", "Groups", said, status=201)

    def find(self, wanted: str, what: str = "Users") -> list[str]:
        told = self.done("GET", f"{what}?filter={wanted}")
        scim_documents.ScimList.model_validate(told)
        return [item["id"] for item in told["Resources"]]


def a_patch(*operations: Any) -> dict[str, Any]:
    return {"schemas": [PATCH], "Operations": list(operations)}


def member(user: str, op: str = "add") -> dict[str, Any]:
    return {"op": op, "path": "members", "value": [{"value": user}]}


@pytest.fixture
def provider(own_api: StartApi) -> Provider:
    return Provider(own_api(keys=KEYS))


def may_capture(provider: Provider, login: str) -> bool:
    return bool(provider.api.ask("capture", login)["outcome"] == "permit")


def reasons(provider: Provider, login: str) -> list[str]:
    return [item["rule"] for item in provider.api.ask("capture", login)["findings"]]


# -- the life of a user ------------------------------------------------------------------------------------


def test_a_provider_takes_a_user_through_its_life(provider: Provider) -> None:
    """Looked for, created, given a role, deactivated, brought back, deleted; each takes effect at once."""
    assert provider.find('userName eq "nina@bank.example"') == []
    nina = provider.create(externalId="x-90", active=True)
    assert nina["schemas"] == [USER, ENTERPRISE]
    assert (nina["userName"], nina["externalId"], nina["active"]) == ("nina@bank.example", "x-90", True)
    assert (nina["displayName"], nina["name"], nina["groups"]) == (
        "Nina Núñez",
        {"formatted": "Nina Núñez"},
        [],
    )
    user = f"Users/{nina['id']}"
    assert nina["meta"]["location"].endswith(f"/scim/v2/{user}")
    assert provider.done("GET", user) == nina
    for wanted in ('userName eq "NINA@bank.example"', 'externalId eq "x-90"', f'id eq "{nina["id"]}"'):
        assert provider.find(wanted) == [nina["id"]]
    assert "no_grant" in reasons(provider, "nina@bank.example")
    provider.group("trader", nina["id"])
    assert may_capture(provider, "nina@bank.example")
    assert [item["value"] for item in provider.done("GET", user)["groups"]] == ["trader"]
    gone = provider.patch(user, {"op": "Replace", "path": "active", "value": "False"})
    assert gone["active"] is False
    assert reasons(provider, "nina@bank.example") == ["unknown_subject"]
    back = provider.patch(user, {"op": "replace", "value": {"active": True}})
    assert (back["id"], back["active"]) == (nina["id"], True)
    assert may_capture(provider, "nina@bank.example")
    provider.done("DELETE", user, status=204)
    assert reasons(provider, "nina@bank.example") == ["unknown_subject"]
    assert provider.refused("GET", user)[0] == 404
    assert provider.find('userName eq "nina@bank.example"') == []
    assert provider.done("GET", "Groups/trader?attributes=members")["members"] != []
    assert nina["id"] not in [item["value"] for item in provider.done("GET", "Groups/trader")["members"]]


def test_every_change_is_an_entry_under_the_key_without_names(provider: Provider) -> None:
    """The entry names the key, what was asked and the account; neither login, name nor external id."""
    nina = provider.create(externalId="ext-90", **{ENTERPRISE: {"department": "Equity Sales"}})
    entry = provider.api.last_entry()
    assert (entry["kind"], entry["provision"], entry["resource"]) == ("directory", "create_user", nina["id"])
    assert entry["key"] == provider.api.desk.key_ids["provider"]
    assert "change" not in entry
    size = provider.api.size()
    told = provider.api.get(f"/v1/ledger/entries/{size - 1}", key="verifier").json()
    for private in ("nina", "Nina", "ext-90", "Equity"):
        assert private not in told["bytes"]
    provider.patch(f"Users/{nina['id']}", {"op": "replace", "value": {"displayName": "Nina Núñez"}})
    assert provider.api.size() == size  # what changes nothing leaves no entry
    provider.refused("POST", "Users", {"userName": "nina@bank.example"})
    assert provider.api.last_entry()["kind"] == "refusal"


def test_a_user_that_comes_back_is_the_same_person(provider: Provider) -> None:
    """Created again after it was deleted: the same id, and what the person did still counts."""
    provider.group("trader")
    nina = provider.create(externalId="x-90")
    provider.patch("Groups/trader", member(nina["id"]), status=204)
    order = provider.api.ask("capture", "nina@bank.example")
    provider.done("DELETE", f"Users/{nina['id']}", status=204)
    again = provider.create("Nina@bank.example", externalId="x-90")
    assert (again["id"], again["userName"]) == (nina["id"], "Nina@bank.example")
    assert again["active"] is True
    assert again["groups"] == []
    acts = provider.api.get(f"/v1/chains/{order['chain']['id']}").json()["acts"]
    person = provider.api.get("/v1/directory/persons?limit=200", key="admin1").json()["persons"]
    assert [item["person"] for item in person if item["name"] == "Nina Núñez"] == [acts[0]["person"]]


def test_a_user_that_comes_back_under_another_login_is_the_same_person(provider: Provider) -> None:
    """Providers that delete and create anew instead of renaming do not wash anybody's history: the provider
    itself says by its id that it is the same."""
    provider.group("trader")
    provider.group("risk_officer")
    nina = provider.create(externalId="x-90")
    provider.patch("Groups/trader", member(nina["id"]), status=204)
    order = an_order()
    provider.api.perform("capture", "nina@bank.example", order)
    provider.done("DELETE", f"Users/{nina['id']}", status=204)
    again = provider.create("nina.arce@bank.example", externalId="x-90")
    assert again["id"] != nina["id"]
    assert (again["active"], again["groups"]) == (True, [])
    provider.patch("Groups/risk_officer", member(again["id"]), status=204)
    answer = provider.api.ask("approve", "nina.arce@bank.example", order)
    assert (answer["outcome"], [item["rule"] for item in answer["findings"]]) == ("deny", ["maker_checker"])
    assert provider.find('externalId eq "x-90"') == [again["id"]]
    provider.done("DELETE", f"Users/{again['id']}", status=204)
    assert provider.create("nina@bank.example", externalId="x-90")["id"] == nina["id"]
    person = provider.api.get("/v1/directory/persons?limit=200", key="admin1").json()["persons"]
    assert sum(item["name"] == "Nina Núñez" for item in person) == 1


def test_an_external_id_is_one_person_s(provider: Provider) -> None:
    """Nobody gets a second person by a second user; who is of another provider is not compared."""
    nina = provider.create(externalId="x-90")
    other = provider.create("other@bank.example", externalId="x-91")
    status, scim_type, detail = provider.refused(
        "POST", "Users", {"userName": "third@bank.example", "externalId": "x-90"}
    )
    assert (status, scim_type) == (409, "uniqueness")
    assert "nina@bank.example has it" in detail
    takes = a_patch({"op": "replace", "path": "externalId", "value": "x-90"})
    assert provider.refused("PATCH", f"Users/{other['id']}", takes)[:2] == (409, "uniqueness")
    assert provider.patch(f"Users/{nina['id']}", *takes["Operations"])["externalId"] == "x-90"
    provider.done("DELETE", f"Users/{nina['id']}", status=204)
    status, scim_type, detail = provider.refused("PATCH", f"Users/{other['id']}", takes)
    assert (status, scim_type) == (409, "uniqueness")
    assert "another person" in detail
    abroad = Provider(provider.api, "abroad")
    abroad.create("nina@abroad.example", externalId="x-90")


def test_a_login_that_was_somebody_else_s_is_not_taken_over(provider: Provider) -> None:
    """With another external id it is another human being: two administrators decide."""
    nina = provider.create(externalId="x-90")
    provider.done("DELETE", f"Users/{nina['id']}", status=204)
    said = {"userName": "nina@bank.example", "externalId": "x-91"}
    status, scim_type, detail = provider.refused("POST", "Users", said)
    assert (status, scim_type) == (409, "uniqueness")
    assert "belonged to somebody else" in detail


def test_a_login_is_unique_in_any_case(provider: Provider) -> None:
    """Of users, of bots and of persons whom administrators brought."""
    provider.create()
    for login in ("nina@bank.example", "NINA@bank.example", "tina.trader"):
        assert provider.refused("POST", "Users", {"userName": login})[:2] == (409, "uniqueness")


def test_a_user_is_renamed_and_stays_the_same(provider: Provider) -> None:
    """The login changes, the id and the person's past stay; a login in use is refused."""
    nina = provider.create()
    user = f"Users/{nina['id']}"
    renamed = provider.patch(user, {"op": "Replace", "path": "userName", "value": "nina.arce@bank.example"})
    assert (renamed["id"], renamed["userName"]) == (nina["id"], "nina.arce@bank.example")
    assert provider.find('userName eq "nina@bank.example"') == []
    assert reasons(provider, "nina@bank.example") == ["unknown_subject"]
    assert reasons(provider, "nina.arce@bank.example") == ["no_grant"]
    taken = {"op": "replace", "path": "userName", "value": "tomas.trader"}
    assert provider.refused("PATCH", user, a_patch(taken))[:2] == (409, "uniqueness")
    other = provider.create("nina@bank.example")
    assert other["id"] != nina["id"]


def test_a_user_may_be_created_inactive(provider: Provider) -> None:
    """It is known and cannot act, until it is activated."""
    nina = provider.create(active=False)
    assert nina["active"] is False
    assert reasons(provider, "nina@bank.example") == ["unknown_subject"]
    assert provider.patch(f"Users/{nina['id']}", {"op": "replace", "path": "active", "value": True})["active"]
    assert reasons(provider, "nina@bank.example") == ["no_grant"]


def test_department_and_manager_are_kept(provider: Provider) -> None:
    """The enterprise extension: a manager is a user by id; what a PUT leaves out ends."""
    boss = provider.find('userName eq "tomas.trader"')[0]
    nina = provider.create(**{ENTERPRISE: {"department": "Sales", "manager": {"value": boss}}})
    assert nina[ENTERPRISE]["department"] == "Sales"
    assert nina[ENTERPRISE]["manager"]["value"] == boss
    user = f"Users/{nina['id']}"
    assert provider.patch(user, {"op": "Remove", "path": f"{ENTERPRISE}:manager"})[ENTERPRISE] == {
        "department": "Sales"
    }
    whole = {"schemas": [USER], "userName": "nina@bank.example", "displayName": "Nina N."}
    replaced = provider.done("PUT", user, whole)
    assert ENTERPRISE not in replaced
    assert replaced["displayName"] == "Nina N."
    assert replaced["active"] is True
    said = a_patch({"op": "add", "path": f"{ENTERPRISE}:manager", "value": "acc_404"})
    assert provider.refused("PATCH", user, said)[:2] == (400, "invalidValue")
    # The top of a reporting line reports to itself, which says that nobody stands above.
    top = provider.patch(user, {"op": "add", "path": f"{ENTERPRISE}:manager", "value": nina["id"]})
    assert top[ENTERPRISE]["manager"]["value"] == nina["id"]


def test_persons_of_administrators_are_users_too(provider: Provider) -> None:
    """A provider finds and takes over whom a file brought; bots are none of its business."""
    listed = provider.done("GET", "Users")
    logins = [item["userName"] for item in listed["Resources"]]
    assert "tina.trader" in logins
    assert listed["totalResults"] == len(logins)
    in_force(provider.api, {"person": "p-05", "accounts": [{"login": "tina.robot", "kind": "bot"}]})
    assert provider.find('userName eq "tina.robot"') == []
    tina = provider.find('userName eq "tina.trader"')[0]
    assert (
        provider.patch(f"Users/{tina}", {"op": "add", "path": "externalId", "value": "x-5"})["externalId"]
        == "x-5"
    )
    assert provider.find('externalId eq "x-5"') == [tina]


# -- groups ------------------------------------------------------------------------------------------------


def test_groups_are_the_roles_that_the_key_names(provider: Provider) -> None:
    """Created before they are seen; a role that the key does not name is no group."""
    assert provider.done("GET", "Groups")["totalResults"] == 0
    made = provider.group("trader")
    assert (made["id"], made["displayName"]) == ("trader", "trader")
    assert {"tina.trader"} <= {
        provider.done("GET", f"Users/{item['value']}")["userName"] for item in made["members"]
    }
    assert provider.find('displayName eq "trader"', "Groups") == ["trader"]
    assert provider.refused("POST", "Groups", {"displayName": "trader"})[:2] == (409, "uniqueness")
    for role in ("settlement_clerk", "astronaut", "administrator", "head_of_desk"):
        status, scim_type, detail = provider.refused("POST", "Groups", {"displayName": role})
        assert (status, scim_type) == (400, "invalidValue")
        assert "reconciler, risk_officer, trader" in detail
        assert provider.refused("GET", f"Groups/{role}")[0] == 404


def test_members_come_and_go(provider: Provider) -> None:
    """Added and removed in each of the ways that providers know; the others stay as they are."""
    provider.group("trader")
    ana, leo = (provider.create(f"{name}@bank.example")["id"] for name in ("ana", "leo"))
    before = {item["value"] for item in provider.done("GET", "Groups/trader")["members"]}

    def members() -> set[str]:
        return {item["value"] for item in provider.done("GET", "Groups/trader")["members"]} - before

    provider.patch("Groups/trader", member(ana), member(leo), status=204)
    assert members() == {ana, leo}
    provider.patch("Groups/trader", member(ana), status=204)
    provider.patch("Groups/trader", {"op": "remove", "path": f'members[value eq "{ana}"]'}, status=204)
    assert members() == {leo}
    assert reasons(provider, "ana@bank.example") == ["no_grant"]
    provider.patch("Groups/trader", member(leo, "remove"), member("acc_404", "remove"), status=204)
    assert members() == set()
    assert provider.refused("PATCH", "Groups/trader", a_patch(member("acc_404")))[:2] == (400, "invalidValue")
    whole = {
        "schemas": [GROUP],
        "displayName": "trader",
        "members": [{"value": item} for item in {*before, ana}],
    }
    assert ana in {item["value"] for item in provider.done("PUT", "Groups/trader", whole)["members"]}
    provider.patch(
        "Groups/trader", {"op": "replace", "value": {"displayName": "trader", "externalId": "g"}}, status=204
    )
    assert provider.find('externalId eq "g"', "Groups") == ["trader"]
    renamed = a_patch({"op": "replace", "path": "displayName", "value": "risk_officer"})
    assert provider.refused("PATCH", "Groups/trader", renamed)[:2] == (400, "mutability")


def test_a_deleted_group_leaves_nobody_with_the_role(provider: Provider) -> None:
    """But for those who are above the key."""
    provider.group("reconciler")
    provider.done("DELETE", "Groups/reconciler", status=204)
    assert provider.refused("GET", "Groups/reconciler")[0] == 404
    rosa = provider.api.get("/v1/directory/persons/p-13", key="admin1").json()
    assert all(item["to"] for item in rosa["roles"])
    assert provider.group("reconciler")["members"] == []


def test_a_grant_that_breaks_a_constraint_is_refused_with_the_conflict_named(provider: Provider) -> None:
    """As for administrators: nobody trades and reconciles."""
    for role in ("trader", "reconciler"):
        provider.group(role)
    tomas = provider.find('userName eq "tomas.trader"')[0]
    status, scim_type, detail = provider.refused("PATCH", "Groups/reconciler", a_patch(member(tomas)))
    assert (status, scim_type) == (400, "invalidValue")
    assert "p-06 would hold reconciler and trader, of which front_back allows 1" in detail


# -- what two administrators have said, and what not -------------------------------------------------------


@pytest.mark.parametrize("login", ["alma.admin", "sara.super", "hugo.head"])
def test_who_administers_or_supervises_is_not_touched(provider: Provider, login: str) -> None:
    """Neither renamed nor ended nor given or taken a role: a stolen key shuts nobody out."""
    provider.group("trader")
    user = provider.find(f'userName eq "{login}"')[0]
    for method, path, said in (
        ("PATCH", f"Users/{user}", a_patch({"op": "replace", "path": "active", "value": False})),
        ("PATCH", f"Users/{user}", a_patch({"op": "replace", "path": "userName", "value": "mallory"})),
        ("PATCH", f"Users/{user}", a_patch({"op": "replace", "path": "displayName", "value": "Mallory"})),
        ("DELETE", f"Users/{user}", None),
        ("PATCH", "Groups/trader", a_patch(member(user, "remove" if login == "hugo.head" else "add"))),
    ):
        status, _, detail = provider.refused(method, path, said)
        assert status == 403, (method, path)
        assert "administers or supervises" in detail
    assert provider.api.last_entry()["code"] == "person_privileged"
    assert provider.done("GET", f"Users/{user}")["active"] is True


def test_a_key_keeps_the_users_of_its_pattern_only(provider: Provider) -> None:
    """Others are not seen, not created, and no user is renamed out of or into it."""
    abroad = Provider(provider.api, "abroad")
    assert abroad.done("GET", "Users")["totalResults"] == 0
    nina = abroad.create("nina@abroad.example")
    assert abroad.done("GET", "Users")["totalResults"] == 1
    assert abroad.refused("POST", "Users", {"userName": "nina@bank.example"})[0] == 403
    away = a_patch({"op": "replace", "path": "userName", "value": "nina@bank.example"})
    assert abroad.refused("PATCH", f"Users/{nina['id']}", away)[0] == 403
    tomas = provider.find('userName eq "tomas.trader"')[0]
    assert abroad.refused("PATCH", f"Users/{tomas}", away)[0] == 404
    assert abroad.refused("POST", "Users", {"userName": "TINA.TRADER"})[0] == 403
    assert abroad.group("trader")["members"] == []
    assert abroad.refused("POST", "Groups", {"displayName": "reconciler"})[0] == 400
    whole = {"schemas": [GROUP], "displayName": "trader", "members": [{"value": nina["id"]}]}
    abroad.done("PUT", "Groups/trader", whole)
    assert may_capture(provider, "tina.trader")  # whom the key does not see it takes nothing from


def test_other_keys_do_not_provision_and_a_provider_s_key_does_nothing_else(provider: Provider) -> None:
    """Scopes are apart."""
    for key in ("caller", "admin1", "supervisor1"):
        other = Provider(provider.api, key)
        assert other.refused("GET", "Users")[0] == 403
        assert other.refused("POST", "Users", {"userName": "nina"})[0] == 403
    assert provider.api.last_entry()["code"] == "scope_missing"
    for path in ("/v1/directory/persons", "/v1/reviews", "/v1/changes"):
        assert provider.api.get(path, key="provider").status_code == 403
    told = provider.api.post("/v1/decisions", {}, key="provider")
    assert told.status_code == 403
    assert propose(provider.api, {"person": "p-90"}, key="provider").status_code == 403


# -- the protocol ------------------------------------------------------------------------------------------


def test_what_is_served_is_said(provider: Provider) -> None:
    """ServiceProviderConfig, ResourceTypes and Schemas, each also one by one."""
    config = provider.done("GET", "ServiceProviderConfig")
    assert config["patch"]["supported"] is True
    assert config["filter"] == {"supported": True, "maxResults": 200}
    assert config["bulk"]["supported"] is False
    for listed in ("ResourceTypes", "Schemas"):
        told = provider.done("GET", listed)
        scim_documents.ScimList.model_validate(told)
        for item in told["Resources"]:
            assert provider.done("GET", f"{listed}/{item['id']}") == item
            assert item["meta"]["location"].endswith(f"/scim/v2/{listed}/{item['id']}")
    assert {item["id"] for item in provider.done("GET", "Schemas")["Resources"]} == {USER, ENTERPRISE, GROUP}
    assert provider.refused("GET", "Schemas/nonsense")[0] == 404


def test_users_are_listed_a_page_at_a_time(provider: Provider) -> None:
    """By number from 1, at most 200, and none when none are asked for (RFC 7644, 3.4.2.4)."""
    whole = provider.done("GET", "Users")
    ids = [item["id"] for item in whole["Resources"]]
    assert whole["startIndex"] == 1
    paged = []
    for start in range(1, len(ids) + 1, 4):
        told = provider.done("GET", f"Users?startIndex={start}&count=4")
        assert (told["startIndex"], told["totalResults"]) == (start, len(ids))
        assert told["itemsPerPage"] == len(told["Resources"]) <= 4
        paged += [item["id"] for item in told["Resources"]]
    assert paged == ids
    none = provider.done("GET", "Users?count=0")
    assert (none["totalResults"], none["Resources"]) == (len(ids), [])
    assert provider.done("GET", "Users?startIndex=-3&count=2")["Resources"] == whole["Resources"][:2]
    assert provider.done("GET", "Users?startIndex=1000000")["Resources"] == []


def test_attributes_can_be_chosen(provider: Provider) -> None:
    """Groups without their members, users with their logins only (RFC 7644, 3.9)."""
    provider.group("trader")
    assert "members" not in provider.done("GET", "Groups/trader?excludedAttributes=members")
    told = provider.done("GET", "Users?attributes=userName&count=1")["Resources"][0]
    assert set(told) == {"schemas", "id", "meta", "userName"}


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "Users?filter=userName+co+%22a%22", None, (400, "invalidFilter")),
        ("GET", "Users?filter=shoeSize+eq+%22a%22", None, (400, "invalidFilter")),
        ("GET", "Groups?filter=userName+eq+%22a%22", None, (400, "invalidFilter")),
        ("GET", "Users?count=many", None, (400, "")),
        ("GET", "Users/acc_404", None, (404, "")),
        ("GET", "Nonsense", None, (404, "")),
        ("PUT", "Users/acc_404", {"userName": "a"}, (404, "")),
        (
            "PATCH",
            "Users/acc_404",
            {"schemas": [PATCH], "Operations": [{"op": "add", "value": {}}]},
            (404, ""),
        ),
        ("DELETE", "Users/acc_404", None, (404, "")),
        ("DELETE", "Groups/trader", None, (404, "")),
        ("POST", "Users", [], (400, "invalidSyntax")),
        ("POST", "Users", {"userName": "a;b"}, (400, "invalidValue")),
        ("POST", "Groups", {}, (400, "invalidValue")),
        ("POST", "Bulk", {}, (404, "")),
        ("POST", "ServiceProviderConfig", {}, (405, "")),
    ],
)
def test_errors_are_scim_s(
    provider: Provider, method: str, path: str, body: Any, expected: tuple[int, str]
) -> None:
    """Status, and `scimType` where there is one, in an object of SCIM's own."""
    assert provider.refused(method, path, body)[:2] == expected


def test_what_cannot_be_read_is_scim_s_error_too(provider: Provider) -> None:
    """No key, no JSON, no media type, too many members."""
    client = provider.api.client
    told = client.get("/scim/v2/Users")
    assert (told.status_code, told.json()["status"]) == (401, "401")
    headers = {"Authorization": f"Bearer {provider.api.desk.keys['provider']}", "Content-Type": SCIM}
    told = client.post("/scim/v2/Users", content=b"{", headers=headers)
    assert (told.status_code, told.json()["scimType"]) == (400, "invalidSyntax")
    told = provider.send("POST", "Users", {"userName": "a"}, media="text/plain")
    assert (told.status_code, told.json()["status"]) == (415, "415")
    many = {"displayName": "trader", "members": [{"value": str(number)} for number in range(1_001)]}
    told = provider.send("POST", "Groups", many)
    assert told.status_code == 400
    assert "1000 are allowed" in told.json()["detail"]
    told = provider.send("POST", "Users", {"userName": "nina"}, media="application/json; charset=utf-8")
    assert told.status_code == 201
    assert told.headers["location"] == told.json()["meta"]["location"]
