"""The directory over HTTP: read by page and by person, changed by two administrators."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from controls.api import change_schemas, directory_schemas
from tests.api.conftest import Api, StartApi
from tests.desk import DESK_KEYS, KeySpec, an_order

NINA = {
    "person": "p-90",
    "name": "Nina Núñez",
    "accounts": [{"login": "nina.trader"}, {"login": "nina.bot", "kind": "bot"}],
    "roles": [{"role": "trader"}],
    "department": "Equity Sales",
    "desk": "madrid",
    "household": "flat 7",
    "reports_to": "p-14",
    "absences": [{"from": "2199-08-01T00:00:00Z", "to": "2199-08-21T00:00:00Z"}],
}


def propose(api: Api, *persons: Any, key: str = "admin1", token: str | None = None) -> httpx2.Response:
    return api.post("/v1/directory/changes", {"persons": persons}, key=key, token=token)


def confirm(api: Api, change: str, *, key: str = "admin2") -> httpx2.Response:
    return api.post(f"/v1/changes/{change}/confirmation", {}, key=key)


def in_force(api: Api, *persons: Any) -> Any:
    """Propose and confirm; the answer to the second administrator."""
    proposed = propose(api, *persons)
    assert proposed.status_code == 200, proposed.text
    change_schemas.ChangeAnswer.model_validate(proposed.json())
    confirmed = confirm(api, proposed.json()["change"])
    assert confirmed.status_code == 200, confirmed.text
    return confirmed.json()


def person(api: Api, id: str, *, key: str = "admin1") -> Any:
    told = api.get(f"/v1/directory/persons/{id}", key=key)
    assert told.status_code == 200, told.text
    directory_schemas.PersonTold.model_validate(told.json())
    return told.json()


def test_a_change_takes_two_administrators_and_holds_at_once(own_api: StartApi) -> None:
    """Proposed, nothing changes; confirmed, the person may act, and is read with everything that was said."""
    api = own_api()
    proposed = propose(api, NINA).json()
    assert (proposed["state"], proposed["kind"]) == ("proposed", "directory")
    assert proposed["summary"] == "1 persons with 2 accounts and 1 absences"
    assert api.ask("capture", "nina.trader")["outcome"] == "deny"
    own = confirm(api, proposed["change"], key="admin1")
    assert (own.status_code, own.json()["code"]) == (409, "change_refused")
    assert confirm(api, proposed["change"]).status_code == 200
    assert api.ask("capture", "nina.trader")["outcome"] == "permit"
    told = person(api, "p-90")
    assert told["name"] == "Nina Núñez"
    assert {item["login"]: item["kind"] for item in told["accounts"]} == {
        "nina.trader": "person",
        "nina.bot": "bot",
    }
    assert [(item["role"], item["to"]) for item in told["roles"]] == [("trader", None)]
    assert {item["attribute"]: item["value"] for item in told["attributes"]} == {
        "department": "Equity Sales",
        "desk": "madrid",
        "household": "flat 7",
        "reports_to": "p-14",
    }
    assert told["absences"] == [{"from": "2199-08-01T00:00:00.000000Z", "to": "2199-08-21T00:00:00.000000Z"}]


def test_the_ledger_says_neither_who_nor_where(own_api: StartApi) -> None:
    """Names, logins, department, desk, household and absences are in no entry and no blob in clear."""
    auditor = KeySpec(("read", "verify", "directory"), account="alma.admin")
    api = own_api(keys={**DESK_KEYS, "auditor": auditor})
    index = in_force(api, NINA)["receipt"]["index"]
    entry = api.get(f"/v1/ledger/entries/{index}", key="auditor").json()
    assert "disclosure" not in api.get(f"/v1/ledger/entries/{index}", key="caller").json()
    for private in ("Nina", "nina.", "Equity", "madrid", "flat 7", "2199"):
        assert private not in entry["bytes"]
    opened = entry["disclosure"]["persons/0"]["value"]
    assert [item["value"] for item in opened["household"]] == ["flat 7"]
    assert opened["absences"][0]["from"].startswith("2199-08-01")


def test_what_is_left_out_stays_and_what_is_empty_ends(own_api: StartApi) -> None:
    """A change names only what changes; an account ends by its time."""
    api = own_api()
    in_force(api, NINA)
    in_force(api, {"person": "p-90", "desk": "", "department": "Risk"})
    told = person(api, "p-90")
    now = {item["attribute"]: item["value"] for item in told["attributes"] if item["to"] is None}
    assert now == {"department": "Risk", "household": "flat 7", "reports_to": "p-14"}
    assert len(told["attributes"]) == 5
    assert [item["role"] for item in told["roles"]] == ["trader"]
    gone = {"login": "nina.trader", "to": "2026-01-01T00:00:00Z"}
    in_force(api, {"person": "p-90", "accounts": [gone], "roles": [], "absences": []})
    assert api.ask("capture", "nina.trader")["outcome"] == "deny"
    told = person(api, "p-90")
    assert told["absences"] == []
    assert all(item["to"] for item in told["roles"])


def test_a_conflict_is_refused_and_named(api: Api) -> None:
    """Roles that exclude each other, unknown roles, somebody else's login: with pointers into the body."""
    told = propose(
        api,
        {"person": "p-05", "roles": [{"role": "trader"}, {"role": "reconciler"}]},
        {"person": "p-91", "accounts": [{"login": "tina.trader"}], "roles": [{"role": "astronaut"}]},
        {"person": "p-92", "reports_to": "p-93"},
    )
    assert told.status_code == 422
    problem = told.json()
    assert problem["code"] == "directory_invalid"
    assert {(item["pointer"], item["code"]) for item in problem["errors"]} == {
        ("/persons/0", "exclusive_roles"),
        ("/persons/1", "unknown_role"),
        ("/persons/1/accounts/0", "account_taken"),
        ("/persons/2", "unknown_superior"),
    }
    assert "front_back allows 1" in problem["detail"]


