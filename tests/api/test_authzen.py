"""AuthZEN 1.0: the public certification cases against the running service with ordinary rule files, and
what the standard says beyond them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from controls.api import schemas
from tests.api.conftest import Api, StartApi, copy_of, running_api
from tests.databases import PROJECT
from tests.desk import KeySpec, an_order, ask, start_desk

EVALUATION, EVALUATIONS = "/access/v1/evaluation", "/access/v1/evaluations"
RULES = PROJECT / "tests" / "fixtures" / "rules" / "authzen"
PEOPLE = """\
person,name,account,roles
p-01,Alma Arce,alma.admin,administrator
p-02,Blas Bueno,blas.admin,administrator
p-03,Alice,alice,editor
p-04,Bob,bob,reader;archivist
"""

ALICE = {"type": "user", "id": "alice"}
BOB = {"type": "user", "id": "bob"}
RECORD = {"type": "record", "id": "record-1"}
ARCHIVED = {"type": "record", "id": "record-2", "properties": {"status": "archived"}}


def evaluation(subject: Any, action: str, resource: Any, **more: Any) -> dict[str, Any]:
    return {"subject": subject, "action": {"name": action}, "resource": resource, **more}


@pytest.fixture(scope="module")
def records(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The certification scenario's users and records."""
    folder = tmp_path_factory.mktemp("authzen")
    desk = start_desk(
        folder,
        database_url=copy_of(sqlite_template, folder),
        rules=RULES,
        directory=PEOPLE,
        keys={"caller": KeySpec(("decide", "read", "verify"), speaks_for="*")},
        public_url="https://pdp.example.com/",
    )
    with running_api(desk) as api:
        yield api


# -- certification -----------------------------------------------------------------------------------------


def answered(value: Any) -> Any:
    """The answer as the certification compares it: decisions, without reasons."""
    if "evaluations" in value:
        return {"evaluations": [{"decision": item["decision"]} for item in value["evaluations"]]}
    return {"decision": value["decision"]}


def shape(expected: str) -> Any:
    """A body in which the cases leave the decisions open: `<boolean>` stands for either."""
    return json.loads(re.sub(r"<boolean>", '"either"', expected))


def certification_cases() -> list[Any]:
    """The cases by id; without the data there is one, which the fixture then skips with the reason."""
    named = os.environ.get("CONTROLS_SHARED_DATA")  # as the fixture `shared_data`, before there are fixtures
    data = Path(named) if named else PROJECT.parent / "shared" / "data"
    path = data / "authzen" / "certification_cases.json"
    if not path.is_file():
        return [pytest.param(None, id="no-data")]
    cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
    return [pytest.param(case, id=f"{case['id']}-{number}") for number, case in enumerate(cases)]


@pytest.mark.parametrize("case", certification_cases())
def test_certification(shared_data: Path, records: Api, case: Any) -> None:
    """Each public case gets its status and its decisions, or its results."""
    request = case["request"]
    if case["mode"] == "conditional_next_token":
        first = records.post(case["endpoint"], request | {"page": {"limit": 1}}).json()
        request = request | {"page": {"token": first["page"]["next_token"]}}
    told = records.post(case["endpoint"], request)
    assert told.status_code == case["expected_status"], told.text
    if told.status_code != 200:
        assert told.headers["content-type"].startswith("text/plain")
        assert told.text
        return
    if "/search/" in case["endpoint"]:
        check_results(records, case, told.json()["results"])
        return
    schema = json.loads((shared_data / "authzen" / "evaluation-response.schema.json").read_text())
    body = told.json()
    for item in body.get("evaluations", [body]):
        jsonschema_rs.validate(schema, item)
    if case["mode"] == "structure":
        wanted = shape(case["expected_body"])["evaluations"]
        assert len(body["evaluations"]) == len(wanted)
    else:
        assert answered(body) == case["expected_body"]


def check_results(records: Api, case: Any, results: Any) -> None:
    """What a search must find, by the mode of its case."""
    mode, wanted = case["mode"], case["expected_body"]
    if mode.startswith("same_as:"):
        cases = [param.values[0] for param in certification_cases()]
        other = next(one for one in cases if one["id"] == mode.removeprefix("same_as:"))
        assert results == records.post(other["endpoint"], other["request"]).json()["results"]
        assert results
    elif mode == "results_superset":
        assert all(item in results for item in wanted["results"])
    elif mode == "exact_empty":
        assert results == []
    elif mode == "structure":
        assert len(results) == case["request"]["page"]["limit"]
    else:
        assert mode == "conditional_next_token"
        assert results == [{"type": "user", "id": "bob"}]


