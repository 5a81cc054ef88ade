"""Who else could do it, over HTTP: whoever is told would be permitted, and nobody is told who would not."""

from __future__ import annotations

from typing import Any

from controls.api import search_schemas
from controls.services import alternatives
from tests.api.conftest import Api, StartApi
from tests.desk import WALK, an_order


def instead(api: Api, decision: Any, *, key: str = "caller") -> Any:
    """The alternatives of a decision, which must be told as declared."""
    told = api.get(f"/v1/decisions/{decision['id']}/alternatives", key=key)
    assert told.status_code == 200, told.text
    search_schemas.AlternativesAnswer.model_validate(told.json())
    return told.json()


def walked(api: Api, steps: int, **facts: Any) -> Any:
    """An order on which so many steps have been taken."""
    order = an_order(**facts)
    for step, login in WALK[:steps]:
        api.perform(step, login, order)
    return order


def persons(told: Any) -> list[str]:
    return [item["person"] for item in told["alternatives"]]


def test_others_who_could_are_told_the_least_busy_first_and_each_is_permitted(own_api: StartApi) -> None:
    """The trader who captured may not approve: a risk officer may, and what is told comes true when asked.
    Nothing is recorded."""
    api = own_api()
    order = walked(api, 1)
    denied = api.ask("approve", "tina.trader", order)
    assert denied["outcome"] == "deny"
    size = api.size()
    told = instead(api, denied)
    assert (told["decision"], told["recorded"], told["complete"]) == (denied["id"], "deny", True)
    assert told["alternatives"] == [
        {"person": "p-08", "account": "raul.risk", "open": 0},
        {"person": "p-07", "account": "rita.risk", "open": 0},
    ]
    assert api.size() == size
    assert api.ask("approve", "raul.risk", walked(api, 1))["outcome"] == "permit"  # and is not reported
    told = instead(api, denied)
    assert told["alternatives"] == [
        {"person": "p-07", "account": "rita.risk", "open": 0},
        {"person": "p-08", "account": "raul.risk", "open": 1},
    ]
    for item in told["alternatives"]:
        opinion = api.ask("approve", item["account"], order, context={"claim": False})
        assert opinion["outcome"] == "would_permit"


def test_nobody_is_told_who_would_not_be_let(api: Api) -> None:
    """A step that is done has no alternative."""
    order = walked(api, 2)
    again = api.ask("approve", "rita.risk", order)
    assert (again["outcome"], persons(instead(api, again))) == ("deny", [])
    assert instead(api, again)["complete"] is True


def test_five_persons_are_told_and_that_there_are_more(api: Api, monkeypatch: Any) -> None:
    """One person once, by whatever account; whoever asked is none of them."""
    monkeypatch.setattr(alternatives, "TOLD_AT_MOST", 1)
    denied = api.ask("capture", "rita.risk", an_order())
    told = instead(api, denied)
    assert len(told["alternatives"]) == 1
    assert told["complete"] is False
    assert "p-07" not in persons(told)


def test_only_who_may_ask_is_told_and_only_of_what_was_not_permitted(api: Api) -> None:
    """Nothing that the same key could not find by a search."""
    permitted = api.perform("capture", "tina.trader", an_order())
    for decision, key, status, code in (
        (permitted["id"], "caller", 409, "decision_permitted"),
        ("dec_404", "caller", 404, "decision_unknown"),
        (permitted["id"], "reader", 403, "scope_missing"),
    ):
        told = api.get(f"/v1/decisions/{decision}/alternatives", key=key)
        assert (told.status_code, told.json()["code"]) == (status, code)


def test_only_persons_for_whom_the_key_may_speak(api: Api) -> None:
    """A person's own key learns of nobody else who could, and nothing is recorded by asking."""
    denied = api.ask("approve", "hugo.head", walked(api, 1))
    assert denied["outcome"] == "deny"
    size = api.size()
    assert set(persons(instead(api, denied))) == {"p-07", "p-08"}
    told = instead(api, denied, key="head")
    assert (told["alternatives"], told["complete"]) == ([], True)
    assert api.size() == size
