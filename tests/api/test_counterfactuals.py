"""Counterfactuals over HTTP: what is offered comes true when it is asked, and little is disclosed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controls.api import search_schemas
from controls.services import counterfactuals
from tests.api.conftest import Api, StartApi
from tests.desk import DESK_PEOPLE, WALK, an_order, ask

LOGINS = sorted(line.split(",")[2] for line in DESK_PEOPLE.splitlines()[1:])
PERSON_OF = {line.split(",")[2]: line.split(",")[0] for line in DESK_PEOPLE.splitlines()[1:]}
STEPS = [step for step, _ in WALK]


@pytest.fixture(autouse=True)
def _time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, what is found is complete."""
    monkeypatch.setattr(counterfactuals, "SECONDS_AT_MOST", 120.0)


def whatif(api: Api, decision: Any, *, key: str = "caller") -> Any:
    """The counterfactuals of a decision, which must be told as declared."""
    told = api.get(f"/v1/decisions/{decision['id']}/counterfactuals", key=key)
    assert told.status_code == 200, told.text
    search_schemas.CounterfactualsAnswer.model_validate(told.json())
    return told.json()


def walked(api: Api, steps: int, **facts: Any) -> Any:
    """An order on which so many steps have been taken."""
    order = an_order(**facts)
    for step, login in WALK[:steps]:
        api.perform(step, login, order)
    return order


def stated(body: Any, name: str, value: Any) -> None:
    """Give a fact another value in a request, or leave it out."""
    place, _, last = name.partition(".")
    held = {
        "order": body["resource"].setdefault("properties", {}),
        "subject": body["subject"].setdefault("properties", {}),
        "account": body.setdefault("context", {}).setdefault("account", {}),
    }[place]
    held.pop(last, None)
    if value is not None:
        held[last] = value


def outcome_with(api: Api, body: Any, changes: Any) -> str:
    """What is decided once the changes are made for good: steps are really taken first."""
    for change in changes:
        if change["kind"] == "fact":
            stated(body, change["fact"], change["value"])
    for change in changes:
        if change["kind"] == "person":
            body["subject"]["id"] = change["account"]
        if change["kind"] == "step":
            login = next(login for login, person in PERSON_OF.items() if person == change["person"])
            api.perform(change["step"], login, ask(change["step"], login, body["resource"])["resource"])
    told = api.post("/v1/decisions", body)
    assert told.status_code == 200, told.text
    outcome: str = told.json()["outcome"]
    return outcome


@settings(
    max_examples=12,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    steps=st.integers(0, 5),
    skipped=st.integers(0, 2),
    login=st.sampled_from(LOGINS),
    notional=st.sampled_from(["1500000.00 EUR", "6000000.00 EUR", "10000000.01 EUR", None]),
    exposure=st.sampled_from(["0.00 EUR", "9000000.00 EUR", None]),
)
def test_what_is_offered_comes_true(
    either_api: Api, steps: int, skipped: int, login: str, notional: str | None, exposure: str | None
) -> None:
    """Each offer that a caller can bring about is made true on an order in the same state, and asked."""
    api = either_api
    action = STEPS[min(steps + skipped, len(STEPS) - 1)]

    def body() -> Any:
        said = ask(action, login, walked(api, steps), notional=notional)
        said["context"] = {"account": {} if exposure is None else {"open_exposure": exposure}}
        return said

    answer = api.post("/v1/decisions", body()).json()
    if answer["outcome"] == "permit":
        return
    size = api.size()
    told = whatif(api, answer)
    assert api.size() == size
    assert (told["recorded"], told["now"], told["complete"]) == (answer["outcome"], answer["outcome"], True)
    order = {"permit": 0, "review": 1, "deny": 2}
    for offer in told["counterfactuals"]:
        assert order[offer["outcome"]] < order[answer["outcome"]]
        if all(change["kind"] in ("person", "fact", "step") for change in offer["changes"]):
            assert outcome_with(api, body(), offer["changes"]) == offer["outcome"], (action, answer, offer)


def test_every_person_who_could_is_offered(api: Api) -> None:
    """Persons alone are those whom a search finds, but for bots and whoever asked, least busy first."""
    order = walked(api, 1)
    answer = api.ask("approve", "tina.trader", order)
    offers = whatif(api, answer)["counterfactuals"]
    persons = [
        offer["changes"][0]
        for offer in offers
        if [change["kind"] for change in offer["changes"]] == ["person"] and offer["outcome"] == "permit"
    ]
    found = api.post("/access/v1/search/subject", ask("approve", "-", order)).json()["results"]
    assert {change["account"] for change in persons} == {item["id"] for item in found}
    assert [change["open"] for change in persons] == sorted(change["open"] for change in persons)


