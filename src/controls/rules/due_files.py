"""Due times from rule files: the key `due` of an `obligation`.

Guarantees: a due time that comes out names an existing calendar and zone, and a public fact if any: it stands
in the open part of the ledger.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

from controls.rules.calendars import Calendar
from controls.rules.condition_files import ConditionScope
from controls.rules.dates import calendar_named
from controls.rules.diagnostics import closest, listed, quoted
from controls.rules.due import Due
from controls.rules.literals import parse_duration, parse_time
from controls.rules.nodes import MappingNode
from controls.rules.types import DATE, TIMESTAMP
from controls.rules.zones import zone

MAX_WITHIN: Final = timedelta(days=3_660)
_ON_A_DAY: Final = ("days", "business_days", "calendar", "at", "warn_at", "zone")


def due_of(node: MappingNode, *, scope: ConditionScope) -> Due | None:
    """The due time of a node whose structure has been checked; None when it is wrong, which is then noted."""
    before = scope.diagnostics.count
    start = _start(node, scope)
    found = _span(node, start, scope) if "within" in node else _day(node, start, scope)
    return found if scope.diagnostics.count == before else None


def _start(node: MappingNode, scope: ConditionScope) -> str:
    name = node.text("from")
    if not name or not scope.vocabulary.complete or name in scope.vocabulary.broken:
        return name
    declared = scope.vocabulary.vocabulary.facts.get(name)
    place = node.place_of("from")
    moments = [
        fact.name
        for fact in scope.vocabulary.vocabulary.facts.values()
        if fact.public and fact.type in (DATE, TIMESTAMP)
    ]
    if declared is None:
        scope.diagnostics.add(
            place, "unknown_fact", f"{quoted(name)} is not in vocabulary.yaml{closest(name, moments)}"
        )
    elif declared.type != TIMESTAMP and (declared.type != DATE or "within" in node):
        wanted = "a timestamp" if "within" in node else "a date or a timestamp"
        scope.diagnostics.add(place, "wrong_type", f"{quoted(name)} is {declared.type} and not {wanted}")
    elif not declared.public:
        scope.diagnostics.add(
            place,
            "private_fact",
            f"{quoted(name)} is private, and due times stand in the open part of the ledger: take one of "
            f"{listed(moments[:5]) or 'none yet'}, or mark it `public: true`",
        )
    return name


def _span(node: MappingNode, start: str, scope: ConditionScope) -> Due | None:
    for name in _ON_A_DAY:
        if name in node:
            scope.diagnostics.add(
                node.entries[name].key.place, "misplaced_key", f"{quoted(name)} does not go with `within`"
            )
    try:
        within = parse_duration(node.text("within"))
    except ValueError as problem:
        scope.diagnostics.add(node.place_of("within"), "bad_value", str(problem))
        return None
    if not timedelta(0) < within <= MAX_WITHIN:
        scope.diagnostics.add(
            node.place_of("within"), "out_of_range", f"more than nothing, at most {MAX_WITHIN.days} days"
        )
    return Due(start=start, within=within)


def _day(node: MappingNode, start: str, scope: ConditionScope) -> Due | None:
    for name, example in (("at", '"18:00"'), ("zone", "Europe/Madrid")):
        if name not in node:
            scope.diagnostics.add(
                node.place, "missing_key", f"a due time on a day needs {quoted(name)}, such as {example}"
            )
    if ("days" in node) == ("business_days" in node):
        scope.diagnostics.add(
            node.place, "missing_key", "a due time needs one of `days`, `business_days` and `within`"
        )
    if ("business_days" in node) != ("calendar" in node):
        scope.diagnostics.add(
            node.place, "missing_key", "`business_days` and `calendar` go together: write both"
        )
    place = _zone(node, scope)
    if "at" not in node or place is None:
        return None
    at = parse_time(node.text("at"))
    warn_at = parse_time(node.text("warn_at")) if "warn_at" in node else None
    if warn_at is not None and warn_at >= at:
        scope.diagnostics.add(node.place_of("warn_at"), "out_of_range", "`warn_at` is earlier than `at`")
    days = node.integer("days", node.integer("business_days", 0))
    return Due(start=start, days=days, calendar=_calendar(node, scope), at=at, warn_at=warn_at, place=place)


def _zone(node: MappingNode, scope: ConditionScope) -> ZoneInfo | None:
    if "zone" not in node:
        return None
    try:
        return zone(node.text("zone"))
    except ValueError as problem:
        scope.diagnostics.add(node.place_of("zone"), "unknown_zone", str(problem))
        return None


def _calendar(node: MappingNode, scope: ConditionScope) -> Calendar | None:
    if "calendar" not in node:
        return None
    try:
        return calendar_named(node.text("calendar"), scope.calendars.by_name)
    except ValueError as problem:
        if scope.calendars.complete:
            scope.diagnostics.add(node.place_of("calendar"), "unknown_calendar", str(problem))
        return None
