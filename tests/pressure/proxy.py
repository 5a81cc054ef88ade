"""A wire between the service and PostgreSQL that is cut where a test says: before, after or within COMMIT."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum


class Cut(StrEnum):
    """What happens to the next COMMIT."""

    NONE = "none"
    BEFORE = "before"  # the server never sees it
    AFTER = "after"  # the server has it, the service sees the connection end at once
    ANSWERED = "answered"  # the server has said that it is done, the service never hears it
    SILENCE = "silence"  # the server never sees it, and the service hears nothing either


@dataclass(slots=True)
class Proxy:
    """Forwards connections; `cut` is for the next COMMIT only, `closed` refuses everybody meanwhile."""

    host: str
    upstream: int
    port: int = 0
    cut: Cut = Cut.NONE
    close_after_cut: bool = False  # that COMMIT ends all other connections too, and none is made any more
    closed: bool = False
    cuts: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.closed:
            writer.transport.abort()
            return
        up_reader, up_writer = await asyncio.open_connection(self.host, self.upstream)
        self._writers |= {writer, up_writer}
        swallow = asyncio.Event()  # what the server says goes nowhere any more
        try:
            async with asyncio.TaskGroup() as group:
                down = group.create_task(self._down(up_reader, writer, swallow))
                await self._up(reader, up_writer, swallow)
                down.cancel()
        except* (OSError, _Cut):
            pass
        finally:
            self._writers -= {writer, up_writer}
            writer.transport.abort()
            up_writer.close()

    async def _up(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, swallow: asyncio.Event
    ) -> None:
        while data := await reader.read(65536):
            cut = self.cut if b"COMMIT;" in data else Cut.NONE
            if cut is Cut.NONE:
                writer.write(data)
                await writer.drain()
                continue
            self.cut, self.closed = Cut.NONE, self.close_after_cut
            self.cuts += 1
            if cut is Cut.SILENCE:
                while await reader.read(65536):
                    pass
                raise _Cut
            if cut is not Cut.BEFORE:
                swallow.set()
                writer.write(data)
                await writer.drain()
            if cut is Cut.ANSWERED:
                await asyncio.sleep(0.2)
            if self.closed:
                self.cut_all()
            raise _Cut

    async def _down(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, swallow: asyncio.Event
    ) -> None:
        while data := await reader.read(65536):
            if not swallow.is_set():
                writer.write(data)
                await writer.drain()
        raise _Cut

    def cut_all(self) -> None:
        """Cut every connection there is now."""
        for writer in self._writers:
            writer.transport.abort()


class _Cut(Exception):
    """The wire is cut."""


@asynccontextmanager
async def proxy_to(host: str, port: int) -> AsyncIterator[Proxy]:
    """A running proxy on a free port of the loopback interface."""
    proxy = Proxy(host, port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut_all()
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await server.wait_closed()