def test_the_limit_is_told_to_the_cent(api: Api) -> None:
    """The nearest amount that permits; a cent more does not. In sentences of both languages."""
    order = walked(api, 1, notional="2000000.00 EUR")
    body = ask("approve", "rita.risk", order, context={"account": {"open_exposure": "9000000.00 EUR"}})
    (offer,) = whatif(api, api.post("/v1/decisions", body).json())["counterfactuals"]
    assert offer == {
        "outcome": "permit",
        "message": {
            "en": "It would be permitted if Open exposure (account.open_exposure) were 8,000,000.00 EUR.",
            "es": "Se permitiría si Exposición abierta (account.open_exposure) fuera 8.000.000,00 EUR.",
        },
        "changes": [{"kind": "fact", "fact": "account.open_exposure", "value": "8000000 EUR"}],
    }
    stated(body, "account.open_exposure", "8000000.01 EUR")
    assert api.post("/v1/decisions", body).json()["outcome"] == "deny"
    stated(body, "account.open_exposure", "8000000.00 EUR")
    assert api.post("/v1/decisions", body).json()["outcome"] == "permit"


def test_a_step_is_offered_with_who_holds_it(api: Api) -> None:
    """What keeps a step waiting is the outcome of the claim before it."""
    order = walked(api, 1)
    api.ask("approve", "rita.risk", order)
    answer = api.ask("execute", "tina.trader", order)
    told = whatif(api, answer)
    assert [offer["changes"] for offer in told["counterfactuals"]] == [
        [{"kind": "step", "step": "approve", "person": "p-07", "claimed": True}]
    ]
    assert told["message"]["en"].startswith("1 way")


def test_roles_are_offered_that_the_directory_takes(own_api: StartApi) -> None:
    """One more role, told by its title; not one that excludes a role the person holds. Once it is given, the
    same request is permitted."""
    api = own_api()
    order = walked(api, 1)
    answer = api.ask("approve", "mara.middle", order)
    offers = [
        offer
        for offer in whatif(api, answer)["counterfactuals"]
        if offer["changes"][0]["kind"] == "role" and len(offer["changes"]) == 1
    ]
    (offer,) = offers
    assert offer["changes"] == [{"kind": "role", "person": "p-09", "role": "risk_officer", "given": True}]
    assert "p-09 also had the role Risk officer (risk_officer)" in offer["message"]["en"]
    roles = [{"role": "middle_office"}, {"role": "risk_officer"}]
    change = {"persons": [{"person": "p-09", "name": "Mara Mesa", "roles": roles}]}
    proposed = api.post("/v1/directory/changes", change, key="admin1")
    assert proposed.status_code == 200, proposed.text
    confirmed = api.post(f"/v1/changes/{proposed.json()['change']}/confirmation", {}, key="admin2")
    assert confirmed.status_code == 200, confirmed.text
    assert api.ask("approve", "mara.middle", order)["outcome"] == offer["outcome"] == "permit"
    clerk = api.ask("capture", "clara.clerk", an_order())
    kinds = {change["kind"] for told in whatif(api, clerk)["counterfactuals"] for change in told["changes"]}
    assert kinds == {"person"}


def test_what_would_be_permitted_now(api: Api) -> None:
    """A deny that time has overtaken needs no change."""
    order = walked(api, 1)
    answer = api.ask("execute", "tina.trader", order)
    api.perform("approve", "rita.risk", order)
    told = whatif(api, answer)
    assert (told["now"], told["counterfactuals"], told["tried"]) == ("permit", [], 1)
    assert told["message"]["es"].startswith("Si se pidiera ahora")


def test_a_malformed_fact_is_mended(api: Api) -> None:
    """A value that cannot be read is as good as none: some value that can be read is offered."""
    answer = api.ask("capture", "tina.trader", an_order(quantity="many"))
    (offer,) = whatif(api, answer)["counterfactuals"]
    assert [change["fact"] for change in offer["changes"]] == ["order.quantity"]


def test_a_fact_under_almost_its_name_is_stated(api: Api) -> None:
    """The slip is asked again as it is on record, and the fact is offered under its own name."""
    answer = api.ask("capture", "tina.trader", an_order(quantity=None, quantiy="100"))
    assert answer["outcome"] == "deny"  # the quantity is material
    (told,) = [item for item in answer["findings"] if item["rule"] == "misspelt_fact"]
    assert told["missing"] == ["order.quantity"]
    offers = whatif(api, answer)["counterfactuals"]
    assert ["order.quantity"] in [[change["fact"] for change in offer["changes"]] for offer in offers]


def test_a_property_that_nobody_declared_changes_nothing(api: Api) -> None:
    """What is no fact of the vocabulary is neither asked again nor offered."""
    order = walked(api, 1)
    answer = api.ask("approve", "tina.trader", order, colour="red")
    told = whatif(api, answer)
    assert told["now"] == "deny"
    assert "colour" not in str(told)


