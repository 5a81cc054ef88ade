"""`controls serve`: the service as a process.

Guarantees: it says where it listens once it does; what keeps it from starting is told in words, with an exit
code that says what it was; SIGTERM and SIGINT end it in order, with exit code 0; SIGHUP makes it load what
is in force, never ends it, and leaves what it had where that fails.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from signal import SIGINT
from socket import AF_INET6, socket
from types import FrameType
from typing import Annotated, Any, Final, TypeAlias

import structlog
import typer
import uvicorn

from controls.bootstrap import build_app, build_service, configure_logging
from controls.cli.output import ERR, guarded
from controls.cli.troubles import database_explained
from controls.cli.watch import check_watchable, watch
from controls.model.errors import ControlsError
from controls.services.service import Service
from controls.settings import Settings

# What is in hand may take this long once the service was told to stop; then it is cut off, so that the
# service's own end (queue answered, checkpoint kept) comes before whoever stops it loses patience.
GRACE_SECONDS: Final = 15

_log = structlog.get_logger("controls.serve")

_Part: TypeAlias = dict[str, Any]  # as in ASGI: scopes and messages are open dictionaries
_Application: TypeAlias = Callable[..., Awaitable[None]]


@guarded
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8080,
    folder: Annotated[
        Path | None,
        typer.Option("--watch", help="Publish this folder of rule files whenever it changes (demos only)."),
    ] = None,
) -> None:
    """Run the service (one process; run several against one PostgreSQL to use more cores)."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # while it starts there is nothing to load anew
    settings = Settings()
    configure_logging(settings.log_level)
    service = build_service(settings, builds_ahead=True)
    if folder is not None:
        check_watchable(settings, origin=service.signer.origin, folder=folder)
    started = _Started(build_app(service, settings))
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
        _Server(config, service, folder).run()
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
    """Says where it listens, takes SIGHUP and watches a folder meanwhile, and ends in order on a signal
    instead of dying of it afterwards."""

    def __init__(self, config: uvicorn.Config, service: Service, folder: Path | None) -> None:
        super().__init__(config)
        self._service = service
        self._folder = folder
        self._tasks: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if not self.started:
            return
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, lambda: self._beside(self._reload()))
        for server in self.servers:
            for listening in server.sockets:
                host, port = listening.getsockname()[:2]
                shown = f"[{host}]" if listening.family == AF_INET6 else host
                ERR.print(f"Serving on http://{shown}:{port} (Ctrl-C stops).", markup=False)
        if self._folder is not None:
            self._beside(watch(self._service, self._folder))

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await super().shutdown(sockets=sockets)

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        async def logged() -> None:
            try:
                await work
            except Exception as error:  # noqa: BLE001  # logged with its traceback; the service goes on
                _log.exception("beside_failed", error=type(error).__name__)

        task = asyncio.get_running_loop().create_task(logged())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload(self) -> None:
        try:
            _log.info("reloaded", **await self._service.reload())
        except ControlsError as error:
            _log.error("reload_failed", code=error.code, detail=error.detail)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """As uvicorn's, which also raises the signal again in the end: then nobody could see a clean end."""
        if self.should_exit and sig == SIGINT:
            self.force_exit = True  # a person who is told to wait and does not want to
        self.should_exit = True
