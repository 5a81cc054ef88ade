"""What happens around every route: ids, limits, timing, one line in the log, and no way out but an answer.

Guarantees: every response carries its `X-Request-ID` (the caller's when it sent a usable one), the caller's
`traceparent`, and `Cache-Control: no-store`; no more than the allowed bytes of a body are ever held; an error
that nobody expected becomes a problem with status 500 and a traceback in the log; a log line holds ids and
codes, never what was asked or answered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final, cast

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controls.api.problems import Form, TooLarge, form_of, problem, unexpected
from controls.model.errors import ControlsError
from controls.services.identifiers import new_id
from controls.services.metrics import Metrics

NO_ROUTE: Final = "unmatched"
CLIENT_CLOSED: Final = 499
# How many decisions of a list one log line names.
NAMED_IN_LOG: Final = 20

_REQUEST_ID: Final = re.compile(rb"[\x21-\x7e](?:[\x20-\x7e]{0,254}[\x21-\x7e])?\Z")
_TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")
_KEY: Final = "controls.exchange"

_log = structlog.get_logger("controls.request")


@dataclass(slots=True)
class Exchange:
    """One request and what its route notes about it for the log."""

    request_id: str
    form: Form  # of its errors
    key: str = ""
    code: str = ""
    decisions: list[tuple[str, str]] = field(default_factory=list)  # id and outcome

    @staticmethod
    def of(request: Request) -> Exchange:
        return cast("Exchange", request.scope[_KEY])


class ExchangeMiddleware:
    """ASGI middleware; the outermost of the application's own."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, max_body_bytes: int) -> None:
        self._app = app
        self._metrics = metrics
        self._max_body = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        given: bytes | None = None
        trace: bytes | None = None
        length: bytes | None = None
        for name, value in scope["headers"]:
            if name == b"x-request-id":
                given = value
            elif name == b"traceparent":
                trace = value
            elif name == b"content-length":
                length = value
        usable = given is not None and _REQUEST_ID.match(given) is not None
        request_id = given.decode("ascii") if given is not None and usable else new_id("req")
        exchange = Exchange(request_id, form=form_of(scope["path"]))
        scope[_KEY] = exchange
        status = 0
        added = [(b"x-request-id", request_id.encode("ascii")), (b"cache-control", b"no-store")]
        if trace is not None and _TRACEPARENT.match(trace):
            added.append((b"traceparent", trace))

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *added]
            await send(message)

        try:
            await self._app(scope, _limited(receive, length, self._max_body), answer)
        except ClientDisconnect:
            status = CLIENT_CLOSED  # it left before it had sent its body: nobody is there to be answered
        except Exception as error:
            _log.exception("request_defect", request_id=request_id, error=type(error).__name__)
            if status:
                raise  # half an answer is out already; the server must cut the connection
            exchange.code = "internal_error"
            failed = problem(unexpected(error), request_id=request_id, form=exchange.form)
            await failed(scope, receive, answer)
        finally:
            self._note(scope, exchange, status, perf_counter() - started)

    def _note(self, scope: Scope, exchange: Exchange, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", NO_ROUTE)
        self._metrics.request(route, seconds)
        noted: dict[str, object] = {
            "request_id": exchange.request_id,
            "method": scope["method"],
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 2),
        }
        if exchange.key:
            noted["key"] = exchange.key
        if exchange.code:
            noted["code"] = exchange.code
        if exchange.decisions:
            noted["decisions"] = dict(exchange.decisions[:NAMED_IN_LOG])
            noted["decided"] = len(exchange.decisions)
        _log.info("request", **noted)


def _limited(receive: Receive, length: bytes | None, limit: int) -> Receive:
    """`receive`, which refuses to take more than `limit` bytes of body."""
    taken = 0
    announced = int(length) if length is not None and length.isdigit() else 0

    async def limited() -> Message:
        nonlocal taken
        if announced > limit:
            raise _too_large(limit)
        message = await receive()
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            if taken > limit:
                raise _too_large(limit)
        return message

    return limited


def _too_large(limit: int) -> ControlsError:
    return TooLarge(
        "body_too_large",
        "The body is too large",
        detail=f"A body may have {limit} bytes.",
        help="Send fewer decisions at a time, or fewer properties.",
    )
