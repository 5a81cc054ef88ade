"""The native route over exceptions: who used what, and what is still to be looked at."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from controls.api import review_schemas
from controls.api.entrance import Entrance
from controls.api.openapi import answers, keyed
from controls.api.reviews import DEFAULT_PAGE, Cursor, Limit
from controls.services.exceptions import Exceptions


def exception_routes(entrance: Entrance) -> APIRouter:
    """`/v1/exceptions`."""
    router = APIRouter(tags=["reviews"])
    service = entrance.service

    @router.get(
        "/v1/exceptions",
        summary="Who used which exception, newest first",
        responses=answers(review_schemas.ExceptionPage, says="One page.", problems=(401, 403, 422, 503)),
        openapi_extra=keyed(),
    )
    async def listing(request: HttpRequest, limit: Limit = DEFAULT_PAGE, cursor: Cursor = None) -> Response:
        """Needs the scope `review` or `read`."""
        await entrance.reader(request, "review", "read")
        exceptions = Exceptions(service.database, service.tenant)
        return JSONResponse(await exceptions.page(at=service.now(), limit=limit, cursor=cursor))

    return router
