"""Review cases over HTTP: what opens one, who may resolve it, and what an approval is good for."""

from __future__ import annotations

from typing import Any

import pytest

from controls.api import review_schemas, schemas
from tests.api.conftest import Api
from tests.desk import an_order, ask

NOWHERE = "rev_" + "0" * 32


def held(api: Api, order: Any, **more: Any) -> Any:
    """The answer to a capture that is too large to go without a supervisor."""
    answer = api.ask("capture", "tina.trader", order, **more)
    assert answer["outcome"] == "review", answer
    schemas.DecisionAnswer.model_validate(answer)
    return answer


def resolve(api: Api, case: str, resolution: str, *, key: str = "supervisor1", **more: Any) -> Any:
    body = {"resolution": resolution, "reason": "Called the client; the size is meant.", **more}
    return api.post(f"/v1/reviews/{case}/resolution", body, key=key)


def a_large_order() -> Any:
    return an_order(notional="6000000.00 EUR")


def test_an_approval_clears_its_findings_once(either_api: Api) -> None:
    """After a supervisor's approval the same request is permitted, naming the approval, and only once."""
    order = a_large_order()
    answer = held(either_api, order)
    assert not answer["decision"]
    assert "claim" not in answer
    told = resolve(either_api, answer["review"]["id"], "approve")
    assert told.status_code == 200, told.text
    review_schemas.ResolutionAnswer.model_validate(told.json())
    cleared = either_api.ask("capture", "tina.trader", order)
    assert cleared["outcome"] == "permit"
    assert cleared["approval"]["id"] == told.json()["approval"]["id"]
    assert [item["rule"] for item in cleared["approval"]["cleared"]] == ["pre.large_order"]
    report = either_api.post(f"/v1/decisions/{cleared['id']}/outcome", {"outcome": "abandoned"})
    assert report.status_code == 200
    assert either_api.ask("capture", "tina.trader", order)["outcome"] == "review"


@pytest.mark.parametrize(
    ("login", "change"),
    [
        ("tomas.trader", {}),
        ("tina.trader", {"notional": "6000000.01 EUR"}),
        ("tina.trader", {"account": "B"}),
    ],
)
def test_an_approval_is_for_one_person_and_one_set_of_facts(
    api: Api, login: str, change: dict[str, str]
) -> None:
    """Another person, amount or account is not what was approved."""
    order = a_large_order()
    resolve(api, held(api, order)["review"]["id"], "approve")
    assert api.ask("capture", login, order, **change)["outcome"] == "review"
    assert api.ask("capture", "tina.trader", order)["outcome"] == "permit"


def test_asking_again_joins_the_open_case(api: Api) -> None:
    """The same question does not open a second case."""
    order = a_large_order()
    assert held(api, order)["review"] == held(api, order)["review"]


def test_a_rejected_case_permits_nothing(api: Api) -> None:
    """After a rejection the question is as it was, in a new case."""
    order = a_large_order()
    case = held(api, order)["review"]["id"]
    told = resolve(api, case, "reject")
    assert (told.json()["state"], "approval" in told.json()) == ("rejected", False)
    assert held(api, order)["review"]["id"] != case


def test_a_case_is_resolved_once(api: Api) -> None:
    """The second word on a case is 409, on record."""
    case = held(api, a_large_order())["review"]["id"]
    assert resolve(api, case, "approve").status_code == 200
    told = resolve(api, case, "reject", key="supervisor2")
    assert (told.status_code, told.json()["code"]) == (409, "review_closed")
    assert api.last_entry()["act"] == "resolve"


def test_a_party_does_not_supervise(api: Api) -> None:
    """A supervisor who asked for the step himself may not resolve its case; the attempt is on record."""
    case = api.ask("capture", "hugo.head", a_large_order())["review"]["id"]
    told = resolve(api, case, "approve", key="head")
    assert (told.status_code, told.json()["code"]) == (409, "resolution_refused")
    assert "party_to_chain" in [item["code"] for item in told.json()["errors"]]
    assert api.last_entry()["code"] == "resolution_refused"
    assert resolve(api, case, "approve").status_code == 200


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"resolution": "approve"}, "/reason", "missing"),
        ({"reason": "x"}, "/resolution", "missing"),
        ({"resolution": "maybe", "reason": "x"}, "/resolution", "unknown_value"),
        ({"resolution": "approve", "reason": ""}, "/reason", "too_short"),
        ({"resolution": "approve", "reason": " \n"}, "/reason", "bad_character"),
        ({"resolution": "approve", "reason": "x" * 2001}, "/reason", "too_long"),
        ({"resolution": "approve", "reason": "x", "subject": {"id": "x"}}, "/subject", "unknown_field"),
    ],
)  # fmt: skip
def test_resolutions_that_are_refused(api: Api, body: Any, pointer: str, code: str) -> None:
    """A resolution has a word and a reason, and nobody else's name in it."""
    told = api.post(f"/v1/reviews/{NOWHERE}/resolution", body, key="supervisor1")
    assert told.status_code == 422
    assert [(item["pointer"], item["code"]) for item in told.json()["errors"]] == [(pointer, code)]


