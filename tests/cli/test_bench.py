"""`controls bench` with tiny numbers: it runs, its figures belong together, and it refuses bad ones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from controls.cli import bench, bench_decide, bench_duties, bench_duties_analysis, bench_http
from controls.cli.demo_day import ADMINISTRATORS, PEOPLE
from controls.cli.load import Measured, load, request_bytes
from controls.cli.output import Exit
from controls.model.errors import ControlsError

from .commands import controls, program, well

# Growth is measured on rule sets that take seconds to compile; here the smaller ones are enough.
SIZES = (10, 100)


def check(told: Mapping[str, Any]) -> None:
    """One document; the ratios are those of the figures beside them when there is one round."""
    assert set(told) == {
        "decide_microseconds",
        "decide_looking_ahead_microseconds",
        "growth_microseconds",
        "loading",
        "duties_analysis",
        "look_ahead",
        "http",
    }
    for cost in told["duties_analysis"]:
        assert 0 < cost["people"] < cost["assignments"]
        assert cost["conflicts"] > 0
        assert cost["read"] + cost["analysed"] > 0
    for cost in told["look_ahead"]:
        assert 0 < cost["p50"] <= cost["p99"] <= cost["largest"]
        assert cost["kept"] > 0
        assert 0 < cost["groups"] <= cost["people"]
        assert 0 <= cost["stranded"] + cost["unknown"] <= cost["questions"]
    assert told["loading"]["compiled"] > 0
    assert told["loading"]["tested"] > 0
    assert set(told["decide_microseconds"]) == {"both", "durable", "reference"}
    looking = told["decide_looking_ahead_microseconds"]
    for cost in (*told["decide_microseconds"].values(), *told["growth_microseconds"].values(), looking):
        assert 0 < cost["best"] <= cost["median"] < 1_000_000
    http = told["http"]
    assert http["bare"]["answers"] == http["service"]["answers"] == 100
    for measured in (http["bare"], http["service"]):
        assert 0 < measured["p50"] <= measured["p99"]
        assert measured["rate"] > 0
    assert http["rate_ratio"] == pytest.approx(http["service"]["rate"] / http["bare"]["rate"])
    assert http["p99_ratio"] == pytest.approx(http["service"]["p99"] / http["bare"]["p99"])
    assert http["list_ratio"] == pytest.approx(http["list_decisions_per_second"] / http["service"]["rate"])


def test_one_small_round_prints_the_figures_and_their_ratios(monkeypatch: pytest.MonkeyPatch) -> None:
    """Service and yardstick are started, asked and ended; one JSON document comes out."""
    monkeypatch.setattr(bench_decide, "SIZES", SIZES)
    monkeypatch.setattr(bench_decide, "ROUNDS", 2)
    monkeypatch.setattr(bench, "measure_shipped", partial(bench_decide.measure_shipped, count=50))
    monkeypatch.setattr(bench, "measure_growth", partial(bench_decide.measure_growth, count=50))
    monkeypatch.setattr(bench_duties_analysis, "SIZES", (1_000, 2_000))
    monkeypatch.setattr(bench_duties, "SIZES", ((6, 50), (8, 100)))
    monkeypatch.setattr(bench_duties, "DESKS", 2)
    said = well("bench", "--rounds", "1", "--requests", "100", "--json")
    told = said.json()
    check(told)
    assert set(told["growth_microseconds"]) == {"10", "100"}
    assert [cost["people"] for cost in told["duties_analysis"]] == [1_000, 2_000]
    assert "round 1 of 1" in said.err


@pytest.mark.bench
def test_the_program_measures_all_sizes() -> None:
    """As `make bench` runs it, with the least that it takes."""
    said = program("bench", "--rounds", "1", "--requests", "100", "--json", env={})
    assert said.code == 0, said.err
    told = json.loads(said.out)
    check(told)
    growth = {int(size): cost["best"] for size, cost in told["growth_microseconds"].items()}
    assert set(growth) == {10, 100, 1000, 5000}
    assert told["loading"]["rules"] == 5000
    assert growth[1000] / growth[10] < 50  # a hundred times the rules: well below linear


@pytest.mark.parametrize("wrong", [("--rounds", "0"), ("--requests", "99"), ("--rounds", "many")])
def test_numbers_that_measure_nothing_are_a_usage_error(wrong: tuple[str, str]) -> None:
    """Before anything is started."""
    assert controls("bench", *wrong).code == Exit.USAGE


def measured_http() -> None:
    bench_http.measure_http(
        lambda number: {"number": number},
        people=PEOPLE,
        administrators=ADMINISTRATORS,
        rounds=1,
        requests=100,
        progress=lambda _text: None,
    )


def test_a_server_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in words; no figures of nothing."""
    monkeypatch.setattr(bench_http, "_BARE", "raise SystemExit(9)")
    with pytest.raises(ControlsError, match="It ended with 9") as told:
        measured_http()
    assert told.value.code == "server_not_started"


def test_answers_that_are_no_answers_end_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fast refusal must not look like a fast service."""
    monkeypatch.setattr(bench_http, "_SERVE", ["-c", "import sys, uvicorn; " + REFUSES])
    monkeypatch.setattr(bench_http, "_BARE", "import sys, uvicorn; " + REFUSES)
    with pytest.raises(ControlsError, match="42 of 42") as told:
        measured_http()
    assert told.value.code == "bench_errors"


REFUSES = (
    "from fastapi import FastAPI, HTTPException\n"
    "app = FastAPI()\n"
    "@app.post('/v1/decisions')\n"
    "def no():\n    raise HTTPException(403)\n"
    "uvicorn.run(app, port=int(sys.argv[1]), log_config=None)"
)


# -- the load generator ------------------------------------------------------------------------------------


async def test_the_load_generator_counts_and_times_every_answer() -> None:
    """Each number is asked once over open connections; what is not 200 or not accepted is an error."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            asked.append(body)
            number = int(body)
            status = b"503 Unavailable" if number % 10 == 0 else b"200 OK"
            writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    measured = await load(
        "127.0.0.1",
        port,
        lambda number: request_bytes("/", host="x", body=b"%d" % number, headers=(("A", "b"),)),
        connections=4,
        requests=50,
        accept=lambda body: body != b"7",
    )
    server.close()
    assert sorted(map(int, asked)) == list(range(50))
    assert (measured.answers, measured.errors) == (50, 6)
    assert measured.rate > 0


def test_percentiles_are_of_the_sorted_times() -> None:
    """p50 and p99 by nearest rank, whatever the order of arrival."""
    times = [number / 1000 for number in range(1, 101)]
    measured = Measured.of(times[::-1], errors=0, seconds=2.0)
    assert (measured.rate, measured.p50, measured.p99) == (50.0, 0.051, 0.1)
    assert Measured.of([0.5], errors=0, seconds=1.0).p99 == 0.5
