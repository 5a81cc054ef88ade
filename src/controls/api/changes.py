"""Native routes over changes to directory, keys and release: list them, confirm one."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import ValidationError
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from controls.api import change_schemas
from controls.api.decisions import JSON, OurId
from controls.api.entrance import Entrance, json_of, once, token_of
from controls.api.openapi import answers, body, keyed, reference
from controls.api.problems import invalid
from controls.api.reviews import DEFAULT_PAGE, Cursor, Limit
from controls.services.administration import Confirm

State = Annotated[Literal["proposed", "confirmed"] | None, Query(description="Default: all.")]


def change_routes(entrance: Entrance) -> APIRouter:
    """`/v1/changes`."""
    router = APIRouter(tags=["changes"])
    service = entrance.service

    @router.get(
        "/v1/changes",
        summary="Changes to directory, keys and release, newest first",
        responses=answers(change_schemas.ChangePage, says="One page.", problems=(401, 403, 422, 503)),
        openapi_extra=keyed(),
    )
    async def listing(
        request: HttpRequest, state: State = None, limit: Limit = DEFAULT_PAGE, cursor: Cursor = None
    ) -> Response:
        """Needs the scope `directory` or `release`."""
        await entrance.reader(request, "directory", "release")
        return JSONResponse(await service.changes.changes(state=state, limit=limit, cursor=cursor))

    @router.get(
        "/v1/changes/{id}",
        summary="One change, and what it would do",
        responses=answers(change_schemas.OneChange, says="The change.", problems=(401, 403, 404, 422, 503)),
        openapi_extra=keyed(),
    )
    async def read(request: HttpRequest, id: OurId) -> Response:
        """Needs the scope `directory` or `release`. A proposed change of the directory is shown with what it
        would do, person by person, to whoever has the scope `directory`; at most 1,000 persons."""
        key = await entrance.reader(request, "directory", "release")
        _, directory = await service.snapshot()
        seen = directory if "directory" in key.scopes else None
        return JSONResponse(await service.changes.change(id, directory=seen, at=service.now()))

    @router.post(
        "/v1/changes/{id}/confirmation",
        summary="Confirm, as the second administrator",
        responses=answers(
            change_schemas.ChangeAnswer,
            says="The change is in force, on record.",
            problems=(400, 401, 403, 404, 409, 413, 415, 422, 503),
        ),
        openapi_extra=body(reference(change_schemas.Confirmation)),
    )
    async def confirmation(request: HttpRequest, id: OurId) -> Response:
        """Needs the scope `release` for a change of release and `directory` for others, and a key that is
        bound to another administrator than the one who proposed. A release is built before it is in force;
        decisions go on meanwhile."""
        key = await entrance.actor(request, "directory", "release", act="confirm")
        token = token_of(request)
        said = await json_of(request)
        try:
            change_schemas.Confirmation.model_validate(said)
        except ValidationError as error:
            raise invalid(error.errors(include_url=False, include_input=False)) from None
        command = Confirm(id=service.new_id("chg"), key=key.id, change_id=id)
        command.prepared = await service.on_record(
            service.releases.prepared(id), key=key.id, act=command.refused_act()
        )
        command.merging = await service.changes.merging(id)
        wanted = once(command, route="POST /v1/changes/{id}/confirmation", token=token, said=[id, said])
        return Response(await service.writer.submit(wanted), media_type=JSON)

    return router
