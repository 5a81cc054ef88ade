"""When an obligation is due, before and after.

Guarantees: an earlier due time is a tightening and a later one a loosening where every request's moves that
way, though the answer stays the same: whoever is obliged has less time, or more.
"""

from __future__ import annotations

from dataclasses import replace

from controls.rules.changes import ChangeClass
from controls.rules.due import Due


def compared_due(before: Due | None, after: Due | None) -> tuple[ChangeClass, str]:
    """The class of a changed due time, and why."""
    if before is None or after is None:
        if before is None:
            return ChangeClass.TIGHTENING, "what it obliges to is now due at a time"
        return ChangeClass.LOOSENING, "what it obliges to is no longer due at a time"
    if before.within is not None and after.within is not None and before.start == after.start:
        if after.within < before.within:
            return ChangeClass.TIGHTENING, "what it obliges to is always due earlier"
        return ChangeClass.LOOSENING, "what it obliges to is always due later"
    if replace(before, warn_at=after.warn_at) == after:
        return ChangeClass.NEUTRAL, "only the time of the warning changed"
    if before.calendar is not None and after.calendar is not None:
        name = after.calendar.name
        if replace(before, calendar=after.calendar) == after and before.calendar.name == name:
            return ChangeClass.NOT_PROVED, f"the calendar {name} is not the same in A and B"
    return (
        ChangeClass.NOT_PROVED,
        "which of the two is earlier cannot be told for every request",
    )


def due_text(due: Due | None) -> str:
    """The due time as its rule file says it, nearly."""
    if due is None:
        return ""
    start = f" from {due.start}" if due.start else ""
    if due.within is not None:
        return f"within {due.within}{start}"
    days = f"{due.days} {'days' if due.calendar is None else f'business days of {due.calendar.name}'}"
    hours, seconds = divmod(int(due.at.total_seconds()), 3_600)
    place = "" if due.place is None else f" {due.place.key}"
    return f"{days}{start} at {hours:02}:{seconds // 60:02}{place}"