@pytest.mark.parametrize(
    ("said", "pointer", "code"),
    [
        ({"persons": []}, "/persons", "too_short"),
        ({"persons": [{"person": "a;b"}]}, "/persons/0/person", "bad_id"),
        ({"persons": [{"person": "p", "desk": "a\tb"}]}, "/persons/0/desk", "bad_text"),
        ({"persons": [{"person": "p", "shoe_size": 44}]}, "/persons/0/shoe_size", "unknown_field"),
        (
            {"persons": [{"person": "p", "absences": [{"from": "2026-03-02T09:30:00"}]}]},
            "/persons/0/absences/0/from",
            "bad_time",
        ),
        (
            {"persons": [{"person": "p", "accounts": [{"login": "l", "kind": "cat"}]}]},
            "/persons/0/accounts/0/kind",
            "unknown_value",
        ),
        (
            {"persons": [{"person": "p", "roles": [{"role": "r"}] * 201}]},
            "/persons/0/roles",
            "too_long",
        ),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(api: Api, said: Any, pointer: str, code: str) -> None:
    """Every field has its bounds."""
    told = api.post("/v1/directory/changes", said, key="admin1")
    assert told.status_code == 422, told.text
    assert (pointer, code) in [(item["pointer"], item["code"]) for item in told.json()["errors"]]


def paged(api: Api, limit: int, *, key: str = "admin1") -> Iterator[list[Any]]:
    """All pages of persons."""
    path = f"/v1/directory/persons?limit={limit}"
    cursor = ""
    while True:
        told = api.get(f"{path}&cursor={cursor}" if cursor else path, key=key)
        assert told.status_code == 200, told.text
        directory_schemas.PersonPage.model_validate(told.json())
        yield told.json()["persons"]
        if "next" not in told.json():
            return
        cursor = told.json()["next"]


def test_persons_are_listed_by_id_a_page_at_a_time(either_api: Api) -> None:
    """Nobody twice and nobody left out, whatever the size of a page."""
    whole = [item for page in paged(either_api, 200) for item in page]
    ids = [item["person"] for item in whole]
    assert ids == sorted(ids)
    assert {"p-01", "p-14"} <= set(ids)
    for limit in (1, 4):
        pages = list(paged(either_api, limit))
        assert [item for page in pages for item in page] == whole
        assert all(len(page) == limit for page in pages[:-1])


def test_names_are_for_administrators(own_api: StartApi) -> None:
    """With the scope `read` persons are pseudonyms, and nothing tells when they are away."""
    api = own_api()
    in_force(api, NINA)
    told = person(api, "p-90", key="reader")
    assert "name" not in told
    assert "absences" not in told
    text = json.dumps([told, *paged(api, 200, key="reader")], ensure_ascii=False)
    for private in ("Nina", "nina.", "flat 7", "2199", "Toro"):
        assert private not in text
    assert {item["attribute"] for item in told["attributes"]} == {"department", "desk", "reports_to"}


def test_who_may_not_read_or_change_is_refused(api: Api) -> None:
    """Scopes and strangers; an attempt to change is on record."""
    assert api.get("/v1/directory/persons", key="traders").status_code == 403
    assert api.get("/v1/directory/persons/p-01", key="verifier").status_code == 403
    assert api.get("/v1/directory/persons/p-404", key="admin1").json()["code"] == "person_unknown"
    assert api.get("/v1/directory/persons?cursor=_w", key="admin1").json()["code"] == "cursor_invalid"
    before = api.size()
    refused = propose(api, {"person": "p-90"}, key="reader")
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert api.size() == before + 1
    assert api.last_entry()["act"] == "propose"


def test_the_second_administrator_sees_what_a_change_would_do(own_api: StartApi) -> None:
    """Person by person against the directory as it is now; who may only change releases sees no names."""
    api = own_api()
    moved = {"person": "p-05", "name": "Tina Toro", "roles": [{"role": "middle_office"}], "desk": "rates"}
    change = propose(api, NINA, moved).json()["change"]
    told = api.get(f"/v1/changes/{change}", key="admin2").json()
    change_schemas.OneChange.model_validate(told)
    assert told["effect"] == "1 new persons, 1 changed, 10 records added, 1 records ended"
    new, tina = told["differences"]
    assert (new["change"], new["name"], len(new["added"])) == ("added", "Nina Núñez", 8)
    assert [next(iter(item.items())) for item in tina["added"]] == [
        ("role", "middle_office"),
        ("desk", "rates"),
    ]
    assert [item["role"] for item in tina["ended"]] == ["trader"]
    confirm(api, change)
    told = api.get(f"/v1/changes/{change}", key="admin2").json()
    assert (told["state"], told["confirmed_by"]) == ("confirmed", "p-02")
    assert "differences" not in told
    assert api.get("/v1/changes/change_404", key="admin2").status_code == 404


def test_two_persons_are_found_to_be_one(own_api: StartApi) -> None:
    """Proposed by one administrator, confirmed by another; chains then name the one who stays."""
    api = own_api()
    order = api.perform("capture", "tomas.trader", an_order())["chain"]["id"]
    proposed = api.post("/v1/directory/merges", {"person": "p-06", "into": "p-05"}, key="admin1")
    assert proposed.status_code == 200, proposed.text
    change_schemas.ChangeAnswer.model_validate(proposed.json())
    told = proposed.json()
    assert (told["kind"], told["summary"]) == ("merge", "p-06 is the same person as p-05, who stays")
    assert confirm(api, told["change"]).status_code == 200
    assert person(api, "p-06", key="reader")["merged_into"] == "p-05"
    logins = {item["login"] for item in person(api, "p-05")["accounts"] if item["to"] is None}
    assert logins == {"tina.trader", "tina.bot", "tomas.trader"}
    assert [act["person"] for act in api.get(f"/v1/chains/{order}").json()["acts"]] == ["p-05"]
    again = api.post("/v1/directory/merges", {"person": "p-06", "into": "p-07"}, key="admin1")
    assert (again.status_code, again.json()["errors"][0]["code"]) == (422, "person_merged")


def test_a_delegation_over_http(api: Api) -> None:
    """Proposed by one administrator, confirmed by another one, shown with the person, and revoked."""
    said = {
        "person": "p-11",
        "delegate": "p-12",
        "chain": "order_to_settlement",
        "steps": ["settle"],
        "until": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
        "reason": "on holiday",
    }
    proposed = api.post("/v1/directory/delegations", said, key="admin1")
    assert proposed.status_code == 200, proposed.text
    change_schemas.ChangeAnswer.model_validate(proposed.json())
    assert "holiday" not in proposed.text
    assert confirm(api, proposed.json()["change"]).status_code == 200
    (given,) = person(api, "p-11", key="reader")["delegations"]
    assert (given["delegate"], given["chain"], given["steps"]) == ("p-12", "order_to_settlement", ["settle"])
    ended = api.post("/v1/directory/delegation-ends", {"delegation": given["delegation"]}, key="admin1")
    assert confirm(api, ended.json()["change"]).status_code == 200
    again = api.post("/v1/directory/delegation-ends", {"delegation": given["delegation"]}, key="admin1")
    assert (again.status_code, again.json()["code"]) == (409, "delegation_over")
    for changed, code in (
        ({"until": "tomorrow"}, "bad_time"),
        ({"steps": []}, "too_short"),
        ({"reason": " "}, "bad_character"),
        ({"more": 1}, "unknown_field"),
        ({"delegate": "p-05"}, "exclusive_roles"),
    ):
        wrong = api.post("/v1/directory/delegations", said | changed, key="admin1")
        assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (422, code)
    assert api.post("/v1/directory/delegations", said, key="caller").status_code == 403


def test_a_mitigation_over_http(own_api: StartApi) -> None:
    """Proposed by one administrator, confirmed by another one: then the roles that exclude each other can be
    granted; and it ends when it is ended."""
    api = own_api()
    said = {
        "person": "p-05",
        "constraint": "front_back",
        "owner": "p-14",
        "control": "the head of desk reads every instruction",
        "evidence": "the log of the desk",
        "until": (datetime.now(UTC) + timedelta(days=30)).isoformat(),
    }
    tina = {
        "person": "p-05",
        "name": "Tina Toro",
        "accounts": [{"login": "tina.trader"}],
        "roles": [{"role": "trader"}, {"role": "settlement_clerk"}],
    }
    refused = propose(api, tina)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "exclusive_roles")
    proposed = api.post("/v1/directory/mitigations", said, key="admin1")
    assert proposed.status_code == 200, proposed.text
    change_schemas.ChangeAnswer.model_validate(proposed.json())
    assert proposed.json()["summary"].startswith(
        "p-14 accepts that p-05 is in conflict with front_back until"
    )
    assert "reads every" not in proposed.text
    assert confirm(api, proposed.json()["change"]).status_code == 200
    (given,) = person(api, "p-05", key="reader")["mitigations"]
    assert (given["constraint"], given["owner"]) == ("front_back", "p-14")
    assert confirm(api, propose(api, tina).json()["change"]).status_code == 200
    ended = api.post("/v1/directory/mitigation-ends", {"mitigation": given["mitigation"]}, key="admin1")
    assert ended.json()["summary"] == "p-05's conflict with front_back is accepted no longer"
    assert confirm(api, ended.json()["change"]).status_code == 200
    again = api.post("/v1/directory/mitigation-ends", {"mitigation": given["mitigation"]}, key="admin1")
    assert (again.status_code, again.json()["code"]) == (409, "mitigation_over")
    for changed, code in (
        ({"until": "tomorrow"}, "bad_time"),
        ({"control": " "}, "bad_character"),
        ({"evidence": "x" * 501}, "too_long"),
        ({"more": 1}, "unknown_field"),
        ({"owner": "p-05"}, "same_person"),
        ({"constraint": "maker_checker"}, "not_mitigable"),
        ({"until": (datetime.now(UTC) + timedelta(days=400)).isoformat()}, "until_too_late"),
    ):
        wrong = api.post("/v1/directory/mitigations", said | changed, key="admin1")
        assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (422, code)
    for path, body in (("mitigations", said), ("mitigation-ends", {"mitigation": given["mitigation"]})):
        assert api.post(f"/v1/directory/{path}", body, key="caller").status_code == 403


def test_the_same_proposal_under_one_key_is_one_change(api: Api) -> None:
    """A repeated request gets the same answer, byte for byte."""
    said = {"person": "p-95", "name": "Once Only", "accounts": [{"login": "once.only"}], "roles": []}
    first, again = (propose(api, said, token="directory-once") for _ in range(2))
    assert first.status_code == 200
    assert first.content == again.content
