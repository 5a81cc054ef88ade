"""Business calendars from files: `calendars/NAME.yaml`.

Guarantees: a calendar that comes out holds real days of its own years, and some day of the week is business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from controls.rules.calendars import Calendar
from controls.rules.diagnostics import Diagnostics
from controls.rules.literals import parse_date
from controls.rules.nodes import MappingNode, Scalar
from controls.rules.sources import Sources
from controls.rules.structure import MAX_YEARS, WEEKDAYS, FileKind


@dataclass(frozen=True, slots=True)
class Calendars:
    """The calendars of a release by name. `complete`: every file could be loaded."""

    by_name: Mapping[str, Calendar]
    complete: bool = True


_FOLDER: Final = "calendars/"


def calendars_of(sources: Sources, diagnostics: Diagnostics) -> Calendars:
    """The calendars of all files, each named after its file."""
    found: dict[str, Calendar] = {}
    files = sources.of(FileKind.CALENDAR)
    for file in files:
        if file.clean and isinstance(file.node, MappingNode):
            name = file.path.removeprefix(_FOLDER).removesuffix(".yaml")
            calendar = _calendar(name, file.node, diagnostics)
            if calendar is not None:
                found[name] = calendar
    complete = sources.clean(FileKind.CALENDAR) and len(found) == len(files)
    return Calendars(found, complete=complete)


def _calendar(name: str, node: MappingNode, diagnostics: Diagnostics) -> Calendar | None:
    before = diagnostics.count
    first, last = node.integer("first_year", 0), node.integer("last_year", 0)
    if not first <= last < first + MAX_YEARS:
        diagnostics.add(
            node.place_of("last_year"),
            "out_of_range",
            f"`last_year` is not before `first_year`, and a calendar has at most {MAX_YEARS} years",
        )
        return None
    holidays = node.mapping("holidays")
    days = set(_holidays(holidays, first=first, last=last, diagnostics=diagnostics)) if holidays else set()
    if diagnostics.count > before:
        return None
    weekend = frozenset(WEEKDAYS.index(day) for day in node.texts("weekend"))
    return Calendar(name, first, last, weekend, frozenset(days))


def _holidays(node: MappingNode, *, first: int, last: int, diagnostics: Diagnostics) -> Iterable[date]:
    outside: list[Scalar] = []
    for text, entry in node.entries.items():
        try:
            day = parse_date(text)
        except ValueError as problem:
            diagnostics.add(entry.key.place, "bad_date", str(problem))
            continue
        if first <= day.year <= last:
            yield day
        else:
            outside.append(entry.key)
    if outside:  # one word about all of them, since it is mostly the years that are wrong
        more = "" if len(outside) == 1 else f", and {len(outside)} of its days lie outside"
        message = f"the calendar is for {first} to {last}{more}: widen or remove"
        diagnostics.add(outside[0].place, "out_of_range", message)
