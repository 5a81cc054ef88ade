"""The yardstick of `controls bench`: a bare endpoint that validates the same body and stores nothing."""

from __future__ import annotations

from fastapi import FastAPI

from controls.api.schemas import DecisionRequest


def create_bare_app() -> FastAPI:
    """An ordinary FastAPI application with one ordinary endpoint."""
    app = FastAPI(openapi_url=None)

    @app.post("/v1/decisions")
    async def decide(request: DecisionRequest) -> dict[str, bool | str]:
        return {"id": request.resource.id, "decision": True}

    return app
