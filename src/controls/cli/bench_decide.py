"""What rules cost without HTTP and database: one decision with the shipped ones or more, and loading."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from time import perf_counter, process_time
from typing import Final

from controls.bootstrap import read_rule_files, shipped
from controls.decide import ActiveRelease, Situation, decide
from controls.duties.facts import facts_of
from controls.model.chain import ChainHistory
from controls.model.crowd import Crowd
from controls.model.people import Account, Person
from controls.model.request import Request
from controls.model.values import Json
from controls.rules.aggregates import nothing_counted, read_aggregates
from controls.rules.release import Release, compile_release
from controls.rules.vocabulary import read_facts
from controls.services.activate import activate
from controls.services.releases import check_release

ROUNDS: Final = 9
FILE: Final = 1000  # rules in a file, which may have 1 MiB
SIZES: Final = (10, 100, 1000, 5000)


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of one decision: the best and the median of several rounds."""

    best: float
    median: float


def measure_shipped(
    request: Request,
    account: Account,
    *,
    engine: str = "both",
    count: int = 500,
    crowd: Crowd | None = None,
) -> Cost:
    """`decide()` with the shipped rule files, facts read once; with a `crowd`, looking ahead as well."""
    active = activate(_shipped(), engine=engine)
    try:
        return _measure(active, request, account, count=count, crowd=crowd)
    finally:
        active.engine.close()


@cache
def _shipped() -> Release:
    return compile_release(read_rule_files(shipped("rules")))


def measure_growth(*, engine: str = "both", count: int = 300) -> Mapping[int, Cost]:
    """`decide()` with N rules of which 1 % (at least one) watch the action asked for."""
    found: dict[int, Cost] = {}
    for size in SIZES:
        active = activate(compile_release(_rules(size)), engine=engine)
        request = Request(
            id="dec_bench",
            subject_type="account",
            subject_id="bench",
            action="act0",
            resource_type="item",
            resource_id="I-1",
            properties={"item.a": 5, "item.b": "7.50", "item.c": "x"},
        )
        account = Account("bench", "acc_bench", Person("p-1", frozenset({"clerk"})))
        try:
            found[size] = _measure(active, request, account, count=count)
        finally:
            active.engine.close()
    return found


@dataclass(frozen=True, slots=True)
class Loading:
    """Seconds of processor time that many rules take to compile, and to be compiled, checked and tested."""

    rules: int
    compiled: float
    tested: float


def measure_loading() -> Loading:
    """What `controls rules test` does, with the most rules: compile, check, run all examples twice."""
    size = SIZES[-1]
    files = _rules(size)
    started = process_time()
    compile_release(files)
    compiled = process_time() - started
    started = process_time()
    checked = check_release(files)
    tested = process_time() - started
    assert not checked.failures, checked.failures[:3]
    return Loading(size, compiled, tested)


def _measure(
    active: ActiveRelease, request: Request, account: Account, *, count: int, crowd: Crowd | None = None
) -> Cost:
    reading = read_facts(active.release.vocabulary, request.properties)
    watched = active.watched.get(f"{request.resource_type}.{request.action}")
    facts = facts_of(request, values=reading.values, account=account)
    situation = Situation(
        reading=reading,
        aggregates=read_aggregates(watched.read, facts, nothing_counted) if watched else None,
        account=account,
        history=_empty(active, request),
        now=datetime.now(UTC),  # as the request has it
        crowd=crowd,
    )
    decision = decide(request, situation, active=active)
    assert decision.permitted, [finding.message.en for finding in decision.findings]
    rounds: list[float] = []
    for _ in range(ROUNDS):
        started = perf_counter()
        for _ in range(count):
            decide(request, situation, active=active)
        rounds.append((perf_counter() - started) / count * 1e6)
    rounds.sort()
    return Cost(best=rounds[0], median=rounds[len(rounds) // 2])


def _empty(active: ActiveRelease, request: Request) -> ChainHistory:
    kind = active.release.chains.get(request.resource_type)
    return ChainHistory(kind.id if kind is not None else "", request.resource_id)


def _rules(size: int) -> Mapping[str, str]:
    """`size` rules of three conditions each, spread over 100 actions."""
    actions = [f"act{number}" for number in range(100)]
    rules: Sequence[Json] = [
        {
            "id": f"bench.rule_{number}",
            "title": {"en": f"Rule {number}", "es": f"Regla {number}"},
            "source": [{"law": "Benchmark", "article": str(number), "basis": "policy"}],
            "on": [f"item.{actions[number % 100]}"],
            "when": f'item.a > {1000 + number} && item.b < 9.99 && item.c != "y{number}"',
            "then": "deny",
            "message": {"en": "{item.a} is too much", "es": "{item.a} es demasiado"},
            "examples": [
                {
                    "name": "fires",
                    "given": {"item.a": 100000, "item.b": "1", "item.c": "x"},
                    "expect": "deny",
                },
                {"name": "passes", "given": {"item.a": 1, "item.b": "1", "item.c": "x"}, "expect": "permit"},
            ],
        }
        for number in range(size)
    ]
    facts = {
        name: {"type": kind, "public": True, "label": {"en": name, "es": name}}
        for name, kind in (("item.a", "int"), ("item.b", "decimal"), ("item.c", "string"))
    }
    return {
        # JSON is YAML.
        "vocabulary.yaml": json.dumps({"facts": facts}),
        "roles.yaml": json.dumps(
            {
                "roles": {"clerk": {"title": {"en": "Clerk", "es": "Empleado"}}},
                "grants": [{"role": "clerk", "actions": actions, "resource": "item"}],
            }
        ),
        **{
            f"regulatory/bench/rules_{first}.yaml": json.dumps(rules[first : first + FILE])
            for first in range(0, size, FILE)
        },
    }
