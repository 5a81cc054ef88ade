"""A small HTTP/1.1 load generator: keep-alive connections that ask without pause and time every answer.

It writes prepared bytes and reads just enough to know status and end of an answer, so that on two cores
the server is what is measured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

HEAD_END: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run measured; seconds, except the rate (answers per second)."""

    answers: int
    errors: int
    rate: float
    p50: float
    p99: float

    @staticmethod
    def of(times: Sequence[float], *, errors: int, seconds: float) -> Measured:
        ordered = sorted(times)
        count = len(ordered)
        return Measured(
            answers=count,
            errors=errors,
            rate=count / seconds,
            p50=ordered[count // 2],
            p99=ordered[min(count - 1, count * 99 // 100)],
        )


def request_bytes(path: str, *, host: str, body: bytes, headers: Sequence[tuple[str, str]]) -> bytes:
    """One POST with a JSON body."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + HEAD_END + body


async def load(
    host: str,
    port: int,
    make: Callable[[int], bytes],
    *,
    connections: int,
    requests: int,
    accept: Callable[[bytes], bool] = lambda _body: True,
) -> Measured:
    """Send `requests` requests, made by number, over `connections` connections that never wait.

    An answer that is not 200, or that `accept` refuses, counts as an error.
    """
    numbers = iter(range(requests))
    times: list[float] = []
    errors = 0

    async def worker() -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection(host, port)
        try:
            for number in numbers:
                data = make(number)
                started = perf_counter()
                writer.write(data)
                head = await reader.readuntil(HEAD_END)
                body = await reader.readexactly(_length(head))
                times.append(perf_counter() - started)
                if not head.startswith(b"HTTP/1.1 200") or not accept(body):
                    errors += 1
        finally:
            writer.close()

    started = perf_counter()
    await asyncio.gather(*(worker() for _ in range(connections)))
    return Measured.of(times, errors=errors, seconds=perf_counter() - started)


def _length(head: bytes) -> int:
    lowered = head.lower()
    at = lowered.index(b"content-length:") + len(b"content-length:")
    return int(lowered[at : lowered.index(b"\r\n", at)])
