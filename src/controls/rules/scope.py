"""What a condition may mention, and how a dotted name is found.

Guarantees: a name means one thing; a name that means nothing gets a suggestion where there is a near one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from controls.model.values import Value
from controls.rules.calendars import Calendar
from controls.rules.datasets import Data
from controls.rules.types import ValueType

RESERVED_NAMES: Final = frozenset(
    {"true", "false", "null", "in", "now", "aggregate", "chain", "list", "table"}
)
_WHERE: Final = {
    "aggregate": "; an aggregate must be in aggregates/*.yaml, and only conditions of rules may name it"
}


@dataclass(frozen=True, slots=True)
class Names:
    """What a condition may mention.

    `facts`: dotted vocabulary names. `parameters`: plain names with their constants. `steps`: the step ids
    allowed in `chain.performed("...")` and its like; empty: not checked. `data`: lists and tables.
    `calendars`: business calendars.
    """

    facts: Mapping[str, ValueType]
    parameters: Mapping[str, tuple[ValueType, Value]] = field(default_factory=dict)
    steps: frozenset[str] = frozenset()
    data: Data = field(default_factory=Data)
    calendars: Mapping[str, Calendar] = field(default_factory=dict)


def suggestion(wanted: str, known: Iterable[str]) -> str:
    """`; did you mean `x`?`, or nothing."""
    near = difflib.get_close_matches(wanted, sorted(known), n=1, cutoff=0.6)
    return f"; did you mean `{near[0]}`?" if near else ""


def longest_fact(parts: tuple[str, ...], facts: Mapping[str, ValueType]) -> int:
    """How many of the leading `parts` make the longest fact name; 0 when none does."""
    # Longer than any real name only on purpose: keep the search linear.
    for length in range(min(len(parts), 16), 0, -1):
        if ".".join(parts[:length]) in facts:
            return length
    return 0


def unknown_name(name: str, *, names: Names, variables: Iterable[str]) -> str:
    """The sentence for a name that means nothing."""
    root = name.split(".", maxsplit=1)[0]
    if name == "null":
        return "there is no null: ask has(name)"
    if any(fact.startswith(f"{name}.") for fact in names.facts):
        return f"`{name}` has properties but no value of its own: name one of them"
    known = [*names.facts, *names.parameters, *variables, "now", "chain.steps"]
    near = suggestion(name[:200], known)
    hint = near or _WHERE.get(root, "; a fact must be in the vocabulary, a parameter in its rule")
    return f"`{name[:80]}` is not known{hint}"
