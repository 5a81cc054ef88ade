"""What every exchange has in common: ids, headers, the log, unknown paths, and how defects leave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
import structlog
from structlog.testing import CapturingLoggerFactory

from controls.api import exchange, schemas
from controls.api.app import create_app
from controls.model.errors import ControlsError, Unavailable
from controls.store.database import CommitUnknown, StoreUnavailable
from tests.api.conftest import Api, StartApi
from tests.desk import Desk, an_order, ask, start_desk

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("path", ["/healthz", "/v1/reviews", "/v1/decisions", "/access/v1/evaluation", "/no"])
def test_a_request_id_comes_back(api: Api, path: str) -> None:
    """The caller's X-Request-ID comes back on every path, whatever the status."""
    for method in ("GET", "POST"):
        told = api.client.request(method, path, headers={"X-Request-ID": "a/b c=7", "traceparent": TRACE})
        assert told.headers.get_list("x-request-id") == ["a/b c=7"]
        assert told.headers["traceparent"] == TRACE
        assert told.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("given", [None, "x" * 257, "caf\xe9", "a\tb"])
def test_an_unusable_request_id_is_replaced(api: Api, given: str | None) -> None:
    """Without an id that can be printed the service makes one."""
    sent = [] if given is None else [(b"x-request-id", given.encode("latin-1"))]
    told = api.client.get("/healthz", headers=sent)
    assert told.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("given", ["", "00-xyz", TRACE + "\u00e9", TRACE.upper()])
def test_a_malformed_traceparent_does_not_come_back(api: Api, given: str) -> None:
    """Only a W3C trace context is echoed."""
    told = api.client.get("/healthz", headers=[(b"traceparent", given.encode("latin-1"))])
    assert "traceparent" not in told.headers


def test_the_request_id_stands_in_problems(api: Api) -> None:
    """A problem names the id by which the log knows the request."""
    told = api.client.get("/v1/reviews", headers={"X-Request-ID": "mine"})
    assert told.json()["request_id"] == "mine"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "no_such_route"),
        ("GET", "/docs", 404, "no_such_route"),
        ("GET", "/redoc", 404, "no_such_route"),
        ("GET", "/v1/decisions/", 404, "no_such_route"),
        ("GET", "/v1/ledger/entries/0/", 404, "no_such_route"),
        ("GET", "/v1/decisions", 405, "method_not_allowed"),
        ("DELETE", "/v1/reviews/rev_1", 405, "method_not_allowed"),
        ("PUT", "/healthz", 405, "method_not_allowed"),
    ],
)
def test_paths_that_nobody_serves(api: Api, method: str, path: str, status: int, code: str) -> None:
    """Unknown paths and methods are problems like others."""
    told = api.client.request(method, path)
    assert (told.status_code, told.json()["code"]) == (status, code)
    assert told.headers["content-type"] == "application/problem+json"
    schemas.Problem.model_validate(told.json())
    if status == 405:
        assert told.headers["allow"]


def test_authzen_paths_answer_with_plain_messages(api: Api) -> None:
    """Below /access an error is a message, not a problem."""
    told = api.client.post("/access/v1/nothing")
    assert told.status_code == 404
    assert told.headers["content-type"].startswith("text/plain")


# -- operations --------------------------------------------------------------------------------------------


def test_health_readiness_and_figures_are_open(either_api: Api) -> None:
    """Operators need no key, and the figures hold no id, name or amount."""
    order = an_order()
    either_api.ask("capture", "tina.trader", order)
    assert either_api.client.get("/healthz").json() == {"status": "ok"}
    assert either_api.client.get("/readyz").json() == {"status": "ready"}
    figures = either_api.client.get("/metrics")
    assert figures.headers["content-type"].startswith("text/plain")
    for private in (order["id"], "tina", "1500000", "p-05"):
        assert private not in figures.text
    assert 'controls_request_seconds_count{route="/v1/decisions"}' in figures.text


def test_decisions_are_counted_once(own_api: StartApi) -> None:
    """Each decision counts by its outcome; a repeated answer and a problem do not."""
    api = own_api()
    for _ in range(2):
        api.post("/v1/decisions", ask("capture", "tina.trader", "O-1"), token="same")
    api.post("/v1/decisions", [ask("fly", "tina.trader"), ask("capture", "tina.trader")])
    api.post("/v1/decisions", {})
    figures = api.client.get("/metrics").text
    assert 'controls_decisions_total{outcome="permit"} 2.0' in figures
    assert 'controls_decisions_total{outcome="deny"} 1.0' in figures


