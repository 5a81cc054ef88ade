"""Effective periods as sets of moments: what they share, and which of two covers more.

Guarantees: periods are half-open, so that one which ends when the next begins leaves no gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from controls.model.duty import Period
from controls.model.values import utc_text
from controls.rules.changes import ChangeClass

_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
_ORDINARY: Final = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)  # a Monday, when nothing else asks for a time


def overlap(ours: Sequence[Period], theirs: Sequence[Period]) -> tuple[Period, ...]:
    """The time that is in one of `ours` and in one of `theirs`."""
    found: list[Period] = []
    for one in ours:
        for other in theirs:
            start = max(one.start or _FIRST, other.start or _FIRST)
            end = min(one.end or _LAST, other.end or _LAST)
            if start < end:
                found.append(Period(None if start == _FIRST else start, None if end == _LAST else end))
    return tuple(found)


def moment_in(periods: Sequence[Period]) -> datetime:
    """A moment in one of the periods, of which there is at least one: an ordinary one if possible."""
    if any(period.holds(_ORDINARY) for period in periods):
        return _ORDINARY
    first = periods[0]
    if first.start is not None:
        return first.start
    assert first.end is not None
    return first.end - timedelta(microseconds=1)


def compared_periods(before: Sequence[Period], after: Sequence[Period]) -> tuple[ChangeClass, str]:
    """Whether something that applied in `before` and now does in `after` applies longer or shorter."""
    lost, won = _without(before, after), _without(after, before)
    said = [f"it no longer applies {periods_text(lost)}"] if lost else []
    said += [f"it now applies {periods_text(won)}"] if won else []
    if lost and won:
        kind = ChangeClass.BOTH
    elif lost or won:
        kind = ChangeClass.LOOSENING if lost else ChangeClass.TIGHTENING
    else:
        kind = ChangeClass.NEUTRAL
    return kind, "; ".join(said) or "it applies at the same times"


def periods_text(periods: Sequence[Period]) -> str:
    """The periods in words, in UTC."""
    return ", ".join(_text(period) for period in periods)


def _text(period: Period) -> str:
    if period.start is None and period.end is None:
        return "always"
    start = "" if period.start is None else f"from {_moment(period.start)}"
    end = "" if period.end is None else f"until {_moment(period.end)}"
    return f"{start} {end}".strip()


def _moment(moment: datetime) -> str:
    return utc_text(moment).replace(".000000", "")


def _without(ours: Sequence[Period], theirs: Sequence[Period]) -> list[Period]:
    """The time in `ours` that is in none of `theirs`."""
    left = [(one.start or _FIRST, one.end or _LAST) for one in ours]
    for other in theirs:
        start, end = other.start or _FIRST, other.end or _LAST
        pieces = [
            piece for first, last in left for piece in ((first, min(last, start)), (max(first, end), last))
        ]
        left = [(first, last) for first, last in pieces if first < last]
    return [Period(None if start == _FIRST else start, None if end == _LAST else end) for start, end in left]
