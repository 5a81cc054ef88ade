"""Searches agree with evaluations: what is found would be permitted, and nobody left out would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controls.api import search_schemas
from controls.services import searches
from tests.api.conftest import Api, StartApi
from tests.desk import DESK_PEOPLE, WALK, an_order, ask, lines_of

SEARCH = "/access/v1/search/"
LOGINS = sorted(line.split(",")[2] for line in DESK_PEOPLE.splitlines()[1:])
STEPS = [step for step, _ in WALK]


def search(api: Api, sought: str, body: Any, *, key: str = "caller", **page: Any) -> Any:
    """The answer to a search, which must be one of its kind."""
    told = api.post(SEARCH + sought, body | ({"page": page} if page else {}), key=key)
    assert told.status_code == 200, told.text
    model = search_schemas.ActionsFound if sought == "action" else search_schemas.EntitiesFound
    model.model_validate(told.json())
    return told.json()


def found(api: Api, sought: str, body: Any, *, limit: int | None = None) -> list[str]:
    """All results, page by page."""
    results: list[str] = []
    page: dict[str, Any] = {} if limit is None else {"limit": limit}
    while True:
        told = search(api, sought, body, **page)
        assert limit is None or len(told["results"]) <= limit
        results += [item["name" if sought == "action" else "id"] for item in told["results"]]
        if not told["page"]["next_token"]:
            return results
        page["token"] = told["page"]["next_token"]


def permitted(api: Api, bodies: Sequence[Any]) -> list[bool]:
    """What evaluations that do not claim say of each."""
    asked = [body | {"context": {**body.get("context", {}), "claim": False}} for body in bodies]
    told = api.post("/access/v1/evaluations", {"evaluations": asked})
    assert told.status_code == 200, told.text
    return [
        item["decision"] or item["context"]["outcome"] == "would_permit"
        for item in told.json()["evaluations"]
    ]


def walked(api: Api, steps: int) -> Any:
    """An order on which so many steps have been taken."""
    order = an_order()
    for step, login in WALK[:steps]:
        api.perform(step, login, order)
    return order


@settings(
    max_examples=8,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    steps=st.integers(0, len(WALK) - 1),
    action=st.sampled_from([*STEPS, "amend", "fly"]),
    limit=st.sampled_from([None, 1, 2, 5]),
    other=st.booleans(),
)
def test_who_is_found_could_and_nobody_else(
    either_api: Api, steps: int, action: str, limit: int | None, other: bool
) -> None:
    """Subject search is deciding everybody, whatever the page, and leaves no record."""
    order = walked(either_api, steps)
    action = action if other else WALK[steps][0]
    body = ask(action, "ignored", order)
    size = either_api.size()
    names = found(either_api, "subject", body, limit=limit)
    assert either_api.size() == size
    bodies = [ask(action, login, order) for login in LOGINS]
    could = permitted(either_api, bodies)
    assert sorted(names) == [login for login, may in zip(LOGINS, could, strict=True) if may]
    assert other or names


@settings(
    max_examples=4,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.integers(0, len(WALK) - 1), login=st.sampled_from(LOGINS))
def test_which_actions_are_found(either_api: Api, steps: int, login: str) -> None:
    """Action search is deciding every action."""
    order = walked(either_api, steps)
    actions = sorted([*STEPS, "amend", "cancel", "read", "fly"])
    # One set of facts for all actions, as the search has it.
    facts: dict[str, Any] = {
        "lines": lines_of("600", "400"),
        "context": {"account": {"open_exposure": "0.00 EUR"}},
    }
    could = permitted(either_api, [ask(action, login, order, **facts) for action in actions])
    body = ask("-", login, order, **facts)
    del body["action"]
    names = found(either_api, "action", body)
    assert [name for name in names if name in actions] == [
        name for name, may in zip(actions, could, strict=True) if may
    ]
    assert all(permitted(either_api, [ask(name, login, order, **facts) for name in ("fly", *names)])[1:])
    assert login != WALK[steps][1] or WALK[steps][0] in names


def test_on_which_chains(either_api: Api) -> None:
    """Resource search looks at the chains on record, with the properties that the search states."""
    orders = [walked(either_api, steps) for steps in (1, 1, 2)]
    body = ask("approve", "rita.risk", orders[0])
    names = found(either_api, "resource", body, limit=3)
    for order, wanted in zip(orders, (True, True, False), strict=True):
        assert (order["id"] in names) is wanted
        same = body | {"resource": body["resource"] | {"id": order["id"]}}
        assert permitted(either_api, [same]) == [wanted]


def test_pages_go_on_after_any_id(own_api: StartApi) -> None:
    """A page may end at an id of blanks, invisible or private characters: the next one goes on there."""
    api = own_api()
    orders = ["O", "O-\u00a01", "O-\u200b1", "O \u2028 1", "O/1", "\ue000", "\U0001f4b6" * 64]
    for order in orders:
        api.perform("capture", "tina.trader", an_order(order))
    body = ask("approve", "rita.risk", an_order())
    assert found(api, "resource", body, limit=1) == sorted(orders)


def test_what_is_found_can_be_claimed(api: Api) -> None:
    """A result asked for in earnest is permitted; afterwards only who holds the step is found, and shares
    the claim."""
    order = walked(api, 1)
    names = found(api, "subject", ask("approve", "-", order))
    assert {"rita.risk", "raul.risk"} <= set(names)
    first = api.ask("approve", "rita.risk", order)
    assert found(api, "subject", ask("approve", "-", order)) == ["rita.risk"]
    assert api.ask("approve", "rita.risk", order)["claim"]["id"] == first["claim"]["id"]


def test_a_page_ends_where_its_time_does(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that are cut short by candidates or by time add up to the same results."""
    body = ask("capture", "-", an_order())
    whole = found(api, "subject", body)
    assert len(whole) > 2
    monkeypatch.setattr(searches, "EXAMINED_AT_MOST", 2)
    assert found(api, "subject", body) == whole
    monkeypatch.setattr(searches, "SECONDS_AT_MOST", 0.0)
    assert search(api, "subject", body)["page"]["next_token"]
    assert found(api, "subject", body) == whole