def test_the_cases_were_there(shared_data: Path) -> None:
    """No case has gone missing from the data."""
    cases = [param.values[0] for param in certification_cases()]
    searches = ["/search/" in case["endpoint"] for case in cases if isinstance(case, dict)]
    assert (searches.count(False), searches.count(True)) == (29, 21)


@pytest.mark.parametrize(
    ("subject", "action", "resource", "decision"),
    [
        (ALICE, "read", RECORD, True),
        (ALICE, "write", RECORD, True),
        (BOB, "read", RECORD, True),
        (BOB, "write", RECORD, False),
        (ALICE, "write", ARCHIVED, False),
        (BOB | {"properties": {"role": "admin"}}, "write", ARCHIVED, True),
    ],
)
@pytest.mark.parametrize(
    "context",
    [
        {},
        {"at": "not a time", "claim": "perhaps", "time": 7, "record": {"status": "archived"}},
        {"at": 7, "claim": None, "subject": {"role": "admin"}, "action": {"soft": True}},
        {"person": {"roles": ["editor"]}, "context": {"x": 1}, "now": "2000-01-01", "a": [{"b": [1, 2.5]}]},
    ],
)
def test_the_context_changes_no_decision_of_the_scenario(
    records: Api, subject: Any, action: str, resource: Any, decision: bool, context: Any
) -> None:
    """The mandated decisions hold whatever the context says, odd types and borrowed names included."""
    told = records.post(EVALUATION, evaluation(subject, action, resource, context=context))
    assert (told.status_code, told.json()["decision"]) == (200, decision), told.text


# -- one evaluation ----------------------------------------------------------------------------------------


def test_no_idempotency_key_is_needed(records: Api) -> None:
    """The standard knows no such header."""
    told = records.post(EVALUATION, evaluation(ALICE, "read", RECORD), headers={"Idempotency-Key": None})
    assert told.json()["decision"] is True


def test_a_deny_tells_its_reasons(records: Api) -> None:
    """A deny is 200 with the findings in `context`."""
    told = records.post(EVALUATION, evaluation(BOB, "write", RECORD))
    assert (told.status_code, told.json()["decision"]) == (200, False)
    context = told.json()["context"]
    assert context["outcome"] == "deny"
    assert context["findings"][0]["message"].keys() == {"en", "es"}
    assert context["receipt"]["index"] > 0


@pytest.mark.parametrize("path", [EVALUATION, EVALUATIONS])
def test_fields_of_the_request_are_not_ignored(records: Api, path: str) -> None:
    """Unknown fields are ignored, but not one by which the caller means another authority."""
    told = records.post(path, evaluation(ALICE, "read", RECORD, break_glass="bob"))
    assert told.status_code == 400
    assert "/break_glass must be an object" in told.text
    told = records.post(path, evaluation(ALICE, "read", RECORD, break_glass={"reason": "fire"}))
    assert "break_glass_without_step" in told.text


def test_acting_for_somebody_is_asked_at_the_top(api: Api) -> None:
    """For one evaluation and for each item that does not say otherwise; anywhere else it is refused."""
    order = an_order()
    told = api.post(EVALUATION, ask("capture", "tina.bot", order, on_behalf_of="tina.trader")).json()
    assert told["decision"] is True
    assert told["context"]["on_behalf_of"]["person"] == "p-05"
    body = ask("capture", "tina.bot", an_order(), on_behalf_of="tomas.trader")
    both = api.post(EVALUATIONS, body | {"evaluations": [{}, {"on_behalf_of": "tina.trader"}]})
    assert decisions(both) == [False, True]
    first = both.json()["evaluations"][0]["context"]
    assert "no_delegation" in {item["rule"] for item in first["findings"]}
    body = ask("capture", "tina.bot", an_order(), context={"on_behalf_of": "tina.trader"})
    told = api.post(EVALUATION, body)
    assert (told.status_code, "is a field of the request itself" in told.text) == (400, True)


def test_context_members_of_the_right_type_keep_their_meaning(api: Api) -> None:
    """On a chain step, `claim: false` asks without claiming and a time far off is denied."""
    order = an_order()
    body = ask("capture", "tina.trader", order, context={"claim": False})
    told = api.post(EVALUATION, body).json()
    assert (told["decision"], told["context"]["outcome"]) == (False, "would_permit")
    body = ask("capture", "tina.trader", order, context={"at": "2000-01-01T00:00:00Z"})
    told = api.post(EVALUATION, body).json()
    assert told["decision"] is False
    assert "asserted_time_off" in [item["rule"] for item in told["context"]["findings"]]


