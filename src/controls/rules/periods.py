"""Effective periods from files: half-open dates in a named zone, as moments in UTC.

Guarantees: a period that comes out is not empty, and several of one rule neither overlap nor leave a few
hours between them, which only two zones do: a day is the least that anybody means to leave.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from controls.model.duty import Period
from controls.rules.diagnostics import Diagnostics, Place
from controls.rules.literals import parse_date
from controls.rules.nodes import MappingNode
from controls.rules.zones import moment_at, zone

_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_SHORTEST_DAY: Final = 23  # hours
_LAST: Final = datetime.max.replace(tzinfo=UTC)


def period_of(node: MappingNode, diagnostics: Diagnostics) -> Period | None:
    """The period of one entry; None when it is wrong, which is then noted."""
    before = diagnostics.count
    if "from" not in node and "to" not in node:
        diagnostics.add(node.place, "empty_period", "write `from`, `to` or both; leave it out for always")
    place = _zone(node, diagnostics)
    period = Period(
        _midnight(node, "from", place=place, diagnostics=diagnostics),
        _midnight(node, "to", place=place, diagnostics=diagnostics),
        place.key,
    )
    if period.start is not None and period.end is not None and period.start >= period.end:
        diagnostics.add(
            node.place_of("to"),
            "empty_period",
            "`to` must be after `from`: it is the first day without the rule",
        )
    return period if diagnostics.count == before else None


def check_overlaps(periods: Iterable[tuple[Period, Place]], *, what: str, diagnostics: Diagnostics) -> None:
    """Note every period that begins before an earlier one has ended, or some hours after it."""
    latest: tuple[Period, Place] | None = None
    for period, place in sorted(periods, key=lambda item: (item[0].start or _FIRST, item[1])):
        if latest is not None and (period.start or _FIRST) < (latest[0].end or _LAST):
            other = latest[1]
            diagnostics.add(
                place,
                "overlapping_periods",
                f"{what} already applies then, by {other.file}:{other.line}: only one may at a time",
            )
        elif latest is not None and latest[0].end is not None and period.start is not None:
            hours = (period.start - latest[0].end) / timedelta(hours=1)
            if 0 < hours < _SHORTEST_DAY:
                other = latest[1]
                diagnostics.add(
                    place,
                    "gap_of_hours",
                    f"{what} does not apply for {hours:g} hours after {other.file}:{other.line} ends: "
                    "name the same zone in both",
                )
        if latest is None or (period.end or _LAST) > (latest[0].end or _LAST):
            latest = (period, place)


def _zone(node: MappingNode, diagnostics: Diagnostics) -> ZoneInfo:
    try:
        return zone(node.text("zone", "UTC"))
    except ValueError as problem:
        diagnostics.add(node.place_of("zone"), "unknown_zone", str(problem))
        return zone("UTC")


def _midnight(node: MappingNode, key: str, *, place: ZoneInfo, diagnostics: Diagnostics) -> datetime | None:
    """The moment at which the named day begins in the zone."""
    if key not in node:
        return None
    try:
        day = parse_date(node.text(key))
        return moment_at(day, timedelta(0), place)
    except (ValueError, OverflowError) as error:
        diagnostics.add(node.place_of(key), "bad_date", str(error))
        return None