def claimed(api: Api, login: str, count: int) -> list[Any]:
    """That many steps that a person holds unfinished."""
    held = [api.ask("capture", login, an_order()) for _ in range(count)]
    assert {answer["outcome"] for answer in held} == {"permit"}
    return held


def test_whoever_holds_least_comes_first(own_api: StartApi) -> None:
    """By the steps that a person holds unfinished, under whatever login, and then by login; what was
    reported does not count. The same in pages of any size."""
    api = own_api()
    body = ask("capture", "-", an_order())
    assert found(api, "subject", body) == ["hugo.head", "tina.bot", "tina.trader", "tomas.trader"]
    claimed(api, "hugo.head", 2)
    (held,) = claimed(api, "tina.bot", 1)
    ranked = ["tomas.trader", "tina.bot", "tina.trader", "hugo.head"]
    for limit in (None, 1, 2, 3):
        assert found(api, "subject", body, limit=limit) == ranked
    api.post(f"/v1/decisions/{held['id']}/outcome", {"outcome": "abandoned"})
    assert found(api, "subject", body) == ["tina.bot", "tina.trader", "tomas.trader", "hugo.head"]


@settings(
    max_examples=6,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    busy=st.lists(st.sampled_from(["hugo.head", "tina.trader", "tomas.trader"]), max_size=6),
    limit=st.integers(1, 3),
)
def test_work_that_changes_between_pages_loses_nobody(api: Api, busy: list[str], limit: int) -> None:
    """Everybody is found once, whatever is claimed while pages are turned."""
    body = ask("capture", "-", an_order())
    names: list[str] = []
    page: dict[str, Any] = {"limit": limit}
    while True:
        told = search(api, "subject", body, **page)
        names += [item["id"] for item in told["results"]]
        if not told["page"]["next_token"]:
            break
        page["token"] = told["page"]["next_token"]
        if busy:
            claimed(api, busy.pop(), 1)
    assert sorted(names) == ["hugo.head", "tina.bot", "tina.trader", "tomas.trader"]


