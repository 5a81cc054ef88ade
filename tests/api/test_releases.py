"""Releases over HTTP: proposed by one administrator, confirmed by another, listed, rolled back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from controls.api import change_schemas
from controls.bootstrap import read_rule_files
from controls.services import trial
from tests.api.conftest import Api, StartApi
from tests.desk import DESK_RULES, ask

FILES = dict(read_rule_files(DESK_RULES))


def limited(size: int) -> dict[str, str]:
    """The desk's rules with another size above which a supervisor decides; its orders have 1,500,000 EUR."""
    files, name = dict(FILES), "regulatory/pre_trade/limits.yaml"
    for old, new in (
        ("5000000.00", f"{size}.00"),
        ("4999999.99", f"{size - 1}.99"),
        ("5000000.01", f"{size}.01"),
    ):
        assert old in files[name]
        files[name] = files[name].replace(old, new)
    return files


def propose(api: Api, said: Any, *, key: str = "admin1", token: str | None = None) -> httpx2.Response:
    return api.post("/v1/releases", said, key=key, token=token)


def confirm(api: Api, change: str, *, key: str = "admin2") -> httpx2.Response:
    return api.post(f"/v1/changes/{change}/confirmation", {}, key=key)


def in_force(api: Api, said: Any) -> Any:
    """Propose and confirm; the answer to the second administrator."""
    proposed = propose(api, said)
    assert proposed.status_code == 200, proposed.text
    change_schemas.ChangeAnswer.model_validate(proposed.json())
    confirmed = confirm(api, proposed.json()["change"])
    assert confirmed.status_code == 200, confirmed.text
    change_schemas.ChangeAnswer.model_validate(confirmed.json())
    return confirmed.json()


def test_a_release_takes_two_administrators_and_decides_at_once(own_api: StartApi) -> None:
    """Proposed: nothing changes. Confirmed: the next decision is by it, and names it. Back again, too."""
    api = own_api()
    first = api.ask("capture", "tina.trader")["release"]
    proposed = propose(api, {"files": limited(1_000_000)}).json()
    assert (proposed["state"], proposed["kind"]) == ("proposed", "release")
    assert api.last_entry()["proposes"] == proposed["release"]
    assert api.ask("capture", "tina.trader")["outcome"] == "permit"
    told = confirm(api, proposed["change"]).json()
    assert (told["state"], told["release"]) == ("confirmed", proposed["release"])
    answer = api.ask("capture", "tina.trader")
    assert (answer["outcome"], answer["release"]) == ("review", proposed["release"])
    assert in_force(api, {"digest": first})["release"] == first
    answer = api.ask("capture", "tina.trader")
    assert (answer["outcome"], answer["release"]) == ("permit", first)


def test_releases_are_listed_newest_first_and_read_whole(own_api: StartApi) -> None:
    """Active, proposed and past, with who and when, a page at a time down to the one of the beginning."""
    api = own_api()
    first = api.ask("capture", "tina.trader")["release"]
    second = in_force(api, {"files": limited(1_000_000)})["release"]
    third = propose(api, {"files": limited(2_000_000)}).json()["release"]
    pages = list(paged(api, "/v1/releases?limit=1", "releases"))
    assert [len(page) for page in pages] == [1, 2]
    listed = [item for page in pages for item in page]
    assert listed == [item for page in paged(api, "/v1/releases", "releases") for item in page]
    assert [(item["release"], item["state"]) for item in listed] == [
        (third, "proposed"),
        (second, "active"),
        (first, "past"),
    ]
    assert (listed[1]["proposed_by"], listed[1]["confirmed_by"]) == ("p-01", "p-02")
    assert listed[0].keys().isdisjoint({"confirmed_by", "confirmed_at"})
    for item in listed:
        change_schemas.ReleaseTold.model_validate(item)
        told = api.get(f"/v1/releases/{item['release']}", key="reader").json()
        change_schemas.ReleaseContents.model_validate(told)
        assert told["state"] == item["state"]
        assert set(FILES) <= set(told["files"])
    genesis = api.get("/v1/ledger/entries/0").json()["entry"]
    for digest in (genesis["blob"], "sha256:" + "0" * 64):
        assert api.get(f"/v1/releases/{digest}").json()["code"] == "release_unknown"


def paged(api: Api, path: str, name: str) -> Iterator[list[Any]]:
    cursor = ""
    while True:
        page = api.get(f"{path}{cursor}", key="admin1").json()
        yield page[name]
        if "next" not in page:
            return
        cursor = f"{'&' if '?' in path else '?'}cursor={page['next']}"


def test_changes_are_listed_by_state(either_api: Api) -> None:
    """What waits for the second administrator, and what was confirmed, page by page and newest first."""
    change = propose(either_api, {"files": limited(3_000_000)}).json()["change"]
    waiting = [
        item for page in paged(either_api, "/v1/changes?state=proposed&limit=1", "changes") for item in page
    ]
    assert waiting[0]["change"] == change
    confirm(either_api, change)
    done = [item for page in paged(either_api, "/v1/changes?state=confirmed", "changes") for item in page]
    assert done[0]["change"] == change
    assert [item["change"] for item in waiting[1:]] == [
        item["change"] for page in paged(either_api, "/v1/changes?state=proposed", "changes") for item in page
    ]
    for item in (*waiting, *done):
        change_schemas.ChangeTold.model_validate(item)
    in_force(either_api, {"files": FILES})


