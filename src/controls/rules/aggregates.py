"""Aggregates from files: `aggregates/*.yaml`, counts and sums over earlier requests in sliding windows.

Guarantees: every fact that is named has a type that can be grouped by or summed; `version` changes with all
that decides what is counted, so that two aggregates of one version have counted the same requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeAlias, cast

from controls.model.finding import Text
from controls.model.values import MAX_DIGITS, Json, Money, Value, canonical
from controls.model.window import (
    NOT_STATED,
    PLAIN,
    AggregateReading,
    Gap,
    Window,
    exact_difference,
    significant_digits,
)
from controls.rules.chains import RESERVED_RESOURCES
from controls.rules.diagnostics import Diagnostics, closest, quoted
from controls.rules.literals import parse_duration
from controls.rules.nodes import MappingNode, Scalar, canonical_json, mappings_of
from controls.rules.readers import MAX_INTEGER, Reader, reader_of
from controls.rules.rule_structure import AGGREGATE
from controls.rules.shapes import is_sound
from controls.rules.sources import SourceFile
from controls.rules.types import INT, Kind, ValueType, is_scalar
from controls.rules.versions import version_of
from controls.rules.vocabulary import SERVICE_FACTS, VocabularySource

PREFIX: Final = "aggregate."
SHORTEST: Final = timedelta(seconds=1)
LONGEST: Final = timedelta(days=366)

_SUMMED: Final = frozenset({Kind.INT, Kind.DECIMAL, Kind.MONEY})
# A person may have several logins: who groups by them lets everybody count apart. Nor do entries name them.
_LOGIN: Final = "subject.id"


class Counting(StrEnum):
    """Which requests count."""

    ASKED = "asked"  # every recorded request, whatever the answer
    GRANTED = "granted"  # permits, but not those that only share a claim given before


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One count or sum.

    `name` is `aggregate.NAME`; `actions` those whose requests are observed; `by` the facts that a group
    shares; `amount` the fact that is summed (empty: requests are counted). `public`: all that it is made of
    may stand in the open part of the ledger.
    """

    name: str
    version: str
    actions: frozenset[str]
    by: tuple[str, ...]
    within: timedelta
    type: ValueType = INT
    amount: str = ""
    counting: Counting = Counting.ASKED
    others_only: bool = False
    public: bool = False
    title: Text | None = None

    @property
    def reader(self) -> Reader:
        """Reads its values in examples."""
        return reader_of(self.type, max_length=0, max_items=0)

    def group(self, facts: Mapping[str, Value]) -> str | None:
        """The text of the group that a request is in; None when it lacks one of the facts of `by`."""
        values: list[Json] = []
        for name in self.by:
            if name not in facts:
                return None
            values.append(canonical(facts[name]))
        return canonical_json(values).decode()

    def amount_of(self, facts: Mapping[str, Value]) -> Decimal | Money | None:
        """What the request adds to a sum; None when it does not say. A count adds nothing."""
        if not self.amount:
            return Decimal(0)
        value = facts.get(self.amount)
        return Decimal(value) if isinstance(value, int) else cast("Decimal | Money | None", value)

    def read(self, window: Window, *, own: Window, facts: Mapping[str, Value]) -> Value | Gap:
        """What the aggregate says to a request.

        Args:
            window: over the request's group.
            own: over those of the group that are about the same resource, when they are left out; else empty.
            facts: the request's.
        """
        if not self.amount:
            return window.count - own.count
        if window.count == own.count:
            return self._nothing(facts)
        if window.unit is None or window.unit == NOT_STATED:
            return Gap(
                error=f"{self.name} cannot be summed: within {canonical(self.within)} there are amounts in "
                "more than one currency, or requests that did not state one"
            )
        total = exact_difference(window.total, own.total)
        if self.type.kind is Kind.INT:
            too_large = Gap(error=f"{self.name} is not below {MAX_INTEGER}")
            return int(total) if -MAX_INTEGER < total < MAX_INTEGER else too_large
        if significant_digits(total) > MAX_DIGITS:
            return Gap(error=f"{self.name} needs more than {MAX_DIGITS} digits")
        return total if window.unit == PLAIN else Money(total, window.unit)

    def _nothing(self, facts: Mapping[str, Value]) -> Value | Gap:
        """The sum of nothing: for money in the currency of the request itself, for it has no other."""
        if self.type.kind is not Kind.MONEY:
            return 0 if self.type.kind is Kind.INT else Decimal(0)
        amount = facts.get(self.amount)
        return Money(Decimal(0), amount.currency) if isinstance(amount, Money) else Gap((self.amount,))


# The window over the request's group, and that of those in it which are left out; or why there is none.
WindowOf: TypeAlias = Callable[[Aggregate], "tuple[Window, Window] | Gap"]


def nothing_counted(_aggregate: Aggregate) -> tuple[Window, Window]:
    """The windows of a service that has been asked nothing yet."""
    return Window(), Window()


def read_aggregates(
    wanted: Iterable[Aggregate], facts: Mapping[str, Value], window_of: WindowOf
) -> AggregateReading:
    """What the wanted aggregates say to a request with these facts."""
    values: dict[str, Value] = {}
    gaps: dict[str, Gap] = {}
    for aggregate in wanted:
        lacking = tuple(name for name in aggregate.by if name not in facts)
        windows = Gap(missing=lacking) if lacking else window_of(aggregate)
        if isinstance(windows, Gap):
            gaps[aggregate.name] = windows
            continue
        found = aggregate.read(windows[0], own=windows[1], facts=facts)
        if isinstance(found, Gap):
            gaps[aggregate.name] = found
        else:
            values[aggregate.name] = found
    return AggregateReading(values, gaps)


