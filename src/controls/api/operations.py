"""For those who run the service: is it alive, can it decide, and its figures.

Open to everybody who can reach it: none of them holds an id, a name or an amount. Keep `/metrics` to the
inner network all the same.
"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from controls.api import schemas
from controls.api.openapi import answers, text_answers
from controls.model.errors import FieldError, Unavailable
from controls.services.service import Service

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def operation_routes(service: Service) -> APIRouter:
    """`/healthz`, `/readyz` and `/metrics`."""
    router = APIRouter(tags=["operations"])

    @router.get(
        "/healthz",
        summary="Is the process alive?",
        responses=answers(schemas.Health, says="It is.", problems=()),
    )
    async def health() -> Response:
        """Looks at nothing but the process itself."""
        return JSONResponse({"status": "ok"})

    @router.get(
        "/readyz",
        summary="Can decisions be taken?",
        responses=answers(schemas.Health, says="They can.", problems=(503,)),
    )
    async def ready() -> Response:
        """Looks at the writer, the active release and the database."""
        wrong = await service.ready()
        if wrong:
            told = "; ".join(f"{part}: {text}" for part, text in wrong.items())
            raise Unavailable(
                "not_ready",
                "Decisions cannot be taken now",
                detail=told,
                help="Look at the service's log; send requests elsewhere meanwhile.",
                errors=tuple(FieldError(part, "not_ready", text) for part, text in wrong.items()),
            )
        return JSONResponse({"status": "ready"})

    @router.get(
        "/metrics",
        summary="Figures for Prometheus",
        response_class=Response,
        responses=text_answers(says="Prometheus text format.", problems=()),
    )
    async def metrics() -> Response:
        """Counts and times; nothing in it names a person, an order or an amount."""
        return Response(service.metrics.text(), headers={"content-type": METRICS_TYPE})

    return router
