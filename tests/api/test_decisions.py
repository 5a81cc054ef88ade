"""Asking over HTTP: one, many, outcomes, chains, and how requests become facts."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from unicodedata import normalize

import pytest

from controls.api import schemas, search_schemas
from tests.api.conftest import Api, StartApi
from tests.desk import WALK, KeySpec, an_order, ask, outcomes

NOWHERE = "dec_" + "0" * 32
_EVERYTHING = KeySpec(("decide", "outcome", "read", "verify"), speaks_for="*")


def rules_of(answer: Any) -> list[str]:
    return [finding["rule"] for finding in answer["findings"]]


def test_an_order_goes_through_the_whole_chain(either_api: Api) -> None:
    """Each step is asked, permitted, claimed and reported, and the chain shows all acts in order."""
    order = an_order()
    for action, login in WALK:
        answer = either_api.perform(action, login, order)
        schemas.DecisionAnswer.model_validate(answer)
        assert answer["claim"]["step"] == action
    chain = either_api.get(f"/v1/chains/{order['id']}").json()
    schemas.ChainAnswer.model_validate(chain)
    assert [(act["step"], act["state"]) for act in chain["acts"]] == [
        (action, "performed") for action, _ in WALK
    ]
    assert len({act["person"] for act in chain["acts"]}) == 5


def test_a_deny_is_an_answer(api: Api) -> None:
    """What is not permitted is 200 with reasons in both languages, and no claim."""
    answer = api.ask("approve", "tina.trader")
    assert (answer["outcome"], answer["decision"]) == ("deny", False)
    assert "claim" not in answer
    for finding in answer["findings"]:
        assert finding["title"].keys() == finding["message"].keys() == {"en", "es"}


def test_nobody_approves_what_he_captured(api: Api) -> None:
    """The same person by a second account is the same person."""
    order = an_order()
    api.perform("capture", "tina.trader", order)
    answer = api.ask("capture", "tina.bot", order)
    assert answer["outcome"] == "deny"
    assert "already_performed" in rules_of(answer)


def test_an_unknown_person_is_denied(api: Api) -> None:
    """Nobody in the directory: a deny with a finding, and the name is nowhere in the entry."""
    answer = api.ask("capture", "zoe.unknown")
    assert (answer["outcome"], rules_of(answer)) == ("deny", ["unknown_subject"])
    entry = api.get(f"/v1/ledger/entries/{answer['receipt']['index']}").json()
    assert "zoe.unknown" not in entry["bytes"]
    assert entry["disclosure"]["subject.id"]["value"] == "zoe.unknown"


@pytest.mark.parametrize(
    ("action", "resource"), [("fly", "order"), ("capture", "spaceship"), ("capture", "change-request")]
)
def test_an_unknown_action_is_denied(api: Api, action: str, resource: str) -> None:
    """An action that no rule file knows: a deny with a finding."""
    answer = api.ask(action, "tina.trader", {"type": resource, "id": "X-1"})
    assert (answer["outcome"], rules_of(answer)) == ("deny", ["unknown_action"])


def test_a_later_step_on_an_unknown_chain_is_denied(api: Api) -> None:
    """A chain that nobody has begun cannot be settled."""
    assert api.ask("settle", "clara.clerk")["outcome"] == "deny"


def test_a_malformed_fact_is_denied_with_its_name(api: Api) -> None:
    """A property that is not of its declared type never permits, and the finding says what to send."""
    answer = api.ask("capture", "tina.trader", an_order(notional="lots"))
    assert answer["outcome"] == "deny"
    told = next(item for item in answer["findings"] if item["rule"] == "malformed_fact")
    assert told["missing"] == ["order.notional"]


def test_a_list_is_answered_in_order_and_sees_itself(either_api: Api) -> None:
    """Later items see earlier ones: the second capture of an order finds it taken."""
    order, other = an_order(), an_order()
    asked = [
        ask("capture", "tina.trader", order),
        ask("capture", "tomas.trader", order),
        ask("capture", "tomas.trader", other),
    ]
    before = either_api.size()
    told = either_api.post("/v1/decisions", asked)
    assert told.status_code == 200
    answers = told.json()
    assert outcomes(answers) == ["permit", "deny", "permit"]
    assert [item["receipt"]["index"] for item in answers] == [before, before + 1, before + 2]
    assert len({item["receipt"]["checkpoint"] for item in answers}) == 1


def test_a_list_of_a_thousand_is_one_transaction(api: Api) -> None:
    """The longest list is answered whole under one checkpoint; one more is refused."""
    asked = [ask("read", "tina.trader", {"type": "order", "id": f"L-{index}"}) for index in range(1000)]
    told = api.post("/v1/decisions", asked)
    assert told.status_code == 200, told.text[:500]
    assert outcomes(told.json()) == ["permit"] * 1000
    assert api.post("/v1/decisions", [*asked, asked[0]]).status_code == 422


def test_one_bad_item_refuses_the_list(api: Api) -> None:
    """A list with an item that cannot be read is refused whole, with pointers to every place."""
    before = api.size()
    asked: list[Any] = [ask("capture", "tina.trader") for _ in range(4)]
    del asked[1]["subject"]
    asked[2] = 7
    asked[3]["on_behalf_of"] = 5
    told = api.post("/v1/decisions", asked)
    assert told.status_code == 422
    assert [item["pointer"] for item in told.json()["errors"]] == ["/1/subject", "/2", "/3/on_behalf_of"]
    assert api.size() == before


def test_a_list_that_cannot_be_recorded_leaves_no_trace_of_its_first_items(
    own_api: StartApi, tmp_path: Any
) -> None:
    """When a later item is too large for an entry, the earlier ones are neither claimed nor answered."""
    rules = tmp_path / "rules"
    (rules / "regulatory").mkdir(parents=True)
    facts = "\n".join(
        f"  record.text_{number}: {{type: string, public: true, label: {{en: T, es: T}}}}"
        for number in range(80)
    )
    (rules / "vocabulary.yaml").write_text(f"subject_types: [account]\nfacts:\n{facts}\n")
    (rules / "roles.yaml").write_text(
        "roles: {}\ngrants:\n  - {role: anyone, actions: [read], resource: record}\n"
    )
    people = "person,name,account,roles\np-1,A,alma.admin,administrator\np-2,B,blas.admin,administrator\n"
    api = own_api(rules=rules, directory=people, keys={"caller": _EVERYTHING})
    small = {"type": "record", "id": "R-1", "properties": {}}
    large = {
        "type": "record",
        "id": "R-2",
        "properties": {f"text_{number}": "x" * 1000 for number in range(80)},
    }
    before = api.size()
    told = api.post("/v1/decisions", [ask("read", "alma.admin", small), ask("read", "alma.admin", large)])
    assert (told.status_code, told.json()["code"]) == (422, "entry_too_large")
    assert api.size() == before + 1
    assert api.last_entry()["kind"] == "refusal"
    assert api.ask("read", "alma.admin", small)["outcome"] == "permit"


def test_outcomes_are_reported_once(either_api: Api) -> None:
    """After `performed`, neither `abandoned` nor `performed` is taken."""
    answer = either_api.perform("capture", "tina.trader", an_order())
    for reported in ("abandoned", "performed"):
        told = either_api.post(f"/v1/decisions/{answer['id']}/outcome", {"outcome": reported})
        assert (told.status_code, told.json()["code"]) == (409, "already_performed")


def test_an_outcome_needs_the_key_that_claimed(api: Api) -> None:
    """Another key cannot report, and the attempt is on record."""
    answer = api.ask("capture", "tina.trader")
    told = api.post(f"/v1/decisions/{answer['id']}/outcome", {"outcome": "performed"}, key="other")
    assert (told.status_code, told.json()["code"]) == (403, "not_your_claim")
    assert api.last_entry()["code"] == "not_your_claim"


def test_an_abandoned_step_is_free_but_still_counts(api: Api) -> None:
    """Abandoning frees the step for others, and not the person for what is kept separate from it."""
    order = an_order()
    answer = api.ask("capture", "tina.trader", order)
    told = api.post(f"/v1/decisions/{answer['id']}/outcome", {"outcome": "abandoned"})
    assert told.status_code == 200
    schemas.OutcomeAnswer.model_validate(told.json())
    assert api.ask("capture", "tomas.trader", order)["outcome"] == "permit"


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        (f"/v1/decisions/{NOWHERE}/outcome", {"outcome": "performed"}, 404, "decision_unknown"),
        (f"/v1/decisions/{NOWHERE}/outcome", {"outcome": "done"}, 422, "invalid_request"),
        (f"/v1/decisions/{NOWHERE}/outcome", {"outcome": "performed", "x": 1}, 422, "invalid_request"),
        (f"/v1/decisions/{NOWHERE}/outcome", [], 422, "invalid_request"),
        ("/v1/decisions/a%00b/outcome", {"outcome": "performed"}, 422, "invalid_request"),
    ],
)
def test_outcome_requests_that_are_refused(api: Api, path: str, body: Any, status: int, code: str) -> None:
    """Unknown decisions are 404, anything else than the two outcomes is 422."""
    told = api.post(path, body)
    assert (told.status_code, told.json()["code"]) == (status, code)


def test_a_plain_resource_claims_nothing(api: Api) -> None:
    """A permit outside a chain has no claim, so that there is no outcome to report."""
    answer = api.ask("read", "tina.trader", {"type": "record", "id": "R-1"})
    assert answer["outcome"] == "permit"
    assert not {"claim", "chain"} & answer.keys()
    told = api.post(f"/v1/decisions/{answer['id']}/outcome", {"outcome": "performed"})
    assert (told.status_code, told.json()["code"]) == (409, "no_claim")


def test_a_decision_can_be_read_again(either_api: Api) -> None:
    """The entry holds the outcome and the request, and the private values while they are disclosed."""
    answer = either_api.ask("capture", "tina.trader", an_order(quantity="77"))
    told = either_api.get(f"/v1/decisions/{answer['id']}")
    assert told.status_code == 200
    schemas.LedgerEntry.model_validate(told.json())
    assert told.json()["entry"]["outcome"] == "permit"
    assert told.json()["disclosure"]["order.quantity"]["value"] == "77"
    assert either_api.get(f"/v1/decisions/{NOWHERE}").status_code == 404


def test_chains_are_found_by_any_id(api: Api) -> None:
    """Ids with slashes, spaces and letters beyond ASCII are ids like others."""
    name = f"ó/7 81 {an_order()['id']}"
    api.ask("capture", "tina.trader", an_order(name))
    assert api.get(f"/v1/chains/{name}").json()["id"] == name
    assert api.get(f"/v1/chains/{normalize('NFD', name)}").json()["id"] == name
    assert api.get(f"/v1/chains/{name}?kind=order_to_settlement").status_code == 200
    assert api.get(f"/v1/chains/{name}?kind=other").status_code == 404
    assert api.get("/v1/chains/nothing").json()["code"] == "chain_unknown"


def test_a_chain_whose_id_ends_like_an_outlook_is_found(api: Api) -> None:
    """Its last slash is percent-encoded, as all of them may be; a slash as it is leads to the outlook."""
    name = f"{an_order()['id']}"
    for order in (name, f"{name}/outlook"):
        api.ask("capture", "tina.trader", an_order(order))
    for path in (f"{name}%2Foutlook", f"{name}%2foutlook?kind=order_to_settlement"):
        told = api.get(f"/v1/chains/{path}")
        assert (told.status_code, told.json()["id"]) == (200, f"{name}/outlook")
        assert "acts" in told.json()
    for path, chain in ((name, name), (f"{name}/outlook", f"{name}/outlook")):
        outlook = api.get(f"/v1/chains/{path}/outlook").json()
        assert (outlook["id"], "acts" in outlook) == (chain, False)
    assert api.get(f"/v1/chains/{name}%2Foutlook", key="traders").status_code == 403


# -- claims and time ---------------------------------------------------------------------------------------


def test_asking_without_claiming_is_no_permit(api: Api) -> None:
    """`claim: false` gives an opinion, and the step stays free."""
    order = an_order()
    answer = api.ask("capture", "tina.trader", order, context={"claim": False})
    assert (answer["outcome"], answer["decision"]) == ("would_permit", False)
    assert api.ask("capture", "tomas.trader", order)["outcome"] == "permit"


def test_the_stated_time_is_recorded_and_drives_nothing(api: Api) -> None:
    """The present time is recorded as asserted; a time far off is denied."""
    now = datetime.now(UTC)
    answer = api.ask("capture", "tina.trader", context={"at": now.isoformat()})
    assert answer["outcome"] == "permit"
    entry = api.get(f"/v1/decisions/{answer['id']}").json()["entry"]
    assert entry["request"]["at"].startswith(now.strftime("%Y-%m-%dT%H:%M:%S"))
    past = (now - timedelta(hours=1)).isoformat()
    assert "asserted_time_off" in rules_of(api.ask("capture", "tina.trader", context={"at": past}))


# -- facts -------------------------------------------------------------------------------------------------


def test_context_objects_state_facts_of_their_name(api: Api) -> None:
    """`context.account.open_exposure` is what the credit rule reads."""
    order = an_order()
    api.perform("capture", "tina.trader", order)
    answer = api.ask("approve", "rita.risk", order, context={"account": {"open_exposure": "9500000.00 EUR"}})
    assert answer["outcome"] == "deny"
    told = next(item for item in answer["findings"] if item["rule"] == "pre.credit_capital_threshold")
    assert told["values"]["account.open_exposure"] == "9500000 EUR"


def test_fractions_are_sent_as_text(api: Api) -> None:
    """A fraction as a JSON number may have lost digits at the caller's: denied, and told what to send."""
    body = ask("capture", "tina.trader", quantity="0.1")
    told = api.post("/v1/decisions", raw=json.dumps(body).replace('"0.1"', "0.1").encode())
    finding = next(item for item in told.json()["findings"] if item["rule"] == "malformed_fact")
    assert "as a string" in finding["message"]["en"]
    assert api.ask("capture", "tina.trader", quantity=100)["outcome"] == "permit"


