"""Due times from rule files: the key `due` of an `obligation`.

Guarantees: a due time that comes out names an existing calendar and zone, parameters of a fitting type and
value, and a public fact if any: it stands in the open part of the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

from controls.model.values import Value
from controls.rules.calendars import Calendar
from controls.rules.condition_files import ConditionScope
from controls.rules.dates import calendar_named
from controls.rules.diagnostics import closest, listed, quoted
from controls.rules.due import Due
from controls.rules.literals import parse_duration, parse_time
from controls.rules.nodes import MappingNode
from controls.rules.parameters import Parameters
from controls.rules.rule_structure import MAX_BUSINESS_DAYS, MAX_DAYS
from controls.rules.types import DATE, DURATION, INT, TIMESTAMP, ValueType
from controls.rules.zones import zone

MAX_WITHIN: Final = timedelta(days=3_660)
_END_OF_DAY: Final = timedelta(hours=24)
_ON_A_DAY: Final = ("days", "business_days", "calendar", "at", "warn_at", "zone")
_PARAMETRIC: Final = ("within", "days", "business_days", "at", "warn_at")


def due_of(node: MappingNode, *, parameters: Parameters, scope: ConditionScope) -> Due | None:
    """The due time of a node whose structure has been checked; None when it is wrong, which is then noted."""
    before = scope.diagnostics.count
    reader = _Reader(node, parameters, scope)
    found = reader.span() if "within" in node else reader.day()
    return found if scope.diagnostics.count == before else None


def parameters_named(node: MappingNode, parameters: Parameters) -> frozenset[str]:
    """The parameters that a due time mentions, right or wrong."""
    return frozenset(node.text(key) for key in _PARAMETRIC) & parameters.known.keys()


@dataclass(slots=True)
class _Reader:
    node: MappingNode
    parameters: Parameters
    scope: ConditionScope
    used: dict[str, str] = field(default_factory=dict)  # as `Due.parameters`

    def _add(self, key: str, code: str, message: str) -> None:
        self.scope.diagnostics.add(self.node.place_of(key), code, message)

    def span(self) -> Due | None:
        for name in _ON_A_DAY:
            if name in self.node:
                place = self.node.entries[name].key.place
                message = f"{quoted(name)} does not go with `within`"
                self.scope.diagnostics.add(place, "misplaced_key", message)
        start, within = self._start(), self._time("within", parse_duration)
        if within is None:
            return None
        if not timedelta(0) < within <= MAX_WITHIN:
            self._add("within", "out_of_range", f"more than nothing, at most {MAX_WITHIN.days} days")
        return Due(start=start, within=within, parameters=self.used)

    def day(self) -> Due | None:
        node, add = self.node, self.scope.diagnostics.add
        for name, example in (("at", '"18:00"'), ("zone", "Europe/Madrid")):
            if name not in node:
                message = f"a due time on a day needs {quoted(name)}, such as {example}"
                add(node.place, "missing_key", message)
        if ("days" in node) == ("business_days" in node):
            add(node.place, "missing_key", "a due time needs one of `days`, `business_days` and `within`")
        if ("business_days" in node) != ("calendar" in node):
            add(node.place, "missing_key", "`business_days` and `calendar` go together: write both")
        start, place, calendar, days = self._start(), self._zone(), self._calendar(), self._days()
        at, warn_at = self._clock("at"), self._clock("warn_at")
        if at is None or place is None or days is None:
            return None
        if warn_at is not None and warn_at >= at:
            self._add("warn_at", "out_of_range", "`warn_at` is earlier than `at`")
        return Due(
            start=start,
            days=days,
            calendar=calendar,
            at=at,
            warn_at=warn_at,
            place=place,
            parameters=self.used,
        )

    # Values, and parameters in their places

    def _named(self, key: str, type_: ValueType, attribute: str) -> Value | None:
        """The value of the parameter that the key names; None when it names none that fits."""
        name = self.node.text(key)
        if name in self.parameters.broken:
            return None
        declared, value = self.parameters.known[name]
        if declared != type_:
            self._add(key, "wrong_type", f"{quoted(name)} is {declared}; {quoted(key)} takes {type_}")
            return None
        self.used[attribute] = name
        return value

    def _is_name(self, key: str) -> bool:
        name = self.node.text(key)
        return name in self.parameters.known or name in self.parameters.broken

    def _time(self, key: str, parse: Callable[[str], timedelta]) -> timedelta | None:
        if key not in self.node:
            return None
        if self._is_name(key):
            value = self._named(key, DURATION, key)
            return value if isinstance(value, timedelta) else None
        text = self.node.text(key)
        try:
            return parse(text)
        except ValueError as problem:
            hint = closest(text, self.parameters.known) or ", or name a parameter of the rule"
            self._add(key, "bad_value", f"{problem}{hint}")
            return None

    def _clock(self, key: str) -> timedelta | None:
        found = self._time(key, parse_time)
        if found is not None and not timedelta(0) <= found <= _END_OF_DAY:
            self._add(key, "out_of_range", "a time of day is between PT0S and PT24H")
        return found

    def _days(self) -> int | None:
        key, most = ("days", MAX_DAYS) if "days" in self.node else ("business_days", MAX_BUSINESS_DAYS)
        scalar = self.node.scalar(key)
        if scalar is None or isinstance(scalar.value, int):
            return self.node.integer(key, 0)
        if not self._is_name(key):
            hint = closest(self.node.text(key), self.parameters.known)
            self._add(key, "bad_value", f"there is no parameter {quoted(self.node.text(key))}{hint}")
            return None
        value = self._named(key, INT, "days")
        if isinstance(value, int) and not 0 <= value <= most:
            self._add(key, "out_of_range", f"{value} is not between 0 and {most}")
        return value if isinstance(value, int) else None

    # Where it counts from, and where its days and times are

    def _start(self) -> str:
        name, vocabulary = self.node.text("from"), self.scope.vocabulary
        if not name or not vocabulary.complete or name in vocabulary.broken:
            return name
        facts = vocabulary.vocabulary.facts
        declared = facts.get(name)
        moments = [fact.name for fact in facts.values() if fact.public and fact.type in (DATE, TIMESTAMP)]
        if declared is None:
            near = closest(name, moments)
            self._add("from", "unknown_fact", f"{quoted(name)} is not in vocabulary.yaml{near}")
        elif declared.type != TIMESTAMP and (declared.type != DATE or "within" in self.node):
            wanted = "a timestamp" if "within" in self.node else "a date or a timestamp"
            self._add("from", "wrong_type", f"{quoted(name)} is {declared.type} and not {wanted}")
        elif not declared.public:
            self._add(
                "from",
                "private_fact",
                f"{quoted(name)} is private, and due times stand in the open part of the ledger: take one of "
                f"{listed(moments[:5]) or 'none yet'}, or mark it `public: true`",
            )
        return name

    def _zone(self) -> ZoneInfo | None:
        if "zone" not in self.node:
            return None
        try:
            return zone(self.node.text("zone"))
        except ValueError as problem:
            self._add("zone", "unknown_zone", str(problem))
            return None

    def _calendar(self) -> Calendar | None:
        if "calendar" not in self.node:
            return None
        try:
            return calendar_named(self.node.text("calendar"), self.scope.calendars.by_name)
        except ValueError as problem:
            if self.scope.calendars.complete:
                self._add("calendar", "unknown_calendar", str(problem))
            return None
