"""Schemathesis over the OpenAPI document: whatever is sent, no 5xx, and answers as declared."""

from __future__ import annotations

import json
import os
import secrets
from functools import cache
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api.conftest import Api
from tests.api.routes import ROUTES

LONG = os.environ.get("CONTROLS_FUZZ") == "1"
EXAMPLES = 500 if LONG else 6
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
# NUL would be all that most requests are refused for; `test_bad_inputs` sends it.
CONFIG = SchemathesisConfig.from_dict({"generation": {"allow-x00": False, "with-security-parameters": False}})


@pytest.mark.fuzz
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_whatever_is_sent_is_answered(either_api: Api, method: str, path: str, mode: GenerationMode) -> None:
    """Each operation takes requests that fit its schema and ones that do not, answering as it declares."""
    document = either_api.client.get("/openapi.json").content
    operation = operation_of(document, path, method)
    if mode is GenerationMode.NEGATIVE and not (operation.body or list(operation.iter_parameters())):
        pytest.skip("takes nothing that could be wrong")
    for case in cases_of(document, path, method, mode):
        case.validate_response(sent(either_api, case), checks=CHECKS)


@cache
def cases_of(document: bytes, path: str, method: str, mode: GenerationMode) -> list[schemathesis.Case]:
    """Generated requests, the same for both databases: making them up takes four times as long as to answer
    them."""
    found: list[schemathesis.Case] = []

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(case=operation_of(document, path, method).as_strategy(generation_mode=mode))
    def take(case: schemathesis.Case) -> None:
        found.append(case)

    take()
    assert found
    return found


@cache
def schema_of(document: bytes) -> Any:
    """What Schemathesis makes of the document, which is the same for all tests."""
    return schemathesis.openapi.from_dict(json.loads(document), config=CONFIG)


@cache
def operation_of(document: bytes, path: str, method: str) -> Any:
    return schema_of(document)[path][method]


def sent(api: Api, case: schemathesis.Case) -> Any:
    """The answer to a generated request, made with a key that the route takes."""
    path = case.operation.path
    administers = path.startswith(("/v1/changes", "/v1/directory", "/v1/releases"))
    key = "supervisor1" if "resolution" in path else "admin1" if administers else "caller"
    key = "provider" if path.startswith("/scim/") else key
    headers = {"Authorization": f"Bearer {api.desk.keys[key]}"}
    if case.method.upper() == "POST" and case.operation.path.startswith("/v1/"):
        headers["Idempotency-Key"] = secrets.token_hex(8)
    parts = case.as_transport_kwargs(headers=headers, base_url="http://testserver")
    return api.client.request(
        parts["method"],
        parts["url"],
        params=parts.get("params"),
        headers=dict(parts.get("headers") or {}),
        content=parts.get("data"),
        json=parts.get("json"),
    )
