"""The OpenAPI document says what the service does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.conftest import Api

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
    assert {(method, path) for path, method, _ in operations(document)} == {
        ("post", "/v1/decisions"),
        ("get", "/v1/decisions/{id}"),
        ("post", "/v1/decisions/{id}/outcome"),
        ("get", "/v1/decisions/{id}/alternatives"),
        ("get", "/v1/decisions/{id}/counterfactuals"),
        ("get", "/v1/chains/{id}"),
        ("get", "/v1/chains/{id}/outlook"),
        ("get", "/v1/exceptions"),
        ("get", "/v1/reviews"),
        ("get", "/v1/reviews/{id}"),
        ("post", "/v1/reviews/{id}/resolution"),
        ("get", "/v1/changes"),
        ("get", "/v1/changes/{id}"),
        ("post", "/v1/changes/{id}/confirmation"),
        ("get", "/v1/directory/persons"),
        ("get", "/v1/directory/persons/{person}"),
        ("post", "/v1/directory/changes"),
        ("post", "/v1/directory/merges"),
        ("post", "/v1/directory/delegations"),
        ("post", "/v1/directory/delegation-ends"),
        ("post", "/v1/directory/mitigations"),
        ("post", "/v1/directory/mitigation-ends"),
        ("get", "/v1/releases"),
        ("post", "/v1/releases"),
        ("get", "/v1/releases/{digest}"),
        ("get", "/v1/ledger/checkpoint"),
        ("get", "/v1/ledger/entries/{index}"),
        ("get", "/v1/ledger/consistency"),
        ("post", "/access/v1/evaluation"),
        ("post", "/access/v1/evaluations"),
        ("post", "/access/v1/search/subject"),
        ("post", "/access/v1/search/resource"),
        ("post", "/access/v1/search/action"),
        ("get", "/.well-known/authzen-configuration"),
        ("get", "/scim/v2/Users"),
        ("post", "/scim/v2/Users"),
        ("get", "/scim/v2/Users/{id}"),
        ("put", "/scim/v2/Users/{id}"),
        ("patch", "/scim/v2/Users/{id}"),
        ("delete", "/scim/v2/Users/{id}"),
        ("get", "/scim/v2/Groups"),
        ("post", "/scim/v2/Groups"),
        ("get", "/scim/v2/Groups/{id}"),
        ("put", "/scim/v2/Groups/{id}"),
        ("patch", "/scim/v2/Groups/{id}"),
        ("delete", "/scim/v2/Groups/{id}"),
        ("get", "/scim/v2/ServiceProviderConfig"),
        ("get", "/scim/v2/ResourceTypes"),
        ("get", "/scim/v2/ResourceTypes/{name}"),
        ("get", "/scim/v2/Schemas"),
        ("get", "/scim/v2/Schemas/{name}"),
        ("get", "/healthz"),
        ("get", "/readyz"),
        ("get", "/metrics"),
    }


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