def test_the_outlook_of_a_chain(either_api: Api) -> None:
    """Who can do the rest, and without whom it could not be done; nothing is recorded."""
    order = an_order()
    either_api.perform("capture", "tina.trader", order)
    size = either_api.size()
    told = either_api.get(f"/v1/chains/{order['id']}/outlook")
    assert told.status_code == 200, told.text
    search_schemas.OutlookAnswer.model_validate(told.json())
    found = told.json()
    assert either_api.size() == size
    steps = {one["step"]: one for one in found["steps"]}
    assert found["state"] == "can_be_done"
    assert steps["approve"]["persons"] == ["p-07", "p-08"]
    assert "capture" not in steps
    assert found["single_points_of_failure"] == ["p-13"]
    assert found["resilience"] == {"absences": 0, "exact": True}
    assert "p-13" in found["message"]["en"]
    assert "p-13" in found["message"]["es"]


@pytest.mark.parametrize(
    ("query", "key", "status"),
    [
        ("", "reader", 200),
        ("?kind=nothing", "reader", 404),
        ("", "traders", 403),
        ("?on=2999-01-01", "reader", 403),
        ("?on=2999-01-01", "admin1", 422),
        ("?on=2020-01-01", "admin1", 422),
        ("?on=someday", "admin1", 422),
    ],
)
def test_whom_and_what_an_outlook_is_for(api: Api, query: str, key: str, status: int) -> None:
    """A day shows who is away, so it takes the scope of the directory; it must not be past or far off."""
    order = an_order()
    api.perform("capture", "tina.trader", order)
    told = api.get(f"/v1/chains/{order['id']}/outlook{query}", key=key)
    assert told.status_code == status, told.text


def test_the_outlook_for_a_day(api: Api) -> None:
    """Today's is said to be of the day, by the service's own date."""
    order = an_order()
    api.perform("capture", "tina.trader", order)
    now = api.get(f"/v1/chains/{order['id']}/outlook").json()
    day = now["at"][:10]
    told = api.get(f"/v1/chains/{order['id']}/outlook?on={day}", key="admin1").json()
    assert told["on"] == day
    assert api.get(f"/v1/chains/{order['id']}/outlook?kind={now['kind']}").json()["steps"] == now["steps"]
    assert told["steps"] == now["steps"]


def test_an_unknown_chain_has_no_outlook(api: Api) -> None:
    assert api.get("/v1/chains/never-heard-of/outlook").status_code == 404
