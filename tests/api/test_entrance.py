"""Who comes in, and what is on record of those who may not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import Api
from tests.desk import an_order, ask

ACTING = ["/v1/decisions", "/access/v1/evaluation", "/access/v1/evaluations"]


def wrong_keys(api: Api) -> dict[str, str | None]:
    """Authorization headers that must not be let in."""
    good = api.desk.keys["caller"]
    known = good.split("_")[1]
    return {
        "none": None,
        "empty": "",
        "another scheme": f"Basic {good}",
        "no secret": "Bearer",
        "not a key": "Bearer hello",
        "an unknown key": "Bearer ck_" + "0" * 16 + "_" + "A" * 43,
        "another secret": f"Bearer ck_{known}_" + "A" * 43,
        "more than a key": f"Bearer {good}x",
        "an id only": f"Bearer ck_{known}",
    }


@pytest.mark.parametrize("path", ACTING)
def test_nobody_comes_in_without_a_live_key(api: Api, path: str) -> None:
    """Every wrong credential is 401 with what to send, whatever is wrong with it, and leaves no record."""
    before = api.size()
    for name, text in wrong_keys(api).items():
        told = api.post(path, ask("capture", "tina.trader"), headers={"Authorization": text})
        assert told.status_code == 401, name
        assert told.headers["www-authenticate"].startswith("Bearer")
    assert api.size() == before


def test_the_scheme_is_read_in_any_case(api: Api) -> None:
    """`bearer` is `Bearer`."""
    headers = {"Authorization": f"bearer {api.desk.keys['caller']}"}
    assert api.post("/v1/decisions", ask("capture", "tina.trader"), headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "key", "scope"),
    [
        ("POST", "/v1/decisions", "reader", "decide"),
        ("POST", "/access/v1/evaluation", "verifier", "decide"),
        ("POST", "/access/v1/evaluations", "supervisor1", "decide"),
        ("POST", "/v1/decisions/dec_1/outcome", "traders", "outcome"),
        ("POST", "/v1/reviews/rev_1/resolution", "caller", "review"),
        ("GET", "/v1/decisions/dec_1", "traders", "read"),
        ("GET", "/v1/chains/x", "verifier", "read"),
        ("GET", "/v1/reviews", "traders", "review or read"),
        ("GET", "/v1/reviews/rev_1", "verifier", "review or read"),
        ("GET", "/v1/ledger/checkpoint", "reader", "verify"),
        ("GET", "/v1/ledger/entries/0", "reader", "verify"),
        ("GET", "/v1/ledger/consistency?from=1", "admin1", "verify"),
    ],
)
def test_each_route_needs_its_scope(api: Api, method: str, path: str, key: str, scope: str) -> None:
    """Without the scope it is 403; an attempt to act is on record under the key's id, a read is not."""
    before = api.size()
    told = api.get(path, key=key) if method == "GET" else api.post(path, {}, key=key)
    assert told.status_code == 403
    assert scope in told.text
    assert api.size() == before + (method == "POST")
    if method == "POST":
        entry = api.last_entry()
        assert (entry["kind"], entry["code"], entry["key"]) == (
            "refusal",
            "scope_missing",
            api.desk.key_ids[key],
        )


@pytest.mark.parametrize(
    ("action", "login", "code", "pointer"),
    [
        ("approve", "rita.trader", "action_not_covered", "/action/name"),
        ("capture", "tina.bot", "subject_not_covered", "/subject/id"),
        ("capture", "rita.risk", "subject_not_covered", "/subject/id"),
        ("capture", "tina.traders", "subject_not_covered", "/subject/id"),
        ("capture", "TINA.TRADER", "subject_not_covered", "/subject/id"),
    ],
)
@pytest.mark.parametrize("listed", [False, True])
def test_a_key_speaks_for_its_accounts_and_actions_only(
    api: Api, action: str, login: str, code: str, pointer: str, listed: bool
) -> None:
    """Outside its patterns a key is refused with 403, on record, without the subject's name."""
    order = an_order()
    body: Any = ask(action, login, order)
    if listed:
        body, pointer = [ask("capture", "tina.trader"), body], f"/1{pointer}"
    told = api.post("/v1/decisions", body, key="traders")
    assert (told.status_code, told.json()["code"]) == (403, code)
    assert [item["pointer"] for item in told.json()["errors"]] == [pointer]
    entry = api.last_entry()
    assert (entry["kind"], entry["code"], entry["action"]) == ("refusal", code, action)
    assert entry["resource"] == {"type": "order", "id": order["id"]}
    assert login not in str(entry)
    proven = api.get(f"/v1/ledger/entries/{api.size() - 1}").json()
    assert proven["disclosure"]["subject.id"]["value"] == login
    assert api.get(f"/v1/chains/{order['id']}").status_code == 404


def test_a_refused_list_decides_nothing(api: Api) -> None:
    """One item outside the key's patterns refuses the list; how many were outside is on record."""
    before = api.size()
    asked = [ask("capture", login) for login in ("tina.trader", "tina.bot", "rita.risk")]
    assert api.post("/v1/decisions", asked, key="traders").status_code == 403
    assert api.size() == before + 1
    assert api.last_entry()["refused"] == 2


@pytest.mark.parametrize("path", ["/access/v1/evaluation", "/access/v1/evaluations"])
def test_authzen_routes_check_the_same(api: Api, path: str) -> None:
    """AuthZEN requests outside a key's patterns are 403 with a plain message, on record."""
    told = api.post(path, ask("capture", "rita.risk"), key="traders")
    assert told.status_code == 403
    assert told.headers["content-type"].startswith("text/plain")
    assert api.last_entry()["code"] == "subject_not_covered"


def test_of_several_evaluations_those_outside_are_named(api: Api) -> None:
    """The message points at each item that the key does not cover, by its place in the request."""
    items = [ask("capture", "tina.trader"), None, ask("capture", "rita.risk"), ask("approve", "tina.trader")]
    told = api.post("/access/v1/evaluations", {"evaluations": items}, key="traders")
    assert told.status_code == 403
    assert "/evaluations/2/subject/id is an account" in told.text
    assert "/evaluations/3/action/name is an action" in told.text
    assert api.last_entry()["refused"] == 2


def test_within_its_patterns_a_key_is_served(api: Api) -> None:
    """The narrow key asks for its traders as the wide one does."""
    assert api.ask("capture", "tina.trader", key="traders")["outcome"] == "permit"


def test_a_bound_key_speaks_for_its_own_account(api: Api) -> None:
    """Without a pattern, a personal key asks for its own account and no other."""
    assert api.ask("capture", "hugo.head", key="head")["outcome"] == "permit"
    told = api.post("/v1/decisions", ask("capture", "tina.trader"), key="head")
    assert told.json()["code"] == "subject_not_covered"
