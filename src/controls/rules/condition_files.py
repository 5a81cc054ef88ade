"""Conditions in rule files: what they may name, and their errors at their places in the file.

Guarantees: every error of a condition has the file's line and column; what is broken elsewhere is reported
there and not again by every condition that uses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from controls.model.values import Json, Value
from controls.rules.aggregates import Aggregate, Aggregates
from controls.rules.calendar_files import Calendars
from controls.rules.condition import (
    CompiledExpression,
    ConditionError,
    ConditionInvalid,
    Names,
    WholeCondition,
    compile_condition,
    compile_expression,
)
from controls.rules.datasets import Data
from controls.rules.diagnostics import Diagnostics
from controls.rules.nodes import Scalar
from controls.rules.types import ValueType
from controls.rules.vocabulary import VocabularySource


@dataclass(frozen=True, slots=True)
class ConditionScope:
    """What conditions of a release may name. `chains_complete`: every chain kind could be loaded.

    `compiled` gathers every condition with its place in the files.
    """

    vocabulary: VocabularySource
    types: Mapping[str, ValueType]
    calendars: Calendars
    chains_complete: bool
    diagnostics: Diagnostics
    data: Data = field(default_factory=Data)
    aggregates: Mapping[str, Aggregate] = field(default_factory=dict)
    compiled: list[tuple[Scalar, WholeCondition]] = field(default_factory=list)

    def with_aggregates(self, found: Aggregates) -> ConditionScope:
        """The same for conditions that may name aggregates too."""
        types = {name: aggregate.type for name, aggregate in found.known.items()}
        return replace(
            self,
            vocabulary=replace(self.vocabulary, broken=self.vocabulary.broken | found.broken),
            types={**self.types, **types},
            aggregates=found.known,
        )

    def noted(self, name: str) -> bool:
        """Whether the name, or what it begins with, is broken and was reported where it is declared."""
        return _within(name, self.vocabulary.broken)

    def compile(
        self,
        scalar: Scalar,
        *,
        steps: Iterable[str],
        parameters: Mapping[str, tuple[ValueType, Value]] | None = None,
        broken: frozenset[str] = frozenset(),
    ) -> WholeCondition | None:
        """The condition that a scalar holds; None when it is none, with the reasons noted.

        Args:
            scalar: the text, from the file.
            steps: the steps that `chain.performed("...")` may name.
            parameters: the rule's own, with their types and values.
            broken: parameters that are declared but wrong, noted elsewhere.
        """
        if not self.vocabulary.complete:
            return None  # every name would be unknown: the vocabulary first
        names = self.names(steps=steps, parameters=parameters)
        try:
            condition = compile_condition(str(scalar.value), names=names)
        except ConditionInvalid as invalid:
            self._note(invalid, scalar, broken)
            return None
        self.compiled.append((scalar, condition))
        return condition

    def expression(
        self, scalar: Scalar, *, names: Names, broken: frozenset[str]
    ) -> CompiledExpression | None:
        """The value that a scalar says how to compute; None when it is none, with the reasons noted."""
        if not self.vocabulary.complete:
            return None
        try:
            return compile_expression(str(scalar.value), names=names)
        except ConditionInvalid as invalid:
            self._note(invalid, scalar, broken)
        return None

    def names(
        self, *, steps: Iterable[str], parameters: Mapping[str, tuple[ValueType, Value]] | None = None
    ) -> Names:
        """What conditions may name, besides facts: the given steps and parameters."""
        # No set of steps means "any step" to the language; where there is no chain, no step exists.
        known = frozenset(steps) or (frozenset(("",)) if self.chains_complete else frozenset())
        return Names(
            facts=self.types,
            parameters=dict(parameters or {}),
            steps=known,
            data=self.data,
            calendars=self.calendars.by_name,
        )

    def _note(self, invalid: ConditionInvalid, scalar: Scalar, broken: frozenset[str]) -> None:
        for error in invalid.errors:
            if not self._noted_elsewhere(str(scalar.value), error, broken):
                self.diagnostics.add(scalar.locate(error.offset), error.code, error.message)

    def calendar_digests(self, names: Iterable[str]) -> dict[str, Json]:
        """What the named calendars mean: part of the meaning of whatever counts by them."""
        return {name: self.calendars.by_name[name].digest for name in sorted(set(names))}

    def _noted_elsewhere(self, source: str, error: ConditionError, broken: frozenset[str]) -> bool:
        if error.code == "unknown_step":
            return not self.chains_complete
        if error.code == "unknown_calendar":
            return not self.calendars.complete
        if error.code == "unknown_rates":
            return any(name.startswith("rate.") for name in self.data.broken)
        text = source[error.offset : error.offset + error.length]
        names = self.vocabulary.broken | self.data.broken | broken
        return error.code.startswith("unknown_") and _within(text, names)


def _within(text: str, names: Iterable[str]) -> bool:
    return any(text == name or text.startswith((name + ".", name + "[")) for name in names)
