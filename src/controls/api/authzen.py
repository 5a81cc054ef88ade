"""The OpenID AuthZEN Authorization API 1.0: evaluation, evaluations and the metadata that names them.

Guarantees: a deny is `200 {"decision": false}`; unknown fields are ignored; what an item lacks is taken
whole from the top level; items that a semantic skips are neither decided nor recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from controls.api import schemas, search_schemas
from controls.api.asked import merged_items, read_evaluation, semantic_of
from controls.api.decisions import JSON, note
from controls.api.entrance import Entrance, json_of
from controls.api.exchange import Exchange
from controls.api.openapi import body, plain_answers, reference
from controls.api.problems import invalid_fields
from controls.api.searching import PATH as SEARCH
from controls.model.errors import FieldError, InvalidInput
from controls.model.request import Request
from controls.model.values import Json
from controls.services.answers import Unread, authzen_list, authzen_one
from controls.services.decisions import Decide
from controls.services.searches import Sought
from controls.store.rows import ApiKey

EVALUATION: Final = "/access/v1/evaluation"
EVALUATIONS: Final = "/access/v1/evaluations"
_ERRORS: Final = (400, 401, 403, 413, 415, 503)


def authzen_routes(entrance: Entrance, *, public_url: str) -> APIRouter:
    """`/access/v1` and its metadata.

    Args:
        public_url: under which callers reach the service; empty: as each request says.
    """
    router = APIRouter(tags=["AuthZEN"])
    service = entrance.service

    @router.post(
        EVALUATION,
        summary="AuthZEN 1.0: one evaluation",
        responses=plain_answers(schemas.EvaluationAnswer, says="The decision.", problems=_ERRORS),
        openapi_extra=body(reference(schemas.EvaluationRequest), recorded=False),
    )
    async def evaluation(request: HttpRequest) -> Response:
        """Needs the scope `decide`. A permit on a step of a chain claims it."""
        key = await entrance.actor(request, "decide", act="decide")
        return await _single(request, key, _object(await json_of(request)))

    @router.post(
        EVALUATIONS,
        summary="AuthZEN 1.0: several evaluations",
        responses=plain_answers(
            {"oneOf": [reference(schemas.EvaluationsAnswer), reference(schemas.EvaluationAnswer)]},
            says="The decisions in order; a single one when there were no items.",
            problems=_ERRORS,
        ),
        openapi_extra=body(reference(schemas.EvaluationsRequest), recorded=False),
    )
    async def evaluations(request: HttpRequest) -> Response:
        """Needs the scope `decide`. All items are recorded in one transaction."""
        key = await entrance.actor(request, "decide", act="decide")
        said = _object(await json_of(request))
        items = merged_items(said)
        if items is None:
            return await _single(request, key, said)
        semantic = semantic_of(said)
        asked = tuple(_item(item, id=service.new_id("dec")) for item in items)
        await entrance.check_coverage(key, asked, items="/evaluations")
        command = Decide(asked, key.id, authzen_list, semantic=semantic)
        answer = await service.writer.submit(command)
        note(command, Exchange.of(request), service.metrics)
        return Response(answer, media_type=JSON)

    async def _single(request: HttpRequest, key: ApiKey, said: Mapping[str, Json]) -> Response:
        asked = read_evaluation(said, id=service.new_id("dec"))
        await entrance.check_coverage(key, (asked,))
        command = Decide((asked,), key.id, authzen_one)
        answer = await service.writer.submit(command)
        note(command, Exchange.of(request), service.metrics)
        return Response(answer, media_type=JSON)

    @router.get(
        "/.well-known/authzen-configuration",
        summary="AuthZEN 1.0: what this decision point offers",
        response_model=search_schemas.AuthzenConfiguration,
    )
    async def configuration(request: HttpRequest) -> Response:
        """Open to everybody. The address is the setting `public_url`, else the one that was asked."""
        base = (public_url or str(request.base_url)).rstrip("/")
        return JSONResponse(
            {
                "policy_decision_point": base,
                "access_evaluation_endpoint": base + EVALUATION,
                "access_evaluations_endpoint": base + EVALUATIONS,
                **{f"search_{sought}_endpoint": f"{base}{SEARCH}{sought}" for sought in Sought},
            }
        )

    return router


def _object(said: dict[str, Json] | list[Json]) -> dict[str, Json]:
    if isinstance(said, list):
        raise invalid_fields([FieldError("", "wrong_type", "must be an object")])
    return said


def _item(item: Mapping[str, Json] | None, *, id: str) -> Request | Unread:
    """One of several evaluations: what cannot be read is answered with false, and the others go on."""
    if item is None:
        return Unread("The item must be an object.")
    try:
        return read_evaluation(item, id=id)
    except InvalidInput as error:
        return Unread(f"{error.title}: {error.detail}")