@pytest.mark.parametrize(
    ("context", "field"),
    [
        ({"claim": "false"}, "context.claim"),
        ({"claim": None}, "context.claim"),
        ({"claim": {"now": False}}, "context.claim"),
        ({"at": "2000-01-01T00:00:00"}, "context.at"),
        ({"at": 946684800}, "context.at"),
        ({"at": "1889-03-02T09:30:00Z"}, "context.at"),
    ],
)
def test_context_members_that_cannot_be_read_permit_nothing(
    api: Api, context: dict[str, Any], field: str
) -> None:
    """On a chain nobody claims who says otherwise in the wrong words, and no time is overlooked."""
    body = ask("capture", "tina.trader", an_order(), context=context)
    several = api.post(EVALUATIONS, {"evaluations": [body]}).json()["evaluations"]
    for told in (api.post(EVALUATION, body).json(), *several):
        assert told["decision"] is False
        assert [item["rule"] for item in told["context"]["findings"]] == ["malformed_fact"]
        assert told["context"]["findings"][0]["missing"] == [field]


def test_a_permit_on_a_chain_step_claims_it(api: Api) -> None:
    """The same chain is behind both interfaces."""
    order = an_order()
    told = api.post(EVALUATION, ask("capture", "tina.trader", order)).json()
    assert told["context"]["claim"]["step"] == "capture"
    assert api.ask("capture", "tomas.trader", order)["outcome"] == "deny"


@pytest.mark.parametrize("body", [[], [1], "x", None])
def test_the_top_level_is_an_object(records: Api, body: Any) -> None:
    """Anything else is 400."""
    for path in (EVALUATION, EVALUATIONS):
        assert records.post(path, body).status_code == 400


# -- several -----------------------------------------------------------------------------------------------


def decisions(told: Any) -> list[bool]:
    assert told.status_code == 200, told.text
    schemas.EvaluationsAnswer.model_validate(told.json())
    return [item["decision"] for item in told.json()["evaluations"]]


def test_an_item_replaces_entities_whole(records: Api) -> None:
    """An item's resource is not merged with the default's properties."""
    body = evaluation(
        ALICE, "write", ARCHIVED, evaluations=[{}, {"resource": {"type": "record", "id": "record-2"}}]
    )
    assert decisions(records.post(EVALUATIONS, body)) == [False, True]


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ({"resource": {"type": "record"}}, "/resource/id is required"),
        ({"resource": None}, "/resource must be an object"),
        ({"subject": "alice"}, "/subject must be an object"),
        ({"action": {"name": 7}}, "/action/name must be a string"),
        ({"context": []}, "/context must be an object"),
        ({"resource": {"type": "review", "id": "rev_1"}}, "belongs to the service"),
        ({"on_behalf_of": 7}, "/on_behalf_of must be a string"),
        ({"break_glass": "bob"}, "/break_glass must be an object"),
        ("alice", "must be an object"),
        (7, "must be an object"),
    ],
)
def test_an_item_that_cannot_be_read_is_false(records: Api, item: Any, says: str) -> None:
    """One bad item is answered with false and an error, and its neighbours are decided."""
    body = evaluation(ALICE, "read", RECORD, evaluations=[{}, item, {}])
    told = records.post(EVALUATIONS, body)
    assert decisions(told) == [True, False, True]
    error = told.json()["evaluations"][1]["context"]["error"]
    assert error["status"] == 400
    assert says in error["message"]


def test_items_that_all_cannot_be_read_leave_no_record(records: Api) -> None:
    """What is never decided is never recorded."""
    before = records.size()
    assert decisions(records.post(EVALUATIONS, {"evaluations": [{}, {}]})) == [False, False]
    assert records.size() == before


