"""The OpenID AuthZEN Authorization API 1.0: search for subjects, resources and actions.

Guarantees: a result is what an evaluation of the same request would permit (on a step of a chain, would let
be claimed), and whatever is no result it would not permit, at the moment of the page; nothing is recorded.
Unknown ids and types have no results; a token is taken only with the request it was given for.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, ValidationError
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from controls.api import search_schemas
from controls.api.asked import read_evaluation
from controls.api.entrance import Entrance, digest, json_of
from controls.api.openapi import body, plain_answers, reference
from controls.api.problems import invalid, invalid_fields
from controls.model.errors import FieldError, Forbidden
from controls.model.request import Request
from controls.model.values import Json
from controls.services.keys import may_ask, may_speak_for
from controls.services.searches import Search, Searches, Sought, token_invalid
from controls.store.rows import ApiKey

PATH: Final = "/access/v1/search/"
_ERRORS: Final = (400, 401, 403, 413, 415, 503)
_NAME_BYTES: Final = 12
_ANY: Final = "-"  # stands for what is sought
_ENTITIES: Final = ("subject", "action", "resource", "context")


def search_routes(entrance: Entrance) -> APIRouter:
    """`/access/v1/search`."""
    router = APIRouter(tags=["AuthZEN"])
    searches = Searches(entrance.service)

    def described(asked: type[BaseModel], told: type[BaseModel], *, what: str) -> dict[str, Any]:
        return {
            "summary": f"AuthZEN 1.0: search for {what}",
            "responses": plain_answers(told, says="A page of results.", problems=_ERRORS),
            "openapi_extra": body(reference(asked), recorded=False),
        }

    @router.post(
        PATH + "subject",
        **described(search_schemas.SubjectSearchRequest, search_schemas.EntitiesFound, what="subjects"),
    )
    async def subject(request: HttpRequest) -> Response:
        """Needs the scope `decide`. Who may do this now: logins for which the key may speak, whoever is away
        included, those first whose persons hold the fewest steps unfinished. After a change of the directory
        a token is refused (`token_outdated`). Nothing is claimed and nothing recorded."""
        return await _found(request, Sought.SUBJECT)

    @router.post(
        PATH + "resource",
        **described(search_schemas.ResourceSearchRequest, search_schemas.EntitiesFound, what="resources"),
    )
    async def resource(request: HttpRequest) -> Response:
        """Needs the scope `decide`. On what the subject may do this now: chains on record and, for a type
        without chains, what the rule files list under its name (`lists/TYPE.csv`). Properties of the resource
        hold for every candidate. Nothing is claimed and nothing recorded."""
        return await _found(request, Sought.RESOURCE)

    @router.post(
        PATH + "action",
        **described(search_schemas.ActionSearchRequest, search_schemas.ActionsFound, what="actions"),
    )
    async def action(request: HttpRequest) -> Response:
        """Needs the scope `decide`. What the subject may do with the resource now, of what the key may ask
        about. Nothing is claimed and nothing recorded."""
        return await _found(request, Sought.ACTION)

    async def _found(request: HttpRequest, sought: Sought) -> Response:
        key = await entrance.reader(request, "decide")
        said = await json_of(request)
        if isinstance(said, list):
            raise invalid_fields([FieldError("", "wrong_type", "must be an object")])
        asked = _asked(said, sought)
        page = _page(said)
        _check_covered(key, asked, sought)
        name = digest({"search": sought, **_without_page(said)})[:_NAME_BYTES]
        place = _place(page.token, name) if page.token else b""
        search = Search(sought, asked, lambda one: _covers(key, one))
        found = await searches.page(search, limit=page.limit, place=place)
        told = "" if found.place is None else _token(name, found.place)
        results: list[Json] = [_result(asked, sought, item) for item in found.found]
        return JSONResponse({"page": {"next_token": told}, "results": results})

    return router


def _asked(said: Mapping[str, Json], sought: Sought) -> Request:
    """The request with `_ANY` in the place of what is sought, whose id does not count."""
    filled: dict[str, Json] = dict(said)
    entity = said.get(sought.value)
    if sought is Sought.ACTION:
        filled["action"] = {"name": _ANY}
    elif isinstance(entity, dict):
        filled[sought.value] = entity | {"id": _ANY}
    return read_evaluation(filled, id="search")


def _page(said: Mapping[str, Json]) -> search_schemas.PageRequest:
    try:
        return search_schemas.PageRequest.model_validate(said.get("page", {}))
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    raise invalid(details, prefix="/page")


def _without_page(said: Mapping[str, Json]) -> dict[str, Json]:
    return {name: said[name] for name in _ENTITIES if name in said}


def _covers(key: ApiKey, request: Request) -> bool:
    return may_ask(key, request.resource_type, request.action) and may_speak_for(key, request.subject_id)


def _check_covered(key: ApiKey, asked: Request, sought: Sought) -> None:
    """Refuse what no candidate could make the key cover.

    Raises:
        Forbidden: the action or the subject that is stated is not the key's to ask about.
    """
    if sought is not Sought.ACTION and not may_ask(key, asked.resource_type, asked.action):
        error = FieldError(
            "/action/name", "action_not_covered", "is an action that this key may not ask about"
        )
    elif sought is not Sought.SUBJECT and not may_speak_for(key, asked.subject_id):
        error = FieldError(
            "/subject/id", "subject_not_covered", "is an account that this key may not speak for"
        )
    else:
        return
    raise Forbidden(
        error.code,
        "The API key does not cover this search",
        detail=f"{error.pointer} {error.message}.",
        help="Ask an administrator for a key that covers it, or use another key.",
        errors=(error,),
    )


def _result(asked: Request, sought: Sought, found: str) -> dict[str, Json]:
    if sought is Sought.ACTION:
        return {"name": found}
    return {"type": asked.subject_type if sought is Sought.SUBJECT else asked.resource_type, "id": found}


def _token(name: bytes, place: bytes) -> str:
    """Says for which request it is, and where the page begins."""
    return urlsafe_b64encode(name + place).decode().rstrip("=")


def _place(token: str, name: bytes) -> bytes:
    try:
        read = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        raise token_invalid() from None
    if read[:_NAME_BYTES] != name:
        raise token_invalid()
    return read[_NAME_BYTES:]
