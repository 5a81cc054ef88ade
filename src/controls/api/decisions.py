"""Native routes over decisions and chains: ask, report what became of it, and read it again."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import Annotated, Final
from unicodedata import normalize

from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator, ValidationError
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from controls.api import schemas, search_schemas
from controls.api.asked import read_decision, read_decisions
from controls.api.entrance import Entrance, json_of, once, token_of
from controls.api.exchange import Exchange
from controls.api.openapi import answers, body, keyed, reference
from controls.api.problems import invalid
from controls.services.alternatives import Alternatives
from controls.services.answers import Told, native_list, native_one
from controls.services.counterfactuals import Counterfactuals
from controls.services.decisions import Decide
from controls.services.metrics import Metrics
from controls.services.outcomes import Reported, ReportOutcome
from controls.services.outlooks import chain_outlook

JSON: Final = "application/json"
ONE_OR_MORE: Final = {
    "oneOf": [
        reference(schemas.DecisionRequest),
        {"type": "array", "items": reference(schemas.DecisionRequest), "minItems": 1, "maxItems": 1000},
    ]
}
TOLD_ONE_OR_MORE: Final = {
    "oneOf": [
        reference(schemas.DecisionAnswer),
        {"type": "array", "items": reference(schemas.DecisionAnswer)},
    ]
}
_OUTLOOK: Final = b"/outlook"
OurId = Annotated[str, Path(pattern="^[A-Za-z0-9_]{1,64}$", description="As an answer gave it.")]
ChainId = Annotated[
    str,
    Path(
        min_length=1,
        max_length=schemas.MAX_ID,
        pattern=schemas.PRINTABLE,
        description="Percent-encoded; a slash may stand as it is, but for the last one of an id that ends in "
        "/outlook: write %2Foutlook there.",
    ),
    AfterValidator(partial(normalize, "NFC")),  # as ids in bodies are read
]
ChainKind = Annotated[
    str | None,
    Query(
        max_length=schemas.MAX_NAME,
        pattern=schemas.PRINTABLE,
        description="Needed only when chains of several kinds have this id.",
    ),
]

OutlookDay = Annotated[
    date | None,
    Query(description="The day for which it is asked (UTC), from today on; left out: now."),
]


def note(decide: Decide, exchange: Exchange, metrics: Metrics) -> None:
    """Count what was decided, after it was recorded; a repeated answer decides nothing again."""
    for item in decide.told:
        if isinstance(item, Told):
            outcome = item.decision.outcome.value
            metrics.decision(outcome)
            exchange.decisions.append((item.decision.request, outcome))


def decision_routes(entrance: Entrance) -> APIRouter:
    """`/v1/decisions` and `/v1/chains`."""
    router = APIRouter(tags=["decisions"])
    service = entrance.service
    counterfactuals = Counterfactuals(service)
    alternatives = Alternatives(service)

    @router.post(
        "/v1/decisions",
        summary="May this person do this?",
        responses=answers(
            TOLD_ONE_OR_MORE,
            says="The decision; for a list, all of them in order, recorded in one transaction.",
            problems=(400, 401, 403, 409, 413, 415, 422, 503),
        ),
        openapi_extra=body(ONE_OR_MORE),
    )
    async def decide(request: HttpRequest) -> Response:
        """Needs the scope `decide`. A permit on a step of a chain claims it: report its outcome."""
        key = await entrance.actor(request, "decide", act="decide")
        token = token_of(request)
        said = await json_of(request)
        new_id = service.new_id
        listed = isinstance(said, list)
        if isinstance(said, list):
            requests = read_decisions(said, ids=[new_id("dec") for _ in said])
        else:
            requests = (read_decision(said, id=new_id("dec")),)
        await entrance.check_coverage(key, requests, items="" if listed else None)
        command = Decide(requests, key.id, native_list if listed else native_one)
        answer = await service.writer.submit(
            once(command, route="POST /v1/decisions", token=token, said=said)
        )
        note(command, Exchange.of(request), service.metrics)
        return Response(answer, media_type=JSON)

    @router.post(
        "/v1/decisions/{id}/outcome",
        summary="Report what became of a claimed step",
        responses=answers(
            schemas.OutcomeAnswer,
            says="The report is on record.",
            problems=(400, 401, 403, 404, 409, 413, 415, 422, 503),
        ),
        openapi_extra=body(reference(schemas.OutcomeRequest)),
    )
    async def outcome(request: HttpRequest, id: OurId) -> Response:
        """Needs the scope `outcome`, and the key that made the claim."""
        key = await entrance.actor(request, "outcome", act="outcome")
        token = token_of(request)
        said = await json_of(request)
        try:
            reported = schemas.OutcomeRequest.model_validate(said).outcome
        except ValidationError as error:
            raise invalid(error.errors(include_url=False, include_input=False)) from None
        command = ReportOutcome(service.new_id("out"), key.id, id, Reported(reported))
        answer = await service.writer.submit(
            once(command, route="POST /v1/decisions/{id}/outcome", token=token, said=[id, reported])
        )
        return Response(answer, media_type=JSON)

    @router.get(
        "/v1/decisions/{id}",
        summary="A decision as it is on record",
        responses=answers(
            schemas.LedgerEntry,
            says="The ledger entry, with the private values that were not erased.",
            problems=(401, 403, 404, 422, 503),
        ),
        openapi_extra=keyed(),
    )
    async def read(request: HttpRequest, id: OurId) -> Response:
        """Needs the scope `read`."""
        await entrance.reader(request, "read")
        return JSONResponse(await service.queries.decision(id))

    @router.get(
        "/v1/decisions/{id}/alternatives",
        summary="Who else could do what was denied, or what waits for a review",
        responses=answers(
            search_schemas.AlternativesAnswer,
            says="Five persons at most, those with the least open work first.",
            problems=(401, 403, 404, 409, 422, 503),
        ),
        openapi_extra=keyed(),
    )
    async def instead(request: HttpRequest, id: OurId) -> Response:
        """Needs the scopes `read` and `decide`, and a key that covers the question; only accounts for which
        it may speak are told. Each was decided: it would be permitted now. Nothing is claimed and nothing
        recorded."""
        key = await entrance.reader(request, "read")
        return JSONResponse(await alternatives.of(id, key=key))

    @router.get(
        "/v1/decisions/{id}/counterfactuals",
        summary="The smallest changes that would flip a deny or a review",
        responses=answers(
            search_schemas.CounterfactualsAnswer,
            says="What would be decided now, and with which changes otherwise.",
            problems=(401, 403, 404, 409, 422, 503),
        ),
        openapi_extra=keyed(),
    )
    async def flip(request: HttpRequest, id: OurId) -> Response:
        """Needs the scopes `read` and `decide`, and a key that covers the question; persons for whom it may
        not speak are not proposed. Each change was decided with. Nothing is claimed and nothing recorded."""
        key = await entrance.reader(request, "read")
        return JSONResponse(await counterfactuals.of(id, key=key))

    @router.get(
        "/v1/chains/{id:path}/outlook",
        summary="What remains of one chain, who can do it, and how many may be away",
        responses=answers(
            search_schemas.OutlookAnswer,
            says="The outlook.",
            problems=(401, 403, 404, 409, 422, 503),
        ),
        openapi_extra=keyed(),
    )
    async def outlook(
        request: HttpRequest, id: ChainId, kind: ChainKind = None, on: OutlookDay = None
    ) -> Response:
        """Needs the scope `read`; for a day the scope `directory`, as from several days absences can be read.
        Persons are told by pseudonym. Nothing is recorded."""
        if not request.scope["raw_path"].endswith(_OUTLOOK):
            # The slash is of the id: servers decode the path before anybody looks for a route in it.
            return await chain(request, id=f"{id}/outlook", kind=kind)
        await entrance.reader(request, "read" if on is None else "directory")
        return JSONResponse(await chain_outlook(service, id, kind=kind, on=on))

    @router.get(
        "/v1/chains/{id:path}",
        summary="Who did what on one chain",
        responses=answers(
            schemas.ChainAnswer, says="All acts in order.", problems=(401, 403, 404, 409, 422, 503)
        ),
        openapi_extra=keyed(),
    )
    async def chain(request: HttpRequest, id: ChainId, kind: ChainKind = None) -> Response:
        """Needs the scope `read`."""
        await entrance.reader(request, "read")
        return JSONResponse(await service.queries.chain(id, kind=kind))

    return router