def test_a_service_that_cannot_decide_is_not_ready(tmp_path: Any, migrated_sqlite_url: str) -> None:
    """Once the service is closed, /readyz is 503 and says why, and decisions are 503 with `retryable`."""
    desk = start_desk(tmp_path, database_url=migrated_sqlite_url)

    async def work(client: httpx2.AsyncClient, service: Any) -> None:
        await service.writer.close()
        told = await client.get("/readyz")
        assert (told.status_code, told.json()["code"]) == (503, "not_ready")
        assert told.json()["errors"][0]["pointer"] == "writer"
        told = await client.post("/v1/decisions", json=ask("capture", "tina.trader"), headers=desk.headers())
        assert (told.status_code, told.json()["retryable"]) == (503, True)
        assert told.headers["retry-after"] == "1"

    drive(desk, work)


# -- trouble -----------------------------------------------------------------------------------------------


def drive(desk: Desk, work: Callable[..., Awaitable[None]]) -> None:
    """Run `work(client, service)` in the application's own loop."""

    async def run() -> None:
        service = desk.build()
        app = create_app(service, settings=desk.settings)
        transport = httpx2.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://test") as client,
        ):
            await work(client, service)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("failure", "status", "code", "retryable"),
    [
        (StoreUnavailable(OSError("gone")), 503, "store_unavailable", True),
        (CommitUnknown(OSError("gone")), 503, "commit_unknown", True),
        (Unavailable("timeout", "The ledger did not answer in time"), 503, "timeout", True),
        (ControlsError("internal_error", "The service failed"), 500, "internal_error", False),
        (RuntimeError("secret detail"), 500, "internal_error", False),
    ],
)
@pytest.mark.parametrize("path", ["/v1/decisions", "/access/v1/evaluation"])
def test_what_is_not_recorded_is_not_answered(
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    failure: Exception,
    status: int,
    code: str,
    retryable: bool,
) -> None:
    """Database trouble is 503 to be retried; a defect is 500, and says nothing of its insides."""

    async def fail(_self: Any, _command: Any) -> bytes:
        raise failure

    monkeypatch.setattr("controls.services.writer.Writer.submit", fail)
    told = api.post(path, ask("capture", "tina.trader"))
    assert told.status_code == status
    assert "secret detail" not in told.text
    assert ("retry-after" in told.headers) is retryable
    if path == "/v1/decisions":
        assert (told.json()["code"], told.json()["retryable"]) == (code, retryable)
    else:
        assert told.headers["content-type"].startswith("text/plain")


def test_a_caller_who_leaves_loses_nothing(tmp_path: Any, migrated_sqlite_url: str) -> None:
    """The decision of a request whose caller is gone is recorded, and its key gives the answer later."""
    desk = start_desk(tmp_path, database_url=migrated_sqlite_url)
    body = ask("capture", "tina.trader", "O-1")
    headers = desk.headers(token="gone")

    async def work(client: httpx2.AsyncClient, service: Any) -> None:
        leaving = asyncio.create_task(client.post("/v1/decisions", json=body, headers=headers))
        # The writer has no event that says it.
        while service.writer._queue.empty() and not service.writer._turn.locked():  # noqa: ASYNC110
            await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        told = await client.post("/v1/decisions", json=body, headers=headers)
        assert told.json()["outcome"] == "permit"
        note = await service.queries.checkpoint()
        assert note.splitlines()[1] == "2"

    drive(desk, work)


def test_a_caller_who_leaves_while_speaking_is_noted(api: Api) -> None:
    """A body that breaks off is no decision and no error of the service."""

    async def leave() -> list[Any]:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = {**api.desk.headers(), "content-type": "application/json"}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/v1/decisions",
            "raw_path": b"/v1/decisions",
            "query_string": b"",
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "server": ("test", 80),
            "client": ("test", 1),
        }
        await api.client.app(scope, receive, send)  # type: ignore[arg-type]
        return sent

    assert asyncio.run(leave()) == []


# -- the log -----------------------------------------------------------------------------------------------


def test_the_log_holds_ids_and_no_payload(own_api: StartApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line a request: ids, route, status, outcome; nothing of what was asked, and no secret."""
    api = own_api()
    lines = CapturingLoggerFactory()
    fresh = structlog.wrap_logger(
        lines(), processors=[structlog.processors.JSONRenderer()], wrapper_class=structlog.BoundLogger
    )
    monkeypatch.setattr(exchange, "_log", fresh)
    order = an_order(account="A-SECRET")
    answer = api.ask("capture", "tina.trader", order)
    api.post("/v1/decisions", {"secret": "A-SECRET"}, token="t-1")
    noted = [json.loads(call.args[0]) for call in lines.logger.calls]
    assert [line["status"] for line in noted] == [200, 422]
    assert noted[0]["decisions"] == {answer["id"]: "permit"}
    assert noted[0]["key"] == api.desk.key_ids["caller"]
    assert noted[0]["route"] == "/v1/decisions"
    assert noted[1]["code"] == "invalid_request"
    told = json.dumps(noted)
    for private in ("A-SECRET", order["id"], "tina", api.desk.keys["caller"], "t-1"):
        assert private not in told
