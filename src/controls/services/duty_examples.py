"""Runs the examples that stand beside duty constraints, each constraint by itself.

Guarantees: an example passes only when its one constraint, with the chain kind it is compiled for, leads to
exactly what is expected; the formulas are those that decide (`controls.duties.constraints`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from controls.duties.ballots import ballots_of
from controls.duties.constraints import Asked, concerns, violation
from controls.duties.findings import constraint_finding
from controls.duties.trails import trail_name
from controls.model.chain import Act, ActState, Capacity, ChainHistory, ChainKind
from controls.model.condition import Facts
from controls.model.duty import Constraint
from controls.model.trail import TrailAct, TrailReading
from controls.model.values import Value
from controls.rules.branch_coverage import Coverage
from controls.rules.duty_examples import DutyAct, DutyExample
from controls.rules.examples import PERMIT, ExampleResult, moment_within
from controls.rules.release import Release
from controls.rules.system import ANYONE
from controls.rules.vocabulary import read_facts

ENGINE: Final = "duties"  # what an example's result names instead of a rule engine
_CHAIN: Final = "example"


def run_duty_examples(release: Release, *, coverage: Coverage) -> tuple[ExampleResult, ...]:
    """Every example of every constraint; `coverage` is told what each showed."""
    kinds = {kind.id: kind for kind in release.chains.values()}
    return tuple(_run(release, example, kinds[example.chain], coverage) for example in release.duty_examples)


def _run(release: Release, example: DutyExample, kind: ChainKind, coverage: Coverage) -> ExampleResult:
    constraint = next(
        item for item in release.constraints if item.id == example.constraint and item.chain in ("", kind.id)
    )
    now = example.at or moment_within((constraint.effective,))
    values: dict[str, Value] = dict(read_facts(release.vocabulary, example.given).values)
    values |= {
        "action.name": example.asks,
        "resource.type": kind.resource,
        "resource.id": _CHAIN,
        "person.id": example.who,
        "person.roles": tuple(sorted(example.roles.get(example.who, ()))),
    }
    here = [act for act in example.done if not act.chain]
    facts = Facts(values, ChainHistory(kind.id, _CHAIN, _acts(here, now=now)), now)
    ballots = ballots_of(release.constraints, chains=[kind]).get(kind.id)
    history = facts.chain if ballots is None else ballots.counted(facts)
    facts = Facts(values, history, now)
    asked = Asked(
        person=example.who,
        step=example.asks,
        kind=kind,
        history=history,
        now=now,
        roles=_held(release, example),
        trails=_trails(release, example, constraint, kind=kind, values=values, now=now),
        profiles=example.profiles,
    )
    got, detail = PERMIT, ""
    found = None
    if concerns(constraint, kind=kind, step=example.asks):
        found = violation(constraint, asked=asked, facts=facts)
    if found is not None:
        finding = constraint_finding(constraint, found=found, asked=asked)
        got, detail = finding.effect.value, f"{finding.cause.value}: {finding.message.en}"
    coverage.duty_example(constraint.id, example.name, facts, spoke=found is not None)
    return ExampleResult(
        rule=constraint.id,
        version=constraint.version,
        example=example.name,
        engine=ENGINE,
        expected=example.expect,
        got=got,
        detail=detail,
        file=example.file,
        line=example.line,
    )


def _held(release: Release, example: DutyExample) -> frozenset[str]:
    roles = example.roles.get(example.who, ())
    return frozenset({ANYONE}).union(*(release.roles.get(role, frozenset({role})) for role in roles))


def _trails(
    release: Release,
    example: DutyExample,
    constraint: Constraint,
    *,
    kind: ChainKind,
    values: dict[str, Value],
    now: datetime,
) -> dict[str, TrailReading]:
    """What the request finds on the constraint's trail: the acts on other chains, which share its value.

    The example's facts say where it is; a scope whose fact no example need name is known without it.
    """
    name = trail_name(constraint)
    if not name:
        return {}
    part = ""
    if constraint.dataset:
        if not {constraint.conflict_class, constraint.dataset} <= values.keys():
            return {}
        part = str(values[constraint.dataset])
    elsewhere = [act for act in example.done if act.chain]
    kinds = (kind, *release.chains.values())
    return {
        name: TrailReading(
            tuple(
                TrailAct(_kind_of(said.step, kinds), said.step, act, said.dataset or part)
                for said, act in zip(elsewhere, _acts(elsewhere, now=now), strict=True)
            ),
            part,
        )
    }


def _kind_of(step: str, kinds: Iterable[ChainKind]) -> str:
    return next(kind.id for kind in kinds if kind.step(step) is not None)


def _acts(done: Iterable[DutyAct], *, now: datetime) -> tuple[Act, ...]:
    return tuple(
        Act(
            claim=f"claim-{act.chain}-{index}",
            decision=f"decision-{index}",
            chain=act.chain or _CHAIN,
            step=act.step,
            person=act.person,
            account=act.person,
            capacity=Capacity.ACTOR,
            state=act.state,
            at=act.at or now,
            done_at=None if act.state is ActState.CLAIMED else act.at or now,
            valid_until=(act.at or now) + timedelta(hours=24),
            index=index,
        )
        for index, act in enumerate(done)
    )
