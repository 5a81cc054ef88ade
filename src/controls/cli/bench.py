"""`controls bench`: what the service costs, each figure as a ratio within one run."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from controls.cli.bench_decide import measure_growth, measure_loading, measure_shipped
from controls.cli.bench_duties import measure_look_ahead
from controls.cli.bench_duties_analysis import measure_duties_analysis
from controls.cli.bench_http import CONNECTIONS, LIST_LENGTH, HttpFigures, measure_http
from controls.cli.demo_day import ADMINISTRATORS, PEOPLE, request
from controls.cli.output import ERR, OUT, JsonOption, guarded, print_json
from controls.model.crowd import Crowd
from controls.model.people import Account, Person
from controls.model.request import Request
from controls.model.values import Json
from controls.services.directory_file import read_directory

_FRONT = ("ana.front", "bruno.front", "carla.front", "david.front")


@guarded
def bench(
    rounds: Annotated[int, typer.Option(min=1, help="How often service and yardstick are measured.")] = 5,
    requests: Annotated[int, typer.Option(min=100, help="Requests a round.")] = 6000,
    *,
    as_json: JsonOption = False,
) -> None:
    """Measure decide() alone, and the service over HTTP against a bare endpoint of the same framework."""
    ERR.print(
        "decide() alone: shipped rules, then 10 to 5,000 rules of which 1 % apply; loading 5,000 rules."
    )
    now = datetime.now(UTC)
    body = request("capture", 1, _FRONT[0], now=now, day=now.date())
    account = Account(_FRONT[0], "acc_bench", Person("p-01", frozenset({"order_taker"})))
    shipped = {
        engine: measure_shipped(_as_request(body), account, engine=engine)
        for engine in ("both", "durable", "reference")
    }
    looking = measure_shipped(_as_request(body), account, crowd=_crowd())
    growth = measure_growth()
    loading = measure_loading()
    shipped_cost = shipped["both"]
    ERR.print("Static analysis of a directory, 1,100 constraints, up to 100,000 people.")
    analyses = measure_duties_analysis()
    ERR.print("Looking ahead: can the rest of a chain be done; 12 to 18 steps, 1,000 to 10,000 people.")
    looked_ahead = measure_look_ahead()
    ERR.print(f"Over HTTP on SQLite, one process, {CONNECTIONS} connections, durable commit.")
    figures = measure_http(
        _capture,
        people=PEOPLE,
        administrators=ADMINISTRATORS,
        rounds=rounds,
        requests=requests,
        progress=lambda text: ERR.print(text, style="dim"),
    )
    if as_json:
        print_json(
            {
                "decide_microseconds": {
                    name: {"best": cost.best, "median": cost.median} for name, cost in shipped.items()
                },
                "decide_looking_ahead_microseconds": {"best": looking.best, "median": looking.median},
                "growth_microseconds": {
                    str(size): {"best": cost.best, "median": cost.median} for size, cost in growth.items()
                },
                "loading": asdict(loading),
                "duties_analysis": [asdict(cost) for cost in analyses],
                "look_ahead": [asdict(cost) for cost in looked_ahead],
                "http": _http_json(figures),
            }
        )
        return
    table = Table("decide()", "best, µs", "median, µs", box=None, pad_edge=False)
    for name, cost in shipped.items():
        table.add_row(f"shipped rules, engine {name}", f"{cost.best:.0f}", f"{cost.median:.0f}")
    table.add_row("engine both, looking ahead", f"{looking.best:.0f}", f"{looking.median:.0f}")
    for size, cost in growth.items():
        table.add_row(f"{size} rules, 1 % apply", f"{cost.best:.0f}", f"{cost.median:.0f}")
    OUT.print(table)
    largest = growth[max(growth)].best / shipped_cost.best
    OUT.print(
        f"{loading.rules} rules: {loading.compiled:.1f} s to compile, {loading.tested:.1f} s to compile, "
        f"check and test; a decision costs {largest:.2f} times one with the shipped rules."
    )
    heads = ("duties analyse, people", "assignments", "conflicts", "read, s", "analysed, s")
    table = Table(*heads, box=None, pad_edge=False)
    for analysis in analyses:
        counts = (f"{number:,}" for number in (analysis.people, analysis.assignments, analysis.conflicts))
        table.add_row(*counts, f"{analysis.read:.2f}", f"{analysis.analysed:.2f}")
    OUT.print(table)
    columns = (
        "looking ahead, steps",
        "people",
        "p50, ms",
        "p99, ms",
        "max, ms",
        "asked before, µs",
        "unknown",
    )
    table = Table(*columns, box=None, pad_edge=False)
    for ahead in looked_ahead:
        times = (f"{milliseconds:.2f}" for milliseconds in (ahead.p50, ahead.p99, ahead.largest))
        unknown = f"{ahead.unknown} of {ahead.questions}"
        table.add_row(str(ahead.steps), f"{ahead.people:,}", *times, f"{ahead.kept:.0f}", unknown)
    OUT.print(table)
    table = Table("HTTP", "answers/s", "p50, ms", "p99, ms", box=None, pad_edge=False)
    for name, item in (("bare endpoint", figures.bare), ("service", figures.service)):
        table.add_row(name, f"{item.rate:.0f}", f"{item.p50 * 1e3:.1f}", f"{item.p99 * 1e3:.1f}")
    OUT.print(table)
    OUT.print(
        f"Service to bare endpoint: rate {figures.rate_ratio:.2f}, p99 {figures.p99_ratio:.1f} times. "
        f"Lists of {LIST_LENGTH}: {figures.list_rate:.0f} decisions/s, {figures.list_ratio:.1f} times the "
        "single rate."
    )


def _crowd() -> Crowd:
    """The persons of the demonstration, with their roles."""
    return Crowd(
        {plan.id: frozenset(line.role for line in plan.roles or ()) for plan in read_directory(PEOPLE)}
    )


def _capture(number: int) -> dict[str, Json]:
    """A new order each, and none like another: capture by the front office in turn."""
    now = datetime.now(UTC)
    body = request("capture", number, _FRONT[number % 3], now=now, day=now.date())
    resource = body["resource"]
    assert isinstance(resource, dict)
    resource["id"] = f"B-{number}"
    stated = resource["properties"]
    assert isinstance(stated, dict)
    stated["account"] = f"C-{number}"
    return body


def _as_request(body: dict[str, Json]) -> Request:
    """The request of a decision body, as the API would make it."""
    resource, context = body["resource"], body["context"]
    assert isinstance(resource, dict)
    assert isinstance(context, dict)
    stated = resource["properties"]
    assert isinstance(stated, dict)
    properties = {f"order.{name}": value for name, value in stated.items()}
    for group, values in context.items():
        assert isinstance(values, dict)
        properties |= {f"{group}.{name}": value for name, value in values.items()}
    return Request(
        id="dec_bench",
        subject_type="account",
        subject_id=_FRONT[0],
        action="capture",
        resource_type="order",
        resource_id="B-0",
        properties=properties,
    )


def _http_json(figures: HttpFigures) -> dict[str, object]:
    def told(item: object) -> dict[str, object]:
        return {name: getattr(item, name) for name in ("answers", "rate", "p50", "p99")}

    return {
        "bare": told(figures.bare),
        "service": told(figures.service),
        "rate_ratio": figures.rate_ratio,
        "p99_ratio": figures.p99_ratio,
        "list_decisions_per_second": figures.list_rate,
        "list_ratio": figures.list_ratio,
    }
