"""The examples that stand beside a duty constraint, checked against vocabulary, steps and roles.

Guarantees: an example names steps of one chain kind that its constraint is about (on other chains, of any),
and facts of their declared types; what it expects is a permit, or what the constraint itself leads to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from controls.model.chain import ActState, ChainKind
from controls.model.duty import Constraint
from controls.model.people import Profile
from controls.model.values import Json
from controls.rules.chains import Chains
from controls.rules.condition_files import ConditionScope
from controls.rules.diagnostics import Diagnostics, closest, quoted
from controls.rules.example_files import check_given, moment_of
from controls.rules.nodes import MappingNode, as_json

SOMEBODY = "somebody"


@dataclass(frozen=True, slots=True)
class DutyAct:
    """An act before the example's question; on another chain where `chain` says so."""

    step: str
    person: str
    at: datetime | None = None  # at the question's moment
    state: ActState = ActState.PERFORMED
    chain: str = ""
    dataset: str = ""


@dataclass(frozen=True, slots=True)
class DutyExample:
    """A case beside a constraint: who asks for which step after what, and what the constraint leads to.

    `chain` is the id of the chain kind; `given` holds raw property values under fact names; `roles` those of
    each person whom the example gives any.
    """

    constraint: str
    chain: str
    name: str
    who: str
    asks: str
    expect: str  # permit | deny | review | flag
    at: datetime | None = None
    given: Mapping[str, Json] = field(default_factory=dict)
    done: tuple[DutyAct, ...] = ()
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    file: str = ""
    line: int = field(default=0, compare=False)  # known only when loaded from files


def duty_examples_of(
    node: MappingNode,
    path: str,
    *,
    constraints: Sequence[Constraint],
    chains: Chains,
    scope: ConditionScope,
) -> list[DutyExample]:
    """The examples of a constraint whose structure has been checked.

    Args:
        node: the constraint.
        path: its file.
        constraints: what it was compiled to: one for each chain kind that it is about.
        chains: all chain kinds.
        scope: what its facts may be.
    """
    return [
        _example(item, path, constraints=constraints, chains=chains, scope=scope)
        for item in node.items("examples")
        if isinstance(item, MappingNode) and constraints
    ]


def _example(
    node: MappingNode, path: str, *, constraints: Sequence[Constraint], chains: Chains, scope: ConditionScope
) -> DutyExample:
    diagnostics = scope.diagnostics
    constraint = constraints[0]
    asks = node.text("asks") or next(iter(constraint.steps), "")
    kind = _kind(asks, constraints=constraints, chains=chains)
    if kind is not None and not asks:
        asks = kind.steps[0].id
    if kind is None and chains.complete:
        steps = {step.id for known in chains.by_id.values() for step in known.steps}
        diagnostics.add(
            node.place_of("asks"),
            "unknown_step",
            f"{quoted(asks)} is no step of a chain that the constraint is about{closest(asks, steps)}",
        )
    given = node.mapping("given")
    if given is not None:
        check_given(given, scope)
    if node.text("expect") not in ("permit", constraint.then):
        diagnostics.add(
            node.place_of("expect"),
            "never_expected",
            f"the constraint leads to {constraint.then.value} or lets pass: expect that, or permit",
        )
    people = node.mapping("people")
    persons = {} if people is None else _mappings(people)
    return DutyExample(
        constraint=constraint.id,
        chain="" if kind is None else kind.id,
        name=node.text("name"),
        who=node.text("who", SOMEBODY),
        asks=asks,
        expect=node.text("expect"),
        at=moment_of(node, "at", diagnostics),
        given={} if given is None else cast(Mapping[str, Json], as_json(given)),
        done=tuple(
            _act(item, kind=kind, chains=chains, diagnostics=diagnostics)
            for item in node.items("done")
            if isinstance(item, MappingNode)
        ),
        profiles={name: _profile(name, told) for name, told in persons.items()},
        roles={name: told.texts("roles") for name, told in persons.items() if "roles" in told},
        file=path,
        line=node.place.line,
    )


def _kind(asks: str, *, constraints: Sequence[Constraint], chains: Chains) -> ChainKind | None:
    """The first chain kind that the constraint is about and that has the step; without a step, the first."""
    named = {constraint.chain for constraint in constraints}
    for kind in chains.by_id.values():
        if ("" in named or kind.id in named) and (not asks or kind.step(asks) is not None):
            return kind
    return None


def _act(node: MappingNode, *, kind: ChainKind | None, chains: Chains, diagnostics: Diagnostics) -> DutyAct:
    step, elsewhere = node.text("step"), "chain" in node
    kinds = chains.by_id.values() if elsewhere else () if kind is None else (kind,)
    known = {item.id for found in kinds for item in found.steps}
    if step not in known and chains.complete and (elsewhere or kind is not None):
        diagnostics.add(
            node.place_of("step"),
            "unknown_step",
            f"{quoted(step)} is no step of the chain{closest(step, known)}",
        )
    return DutyAct(
        step=step,
        person=node.text("person"),
        at=moment_of(node, "at", diagnostics),
        state=ActState(node.text("state", ActState.PERFORMED)),
        chain=node.text("chain"),
        dataset=node.text("dataset"),
    )


def _mappings(people: MappingNode) -> dict[str, MappingNode]:
    return {
        name: entry.value for name, entry in people.entries.items() if isinstance(entry.value, MappingNode)
    }


def _profile(person: str, node: MappingNode) -> Profile:
    return Profile(
        person,
        department=node.text("department"),
        desk=node.text("desk"),
        household=node.text("household"),
        reports_to=node.text("reports_to"),
    )