@dataclass(frozen=True, slots=True)
class Aggregates:
    """The aggregates by their full names, and the names that are broken (not to be reported again)."""

    known: Mapping[str, Aggregate] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()


def aggregates_of(
    files: Iterable[SourceFile],
    *,
    readable: bool,
    actions: frozenset[str] | None,
    vocabulary: VocabularySource,
    diagnostics: Diagnostics,
) -> Aggregates:
    """The aggregates of all files.

    Args:
        files: the files, with their structure checked.
        readable: all of them could be read; else nobody knows which names there are.
        actions: every `resource.action` that a grant or a chain step knows; None when that is not known.
    """
    known: dict[str, Aggregate] = {}
    broken = set() if readable else {PREFIX.rstrip(".")}
    places: dict[str, str] = {}
    for file in files:
        for node in mappings_of(file.node):
            name = PREFIX + node.text("aggregate")
            before = diagnostics.count
            if name in places:
                diagnostics.add(
                    node.place_of("aggregate"),
                    "duplicate_id",
                    f"{quoted(name)} is already in {places[name]}: rename one",
                )
                continue
            places[name] = file.path
            found = None
            if file.clean or is_sound(AGGREGATE, node):
                found = _aggregate(node, name, actions, vocabulary, diagnostics)
            if found is None or diagnostics.count > before:
                broken.add(name)
            else:
                known[name] = found
    return Aggregates(known, frozenset(broken))


def _aggregate(
    node: MappingNode,
    name: str,
    actions: frozenset[str] | None,
    vocabulary: VocabularySource,
    diagnostics: Diagnostics,
) -> Aggregate | None:
    summed = node.scalar("sum")
    _check_keys(node, diagnostics)
    watched = node.scalars("of" if summed is not None else "count")
    for action in watched:
        _check_action(action, actions, diagnostics)
    within = _within(node, diagnostics)
    by = tuple((item, _fact_type(item, vocabulary, diagnostics)) for item in node.scalars("by"))
    for item, type_ in by:
        if item.value == _LOGIN:
            message = "one person may have several logins, and each would count apart: write person.id"
            diagnostics.add(item.place, "bad_value", message)
        elif type_ is not None and not is_scalar(type_):
            diagnostics.add(item.place, "wrong_type", f"nothing can be grouped by a {type_}: name its parts")
    type_ = INT if summed is None else _fact_type(summed, vocabulary, diagnostics)
    if summed is not None and type_ is not None and type_.kind not in _SUMMED:
        diagnostics.add(
            summed.place, "wrong_type", f"a {type_} cannot be summed: name an int, a decimal or money"
        )
    if within is None or type_ is None or not watched:
        return None
    amount = node.text("sum")
    named = (*node.texts("by"), *((amount,) if amount else ()))
    counting = Counting(node.text("counting", Counting.ASKED))
    others_only = node.flag("others_only", default=False)
    grouped: list[Json] = [f"{item.value} {of}" for item, of in by]
    meaning: dict[str, Json] = {
        "name": name,
        "actions": list[Json](sorted(str(action.value) for action in watched)),
        "by": grouped,
        "sum": f"{amount} {type_}" if amount else None,
        "within": canonical(within),
        "counting": counting.value,
        "others_only": others_only,
    }
    return Aggregate(
        name=name,
        version=version_of(meaning),
        actions=frozenset(str(action.value) for action in watched),
        by=node.texts("by"),
        within=within,
        type=type_,
        amount=amount,
        counting=counting,
        others_only=others_only,
        public=set(named) <= vocabulary.vocabulary.public | SERVICE_FACTS.keys(),
        title=node.bilingual("title"),
    )


def _check_keys(node: MappingNode, diagnostics: Diagnostics) -> None:
    if "sum" in node and "count" in node:
        diagnostics.add(
            node.entries["count"].key.place,
            "misplaced_key",
            "an aggregate either counts or sums: write two, or `of` instead of `count`",
        )
    elif "sum" in node and "of" not in node:
        diagnostics.add(node.place_of("sum"), "missing_key", "say `of` which actions: of: [order.approve]")
    elif "of" in node and "sum" not in node:
        diagnostics.add(node.entries["of"].key.place, "misplaced_key", "`of` belongs to `sum`")
    elif "sum" not in node and "count" not in node:
        diagnostics.add(
            node.place,
            "missing_key",
            "write `count` with actions, or `sum` with a fact and `of` with actions",
        )


def _check_action(action: Scalar, actions: frozenset[str] | None, diagnostics: Diagnostics) -> None:
    name = str(action.value)
    if name.partition(".")[0] in RESERVED_RESOURCES:
        diagnostics.add(
            action.place, "reserved_resource", "acts of the service itself are not counted: remove it"
        )
    elif actions is not None and name not in actions:
        diagnostics.add(
            action.place,
            "unknown_action",
            f"no grant and no chain step knows {quoted(name)}{closest(name, actions)}",
        )


def _within(node: MappingNode, diagnostics: Diagnostics) -> timedelta | None:
    try:
        within = parse_duration(node.text("within"))
    except (ValueError, OverflowError) as error:
        diagnostics.add(node.place_of("within"), "bad_duration", str(error))
        return None
    if not SHORTEST <= within <= LONGEST:
        diagnostics.add(node.place_of("within"), "out_of_range", "a window is from PT1S to P366D long")
        return None
    return within


def _fact_type(item: Scalar, vocabulary: VocabularySource, diagnostics: Diagnostics) -> ValueType | None:
    name, types = str(item.value), vocabulary.vocabulary.types
    if name in types:
        return types[name]
    if vocabulary.complete and name not in vocabulary.broken:
        diagnostics.add(
            item.place, "unknown_fact", f"{quoted(name)} is not in vocabulary.yaml{closest(name, types)}"
        )
    return None
