"""Native routes over releases of rules: propose one, list them, read one."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Final

from fastapi import APIRouter, Path
from pydantic import ValidationError
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from controls.api import change_schemas
from controls.api.decisions import JSON
from controls.api.entrance import Entrance, json_of, once, token_of
from controls.api.openapi import answers, body, keyed, reference
from controls.api.problems import invalid
from controls.api.reviews import DEFAULT_PAGE, Cursor, Limit
from controls.model.values import Json
from controls.rules.files import MAX_CSV_BYTES
from controls.services.administration import PROPOSE, Propose
from controls.services.release_changes import ReleaseActivation

FILES_OR_DIGEST: Final = {
    "oneOf": [reference(change_schemas.ReleaseFiles), reference(change_schemas.ReleaseAgain)]
}
Digest = Annotated[
    str, Path(pattern=change_schemas.DIGEST, description="Of a release, as a listing gave it.")
]


def release_routes(entrance: Entrance) -> APIRouter:
    """`/v1/releases`."""
    router = APIRouter(tags=["releases"])
    service = entrance.service

    @router.post(
        "/v1/releases",
        summary="Propose rule files, or a release that was in force before",
        responses=answers(
            change_schemas.ChangeAnswer,
            says="The release is proposed; another administrator confirms the change.",
            problems=(400, 401, 403, 404, 409, 413, 415, 422, 503),
        ),
        openapi_extra=body(FILES_OR_DIGEST),
    )
    async def propose(request: HttpRequest) -> Response:
        """Needs the scope `release`, and a key that is bound to an administrator. The files are compiled and
        their examples run in a process of their own; everything that is wrong comes back in `errors`, with
        `file:line:column` as pointer, and nothing is changed."""
        key = await entrance.actor(request, "release", act=PROPOSE)
        token = token_of(request)
        said = await json_of(request, max_string=MAX_CSV_BYTES)
        change = await service.on_record(
            _candidate(said), key=key.id, act={"act": PROPOSE, "change_kind": ReleaseActivation.kind}
        )
        command = Propose(
            id=service.new_id("chg"), change_id=service.new_id("change"), key=key.id, change=change
        )
        wanted = once(command, route="POST /v1/releases", token=token, said=said)
        return Response(await service.writer.submit(wanted), media_type=JSON)

    def _candidate(said: dict[str, Json] | list[Json]) -> Awaitable[ReleaseActivation]:
        try:
            if isinstance(said, dict) and "digest" in said:
                again = change_schemas.ReleaseAgain.model_validate(said)
                return service.releases.of_digest(again.digest)
            return service.releases.of_files(change_schemas.ReleaseFiles.model_validate(said).files)
        except ValidationError as error:
            raise invalid(error.errors(include_url=False, include_input=False)) from None

    @router.get(
        "/v1/releases",
        summary="Releases: in force, proposed and past, newest first",
        responses=answers(change_schemas.ReleasePage, says="One page.", problems=(401, 403, 422, 503)),
        openapi_extra=keyed(),
    )
    async def listing(request: HttpRequest, limit: Limit = DEFAULT_PAGE, cursor: Cursor = None) -> Response:
        """Needs the scope `release` or `read`."""
        await entrance.reader(request, "release", "read")
        return JSONResponse(await service.changes.releases(limit=limit, cursor=cursor))

    @router.get(
        "/v1/releases/{digest}",
        summary="One release with its files",
        responses=answers(
            change_schemas.ReleaseContents, says="The release.", problems=(401, 403, 404, 422, 503)
        ),
        openapi_extra=keyed(),
    )
    async def read(request: HttpRequest, digest: Digest) -> Response:
        """Needs the scope `release` or `read`."""
        await entrance.reader(request, "release", "read")
        return JSONResponse(await service.changes.release(digest))

    return router
