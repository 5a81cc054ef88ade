"""SCIM 2.0 (RFC 7643 and 7644) over the directory, for the provisioning of an identity provider.

Guarantees: what a key may do here two administrators have said when they gave it out
(`controls.services.provisioning`); a listing comes from the directory in force and no page of it is longer
than 200; every error, of whatever kind, is in SCIM's form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, TypeVar

from fastapi import APIRouter, Path, Query
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from controls.api import scim_documents
from controls.api.entrance import SCIM_TYPE, Entrance, json_of
from controls.api.openapi import keyed, scim_answers, scim_body, scim_nothing
from controls.api.problems import SCIM
from controls.api.scim_discovery import PREFIX, scim_base
from controls.model.values import SMALL_INTEGER, Json
from controls.services.answers import encode
from controls.services.keys import PROVISIONING
from controls.services.provisioned_groups import ChangeGroup, CreateGroup, DeleteGroup
from controls.services.provisioned_users import ChangeUser, CreateUser, DeleteUser
from controls.services.provisioning import PROVISION, Act, Provision, view_of
from controls.services.queries import PAGE_LIMIT
from controls.services.scim_messages import (
    MAX_FILTER,
    patched_group,
    patched_user,
    read_filter,
    read_group,
    read_user,
    refused,
)
from controls.services.scim_resources import GROUPS, View, page_json

_T = TypeVar("_T")

_READS: Final = (400, 401, 403, 404, 503)
_WRITES: Final = (400, 401, 403, 404, 409, 413, 415, 503)
_ALWAYS: Final = frozenset({"schemas", "id", "meta"})

Id = Annotated[str, Path(min_length=1, max_length=256)]
FilterText = Annotated[str | None, Query(alias="filter", max_length=MAX_FILTER)]
Start = Annotated[
    int,
    Query(
        alias="startIndex",
        ge=-SMALL_INTEGER,
        le=SMALL_INTEGER,
        description="From 1; what is less counts as 1.",
    ),
]
Count = Annotated[
    int,
    Query(
        ge=-SMALL_INTEGER,
        le=SMALL_INTEGER,
        description=f"More than {PAGE_LIMIT} counts as {PAGE_LIMIT}, and less than 0 as 0.",
    ),
]
Attributes = Annotated[str, Query(max_length=MAX_FILTER, description="Names, separated by commas.")]
Excluded = Annotated[str, Query(alias="excludedAttributes", max_length=MAX_FILTER)]


def scim_routes(entrance: Entrance, *, public_url: str) -> APIRouter:
    """`/scim/v2`."""
    router = APIRouter(tags=["SCIM"])
    service = entrance.service

    def base_of(request: HttpRequest) -> str:
        return scim_base(request, public_url)

    async def view(request: HttpRequest) -> View:
        key = await entrance.reader(request, PROVISIONING)
        active, directory = await service.snapshot()
        return view_of(directory, active.release, key, base=base_of(request), at=service.now())

    async def said(request: HttpRequest) -> Mapping[str, Json]:
        found = await json_of(request, media=SCIM_TYPE)
        if isinstance(found, list):
            raise refused("scim_syntax", "The body must be an object.")
        return found

    async def entered(request: HttpRequest) -> str:
        """The id of a provider's key."""
        return (await entrance.actor(request, PROVISIONING, act=PROVISION)).id

    async def done(request: HttpRequest, key: str, act: Act, *, created: bool = False) -> Response:
        command = Provision(id=service.new_id("prv"), key=key, act=act, base=base_of(request))
        told = await service.writer.submit(command)
        if not told:
            return Response(status_code=204)
        headers = {"Location": command.location} if created else None
        return Response(told, 201 if created else 200, headers=headers, media_type=SCIM)

    # -- users -----------------------------------------------------------------------------------------

    @router.get(
        f"{PREFIX}/Users",
        summary="Users, by id",
        responses=scim_answers(scim_documents.ScimList, says="One page.", problems=_READS),
        openapi_extra=keyed(),
    )
    async def users(
        request: HttpRequest,
        wanted: FilterText = None,
        start: Start = 1,
        count: Count = 100,
        attributes: Attributes = "",
        excluded: Excluded = "",
    ) -> Response:
        """Needs the scope `scim`. Filters: `eq` with userName (in any case), externalId, id, displayName or
        active."""
        seen = await view(request)
        found = seen.found_users(read_filter(wanted) if wanted is not None else None)
        page = _slice(found, start, count)
        shown = [_chosen(seen.user_json(user), attributes, excluded) for user in page]
        return _scim(page_json(shown, total=len(found), start=max(start, 1)))

    @router.get(
        f"{PREFIX}/Users/{{id}}",
        summary="One user",
        responses=scim_answers(scim_documents.ScimResource, says="The user.", problems=_READS),
        openapi_extra=keyed(),
    )
    async def user(
        request: HttpRequest, id: Id, attributes: Attributes = "", excluded: Excluded = ""
    ) -> Response:
        """Needs the scope `scim`."""
        seen = await view(request)
        return _scim(_chosen(seen.user_json(seen.user(id)), attributes, excluded))

    @router.post(
        f"{PREFIX}/Users",
        summary="Create a user: a person with an account",
        status_code=201,
        responses=scim_answers(
            scim_documents.ScimResource, says="The user, on record.", problems=_WRITES, status=201
        ),
        openapi_extra=scim_body(scim_documents.ScimUserRequest),
    )
    async def create_user(request: HttpRequest) -> Response:
        """Needs the scope `scim`. A user that was deleted comes back as the same person."""
        key = await entered(request)
        return await done(request, key, CreateUser(read_user(await said(request))), created=True)

    @router.put(
        f"{PREFIX}/Users/{{id}}",
        summary="Replace a user",
        responses=scim_answers(scim_documents.ScimResource, says="The user, on record.", problems=_WRITES),
        openapi_extra=scim_body(scim_documents.ScimUserRequest),
    )
    async def replace_user(request: HttpRequest, id: Id) -> Response:
        """Needs the scope `scim`. A department or manager that is left out ends."""
        key = await entered(request)
        return await done(request, key, ChangeUser(id, read_user(await said(request))))

    @router.patch(
        f"{PREFIX}/Users/{{id}}",
        summary="Change a user",
        responses=scim_answers(scim_documents.ScimResource, says="The user, on record.", problems=_WRITES),
        openapi_extra=scim_body(scim_documents.ScimPatchRequest),
    )
    async def patch_user(request: HttpRequest, id: Id) -> Response:
        """Needs the scope `scim`. `active` false ends the account, true begins it again."""
        key = await entered(request)
        return await done(request, key, ChangeUser(id, patched_user(await said(request))))

    @router.delete(
        f"{PREFIX}/Users/{{id}}",
        summary="Delete a user: end the account, and the roles that the key may take",
        status_code=204,
        responses=scim_nothing(says="The user has ended, on record.", problems=_READS),
        openapi_extra=keyed(),
    )
    async def delete_user(request: HttpRequest, id: Id) -> Response:
        """Needs the scope `scim`. The person and everything that was done stay on record."""
        return await done(request, await entered(request), DeleteUser(id))

    # -- groups ----------------------------------------------------------------------------------------

    @router.get(
        f"{PREFIX}/Groups",
        summary="Groups, by id",
        responses=scim_answers(scim_documents.ScimList, says="One page.", problems=_READS),
        openapi_extra=keyed(),
    )
    async def groups(
        request: HttpRequest,
        wanted: FilterText = None,
        start: Start = 1,
        count: Count = 100,
        attributes: Attributes = "",
        excluded: Excluded = "",
    ) -> Response:
        """Needs the scope `scim`. Filters: `eq` with displayName, externalId or id."""
        seen = await view(request)
        found = seen.found_groups(read_filter(wanted) if wanted is not None else None)
        page = _slice(found, start, count)
        shown = [_chosen(_group(seen, role), attributes, excluded) for role in page]
        return _scim(page_json(shown, total=len(found), start=max(start, 1)))

    @router.get(
        f"{PREFIX}/Groups/{{id}}",
        summary="One group with its members",
        responses=scim_answers(scim_documents.ScimResource, says="The group.", problems=_READS),
        openapi_extra=keyed(),
    )
    async def group(
        request: HttpRequest, id: Id, attributes: Attributes = "", excluded: Excluded = ""
    ) -> Response:
        """Needs the scope `scim`."""
        seen = await view(request)
        return _scim(_chosen(_group(seen, seen.group(id)), attributes, excluded))

    @router.post(
        f"{PREFIX}/Groups",
        summary="Create a group: take care of a role",
        status_code=201,
        responses=scim_answers(
            scim_documents.ScimResource, says="The group, on record.", problems=_WRITES, status=201
        ),
        openapi_extra=scim_body(scim_documents.ScimGroupRequest),
    )
    async def create_group(request: HttpRequest) -> Response:
        """Needs the scope `scim`. `displayName` is a role that the key names; who holds it keeps it."""
        key = await entered(request)
        return await done(request, key, CreateGroup(read_group(await said(request))), created=True)

    @router.put(
        f"{PREFIX}/Groups/{{id}}",
        summary="Replace a group's members",
        responses=scim_answers(scim_documents.ScimResource, says="The group, on record.", problems=_WRITES),
        openapi_extra=scim_body(scim_documents.ScimGroupRequest),
    )
    async def replace_group(request: HttpRequest, id: Id) -> Response:
        """Needs the scope `scim`. Whoever is not among the members loses the role."""
        key = await entered(request)
        return await done(request, key, ChangeGroup(id, read_group(await said(request)), patches=False))

    @router.patch(
        f"{PREFIX}/Groups/{{id}}",
        summary="Add or remove members",
        status_code=204,
        responses=scim_nothing(says="The members are as asked, on record.", problems=_WRITES),
        openapi_extra=scim_body(scim_documents.ScimPatchRequest),
    )
    async def patch_group(request: HttpRequest, id: Id) -> Response:
        """Needs the scope `scim`. A member gets the role; a grant that breaks a constraint is refused."""
        key = await entered(request)
        return await done(request, key, ChangeGroup(id, patched_group(await said(request)), patches=True))

    @router.delete(
        f"{PREFIX}/Groups/{{id}}",
        summary="Delete a group: take the role from all its members",
        status_code=204,
        responses=scim_nothing(says="Nobody here holds the role, on record.", problems=_READS),
        openapi_extra=keyed(),
    )
    async def delete_group(request: HttpRequest, id: Id) -> Response:
        """Needs the scope `scim`."""
        return await done(request, await entered(request), DeleteGroup(id))

    return router


def _group(seen: View, role: str) -> dict[str, Json]:
    return seen.group_json(role, seen.directory.provisioned[GROUPS, role])


def _slice(found: Sequence[_T], start: int, count: int) -> Sequence[_T]:
    """A page by the number of its first item, from 1 (RFC 7644, 3.4.2.4)."""
    first = max(start, 1) - 1
    return found[first : first + min(max(count, 0), PAGE_LIMIT)]


def _chosen(resource: dict[str, Json], attributes: str, excluded: str) -> dict[str, Json]:
    """The attributes that were asked for (RFC 7644, 3.9), by the names of those at the top."""
    wanted, unwanted = _names(attributes), _names(excluded)
    return {
        name: value
        for name, value in resource.items()
        if name in _ALWAYS or (name.lower() in wanted if wanted else name.lower() not in unwanted)
    }


def _names(text: str) -> set[str]:
    return {name.strip().lower() for name in text.split(",")} - {""}


def _scim(told: dict[str, Json]) -> Response:
    return Response(encode(told), media_type=SCIM)
