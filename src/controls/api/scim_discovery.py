"""What a SCIM client asks first: what is served, which resources there are, and of what they consist.

The documents are open to keys with the scope `scim`, as the resources are.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from controls.api import scim_documents
from controls.api.entrance import Entrance
from controls.api.openapi import keyed, scim_answers
from controls.api.problems import SCIM
from controls.model.errors import NotFound
from controls.model.values import Json
from controls.services.answers import encode
from controls.services.keys import PROVISIONING

PREFIX: Final = "/scim/v2"
_ERRORS: Final = (401, 403, 503)
_OF_ONE: Final = (400, 401, 403, 404, 503)

Name = Annotated[str, Path(min_length=1, max_length=256)]


def scim_base(request: HttpRequest, public_url: str) -> str:
    """The address of the SCIM routes."""
    return (public_url or str(request.base_url)).rstrip("/") + PREFIX


def discovery_routes(entrance: Entrance, *, public_url: str) -> APIRouter:
    """`/scim/v2/ServiceProviderConfig`, `ResourceTypes` and `Schemas`."""
    router = APIRouter(tags=["SCIM"])

    async def base_of(request: HttpRequest) -> str:
        await entrance.reader(request, PROVISIONING)
        return scim_base(request, public_url)

    @router.get(
        f"{PREFIX}/ServiceProviderConfig",
        summary="What of SCIM is served",
        responses=scim_answers(scim_documents.ScimBody, says="The configuration.", problems=_ERRORS),
        openapi_extra=keyed(),
    )
    async def configuration(request: HttpRequest) -> Response:
        """Needs the scope `scim`."""
        return _scim(scim_documents.configuration(await base_of(request)))

    @router.get(
        f"{PREFIX}/ResourceTypes",
        summary="Users and groups",
        responses=scim_answers(scim_documents.ScimList, says="Both.", problems=_ERRORS),
        openapi_extra=keyed(),
    )
    async def resource_types(request: HttpRequest) -> Response:
        """Needs the scope `scim`."""
        return _scim(scim_documents.all_of(scim_documents.resource_types(await base_of(request))))

    @router.get(
        f"{PREFIX}/ResourceTypes/{{name}}",
        summary="Users or groups",
        responses=scim_answers(scim_documents.ScimBody, says="The resource type.", problems=_OF_ONE),
        openapi_extra=keyed(),
    )
    async def resource_type(request: HttpRequest, name: Name) -> Response:
        """Needs the scope `scim`."""
        return _scim(_one(scim_documents.resource_types(await base_of(request)), name))

    @router.get(
        f"{PREFIX}/Schemas",
        summary="The attributes that are kept",
        responses=scim_answers(scim_documents.ScimList, says="All schemas.", problems=_ERRORS),
        openapi_extra=keyed(),
    )
    async def schemas(request: HttpRequest) -> Response:
        """Needs the scope `scim`."""
        return _scim(scim_documents.all_of(scim_documents.schemas(await base_of(request))))

    @router.get(
        f"{PREFIX}/Schemas/{{name}}",
        summary="The attributes of one schema",
        responses=scim_answers(scim_documents.ScimBody, says="The schema.", problems=_OF_ONE),
        openapi_extra=keyed(),
    )
    async def schema(request: HttpRequest, name: Name) -> Response:
        """Needs the scope `scim`."""
        return _scim(_one(scim_documents.schemas(await base_of(request)), name))

    return router


def _one(documents: dict[str, dict[str, Json]], name: str) -> dict[str, Json]:
    if name not in documents:
        known = ", ".join(documents)
        raise NotFound("document_unknown", f"There is no {name[:64]}", help=f"There are: {known}.")
    return documents[name]


def _scim(told: dict[str, Json]) -> Response:
    return Response(encode(told), media_type=SCIM)
