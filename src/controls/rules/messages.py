"""Message templates: `{order.notional}` becomes the value that made a rule speak.

Guarantees: rendering never fails, is bounded, writes values as the language does, prints numbers with their
exact digits, and nothing that a terminal or a log could take for its own.

Signs, names of months and units are the Unicode CLDR's, by Babel. Numbers are put together here: Babel would
round what passes 28 digits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from typing import Final

from babel import Locale
from babel.dates import format_date
from babel.numbers import get_currency_precision, get_decimal_symbol, get_group_symbol
from babel.units import format_unit

from controls.model.values import Money, Value, canonical, decimal_text

MAX_RENDERED: Final = 2_000
_MAX_VALUE: Final = 300
_BLANKS: Final = "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
_UNPRINTABLE: Final = "\N{REPLACEMENT CHARACTER}"
_TRUTHS: Final = {"en": {True: "yes", False: "no"}, "es": {True: "sí", False: "no"}}
_UNITS: Final = (
    ("duration-day", timedelta(days=1)),
    ("duration-hour", timedelta(hours=1)),
    ("duration-minute", timedelta(minutes=1)),
    ("duration-second", timedelta(seconds=1)),
    ("duration-millisecond", timedelta(milliseconds=1)),
    ("duration-microsecond", timedelta(microseconds=1)),
)
_PART: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def placeholders(template: str) -> tuple[tuple[int, str], ...]:
    """The names in braces with their offsets. `{{` and `}}` stand for braces; a lone brace has the name "{"
    or "}", which no fact has.
    """
    found: list[tuple[int, str]] = []
    for part in _PART.finditer(template):
        if part.group() in ("{{", "}}"):
            continue
        found.append((part.start(), part.group(1) if part.group(1) is not None else part.group()))
    return tuple(found)


def render(template: str, values: Mapping[str, Value], *, language: str) -> str:
    """The template with each `{name}` filled in; `?` for what is not there. At most 2,000 characters.

    `language` is `en` or `es`.
    """

    def filled(part: re.Match[str]) -> str:
        if part.group() in ("{{", "}}"):
            return part.group()[0]
        name = part.group(1)
        if name is None:
            return part.group()
        return shown(values[name], language=language) if name in values else "?"

    return _shortened(_PART.sub(filled, template), MAX_RENDERED)


def shown(value: Value, *, language: str) -> str:
    """A value as people write it in the language: `1,234.5 EUR` or `1.234,5 EUR`, `2 de marzo de 2026`.

    Text stays as it is, records stand in their canonical form. Moments are in UTC, or in the zone that they
    come with, and say which.
    """
    if isinstance(value, tuple) and not any(isinstance(item, Mapping | tuple) for item in value):
        # In a list of numbers a comma could be part of one.
        sign = ", " if all(isinstance(item, str) for item in value) else "; "
        text = sign.join(shown(item, language=language) for item in value[:50])
    else:
        text = _written(value, language)
    text = _shortened(text, _MAX_VALUE)
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in _BLANKS else _UNPRINTABLE for letter in text)


def _written(value: Value, language: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return _TRUTHS[language][value]
    if isinstance(value, int | Decimal):
        return _number(Decimal(value), language)
    if isinstance(value, Money):
        number = _number(value.amount, language, digits=_digits_of(value.currency))
        return f"{number} {value.currency}"
    if isinstance(value, datetime):
        return _moment(value, language)
    if isinstance(value, date):
        return _date(value, language)
    if isinstance(value, timedelta):
        return _span(value, language)
    return json.dumps(canonical(value), ensure_ascii=False)


def _number(number: Decimal, language: str, *, digits: int = 0) -> str:
    """All digits of the number, grouped; at least `digits` after the point."""
    whole, _, fraction = decimal_text(number).partition(".")
    group, point = _signs(language)
    text = f"{int(whole):,}".replace(",", group)
    if whole.startswith("-0"):
        text = f"-{text}"  # of -0.5, the whole part has no sign
    fraction = fraction.ljust(digits, "0")
    return f"{text}{point}{fraction}" if fraction else text


def _moment(moment: datetime, language: str) -> str:
    clock = moment.time()
    exact = "auto" if clock.second or clock.microsecond else "minutes"
    name = "UTC" if moment.tzinfo is UTC else f"({moment.tzinfo})"
    return f"{_date(moment.date(), language)}, {clock.isoformat(exact)} {name}"


def _span(span: timedelta, language: str) -> str:
    rest, parts = abs(span), []
    for unit, length in _UNITS:
        count, rest = divmod(rest, length)
        if count:
            parts.append(_unit(count, unit, language))
    text = " ".join(parts) or _unit(0, "duration-second", language)
    return f"-{text}" if span < timedelta(0) else text


# Babel takes its time: whatever it is asked, it is asked once.


@cache
def _locale(language: str) -> Locale:
    return Locale.parse(language)


@cache
def _signs(language: str) -> tuple[str, str]:
    """What stands between groups of three digits, and before the fraction."""
    locale = _locale(language)
    return get_group_symbol(locale), get_decimal_symbol(locale)


@lru_cache(maxsize=256)
def _digits_of(currency: str) -> int:
    """How many digits amounts of the currency have after the point (ISO 4217)."""
    return get_currency_precision(currency)


@lru_cache(maxsize=1_024)
def _date(day: date, language: str) -> str:
    return format_date(day, "long", locale=_locale(language))


@lru_cache(maxsize=1_024)
def _unit(count: int, unit: str, language: str) -> str:
    return format_unit(count, unit, "long", locale=_locale(language))


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