def test_want_of_time_is_said(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without time, the present is decided and nothing is claimed to be complete."""
    answer = api.ask("approve", "tina.trader", walked(api, 1))
    monkeypatch.setattr(counterfactuals, "SECONDS_AT_MOST", 0.0)
    told = whatif(api, answer)
    assert (told["complete"], told["found"], told["now"]) == (False, 0, "deny")
    assert "time" in told["message"]["en"]


@pytest.mark.parametrize(
    ("key", "status"), [("reader", 403), ("traders", 403), ("head", 403), ("admin1", 403)]
)
def test_a_key_that_could_not_ask(api: Api, key: str, status: int) -> None:
    """It takes the scopes read and decide, the action, and the account that asked; nothing is on record."""
    answer = api.ask("approve", "tina.trader", walked(api, 1))
    size = api.size()
    assert api.get(f"/v1/decisions/{answer['id']}/counterfactuals", key=key).status_code == status
    assert api.size() == size


def test_only_persons_for_whom_the_key_may_speak(api: Api) -> None:
    """A person's own key learns of nobody else who could."""
    answer = api.ask("approve", "hugo.head", walked(api, 1))
    everybody = whatif(api, answer)
    own = whatif(api, answer, key="head")
    kinds = {
        change["kind"]: told["found"]
        for told in (everybody, own)
        for offer in told["counterfactuals"]
        for change in offer["changes"]
    }
    assert kinds.keys() >= {"person", "role"}
    assert {change["kind"] for offer in own["counterfactuals"] for change in offer["changes"]} == {"role"}


def test_which_decisions_have_none(api: Api) -> None:
    """Unknown ones, and those that permitted."""
    assert api.get(f"/v1/decisions/dec_{'0' * 32}/counterfactuals").status_code == 404
    answer = api.ask("capture", "tina.trader", an_order())
    told = api.get(f"/v1/decisions/{answer['id']}/counterfactuals")
    assert (told.status_code, told.json()["code"]) == (409, "decision_permitted")


def test_erased_values_cannot_be_asked_again(own_api: StartApi) -> None:
    """Where a private value was erased nobody knows what was asked, and that is said by name."""
    api = own_api()
    answer = api.ask("capture", "rita.risk", an_order(quantity="7"))
    file = api.desk.settings.database_url.partition(":///")[2]
    with closing(sqlite3.connect(file)) as connection:
        connection.execute('DELETE FROM ledger_disclosures WHERE "index" = ?', [answer["receipt"]["index"]])
        connection.commit()
    told = api.get(f"/v1/decisions/{answer['id']}/counterfactuals")
    assert (told.status_code, told.json()["code"]) == (409, "values_erased")
    assert "order." in told.json()["detail"]


def test_whoever_acts_for_somebody_else(api: Api) -> None:
    """Without a delegation nobody acts for another person; the same person may ask for himself."""
    order = walked(api, 1)
    body = ask("approve", "rita.risk", order) | {"on_behalf_of": "raul.risk"}
    answer = api.post("/v1/decisions", body).json()
    assert [finding["rule"] for finding in answer["findings"]] == ["no_delegation"]
    told = whatif(api, answer)
    assert told["now"] == "deny"
    assert {offer["changes"][0]["account"] for offer in told["counterfactuals"]} == {"rita.risk", "raul.risk"}
    nobody = api.post("/v1/decisions", body | {"on_behalf_of": "zoe.unknown"}).json()
    assert [finding["rule"] for finding in nobody["findings"]] == ["unknown_principal"]
    assert {offer["changes"][0]["account"] for offer in whatif(api, nobody)["counterfactuals"]} == {
        "rita.risk",
        "raul.risk",
    }


def test_breaking_glass_is_asked_again_without(api: Api) -> None:
    """What would be permitted in the ordinary way, for whoever asked for an exception."""
    body = ask("approve", "tina.trader", walked(api, 1))
    body |= {"break_glass": {"reason": "the market closes", "minutes": 10}}
    answer = api.post("/v1/decisions", body).json()
    assert answer["outcome"] == "deny"
    told = whatif(api, answer)
    assert told["now"] == "deny"
    assert "market" not in str(told)
    assert {"rita.risk", "raul.risk"} <= {
        offer["changes"][0].get("account") for offer in told["counterfactuals"]
    }


def test_nobody_known_asks(api: Api) -> None:
    """Somebody who is not in the directory is replaced by somebody who is."""
    answer = api.ask("capture", "zoe.unknown", an_order())
    offers = whatif(api, answer)["counterfactuals"]
    assert {offer["changes"][0].get("person") for offer in offers if len(offer["changes"]) == 1} == {
        *("p-05", "p-06", "p-14")
    }
