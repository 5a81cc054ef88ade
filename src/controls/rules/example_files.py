"""The examples that stand beside a rule, checked against vocabulary, chain and period."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import cast

from controls.model.duty import Period
from controls.model.finding import Effect
from controls.model.values import Json
from controls.rules.common_shapes import DEFAULT_LIST, MAX_STRING
from controls.rules.condition_files import ConditionScope
from controls.rules.diagnostics import Diagnostics, closest, listed, quoted
from controls.rules.nodes import MappingNode, Scalar, as_json
from controls.rules.readers import MalformedValue, reader_of
from controls.rules.rule import Example, ExampleAct
from controls.rules.types import TIMESTAMP
from controls.rules.vocabulary import SERVICE_READERS

_read_moment = reader_of(TIMESTAMP, max_length=MAX_STRING, max_items=DEFAULT_LIST)


def example_of(
    node: MappingNode,
    *,
    on: tuple[str, ...],
    periods: tuple[Period, ...],
    steps: frozenset[str],
    scope: ConditionScope,
) -> Example:
    """The example of a node whose structure has been checked."""
    diagnostics = scope.diagnostics
    action = node.text("action")
    if action and action not in on:
        diagnostics.add(
            node.place_of("action"), "unknown_action", f"{quoted(action)} is not in `on`: {listed(on)}"
        )
    given = node.mapping("given")
    if given is not None:
        check_given(given, scope)
    moment = moment_of(node, "at", diagnostics)
    due = moment_of(node, "due", diagnostics)
    if "due" in node and node.text("expect") != Effect.OBLIGE:
        diagnostics.add(
            node.entries["due"].key.place, "misplaced_key", "`due` goes with an example that expects oblige"
        )
    if moment is not None and periods and not any(period.holds(moment) for period in periods):
        diagnostics.add(node.place_of("at"), "out_of_range", "the rule does not apply at this moment")
    return Example(
        name=node.text("name"),
        given={} if given is None else cast(Mapping[str, Json], as_json(given)),
        expect=node.text("expect"),
        action=action,
        at=moment,
        performed=_performed(node, steps=steps, scope=scope),
        due=due,
        line=node.place.line,
    )


def check_given(given: MappingNode, scope: ConditionScope) -> None:
    """Note what an example gives that is no fact, or no value of one."""
    aggregates = {name: aggregate.reader for name, aggregate in scope.aggregates.items()}
    readers = {**scope.vocabulary.vocabulary.readers, **SERVICE_READERS, **aggregates}
    for name, entry in given.entries.items():
        reader = readers.get(name)
        if reader is None:
            if scope.vocabulary.complete and not scope.noted(name):
                scope.diagnostics.add(
                    entry.key.place,
                    "unknown_fact",
                    f"{quoted(name)} is not in vocabulary.yaml{closest(name, readers)}",
                )
            continue
        try:
            reader(as_json(entry.value))
        except MalformedValue as problem:
            message = problem.message.en.replace("send ", "write ", 1)
            scope.diagnostics.add(entry.value.place, "bad_value", message)


def _performed(node: MappingNode, *, steps: frozenset[str], scope: ConditionScope) -> tuple[ExampleAct, ...]:
    chain = node.mapping("chain")
    performed = chain.mapping("performed") if chain is not None else None
    acts: list[ExampleAct] = []
    for step, entry in sorted(performed.entries.items()) if performed is not None else ():
        if step not in steps and scope.chains_complete:
            scope.diagnostics.add(
                entry.key.place,
                "unknown_step",
                f"{quoted(step)} is no step of the chain{closest(step, steps)}",
            )
        if isinstance(entry.value, MappingNode):
            moment = moment_of(entry.value, "at", scope.diagnostics)
            acts.append(ExampleAct(step, entry.value.text("person"), moment))
        elif isinstance(entry.value, Scalar):
            acts.append(ExampleAct(step, str(entry.value.value)))
    return tuple(acts)


def moment_of(node: MappingNode, key: str, diagnostics: Diagnostics) -> datetime | None:
    """The moment that a key says; None where it says none, or none that can be read, which is noted."""
    if key not in node:
        return None
    try:
        moment = _read_moment(node.text(key))
    except MalformedValue as problem:
        diagnostics.add(node.place_of(key), "bad_value", problem.message.en.replace("send ", "write ", 1))
        return None
    assert isinstance(moment, datetime)
    return moment
