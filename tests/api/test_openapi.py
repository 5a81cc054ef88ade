"""The OpenAPI document says what the service does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.conftest import Api
from tests.api.routes import ROUTES

PROBLEM = {"$ref": "#/components/schemas/Problem"}
SCIM_ERROR = {"$ref": "#/components/schemas/ScimError"}
WITH_BODY = {"post", "put", "patch"}
OPEN = {"/healthz", "/readyz", "/metrics", "/.well-known/authzen-configuration"}


@pytest.fixture
def document(api: Api) -> Any:
    return api.client.get("/openapi.json").json()


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_every_route_of_the_issue_is_there(document: Any) -> None:
    """The routes that callers were promised, and no other."""
    assert sorted((method.upper(), path) for path, method, _ in operations(document)) == sorted(ROUTES)


def test_a_body_beyond_a_limit_is_told_where_the_limits_stand(api: Api, document: Any) -> None:
    """The help of the problem points at the document, and the document tells the limit."""
    told = api.post("/v1/decisions", raw=b'{"subject": "' + b"x" * 4097 + b'"}').json()
    assert "/openapi.json" in told["help"]
    assert "4096 are allowed" in told["detail"]
    for limit in (
        "16 levels",
        "1,000 items",
        "1,000 members",
        "256 properties",
        "4,096 characters",
        "34 digits",
    ):
        assert limit in document["info"]["description"]


def test_every_route_declares_its_problems(document: Any) -> None:
    """Native errors are problems, AuthZEN's are messages, SCIM's are SCIM's, and every keyed route can say
    401, 403 and 503."""
    for path, method, operation in operations(document):
        declared = operation["responses"]
        errors = {int(status): told for status, told in declared.items() if not status.startswith("2")}
        if path not in OPEN:
            assert {401, 403, 503} <= errors.keys(), path
            assert operation["security"] == [{"key": []}], path
        if method in WITH_BODY:
            assert {400, 413, 415} <= errors.keys(), path
        for status, told in errors.items():
            if path.startswith("/access/"):
                assert told["content"] == {"text/plain": {"schema": {"type": "string"}}}, (path, status)
            elif path.startswith("/scim/"):
                assert told["content"] == {"application/scim+json": {"schema": SCIM_ERROR}}, (path, status)
            else:
                assert told["content"] == {"application/problem+json": {"schema": PROBLEM}}, (path, status)


def test_every_recording_route_declares_its_key_and_body(document: Any) -> None:
    """Native POSTs need an Idempotency-Key; what changes something has a JSON body."""
    for path, method, operation in operations(document):
        names = [parameter["name"] for parameter in operation.get("parameters", ())]
        assert ("Idempotency-Key" in names) is (method == "post" and path.startswith("/v1/")), path
        if method in WITH_BODY:
            assert operation["requestBody"]["required"]
            types = ["application/scim+json"] if path.startswith("/scim/") else []
            assert list(operation["requestBody"]["content"]) == [*types, "application/json"]


def test_every_reference_resolves(document: Any) -> None:
    """Nothing in the document points to what is not there."""
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}

    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if "$ref" in value:
                yield value["$ref"]
            for item in value.values():
                yield from walk(item)
        elif isinstance(value, list):
            for item in value:
                yield from walk(item)

    assert set(walk(document)) <= known


def test_unknown_fields_are_refused_or_ignored_as_declared(document: Any) -> None:
    """Native requests say `additionalProperties: false`; AuthZEN's do not."""
    parts = document["components"]["schemas"]
    assert parts["DecisionRequest"]["additionalProperties"] is False
    assert parts["ResolutionRequest"]["additionalProperties"] is False
    assert parts["EvaluationRequest"].get("additionalProperties", True) is True