def test_a_token_is_of_one_directory(own_api: StartApi) -> None:
    """After a change of the directory the search begins anew, and says so."""
    api = own_api()
    body = ask("capture", "-", an_order())
    token = search(api, "subject", body, limit=1)["page"]["next_token"]
    person = {
        "person": "p-20",
        "name": "Nora Nieto",
        "accounts": [{"login": "nora"}],
        "roles": [{"role": "trader"}],
    }
    proposed = api.post("/v1/directory/changes", {"persons": [person]}, key="admin1")
    assert proposed.status_code == 200, proposed.text
    assert (
        api.post(f"/v1/changes/{proposed.json()['change']}/confirmation", {}, key="admin2").status_code == 200
    )
    refused = api.post(SEARCH + "subject", body | {"page": {"token": token}})
    assert refused.status_code == 400
    assert "Begin the search anew" in refused.text
    assert "nora" in found(api, "subject", body, limit=1)


def test_a_directory_too_large_to_rank_is_searched_by_login(
    own_api: StartApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages still leave nobody out."""
    api = own_api()
    claimed(api, "hugo.head", 1)
    monkeypatch.setattr(searches, "RANKED_AT_MOST", 5)
    body = ask("capture", "-", an_order())
    for limit in (None, 1, 3):
        assert found(api, "subject", body, limit=limit) == sorted(
            ["hugo.head", "tina.bot", "tina.trader", "tomas.trader"]
        )


def test_the_token_of_a_large_directory_fits() -> None:
    """A bit for each login, the directory and the search, within what a token may have."""
    size = searches.RANKED_AT_MOST // 8 + 8 + 12
    assert -(-size * 4 // 3) <= search_schemas.MAX_TOKEN


def test_no_results_may_be_asked_for(api: Api) -> None:
    """A limit of 0 finds nothing and loses nothing."""
    body = ask("capture", "-", an_order())
    told = search(api, "subject", body, limit=0)
    assert told["results"] == []
    assert search(api, "subject", body, token=told["page"]["next_token"]) == search(api, "subject", body)


@pytest.mark.parametrize("token", ["x", "WyJhIiwgImIiXQ", "", "é", "A" * 5000, 7, None])
def test_a_token_belongs_to_its_search(api: Api, token: Any) -> None:
    """A token of another search, and what is no token, is 400; an empty one is the beginning."""
    body = ask("capture", "-", an_order())
    other = search(api, "subject", ask("approve", "-", an_order()), limit=0)["page"]["next_token"]
    for sent in (token, other):
        told = api.post(SEARCH + "subject", body | {"page": {"token": sent}})
        assert told.status_code == (200 if sent == "" else 400), told.text


def test_a_key_finds_whom_it_may_speak_for(api: Api) -> None:
    """Others are left out, as an evaluation with this key would refuse them; nothing else is told."""
    body = ask("capture", "-", an_order())
    named = [item["id"] for item in search(api, "subject", body, key="traders")["results"]]
    assert sorted(named) == ["tina.trader", "tomas.trader"]
    assert set(named) < set(found(api, "subject", body))


@pytest.mark.parametrize(
    ("sought", "action", "login", "says"),
    [
        ("subject", "approve", "-", "/action/name"),
        ("resource", "approve", "tina.trader", "/action/name"),
        ("resource", "capture", "rita.risk", "/subject/id"),
        ("action", "capture", "rita.risk", "/subject/id"),
    ],
)
def test_what_a_key_does_not_cover(api: Api, sought: str, action: str, login: str, says: str) -> None:
    """What is stated must be covered; a refused search is not on record, for it acts on nothing."""
    size = api.size()
    told = api.post(SEARCH + sought, ask(action, login, an_order()), key="traders")
    assert (told.status_code, says in told.text) == (403, True)
    assert api.size() == size


def test_searching_needs_the_scope(api: Api) -> None:
    """A key that only reads cannot ask."""
    assert api.post(SEARCH + "subject", ask("capture", "-", an_order()), key="reader").status_code == 403


@pytest.mark.parametrize("sought", ["subject", "resource", "action"])
def test_unknown_types_have_no_results(api: Api, sought: str) -> None:
    """A type that nobody declared is no error."""
    body = ask("capture", "tina.trader", an_order())
    for entity in ("subject", "resource"):
        changed = body | {entity: body[entity] | {"type": "spaceship", "properties": {}}}
        assert search(api, sought, changed)["results"] == []
