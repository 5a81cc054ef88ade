"""Native routes over the directory: read persons, propose to change some."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Final, TypeVar
from unicodedata import normalize

from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator, BaseModel, ValidationError
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from controls.api import change_schemas, directory_schemas
from controls.api.decisions import JSON
from controls.api.entrance import Entrance, json_of, once, token_of
from controls.api.openapi import answers, body, keyed, reference
from controls.api.problems import invalid
from controls.api.reviews import DEFAULT_PAGE, Limit
from controls.services.administration import PROPOSE, ChangeKind, Propose
from controls.services.delegations import DelegationEnd, DelegationGrant
from controls.services.directory_changes import DirectoryChange
from controls.services.directory_queries import one_person, persons_page
from controls.services.mitigations import Mitigation, MitigationEnd
from controls.services.person_merge import PersonMerge

# A cursor is a person's id of at most 128 characters, in base64.
MAX_CURSOR: Final = 700
Cursor = Annotated[
    str | None,
    Query(max_length=MAX_CURSOR, pattern="^[A-Za-z0-9_-]+$", description="`next` of the page before."),
]
_Asked = TypeVar("_Asked", bound=BaseModel)
PersonId = Annotated[
    str,
    Path(min_length=1, max_length=128, description="The person's pseudonym."),
    AfterValidator(partial(normalize, "NFC")),  # as ids in bodies are read
]


def directory_routes(entrance: Entrance) -> APIRouter:
    """`/v1/directory`."""
    router = APIRouter(tags=["directory"])
    service = entrance.service

    @router.get(
        "/v1/directory/persons",
        summary="Persons with their accounts, roles and attributes, by id",
        responses=answers(directory_schemas.PersonPage, says="One page.", problems=(401, 403, 422, 503)),
        openapi_extra=keyed(),
    )
    async def listing(request: HttpRequest, limit: Limit = DEFAULT_PAGE, cursor: Cursor = None) -> Response:
        """Needs the scope `directory`, or `read`, which does not show names, logins, households and
        absences."""
        key = await entrance.reader(request, "directory", "read")
        _, directory = await service.snapshot()
        private = "directory" in key.scopes
        return JSONResponse(persons_page(directory, limit=limit, cursor=cursor, private=private))

    @router.get(
        "/v1/directory/persons/{person:path}",
        summary="One person",
        responses=answers(
            directory_schemas.PersonTold, says="The person.", problems=(401, 403, 404, 422, 503)
        ),
        openapi_extra=keyed(),
    )
    async def read(request: HttpRequest, person: PersonId) -> Response:
        """Needs the scope `directory`, or `read` (see the listing). Past and future records are there too."""
        key = await entrance.reader(request, "directory", "read")
        _, directory = await service.snapshot()
        return JSONResponse(one_person(directory, person, private="directory" in key.scopes))

    @router.post(
        "/v1/directory/changes",
        summary="Propose to change persons",
        responses=answers(
            change_schemas.ChangeAnswer,
            says="The change is proposed; another administrator confirms it.",
            problems=(400, 401, 403, 409, 413, 415, 422, 503),
        ),
        openapi_extra=body(reference(directory_schemas.DirectoryChangeRequest)),
    )
    async def propose(request: HttpRequest) -> Response:
        """Needs the scope `directory`, and a key that is bound to an administrator. What would leave a login
        with two persons, or break a constraint over roles, is refused, and `errors` names it. What the
        change would do is in `GET /v1/changes/{id}`."""
        return await _proposed(
            request, "POST /v1/directory/changes", directory_schemas.DirectoryChangeRequest, _change_of
        )

    @router.post(
        "/v1/directory/merges",
        summary="Propose that two persons are one",
        responses=answers(
            change_schemas.ChangeAnswer,
            says="The merge is proposed; another administrator confirms it.",
            problems=(400, 401, 403, 409, 413, 415, 422, 503),
        ),
        openapi_extra=body(reference(directory_schemas.MergeRequest)),
    )
    async def merge(request: HttpRequest) -> Response:
        """Needs the scope `directory`, and a key that is bound to an administrator who is neither of the two.
        Once confirmed, what either did counts for the one who stays, the logins are that person's, and a
        case is opened for every open chain on which the two together break a constraint."""
        return await _proposed(
            request,
            "POST /v1/directory/merges",
            directory_schemas.MergeRequest,
            lambda asked: PersonMerge(asked.person, asked.into),
        )

    @router.post(
        "/v1/directory/delegations",
        summary="Propose that one person may take steps for another",
        responses=answers(
            change_schemas.ChangeAnswer,
            says="The delegation is proposed; another administrator confirms it.",
            problems=(400, 401, 403, 409, 413, 415, 422, 503),
        ),
        openapi_extra=body(reference(directory_schemas.DelegationRequest)),
    )
    async def delegate(request: HttpRequest) -> Response:
        """Needs the scope `directory`, and a key that is bound to an administrator who is not the delegate.
        What the delegate then does `on_behalf_of` the person counts for both. Refused, with `errors` naming
        the constraint, where the delegate could break one with it."""
        return await _proposed(
            request,
            "POST /v1/directory/delegations",
            directory_schemas.DelegationRequest,
            _delegation_of,
        )

    @router.post(
        "/v1/directory/delegation-ends",
        summary="Propose to revoke a delegation",
        responses=answers(
            change_schemas.ChangeAnswer,
            says="The end is proposed; another administrator confirms it.",
            problems=(400, 401, 403, 404, 409, 413, 415, 422, 503),
        ),
        openapi_extra=body(reference(directory_schemas.DelegationEndRequest)),
    )
    async def end_delegation(request: HttpRequest) -> Response:
        """Needs the scope `directory`, and a key that is bound to an administrator. Once confirmed, no
        decision rests on it any more."""
        return await _proposed(
            request,
            "POST /v1/directory/delegation-ends",
            directory_schemas.DelegationEndRequest,
            lambda asked: DelegationEnd(asked.delegation),
        )

    @router.post(
        "/v1/directory/mitigations",
        summary="Propose to accept a person's conflict for a time",
        responses=answers(
            change_schemas.ChangeAnswer,
            says="The mitigation is proposed; another administrator confirms it.",
            problems=(400, 401, 403, 409, 413, 415, 422, 503),
        ),
        openapi_extra=body(reference(directory_schemas.MitigationRequest)),
    )
    async def mitigate(request: HttpRequest) -> Response:
        """Needs the scope `directory`, and a key that is bound to an administrator who is not the person.
        While it is in force the grant can be made that the constraint refuses, and each act in the conflict
        opens a case with a deadline."""
        return await _proposed(
            request,
            "POST /v1/directory/mitigations",
            directory_schemas.MitigationRequest,
            _mitigation_of,
        )

    @router.post(
        "/v1/directory/mitigation-ends",
        summary="Propose to end a mitigation",
        responses=answers(
            change_schemas.ChangeAnswer,
            says="The end is proposed; another administrator confirms it.",
            problems=(400, 401, 403, 404, 409, 413, 415, 422, 503),
        ),
        openapi_extra=body(reference(directory_schemas.MitigationEndRequest)),
    )
    async def end_mitigation(request: HttpRequest) -> Response:
        """Needs the scope `directory`, and a key that is bound to an administrator."""
        return await _proposed(
            request,
            "POST /v1/directory/mitigation-ends",
            directory_schemas.MitigationEndRequest,
            lambda asked: MitigationEnd(asked.mitigation),
        )

    async def _proposed(
        request: HttpRequest, route: str, model: type[_Asked], change_of: Callable[[_Asked], ChangeKind]
    ) -> Response:
        """The answer to whoever proposes the change that a body of `model` asks for."""
        key = await entrance.actor(request, "directory", act=PROPOSE)
        token = token_of(request)
        said = await json_of(request)
        try:
            asked = model.model_validate(said)
        except ValidationError as error:
            raise invalid(error.errors(include_url=False, include_input=False)) from None
        command = Propose(
            id=service.new_id("chg"),
            change_id=service.new_id("change"),
            key=key.id,
            change=change_of(asked),
        )
        wanted = once(command, route=route, token=token, said=said)
        return Response(await service.writer.submit(wanted), media_type=JSON)

    return router


def _change_of(asked: directory_schemas.DirectoryChangeRequest) -> DirectoryChange:
    return DirectoryChange(
        tuple(item.plan(f"/persons/{number}") for number, item in enumerate(asked.persons))
    )


def _mitigation_of(asked: directory_schemas.MitigationRequest) -> Mitigation:
    until = directory_schemas.read_time(asked.until)
    assert until is not None  # the schema has read it
    return Mitigation(asked.person, asked.constraint, asked.owner, asked.control, asked.evidence, until)


def _delegation_of(asked: directory_schemas.DelegationRequest) -> DelegationGrant:
    until = directory_schemas.read_time(asked.until)
    assert until is not None  # the schema has read it
    return DelegationGrant(asked.person, asked.delegate, asked.chain, tuple(asked.steps), until, asked.reason)
