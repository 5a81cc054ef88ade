"""Text -> typed constants: money, dates, timestamps, durations, times of day.

Guarantees: one reading for one text; what has no exact meaning (a month as a duration, a time without a
zone) is refused with a sentence that says what to write.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

from controls.model.values import Money, parse_decimal

_CURRENCY: Final = re.compile(r"[A-Z]{3}\Z")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)
_TIMESTAMP: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})\Z", re.ASCII
)
_DURATION: Final = re.compile(
    r"P(?:(?P<weeks>\d{1,6})W|(?:(?P<days>\d{1,6})D)?"
    r"(?:T(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,9})M)?(?:(?P<seconds>\d{1,9}(?:\.\d{1,6})?)S)?)?)\Z",
    re.ASCII,
)
_TIME: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?\Z|(24):(00)\Z", re.ASCII)


def parse_money(text: str) -> Money:
    """An amount and an ISO 4217 code: `10000000.00 EUR`.

    Raises:
        ValueError: not such a text; the message says what to write.
    """
    amount, space, currency = text.partition(" ")
    if not space or not _CURRENCY.match(currency):
        raise ValueError('write money as an amount and a currency: "10000000.00 EUR"')
    return Money(parse_decimal(amount), currency)


def parse_date(text: str) -> date:
    """A calendar date: `2026-03-02`.

    Raises:
        ValueError: not such a text or no such day.
    """
    if not _DATE.match(text):
        raise ValueError('write a date as "2026-03-02"')
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f'there is no day "{text}"') from None


def parse_timestamp(text: str) -> datetime:
    """A moment with its offset, in UTC: `2026-03-02T09:30:00Z` or `2026-03-02T10:30:00+01:00`.

    Raises:
        ValueError: not such a text, no such moment, or no offset.
    """
    if not _TIMESTAMP.match(text):
        raise ValueError('write a moment with its zone as "2026-03-02T09:30:00Z"')
    try:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f'there is no moment "{text}"') from None


def parse_duration(text: str) -> timedelta:
    """A span of exact length: `PT30M`, `P90D`, `P2W`, `P1DT12H`, `PT0.5S`.

    Raises:
        ValueError: not such a text; years and months have no exact length.
    """
    found = _DURATION.match(text)
    if not found or text == "P" or text.endswith("T"):
        raise ValueError('write a duration as "PT30M", "PT24H" or "P90D" (months have no fixed length)')
    whole = {name: int(found[name] or 0) for name in ("weeks", "days", "hours", "minutes")}
    microseconds = int(Decimal(found["seconds"] or 0).scaleb(6))
    return timedelta(**whole, microseconds=microseconds)


def parse_time(text: str) -> timedelta:
    """A time of day as the span that a clock shows since midnight: `16:00`, `09:30:15`, `24:00` at its end.

    Raises:
        ValueError: not such a text.
    """
    found = _TIME.match(text)
    if not found:
        raise ValueError('write a time of day as "16:00"')
    hours, minutes, seconds, last, _ = found.groups()
    return timedelta(hours=int(hours or last), minutes=int(minutes or 0), seconds=int(seconds or 0))