def test_everything_wrong_with_the_files_comes_back_with_its_place(own_api: StartApi) -> None:
    """Each diagnostic as file:line:column, code and message; nothing is proposed, the attempt recorded."""
    api = own_api()
    files = FILES | {
        "roles.yaml": FILES["roles.yaml"] + "  nobody:\n    surprising: true\n",
        "regulatory/pre_trade/broken.yaml": "id: [\n",
    }
    told = propose(api, {"files": files})
    assert (told.status_code, told.json()["code"]) == (422, "rule_files_invalid")
    places = [item["pointer"].split(":") for item in told.json()["errors"]]
    assert {place[0] for place in places} >= {"regulatory/pre_trade/broken.yaml"}
    assert all(int(line) >= 1 and int(column) >= 1 for _, line, column in places)
    entry = api.last_entry()
    assert (entry["kind"], entry["code"], entry["act"]) == ("refusal", "rule_files_invalid", "propose")
    assert len(next(paged(api, "/v1/releases", "releases"))) == 1


def test_examples_that_fail_are_told(own_api: StartApi) -> None:
    """A release whose examples do not hold is not proposed: 422 with each of them."""
    files = {name: text.replace("4999999.99", "5000000.02") for name, text in FILES.items()}
    told = propose(own_api(), {"files": files})
    assert (told.status_code, told.json()["code"]) == (422, "examples_failed")
    assert "expected permit, got review" in told.json()["detail"]


def test_a_release_that_kills_what_tries_it_is_refused(
    own_api: StartApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule files that crash or hang the engine end a process of their own; the service goes on deciding."""
    api = own_api()
    first = api.ask("capture", "tina.trader")["release"]
    for script, says in (
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended with -11"),
        ("import time; time.sleep(60)", "did not end within 1 seconds"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(trial, "COMMAND", (trial.COMMAND[0], "-c", script))
            patch.setattr(trial.tried, "__kwdefaults__", {"seconds": 1.0})
            told = propose(api, {"files": limited(1_000_000)})
        assert (told.status_code, told.json()["code"]) == (422, "release_unusable")
        assert says in told.json()["detail"]
        assert api.last_entry()["code"] == "release_unusable"
        assert api.ask("capture", "tina.trader")["release"] == first


def test_who_may_do_what(own_api: StartApi) -> None:
    """The proposer does not confirm, a supervisor neither; a key without the scope is refused, on record."""
    api = own_api()
    change = propose(api, {"files": limited(1_000_000)}).json()["change"]
    own = confirm(api, change, key="admin1")
    assert (own.status_code, own.json()["code"]) == (409, "change_refused")
    assert api.last_entry()["code"] == "change_refused"
    for key in ("supervisor1", "caller"):
        for told in (confirm(api, change, key=key), propose(api, {"files": FILES}, key=key)):
            assert (told.status_code, told.json()["code"]) == (403, "scope_missing")
            assert api.last_entry()["code"] == "scope_missing"
        assert api.get("/v1/changes", key=key).status_code == 403
    assert api.get("/v1/releases", key="traders").status_code == 403
    assert confirm(api, change).status_code == 200
    again = confirm(api, change)
    assert (again.status_code, again.json()["code"]) == (409, "change_done")
    assert propose(api, {"files": limited(1_000_000)}).json()["code"] == "release_active"
    assert confirm(api, "change_" + "0" * 32).status_code == 404
    assert propose(api, {"digest": "sha256:" + "0" * 64}).json()["code"] == "release_unknown"


def test_a_repeated_proposal_is_one_proposal(own_api: StartApi) -> None:
    """The same Idempotency-Key gives the same bytes and no second change; another body is refused."""
    api = own_api()
    said = {"files": limited(1_000_000)}
    one, two = (propose(api, said, token="once") for _ in range(2))
    assert one.content == two.content
    assert propose(api, {"files": FILES}, token="once").json()["code"] in (
        "idempotency_key_reused",
        "release_active",
    )
    assert len(api.get("/v1/changes", key="admin1").json()["changes"]) == 1


@pytest.mark.parametrize(
    ("said", "pointer", "code"),
    [
        ({}, "/files", "missing"),
        ({"files": {}}, "/files", "too_short"),
        ({"files": []}, "/files", "wrong_type"),
        ({"files": {"roles.yaml": 1}}, "/files/roles.yaml", "wrong_type"),
        ({"files": {"x" * 301: ""}}, "/files/" + "x" * 61 + "...", "too_long"),
        ({"digest": "sha256:x"}, "/digest", "bad_digest"),
        ({"digest": "sha256:" + "0" * 64, "files": {}}, "/files", "unknown_field"),
        ({"files": {"a.yaml": "", "b.yaml": ""}, "person": "p-01"}, "/person", "unknown_field"),
    ],
)
def test_bodies_that_are_refused(api: Api, said: Any, pointer: str, code: str) -> None:
    """Files or a digest, nothing else, and nobody's name."""
    told = propose(api, said)
    assert told.status_code == 422, told.text
    found = [(item["pointer"], item["code"]) for item in told.json()["errors"]]
    assert [item for item, _ in found] == [pointer], found


def test_a_file_may_be_as_long_as_a_rule_file(api: Api) -> None:
    """A text of more than the 4,096 characters of other routes is read; one above a megabyte is not."""
    files = FILES | {"roles.yaml": FILES["roles.yaml"] + "# " + "x" * 10_000}
    assert propose(api, {"files": files}).json()["code"] == "release_active"
    told = api.post("/v1/releases", raw=json.dumps({"files": {"a": "x" * 1_048_577}}).encode(), key="admin1")
    assert told.status_code == 413
    assert api.post("/v1/decisions", ask("capture", "x" * 5_000)).status_code == 422
