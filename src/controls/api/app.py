"""The HTTP application. Guarantees: the service is started before the first request and closed after the
last, every error leaves as a problem (AuthZEN: as a message), and no page loads anything from elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from controls.api.authzen import authzen_routes
from controls.api.changes import change_routes
from controls.api.decisions import decision_routes
from controls.api.directory import directory_routes
from controls.api.entrance import Entrance
from controls.api.exceptions import exception_routes
from controls.api.exchange import Exchange, ExchangeMiddleware
from controls.api.json_body import escape
from controls.api.ledger import ledger_routes
from controls.api.openapi import DESCRIPTION, use_own_document
from controls.api.operations import operation_routes
from controls.api.problems import MethodNotAllowed, NoRoute, invalid_fields, problem
from controls.api.releases import release_routes
from controls.api.reviews import review_routes
from controls.api.scim import scim_routes
from controls.api.scim_discovery import discovery_routes
from controls.api.searching import search_routes
from controls.api.shortcut import Shortcut
from controls.model.errors import ControlsError, FieldError
from controls.services.service import Service
from controls.settings import Settings

ASKING = "/v1/decisions"  # the route that everybody waits for


def create_app(service: Service, *, settings: Settings) -> FastAPI:
    """The application over one service, which it starts and closes."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.close()

    app = _Application(
        service=service,
        settings=settings,
        title="controls",
        version=_version(),
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # both pages load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"logs": False},
    )
    entrance = Entrance(service)
    routers = (
        decision_routes(entrance),
        review_routes(entrance),
        exception_routes(entrance),
        change_routes(entrance),
        directory_routes(entrance),
        release_routes(entrance),
        ledger_routes(entrance),
        authzen_routes(entrance, public_url=settings.public_url),
        search_routes(entrance),
        scim_routes(entrance, public_url=settings.public_url),
        discovery_routes(entrance, public_url=settings.public_url),
        operation_routes(service),
    )
    for router in routers:
        # Not `include_router`: it keeps routers apart, and then every request is matched twice.
        app.router.routes.extend(router.routes)
    app.add_exception_handler(ControlsError, _controls_error)
    app.add_exception_handler(RequestValidationError, _bad_parameter)
    app.add_exception_handler(HTTPException, _http_error)
    use_own_document(app)
    return app


class _Application(FastAPI):
    """FastAPI with our exchange around all of it, and one route that is reached without it."""

    def __init__(self, *, service: Service, settings: Settings, **options: Any) -> None:
        self._service = service
        self._settings = settings
        super().__init__(**options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As FastAPI's, without its telemetry, which nobody hears here."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        if self.middleware_stack is None:
            self.middleware_stack = self.build_middleware_stack()
        await self.middleware_stack(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        asked = next(
            route
            for route in self.router.routes
            if isinstance(route, APIRoute) and route.path == ASKING and "POST" in (route.methods or ())
        )
        return ExchangeMiddleware(
            Shortcut(super().build_middleware_stack(), route=asked, told=_controls_error),
            metrics=self._service.metrics,
            max_body_bytes=self._settings.max_body_bytes,
        )


def _version() -> str:
    try:
        return version("controls")
    except PackageNotFoundError:
        return "0"


def _told(request: Request, error: ControlsError) -> Response:
    exchange = Exchange.of(request)
    exchange.code = error.code
    return problem(error, request_id=exchange.request_id, form=exchange.form)


async def _controls_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ControlsError)
    return _told(request, error)


async def _bad_parameter(request: Request, error: Exception) -> Response:
    """Path and query parameters that FastAPI refused."""
    assert isinstance(error, RequestValidationError)
    fields = [
        FieldError(f"/{escape(str(item['loc'][-1]))}", item["type"], item["msg"]) for item in error.errors()
    ]
    return _told(request, invalid_fields(fields))


async def _http_error(request: Request, error: Exception) -> Response:
    """Paths and methods that nobody serves."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        answer = _told(
            request,
            MethodNotAllowed(
                "method_not_allowed",
                "This path is not served with this method",
                help=f"Use {allowed}." if allowed else "See /openapi.json.",
            ),
        )
        if allowed:
            answer.headers["Allow"] = allowed
        return answer
    if error.status_code == 404:
        return _told(request, NoRoute("no_such_route", "Nothing answers here", help="See /openapi.json."))
    return _told(request, ControlsError("http_error", "The request failed", detail=str(error.detail)))
