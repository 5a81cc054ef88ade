"""Native routes over the ledger: the signed checkpoint, entries and the proofs that tie them to it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from controls.api import schemas
from controls.api.entrance import Entrance
from controls.api.openapi import answers, keyed, text_answers
from controls.model.values import SMALL_INTEGER, Json

Index = Annotated[int, Path(ge=0, le=SMALL_INTEGER)]
Size = Annotated[
    int | None, Query(ge=1, le=SMALL_INTEGER, description="Size of a signed tree; default: the newest.")
]
From = Annotated[int, Query(alias="from", ge=0, le=SMALL_INTEGER, description="The smaller tree's size.")]
To = Annotated[
    int | None,
    Query(ge=1, le=SMALL_INTEGER, description="The larger tree's size; default: the newest."),
]


def ledger_routes(entrance: Entrance) -> APIRouter:
    """`/v1/ledger`."""
    router = APIRouter(tags=["ledger"])
    service = entrance.service

    @router.get(
        "/v1/ledger/checkpoint",
        summary="The newest signed checkpoint",
        response_class=PlainTextResponse,
        responses=text_answers(says="A C2SP tlog-checkpoint.", problems=(401, 403, 503)),
        openapi_extra=keyed(),
    )
    async def checkpoint(request: HttpRequest) -> Response:
        """Needs the scope `verify`."""
        await entrance.reader(request, "verify")
        return PlainTextResponse(await service.queries.checkpoint())

    @router.get(
        "/v1/ledger/entries/{index}",
        summary="One entry with its inclusion proof",
        responses=answers(
            schemas.ProvenEntry,
            says="The entry. Private values are shown to keys that also have the scope `read`, and those of "
            "persons only with the scope `directory` as well.",
            problems=(401, 403, 404, 422, 503),
        ),
        openapi_extra=keyed(),
    )
    async def entry(request: HttpRequest, index: Index, size: Size = None) -> Response:
        """Needs the scope `verify`."""
        key = await entrance.reader(request, "verify")
        found = await service.queries.entry(index, size=size)
        if "read" not in key.scopes or (_is_of_persons(found) and "directory" not in key.scopes):
            found.pop("disclosure", None)
        return JSONResponse(found)

    @router.get(
        "/v1/ledger/consistency",
        summary="Proof that an older tree is a prefix of a newer one",
        responses=answers(schemas.ConsistencyProof, says="The proof.", problems=(401, 403, 404, 422, 503)),
        openapi_extra=keyed(),
    )
    async def consistency(request: HttpRequest, old: From, to: To = None) -> Response:
        """Needs the scope `verify`."""
        await entrance.reader(request, "verify")
        return JSONResponse(await service.queries.consistency(old, to))

    return router


def _is_of_persons(found: dict[str, Json]) -> bool:
    """Whether what an entry's disclosure opens is who persons are, where they live and when they are away."""
    entry = found["entry"]
    return isinstance(entry, dict) and entry["kind"] in ("genesis", "change", "directory")
