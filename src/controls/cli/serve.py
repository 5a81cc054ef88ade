"""`controls serve`: the service as a process.

Guarantees: it says where it listens once it does; what keeps it from starting is told in words, with an exit
code that says what it was; SIGTERM and SIGINT end it in order, with exit code 0.
"""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Awaitable, Callable
from signal import SIGINT
from socket import AF_INET6, socket
from types import FrameType
from typing import Annotated, Any, Final, TypeAlias

import typer
import uvicorn

from controls.bootstrap import build_app, build_service, configure_logging
from controls.cli.output import ERR, guarded
from controls.cli.troubles import database_explained
from controls.model.errors import ControlsError
from controls.settings import Settings

# What is in hand may take this long once the service was told to stop; then it is cut off, so that the
# service's own end (queue answered, checkpoint kept) comes before whoever stops it loses patience.
GRACE_SECONDS: Final = 15

_Part: TypeAlias = dict[str, Any]  # as in ASGI: scopes and messages are open dictionaries
_Application: TypeAlias = Callable[..., Awaitable[None]]


@guarded
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8080,
) -> None:
    """Run the service (one process; run several against one PostgreSQL to use more cores)."""
    settings = Settings()
    configure_logging(settings.log_level)
    started = _Started(build_app(build_service(settings), settings))
    # What is loaded by now lives as long as the process: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    # The thread that commits needs the interpreter for an instant only: it should not wait long for it.
    sys.setswitchinterval(0.001)
    config = uvicorn.Config(
        started,
        host=host,
        port=port,
        interface="asgi3",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    try:
        _Server(config).run()
    except SystemExit:  # how uvicorn gives up
        if started.failure is None:
            raise ControlsError(
                "not_listening",
                f"Nothing can be served on {host}:{port}",
                help="The reason is above. Choose another --host or --port.",
            ) from None
        with database_explained(settings.database_url):
            raise started.failure from None


class _Started:
    """The application, remembering why it did not start: uvicorn would print a traceback and forget it."""

    def __init__(self, application: _Application) -> None:
        self._application = application
        self.failure: Exception | None = None

    def __call__(self, scope: _Part, receive: _Application, send: _Application) -> Awaitable[None]:
        if scope["type"] == "lifespan":
            return self._live(scope, receive, send)
        return self._application(scope, receive, send)

    async def _live(self, scope: _Part, receive: _Application, send: _Application) -> None:
        async def quietly(message: _Part) -> None:
            if message["type"] == "lifespan.startup.failed":
                logging.getLogger("uvicorn.error").disabled = True  # it will be told in our words
                message["message"] = ""
            await send(message)

        try:
            await self._application(scope, receive, quietly)
        except Exception as error:
            self.failure = error
            raise


class _Server(uvicorn.Server):
    """Says where it listens, and ends in order on a signal instead of dying of it afterwards."""

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        for server in self.servers if self.started else ():
            for listening in server.sockets:
                host, port = listening.getsockname()[:2]
                shown = f"[{host}]" if listening.family == AF_INET6 else host
                ERR.print(f"Serving on http://{shown}:{port} (Ctrl-C stops).", markup=False)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """As uvicorn's, which also raises the signal again in the end: then nobody could see a clean end."""
        if self.should_exit and sig == SIGINT:
            self.force_exit = True  # a person who is told to wait and does not want to
        self.should_exit = True