def test_an_unknown_case_is_not_found(api: Api) -> None:
    """A case that does not exist is 404 to read and to resolve."""
    assert api.get(f"/v1/reviews/{NOWHERE}").status_code == 404
    assert resolve(api, NOWHERE, "approve").status_code == 404


def test_cases_are_listed_page_by_page(either_api: Api) -> None:
    """Following the cursor gives every case once, oldest first."""
    wanted = {held(either_api, a_large_order())["review"]["id"] for _ in range(5)}
    seen: list[str] = []
    path = "/v1/reviews?state=open&limit=2"
    cursor = ""
    while True:
        page = either_api.get(f"{path}{cursor}").json()
        review_schemas.ReviewPage.model_validate(page)
        seen += [case["id"] for case in page["reviews"]]
        if "next" not in page:
            break
        cursor = f"&cursor={page['next']}"
    assert len(seen) == len(set(seen))
    assert wanted <= set(seen)
    for case in wanted:
        read = either_api.get(f"/v1/reviews/{case}").json()
        review_schemas.ReviewTold.model_validate(read)
        assert read["state"] == "open"


def test_a_case_tells_its_reasons_in_both_languages(api: Api) -> None:
    """What a supervisor reads names rule, amount and limit."""
    case = held(api, a_large_order())["review"]
    told = api.client.get(case["href"], headers={"Authorization": f"Bearer {api.desk.keys['supervisor1']}"})
    reason = told.json()["reasons"][0]
    assert reason["message"]["en"] == "6,000,000.00 EUR is more than 5,000,000.00 EUR: a supervisor decides"
    assert reason["message"]["es"] == "6.000.000,00 EUR es más de 5.000.000,00 EUR: decide un supervisor"


def test_a_supervisor_needs_a_key_of_his_own(api: Api) -> None:
    """A review is a person's act; a system's key cannot have the scope, so the route refuses it."""
    case = held(api, a_large_order())["review"]["id"]
    assert resolve(api, case, "approve", key="caller").json()["code"] == "scope_missing"


def test_reviews_do_not_go_through_the_front_door(api: Api) -> None:
    """Asking to resolve a case as an ordinary decision is refused."""
    body = ask("resolve", "sara.super", {"type": "review", "id": NOWHERE})
    assert api.post("/v1/decisions", body).json()["code"] == "reserved_type"


def test_break_glass_over_http(api: Api) -> None:
    """Asked for in the request, authorised as a review, used once, and in the report of exceptions."""
    people = [{"person": "p-05", "name": "Tina Toro", "accounts": [], "roles": []}]
    people[0]["roles"] = [{"role": "trader"}, {"role": "risk_officer"}]
    change = api.post("/v1/directory/changes", {"persons": people}, key="admin1").json()["change"]
    assert api.post(f"/v1/changes/{change}/confirmation", {}, key="admin2").status_code == 200
    order = an_order()
    captured = api.post("/v1/decisions", ask("capture", "tina.trader", order)).json()
    api.post(f"/v1/decisions/{captured['id']}/outcome", {"outcome": "performed"})
    fire = {"reason": "the risk desk is out", "minutes": 10}
    body = ask("approve", "tina.trader", order, break_glass=fire)
    held = api.post("/v1/decisions", body).json()
    assert held["outcome"] == "deny"
    case = api.get(held["review"]["href"]).json()
    review_schemas.ReviewTold.model_validate(case)
    assert (case["kind"], case["state"]) == ("break_glass", "open")
    said = {"resolution": "approve", "reason": "there is nobody else"}
    told = api.post(f"/v1/reviews/{case['id']}/resolution", said, key="supervisor1")
    assert told.json()["approval"]["expires_at"] == case["due_at"]
    used = api.post("/v1/decisions", body).json()
    schemas.DecisionAnswer.model_validate(used)
    assert used["outcome"] == "permit"
    page = api.get("/v1/exceptions", key="reader").json()
    review_schemas.ExceptionPage.model_validate(page)
    assert [row["kind"] for row in page["exceptions"]][:2] == ["break_glass", "break_glass_request"]
    assert page["exceptions"][0]["review"]["id"] == used["review"]["id"]
    assert api.get("/v1/exceptions", key="verifier").status_code == 403
    for wrong in ({"minutes": 5}, {"reason": "x", "minutes": 0}, {"reason": "x", "minutes": 121}):
        assert api.post("/v1/decisions", body | {"break_glass": wrong}).status_code == 422
