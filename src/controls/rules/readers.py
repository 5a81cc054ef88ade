"""JSON -> typed values, by one precompiled function per declared type. This is on every request's path.

Guarantees: a reader returns a value of exactly its type or raises `MalformedValue` with what to send, in
English and Spanish; sizes are bounded, fractions never pass through binary floats. Strings come out in NFC;
empty ones, blanks around the text and characters that cannot be seen are refused: a field left empty would
pass for stated, and a look-up would miss.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final, TypeAlias

from controls.model.finding import Text
from controls.model.values import Json, Money, Value, parse_decimal
from controls.rules.formats import FORMATS, Format
from controls.rules.literals import parse_date, parse_duration, parse_timestamp
from controls.rules.types import Kind, ValueType

Reader: TypeAlias = Callable[[Json], Value]

FIRST_MOMENT: Final = datetime(1990, 1, 1, tzinfo=UTC)
LAST_MOMENT: Final = datetime(2100, 1, 1, tzinfo=UTC)
MAX_INTEGER: Final = 10**28

# Within 29 characters a plain number cannot pass the 34 digits and the exponents of `parse_decimal`.
_PLAIN: Final = re.compile(r"-?[0-9]{1,28}\Z|(?=.{3,29}\Z)-?[0-9]+\.[0-9]+\Z")
_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,27})\Z")
_LINES: Final = str.maketrans("\r\n\t", "   ")  # what may part the lines and columns of a text
_CURRENCY: Final = re.compile(r"[A-Z]{3}\Z")

_MONEY: Final = Text(
    en='send money as a string with its currency, such as "1500000.00 EUR"',
    es='envíe el importe como texto con su divisa, por ejemplo "1500000.00 EUR"',
)
_DECIMAL: Final = Text(
    en='send a number with a fraction as a string, such as "1234.50", of at most 34 digits',
    es='envíe un número con decimales como texto, por ejemplo "1234.50", de 34 cifras como máximo',
)
_INT: Final = Text(
    en="send a whole number of at most 28 digits", es="envíe un número entero de 28 cifras como máximo"
)
_BOOL: Final = Text(en="send true or false", es="envíe true o false")
_STRING: Final = Text(en="send a string", es="envíe un texto")
_EMPTY: Final = Text(
    en="send a text that is not empty, or leave it out",
    es="envíe un texto que no esté vacío u omítalo",
)
_BLANKS: Final = Text(
    en="send it without blanks before or after the text",
    es="envíelo sin espacios antes ni después del texto",
)
_HIDDEN: Final = Text(en="send no characters that cannot be seen", es="no envíe caracteres que no se ven")
_SURROGATE: Final = Text(
    en="send valid Unicode: there is half a character in it",
    es="envíe Unicode válido: contiene medio carácter",
)
_DATE: Final = Text(
    en='send a date as a string such as "2026-03-02"',
    es='envíe la fecha como texto, por ejemplo "2026-03-02"',
)
_TIMESTAMP: Final = Text(
    en='send a moment with its zone between 1990 and 2100, such as "2026-03-02T09:30:00Z"',
    es='envíe un instante con su zona entre 1990 y 2100, por ejemplo "2026-03-02T09:30:00Z"',
)
_DURATION: Final = Text(
    en='send a duration as a string such as "PT30M"', es='envíe la duración como texto, por ejemplo "PT30M"'
)
_LIST: Final = Text(en="send a list", es="envíe una lista")
_RECORD: Final = Text(en="send an object", es="envíe un objeto")


class MalformedValue(Exception):
    """A value that is not of its declared type; `message` says what to send.

    `located`: the message begins with the way to the value inside a list or a record.
    """

    def __init__(self, message: Text, *, located: bool = False) -> None:
        super().__init__(message.en)
        self.message = message
        self.located = located


def reader_of(
    type_: ValueType, *, values: tuple[str, ...] = (), format: str = "", max_length: int, max_items: int
) -> Reader:
    """The function that reads values of a type.

    Args:
        values: the only strings allowed, when not empty.
        format: the form that strings have (see `formats`), when not empty.
        max_length: of strings, in characters.
        max_items: of lists.
    """
    if type_.kind is Kind.STRING:
        if format:
            return _formatted(FORMATS[format])
        return _one_of(values) if values else _string(max_length)
    if type_.kind is Kind.LIST:
        assert type_.element is not None
        element = reader_of(
            type_.element, values=values, format=format, max_length=max_length, max_items=max_items
        )
        return _list(element, max_items)
    if type_.kind is Kind.RECORD:
        return _record(
            {
                name: reader_of(field, max_length=max_length, max_items=max_items)
                for name, field in type_.fields
            }
        )
    return _SCALARS[type_.kind]


def _read_bool(raw: Json) -> bool:
    if raw is True or raw is False:
        return raw
    raise MalformedValue(_BOOL)


def _read_int(raw: Json) -> int:
    if raw.__class__ is int:
        number = raw
    elif raw.__class__ is str and _INTEGER.match(raw):
        number = int(raw)
    else:
        raise MalformedValue(_INT)
    if -MAX_INTEGER < number < MAX_INTEGER:
        return number
    raise MalformedValue(_INT)


def _decimal(text: str, wrong: Text) -> Decimal:
    if _PLAIN.match(text):
        number = Decimal(text)
        return number or Decimal(0)
    try:
        return parse_decimal(text)
    except ValueError:
        raise MalformedValue(wrong) from None


def _read_decimal(raw: Json) -> Decimal:
    if raw.__class__ is str:
        return _decimal(raw, _DECIMAL)
    if raw.__class__ is int and -MAX_INTEGER < raw < MAX_INTEGER:
        return Decimal(raw)
    raise MalformedValue(_DECIMAL)


def _read_money(raw: Json) -> Money:
    if raw.__class__ is not str:
        raise MalformedValue(_MONEY)
    amount, _, currency = raw.partition(" ")
    if not _CURRENCY.match(currency):
        raise MalformedValue(_MONEY)
    return Money(_decimal(amount, _MONEY), currency)


def _read_date(raw: Json) -> date:
    try:
        if raw.__class__ is str:
            return parse_date(raw)
    except ValueError:
        pass
    raise MalformedValue(_DATE)


def _read_timestamp(raw: Json) -> datetime:
    try:
        if raw.__class__ is str and FIRST_MOMENT <= (moment := parse_timestamp(raw)) < LAST_MOMENT:
            return moment
    except ValueError:
        pass
    raise MalformedValue(_TIMESTAMP)


def _read_duration(raw: Json) -> timedelta:
    try:
        if raw.__class__ is str:
            return parse_duration(raw)
    except ValueError:
        pass
    raise MalformedValue(_DURATION)


_SCALARS: Final[Mapping[Kind, Reader]] = {
    Kind.BOOL: _read_bool,
    Kind.INT: _read_int,
    Kind.DECIMAL: _read_decimal,
    Kind.MONEY: _read_money,
    Kind.DATE: _read_date,
    Kind.TIMESTAMP: _read_timestamp,
    Kind.DURATION: _read_duration,
}


def _string(max_length: int) -> Reader:
    too_long = Text(
        en=f"send at most {max_length} characters", es=f"envíe {max_length} caracteres como máximo"
    )

    def read(raw: Json) -> str:
        if raw.__class__ is not str:
            raise MalformedValue(_STRING)
        text = raw
        if len(text) > max_length:
            raise MalformedValue(too_long)
        if not text.isascii():
            text = _normalised(text, max_length, too_long)
        elif text.isalnum():  # most are
            return text
        if text.isprintable() and text and text[0] != " " != text[-1]:
            return text
        return _visible(text)

    return read


def _visible(text: str) -> str:
    """The text where it only runs over several lines."""
    bare = text.strip()
    if not bare:
        raise MalformedValue(_EMPTY)
    if len(bare) < len(text):
        raise MalformedValue(_BLANKS)
    if not text.translate(_LINES).isprintable():
        raise MalformedValue(_HIDDEN)
    return text


def _normalised(text: str, max_length: int, too_long: Text) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise MalformedValue(_SURROGATE) from None
    normal = unicodedata.normalize("NFC", text)
    if len(normal) > max_length:  # a few characters grow in NFC
        raise MalformedValue(too_long)
    return normal


def _one_of(values: tuple[str, ...]) -> Reader:
    known = {value: value for value in values}
    some = ", ".join(values[:20]) + ("…" if len(values) > 20 else "")
    wrong = Text(en=f"send one of: {some}", es=f"envíe uno de: {some}")

    def read(raw: Json) -> str:
        if raw.__class__ is not str:
            raise MalformedValue(wrong)
        found = known.get(raw)
        if found is None:
            found = known.get(unicodedata.normalize("NFC", raw[: 4 * max(map(len, values))]))
        if found is None:
            raise MalformedValue(wrong)
        return found

    return read


def _formatted(form: Format) -> Reader:
    length, has, wrong = form.length, form.has, form.wrong

    def read(raw: Json) -> str:
        # The length first: nothing long is remembered.
        if raw.__class__ is str and len(raw) == length and has(raw):
            return raw
        raise MalformedValue(wrong)

    return read


def _list(element: Reader, max_items: int) -> Reader:
    too_long = Text(en=f"send at most {max_items} items", es=f"envíe {max_items} elementos como máximo")

    def read(raw: Json) -> tuple[Value, ...]:
        if not isinstance(raw, list):
            raise MalformedValue(_LIST)
        if len(raw) > max_items:
            raise MalformedValue(too_long)
        values: list[Value] = []
        try:
            for item in raw:
                values.append(element(item))  # noqa: PERF401 - the count says which item was wrong
        except MalformedValue as problem:
            raise _inside(f"[{len(values)}]", problem) from None
        return tuple(values)

    return read


def _record(fields: Mapping[str, Reader]) -> Reader:
    def read(raw: Json) -> Mapping[str, Value]:
        if not isinstance(raw, dict):
            raise MalformedValue(_RECORD)
        values: dict[str, Value] = {}
        for name, item in raw.items():
            reader = fields.get(name)
            if reader is None:
                known = ", ".join(fields)
                raise MalformedValue(
                    Text(en=f"send only the fields {known}", es=f"envíe sólo los campos {known}")
                )
            if item is None:
                continue  # null says: not there
            try:
                values[name] = reader(item)
            except MalformedValue as problem:
                raise _inside(name, problem) from None
        return values

    return read


def _inside(where: str, problem: MalformedValue) -> MalformedValue:
    """The problem with the way to it in front: `[3] price: send ...`."""
    inner = problem.located
    return MalformedValue(
        Text(
            en=_joined(where, problem.message.en, inner=inner),
            es=_joined(where, problem.message.es, inner=inner),
        ),
        located=True,
    )


def _joined(where: str, message: str, *, inner: bool) -> str:
    """A colon after the innermost name only."""
    return f"{where} {message}" if inner else f"{where}: {message}"
