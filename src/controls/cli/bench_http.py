"""The service over HTTP against a bare endpoint of the same framework, in turn and within one run."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from typing import Final

from controls.bootstrap import shipped
from controls.cli.load import Measured, load, request_bytes
from controls.cli.operate import start
from controls.model.errors import ControlsError
from controls.model.values import Json
from controls.settings import Mode, Settings
from controls.store.migrate import migrate

CONNECTIONS: Final = 32
LIST_LENGTH: Final = 100
LISTS_AT_ONCE: Final = 4
START_SECONDS: Final = 30.0
_BARE: Final = (
    "import sys, uvicorn; from controls.api.bare import create_bare_app; "
    "uvicorn.run(create_bare_app(), port=int(sys.argv[1]), log_config=None, access_log=False)"
)


@dataclass(frozen=True, slots=True)
class HttpFigures:
    """Medians over the rounds; the ratios are of figures of the same round."""

    bare: Measured
    service: Measured
    rate_ratio: float
    p99_ratio: float
    list_rate: float
    list_ratio: float


def measure_http(
    body: Callable[[int], Mapping[str, Json]],
    *,
    people: str,
    administrators: Sequence[str],
    rounds: int,
    requests: int,
    progress: Callable[[str], None],
) -> HttpFigures:
    """Run service and bare endpoint in turn, each as one process, and compare.

    Args:
        body: the decision request of a number; different numbers are different orders.
        people: the directory as CSV, with `administrators` in it.
        rounds: how many times both are measured.
        requests: how many requests each measures in a round.
    """
    with tempfile.TemporaryDirectory(prefix="controls-bench-") as name:
        folder = Path(name)
        settings = Settings(
            database_url=f"sqlite+aiosqlite:///{folder}/bench.db",
            mode=Mode.DEMO,
            signing_key_file=folder / "ledger.key",
            checkpoint_file=folder / "checkpoint.txt",
            log_level="warning",
        )
        migrate(settings.database_url)
        started = asyncio.run(
            start(
                settings,
                origin="demo/bench",
                people=people,
                rules=shipped("rules"),
                administrators=list(administrators),
                caller="bench",
            )
        )
        keys = started["keys"]
        assert isinstance(keys, dict)
        with _server(["-c", _BARE], {}) as bare, _server(_SERVE, _environment(settings)) as service:
            return asyncio.run(_measure(body, str(keys["bench"]), bare, service, rounds, requests, progress))


_SERVE: Final = ["-m", "controls.cli.main", "serve", "--port"]


async def _measure(
    body: Callable[[int], Mapping[str, Json]],
    key: str,
    bare_port: int,
    service_port: int,
    rounds: int,
    requests: int,
    progress: Callable[[str], None],
) -> HttpFigures:
    numbers = iter(range(10**9))

    def prepared(count: int, length: int) -> list[bytes]:
        found = []
        for _ in range(count):
            number = next(numbers)
            asked = [body(next(numbers)) for _ in range(length)] if length > 1 else body(number)
            headers = (("Authorization", f"Bearer {key}"), ("Idempotency-Key", f"bench-{number}"))
            data = json.dumps(asked, separators=(",", ":")).encode()
            found.append(request_bytes("/v1/decisions", host="127.0.0.1", body=data, headers=headers))
        return found

    async def run(port: int, data: Sequence[bytes], *, connections: int = CONNECTIONS) -> Measured:
        measured = await load(
            "127.0.0.1",
            port,
            data.__getitem__,
            connections=connections,
            requests=len(data),
        )
        if measured.errors:
            raise ControlsError(
                "bench_errors",
                f"{measured.errors} of {measured.answers} requests of the benchmark failed",
                help="Look at the service's log; the figures of a failing run mean nothing.",
            )
        return measured

    warm = requests // 10 + CONNECTIONS
    await run(bare_port, prepared(warm, 1))
    await run(service_port, prepared(warm, 1))
    await run(service_port, prepared(LISTS_AT_ONCE, LIST_LENGTH), connections=LISTS_AT_ONCE)
    bares, services, lists = [], [], []
    for number in range(rounds):
        progress(f"round {number + 1} of {rounds}")
        bares.append(await run(bare_port, prepared(requests, 1)))
        services.append(await run(service_port, prepared(requests, 1)))
        count = max(2 * LISTS_AT_ONCE, requests // LIST_LENGTH)
        lists.append(await run(service_port, prepared(count, LIST_LENGTH), connections=LISTS_AT_ONCE))
    list_rates = [item.rate * LIST_LENGTH for item in lists]
    return HttpFigures(
        bare=_middle(bares),
        service=_middle(services),
        rate_ratio=median(own.rate / other.rate for own, other in zip(services, bares, strict=True)),
        p99_ratio=median(own.p99 / other.p99 for own, other in zip(services, bares, strict=True)),
        list_rate=median(list_rates),
        list_ratio=median(rate / own.rate for rate, own in zip(list_rates, services, strict=True)),
    )


def _middle(measured: Sequence[Measured]) -> Measured:
    return sorted(measured, key=lambda item: item.rate)[len(measured) // 2]


def _environment(settings: Settings) -> dict[str, str]:
    said = settings.model_dump(mode="json", exclude_none=True)
    return {f"CONTROLS_{name.upper()}": str(value) for name, value in said.items()}


@contextmanager
def _server(arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[int]:
    """A server process on a free port, ended with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, *arguments, str(port)],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(process, port)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=START_SECONDS)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    until = monotonic() + START_SECONDS
    while monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        sleep(0.05)
    raise ControlsError(
        "server_not_started",
        "A server of the benchmark did not start",
        detail=f"It ended with {process.poll()}." if process.poll() is not None else "It never listened.",
        help="Run `controls serve` by hand to see why.",
    )