@pytest.mark.parametrize(
    ("semantic", "actions", "wanted"),
    [
        (None, ["read", "write", "read"], [True, False, True]),
        ("execute_all", ["read", "write", "read"], [True, False, True]),
        ("deny_on_first_deny", ["read", "write", "read"], [True, False]),
        ("deny_on_first_deny", ["read", "read"], [True, True]),
        ("permit_on_first_permit", ["write", "read", "write"], [False, True]),
        ("permit_on_first_permit", ["write", "write"], [False, False]),
    ],
)
def test_semantics(records: Api, semantic: str | None, actions: list[str], wanted: list[bool]) -> None:
    """A short-circuit stops after the item that decides; what comes after is neither decided nor recorded."""
    body: dict[str, Any] = {
        "subject": BOB,
        "resource": RECORD,
        "evaluations": [{"action": {"name": action}} for action in actions],
    }
    if semantic is not None:
        body["options"] = {"evaluations_semantic": semantic, "another": 1}
    before = records.size()
    assert decisions(records.post(EVALUATIONS, body)) == wanted
    assert records.size() == before + len(wanted)


def test_an_unreadable_item_counts_as_a_deny(records: Api) -> None:
    """`deny_on_first_deny` stops at an item that cannot be read."""
    body = evaluation(ALICE, "read", RECORD, evaluations=[{}, {"resource": {}}, {}])
    body["options"] = {"evaluations_semantic": "deny_on_first_deny"}
    assert decisions(records.post(EVALUATIONS, body)) == [True, False]


def test_skipped_items_claim_nothing(api: Api) -> None:
    """A step that a short-circuit skips is free."""
    first, second = an_order(), an_order()
    body = {
        "evaluations": [ask("fly", "tina.trader", first), ask("capture", "tina.trader", second)],
        "options": {"evaluations_semantic": "deny_on_first_deny"},
    }
    assert decisions(api.post(EVALUATIONS, body)) == [False]
    assert api.get(f"/v1/chains/{second['id']}").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"evaluations": {}},
        {"evaluations": "x"},
        {"evaluations": [{}], "options": []},
        {"evaluations": [{}], "options": {"evaluations_semantic": "maybe"}},
        {"evaluations": [{}], "options": {"evaluations_semantic": 7}},
        {"evaluations": [{}], "options": {"evaluations_semantic": None}},
        {"evaluations": [{}] * 1001},
    ],
)
def test_a_payload_that_cannot_be_read_is_400(records: Api, body: Any) -> None:
    """What is wrong with the whole is an error of the whole."""
    told = records.post(EVALUATIONS, evaluation(ALICE, "read", RECORD, **body))
    assert told.status_code == 400
    assert told.text


def test_a_message_names_every_place(records: Api) -> None:
    """The standard's errors are one text, so that all that is wrong is in it."""
    told = records.post(EVALUATION, {"action": {"name": ""}, "resource": {"type": "record"}})
    assert told.status_code == 400
    for place in ("/subject is required", "/action/name must not be empty", "/resource/id is required"):
        assert place in told.text


@pytest.mark.parametrize("items", [[], None])
def test_no_items_mean_one_evaluation(records: Api, items: Any) -> None:
    """Without items the answer is a plain decision."""
    told = records.post(EVALUATIONS, evaluation(ALICE, "read", RECORD, evaluations=items))
    assert told.json()["decision"] is True


# -- metadata ----------------------------------------------------------------------------------------------


def test_the_metadata_names_what_exists(records: Api) -> None:
    """The configured address, the endpoints that exist, and nothing that has no value."""
    told = records.client.get("/.well-known/authzen-configuration")
    assert told.headers["content-type"] == "application/json"
    assert told.json() == {
        "policy_decision_point": "https://pdp.example.com",
        "access_evaluation_endpoint": "https://pdp.example.com/access/v1/evaluation",
        "access_evaluations_endpoint": "https://pdp.example.com/access/v1/evaluations",
        "search_subject_endpoint": "https://pdp.example.com/access/v1/search/subject",
        "search_resource_endpoint": "https://pdp.example.com/access/v1/search/resource",
        "search_action_endpoint": "https://pdp.example.com/access/v1/search/action",
    }


def test_without_a_configured_address_the_metadata_names_the_one_asked(api: Api) -> None:
    """The default is the base of the request."""
    told = api.client.get("/.well-known/authzen-configuration").json()
    assert told["policy_decision_point"] == "http://testserver"


def test_a_desk_answers_both_interfaces_alike(own_api: StartApi) -> None:
    """The same question has the same outcome natively and by AuthZEN."""
    api = own_api()
    for action, login in (("capture", "tina.trader"), ("approve", "rita.risk"), ("fly", "zoe.unknown")):
        native = api.ask(action, login, context={"claim": False})
        standard = api.post(EVALUATION, ask(action, login, context={"claim": False})).json()
        assert standard["context"]["outcome"] == native["outcome"]
        assert standard["decision"] == native["decision"]
