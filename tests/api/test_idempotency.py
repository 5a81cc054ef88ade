"""The same request under the same Idempotency-Key has one effect and one answer."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.conftest import Api
from tests.desk import an_order, ask


def post(api: Api, body: Any, token: str | None, *, key: str = "caller", path: str = "/v1/decisions") -> Any:
    return api.post(path, body, key=key, token=token)


def a_token() -> str:
    return an_order()["id"].replace("O-", "token-")


def test_a_repeated_request_gets_the_same_bytes(either_api: Api) -> None:
    """While the claim is live, the stored answer comes back byte for byte and nothing is recorded."""
    token, body = a_token(), ask("capture", "tina.trader")
    first = post(either_api, body, token)
    size = either_api.size()
    again = post(either_api, body, token)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["outcome"] == "permit"
    assert again.content == first.content
    assert either_api.size() == size


def test_blanks_and_order_do_not_make_another_body(api: Api) -> None:
    """The same request written differently is the same request."""
    token, body = a_token(), ask("capture", "tina.trader")
    first = api.post("/v1/decisions", raw=json.dumps(body).encode(), token=token)
    again = api.post("/v1/decisions", raw=json.dumps(body, indent=3, sort_keys=True).encode(), token=token)
    assert again.content == first.content


def test_a_deny_is_repeated_too(api: Api) -> None:
    """Answers without a claim stay, whatever has changed meanwhile."""
    order, token = an_order(), a_token()
    body = ask("approve", "rita.risk", order)
    first = post(api, body, token)
    assert first.json()["outcome"] == "deny"
    api.perform("capture", "tina.trader", order)
    assert post(api, body, token).content == first.content
    assert post(api, body, a_token()).json()["outcome"] == "permit"


@pytest.mark.parametrize("other", [{"quantity": "2"}, {"quantity": 1000}, {"price": "1.00"}])
def test_another_body_under_the_same_key_is_refused(api: Api, other: dict[str, Any]) -> None:
    """A key is for one request: another one under it is 422, on record."""
    order, token = an_order(), a_token()
    assert post(api, ask("capture", "tina.trader", order), token).status_code == 200
    told = post(api, ask("capture", "tina.trader", order, **other), token)
    assert (told.status_code, told.json()["code"]) == (422, "idempotency_key_reused")
    assert api.last_entry()["code"] == "idempotency_key_reused"


def test_a_permit_is_not_repeated_after_its_claim_has_ended(either_api: Api) -> None:
    """Once the step is performed, the stored permit is gone: 409, on record."""
    token, body = a_token(), ask("capture", "tina.trader")
    first = post(either_api, body, token).json()
    path = f"/v1/decisions/{first['id']}/outcome"
    assert post(either_api, {"outcome": "performed"}, None, path=path).status_code == 200
    told = post(either_api, body, token)
    assert (told.status_code, told.json()["code"]) == (409, "claim_ended")
    assert either_api.last_entry()["code"] == "claim_ended"


def test_a_key_is_scoped_to_credential_and_route(api: Api) -> None:
    """The same key under another credential or on another route is another request."""
    token, body = a_token(), ask("capture", "tina.trader")
    first = post(api, body, token).json()
    other = post(api, ask("capture", "tomas.trader"), token, key="other")
    assert other.json()["outcome"] == "permit"
    report = post(api, {"outcome": "performed"}, token, path=f"/v1/decisions/{first['id']}/outcome")
    assert report.status_code == 200
    again = post(api, {"outcome": "performed"}, token, path=f"/v1/decisions/{first['id']}/outcome")
    assert again.content == report.content
    elsewhere = post(api, {"outcome": "performed"}, token, path=f"/v1/decisions/dec_{'0' * 32}/outcome")
    assert elsewhere.json()["code"] == "idempotency_key_reused"


def test_a_list_is_one_key(api: Api) -> None:
    """A list is repeated whole, and differs from the single request that it holds."""
    token = a_token()
    asked = [ask("capture", "tina.trader"), ask("capture", "tomas.trader")]
    first = post(api, asked, token)
    assert post(api, asked, token).content == first.content
    assert post(api, asked[0], token).json()["code"] == "idempotency_key_reused"


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "idempotency_key_missing"),
        ("", "idempotency_key_malformed"),
        ("two words", "idempotency_key_malformed"),
        ("x" * 256, "idempotency_key_malformed"),
        ("caf\xe9".encode("latin-1").decode("latin-1"), "idempotency_key_malformed"),
    ],
)
@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/v1/decisions", "caller"),
        ("/v1/decisions/dec_1/outcome", "caller"),
        ("/v1/reviews/rev_1/resolution", "supervisor1"),
    ],
)
def test_recording_requests_need_a_key(api: Api, path: str, key: str, header: str | None, code: str) -> None:
    """Without a usable Idempotency-Key nothing is asked: 400."""
    headers: Any = {"Authorization": f"Bearer {api.desk.keys[key]}", "Content-Type": "application/json"}
    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    if header is not None:
        sent.append((b"Idempotency-Key", header.encode("latin-1")))
    told = api.client.post(path, content=json.dumps(ask("capture", "tina.trader")), headers=sent)
    assert (told.status_code, told.json()["code"]) == (400, code)


def test_two_keys_are_none(api: Api) -> None:
    """A request with two Idempotency-Keys does not say which one it means."""
    sent = [*api.desk.headers().items(), ("Idempotency-Key", "b"), ("Content-Type", "application/json")]
    told = api.client.post("/v1/decisions", content=json.dumps(ask("capture", "tina.trader")), headers=sent)
    assert (told.status_code, told.json()["code"]) == (400, "idempotency_key_malformed")


def test_twenty_at_once_are_one_decision(either_api: Api) -> None:
    """Simultaneous requests under one key get one answer, and the ledger grows by one entry."""
    token, body = a_token(), ask("capture", "tina.trader")
    size = either_api.size()
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: post(either_api, body, token), range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert either_api.size() == size + 1


def test_what_was_refused_is_decided_afresh(api: Api) -> None:
    """A request that could not be read leaves its key unused."""
    token = a_token()
    assert post(api, {"subject": 1}, token).status_code == 422
    assert post(api, ask("capture", "tina.trader"), token).json()["outcome"] == "permit"
