"""Native routes over review cases: list them, read one, resolve one."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from pydantic import ValidationError
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from controls.api import review_schemas
from controls.api.decisions import JSON, OurId
from controls.api.entrance import Entrance, json_of, once, token_of
from controls.api.openapi import answers, body, keyed, reference
from controls.api.problems import invalid
from controls.services.queries import PAGE_LIMIT
from controls.services.reviews import Resolution, Resolve

DEFAULT_PAGE: Final = 50

State = Annotated[Literal["open", "approved", "rejected"] | None, Query(description="Default: all.")]
Limit = Annotated[int, Query(ge=1, le=PAGE_LIMIT)]
Cursor = Annotated[
    str | None, Query(max_length=200, pattern="^[A-Za-z0-9_-]+$", description="`next` of the page before.")
]


def review_routes(entrance: Entrance) -> APIRouter:
    """`/v1/reviews`."""
    router = APIRouter(tags=["reviews"])
    service = entrance.service

    @router.get(
        "/v1/reviews",
        summary="Review cases, oldest first",
        responses=answers(review_schemas.ReviewPage, says="One page.", problems=(401, 403, 422, 503)),
        openapi_extra=keyed(),
    )
    async def listing(
        request: HttpRequest, state: State = None, limit: Limit = DEFAULT_PAGE, cursor: Cursor = None
    ) -> Response:
        """Needs the scope `review` or `read`."""
        await entrance.reader(request, "review", "read")
        return JSONResponse(await service.queries.reviews(state=state, limit=limit, cursor=cursor))

    @router.get(
        "/v1/reviews/{id}",
        summary="One review case",
        responses=answers(review_schemas.ReviewTold, says="The case.", problems=(401, 403, 404, 422, 503)),
        openapi_extra=keyed(),
    )
    async def read(request: HttpRequest, id: OurId) -> Response:
        """Needs the scope `review` or `read`."""
        await entrance.reader(request, "review", "read")
        return JSONResponse(await service.queries.review(id))

    @router.post(
        "/v1/reviews/{id}/resolution",
        summary="Approve or reject",
        responses=answers(
            review_schemas.ResolutionAnswer,
            says="The resolution is on record.",
            problems=(400, 401, 403, 404, 409, 413, 415, 422, 503),
        ),
        openapi_extra=body(reference(review_schemas.ResolutionRequest)),
    )
    async def resolution(request: HttpRequest, id: OurId) -> Response:
        """Needs the scope `review`, and a key that is bound to a supervisor who is no party to the chain."""
        key = await entrance.actor(request, "review", act="resolve")
        token = token_of(request)
        said = await json_of(request)
        try:
            asked = review_schemas.ResolutionRequest.model_validate(said)
        except ValidationError as error:
            raise invalid(error.errors(include_url=False, include_input=False)) from None
        command = Resolve(
            id=service.new_id("res"),
            key=key.id,
            review=id,
            resolution=Resolution(asked.resolution),
            reason=asked.reason,
        )
        wanted = once(command, route="POST /v1/reviews/{id}/resolution", token=token, said=[id, said])
        return Response(await service.writer.submit(wanted), media_type=JSON)

    return router
