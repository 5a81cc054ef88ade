"""Reading JSON from strangers.

Guarantees: what `read_json` returns is a whole UTF-8 text whose top level is an object or a list, without
duplicate keys, NaN or Infinity, at most 16 levels deep, with strings of at most 4,096 characters in Unicode
normal form C without lone surrogates or NUL, lists of at most 1,000 items, objects of at most 1,000 members,
and numbers that are exact: integers as `int`, fractions as `Decimal`, both of at most 34 digits, never a
float. Everything else is one error that names each place (RFC 6901).

Not by orjson: it knows keys that it has met, in whoever's body, by 64 bits of a hash without a secret, so
that a stranger's key could hide a fact in the bodies of others. Pydantic's reader compares those it keeps.

An ordinary body takes the fast way: pydantic's reader, a walk that meets no fraction and no long integer, and
a look at the text that shows that no string in it can be too long and no name be given twice. Any other body
goes through hooks and is walked, and one that these refuse is read once more by a slower reader that knows
where everything stands.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow, Underflow
from itertools import islice
from typing import Final, NoReturn, TypeAlias, cast

from pydantic_core import from_json

from controls.model.errors import ControlsError, FieldError, InvalidInput
from controls.model.values import MAX_DIGITS, Json

MAX_DEPTH: Final = 16
MAX_STRING: Final = 4_096
MAX_ITEMS: Final = 1_000
MAX_MEMBERS: Final = 1_000
MAX_ERRORS: Final = 50

MAX_EXPONENT: Final = 400  # more than a double has: what a fact may hold is for its type to say

_FEW: Final = min(MAX_ITEMS, MAX_MEMBERS)
_STRETCH: Final = MAX_STRING // 2
_MAX_INTEGER: Final = MAX_DIGITS + 1  # a sign
_LONG: Final = 10**18  # any integer is exact; one of more digits may have too many
_MAX_FRACTION: Final = 80
_DIGITS: Final = Context(
    prec=MAX_DIGITS,
    Emax=MAX_EXPONENT,
    Emin=-MAX_EXPONENT,
    traps=[Inexact, InvalidOperation, Overflow, Underflow],
)
_UNFIT: Final = re.compile("[\x00\ud800-\udfff]")

# What the slow reader makes of one member of an object, kept in order with its duplicates.
_Pairs: TypeAlias = "list[tuple[str, object]]"


class MalformedJson(InvalidInput):
    """The body is not one JSON text that everybody would read alike."""


@dataclass(frozen=True, slots=True)
class _Refused:
    """A literal that the slow reader could not take."""

    code: str
    message: str


class _Object(list[tuple[str, object]]):
    """An object as its members, duplicates included."""


class _SuspectError(Exception):
    """The fast reader met something; the slow one will say what and where."""


def read_json(data: bytes, *, max_string: int = MAX_STRING) -> dict[str, Json] | list[Json]:
    """The object or list that `data` is.

    Args:
        max_string: for routes that take whole files; characters.

    Raises:
        MalformedJson: it is not JSON, not UTF-8, has a duplicate key, NaN or nothing in it.
        InvalidInput: a number, string, list or nesting is out of bounds.
    """
    if not data:
        raise _malformed("body_missing", "The request has no body", "Send one JSON object.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed(
            "not_utf8", "The body is not UTF-8", f"Byte {error.start} does not belong to UTF-8 text."
        ) from None
    # Structure is ASCII and composes with nothing, so the whole text may be normalised at once.
    if not text.isascii() and not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    ordinary = _ordinary(text)
    if ordinary is not None:
        return ordinary
    try:
        value: object = _FAST.decode(text)
    except (_SuspectError, RecursionError):
        raise _explained(text, max_string) from None
    except json.JSONDecodeError as error:
        raise _not_json(error) from None
    if not isinstance(value, dict | list):
        raise _malformed("not_an_object", "The body is not an object or a list", "Send one JSON object.")
    if not _within_bounds(value, max_string):
        raise _out_of_bounds(list(islice(_walk_errors(value, max_string), MAX_ERRORS)))
    if "\\u" in text:
        value = _composed(cast("Json", value), "")
    return cast("dict[str, Json] | list[Json]", value)


def _ordinary(text: str) -> dict[str, Json] | list[Json] | None:
    """The value of a text that shows at a glance that it keeps every limit; None where that takes a closer
    look.

    Without a backslash each quotation mark begins or ends a string. So a string that is too long holds a
    whole stretch of half that length without one, and where a name was given twice the text has more marks
    than the value has strings.
    """
    if "\\" in text or any(
        text.find('"', start, start + _STRETCH) < 0 for start in range(0, len(text) - _STRETCH + 1, _STRETCH)
    ):
        return None
    try:
        top: object = from_json(text, allow_inf_nan=False, cache_strings="keys")
    except ValueError:
        return None
    if not isinstance(top, dict | list):
        return None
    strings = 0
    level: list[dict[str, Json] | list[Json]] = [top]
    for _ in range(MAX_DEPTH):
        inner: list[dict[str, Json] | list[Json]] = []
        for container in level:
            if len(container) > _FEW:
                return None
            items: Collection[object] = container
            if type(container) is dict:
                strings += len(container)
                items = container.values()
            for item in items:
                kind = type(item)
                if kind is str:
                    strings += 1
                elif kind is dict or kind is list:
                    inner.append(item)  # type: ignore[arg-type]  # as the line above says
                elif kind is float or (kind is int and not -_LONG < cast(int, item) < _LONG):
                    return None
        if not inner:
            return top if text.count('"') == 2 * strings else None
        level = inner
    return None


def _within_bounds(top: dict[str, Json] | list[Json], max_string: int) -> bool:
    """The same limits as `_walk_errors`, as a yes or no, level by level."""
    level: list[dict[str, Json] | list[Json]] = [top]
    for _ in range(MAX_DEPTH):
        names: list[str] = []
        texts: list[str] = []
        inner: list[dict[str, Json] | list[Json]] = []
        for container in level:
            if len(container) > _FEW and len(container) > _most(container):
                return False
            items = container
            if type(container) is dict:
                names += container
                items = container.values()  # type: ignore[assignment]  # either is gone through
            for item in items:
                kind = type(item)
                if kind is str:
                    texts.append(item)  # type: ignore[arg-type]  # as the line above says
                elif kind is dict or kind is list:
                    inner.append(item)  # type: ignore[arg-type]
        if not (_fit(names, MAX_STRING) and _fit(texts, max_string)):
            return False
        if not inner:
            return True
        level = inner
    return False


def _most(container: dict[str, Json] | list[Json]) -> int:
    return MAX_MEMBERS if isinstance(container, dict) else MAX_ITEMS


def _fit(texts: list[str], longest: int) -> bool:
    if max(map(len, texts), default=0) > longest:
        return False
    together = "".join(texts)
    return "\0" not in together and (together.isascii() or not _UNFIT.search(together))


def _composed(value: Json, pointer: str) -> Json:
    """The value with every string in normal form C: an escape may have put a mark after its letter."""
    if isinstance(value, str):
        return _normal(value)
    if isinstance(value, dict):
        found: dict[str, Json] = {}
        for name, item in value.items():
            normal = _normal(name)
            place = f"{pointer}/{escape(normal)}"
            if normal in found:
                raise _read_differently([FieldError(place, "duplicate_key", "is named twice")])
            found[normal] = _composed(item, place)
        return found
    if isinstance(value, list):
        return [_composed(item, f"{pointer}/{index}") for index, item in enumerate(value)]
    return value


def _normal(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


# -- the fast reader ---------------------------------------------------------------------------------------


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _SuspectError
    return found


def _integer(text: str) -> int:
    if len(text) > _MAX_INTEGER:
        raise _SuspectError
    return int(text)


def _fraction(text: str) -> Decimal:
    number = _bounded(text)
    if number is None:
        raise _SuspectError
    return number


def _bounded(text: str) -> Decimal | None:
    """The exact number; None when it has too many digits or lies beyond what others can hold."""
    if len(text) > _MAX_FRACTION:
        return None
    try:
        number = _DIGITS.create_decimal(text)
    except (Inexact, InvalidOperation, Overflow, Underflow):
        return None
    return number or Decimal(0)


def _constant(_text: str) -> NoReturn:
    raise _SuspectError


_FAST: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
)


# -- the slow reader, which explains -----------------------------------------------------------------------


def _explain_integer(text: str) -> int | _Refused:
    if len(text) > _MAX_INTEGER:
        return _Refused("number_too_long", f"has more than {MAX_DIGITS} digits")
    return int(text)


def _explain_fraction(text: str) -> Decimal | _Refused:
    number = _bounded(text)
    if number is None:
        told = f"has more than {MAX_DIGITS} digits or an exponent beyond {MAX_EXPONENT}"
        return _Refused("number_out_of_range", told)
    return number


def _explain_constant(text: str) -> _Refused:
    return _Refused("not_a_number", f"{text} is no JSON number")


_SLOW: Final = json.JSONDecoder(
    object_pairs_hook=_Object,
    parse_int=_explain_integer,
    parse_float=_explain_fraction,
    parse_constant=_explain_constant,
)


def _explained(text: str, max_string: int) -> ControlsError:
    """Why the fast reader stopped."""
    try:
        value = _SLOW.decode(text)
    except json.JSONDecodeError as error:
        return _not_json(error)
    except RecursionError:
        return _out_of_bounds([_too_deep("")])
    errors = list(islice(_walk_errors(value, max_string), MAX_ERRORS))
    if any(item.code in ("duplicate_key", "not_a_number") for item in errors):
        return _read_differently(errors)
    return _out_of_bounds(errors)


def _walk_errors(top: object, max_string: int) -> Iterator[FieldError]:
    """Everything in a value that passes a limit, each with its pointer; never recurses."""
    waiting: list[tuple[str, int, object]] = [("", 0, top)]
    while waiting:
        pointer, depth, value = waiting.pop()
        if isinstance(value, str):
            yield from _string_errors(pointer, value, max_string)
        elif isinstance(value, _Refused):
            yield FieldError(pointer, value.code, value.message)
        elif isinstance(value, dict | list):
            if depth == MAX_DEPTH:
                yield _too_deep(pointer)
                continue
            members = _members(value)
            if members is not None:
                yield from _member_errors(pointer, members)
                inner = [(f"{pointer}/{escape(name)}", depth + 1, item) for name, item in members]
            else:
                if len(value) > MAX_ITEMS:
                    yield FieldError(
                        pointer, "list_too_long", f"has {len(value)} items; {MAX_ITEMS} are allowed"
                    )
                    continue
                inner = [(f"{pointer}/{index}", depth + 1, item) for index, item in enumerate(value)]
            waiting.extend(reversed(inner))


def _members(value: dict[str, object] | list[object]) -> list[tuple[str, object]] | None:
    """The members of an object; None for a list."""
    if isinstance(value, _Object):
        return value
    return list(value.items()) if isinstance(value, dict) else None


def _member_errors(pointer: str, members: _Pairs) -> Iterator[FieldError]:
    if len(members) > MAX_MEMBERS:
        yield FieldError(
            pointer, "object_too_large", f"has {len(members)} members; {MAX_MEMBERS} are allowed"
        )
    seen: set[str] = set()
    for name, _ in members:
        if name in seen:
            yield FieldError(f"{pointer}/{escape(name)}", "duplicate_key", "is named twice")
        seen.add(name)
        yield from _string_errors(pointer, name, MAX_STRING)


def _string_errors(pointer: str, text: str, longest: int) -> Iterator[FieldError]:
    if len(text) > longest:
        yield FieldError(pointer, "string_too_long", f"has {len(text)} characters; {longest} are allowed")
    elif _UNFIT.search(text):
        yield FieldError(pointer, "bad_character", "holds NUL or half a surrogate pair")


def escape(name: str) -> str:
    """One step of a pointer (RFC 6901), shortened, and safe to print whatever the caller sent."""
    name = name if len(name) <= 64 else f"{name[:61]}..."
    return _UNFIT.sub("\ufffd", name).replace("~", "~0").replace("/", "~1")


# -- errors ------------------------------------------------------------------------------------------------


def _too_deep(pointer: str) -> FieldError:
    return FieldError(pointer, "too_deep", f"is nested more than {MAX_DEPTH} levels deep")


def _told(errors: list[FieldError]) -> str:
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{first.pointer or 'The body'} {first.message}{more}."


def _read_differently(errors: list[FieldError]) -> MalformedJson:
    return MalformedJson(
        "malformed_json",
        "The body is not JSON that everybody reads alike",
        detail=_told(errors),
        help="Name each member once, and send numbers as JSON numbers or strings.",
        errors=tuple(errors),
    )


def _out_of_bounds(errors: list[FieldError]) -> InvalidInput:
    return InvalidInput(
        "out_of_bounds",
        "The body passes a limit of this service",
        detail=_told(errors),
        help="Mend every place that is named; /openapi.json begins with the limits.",
        errors=tuple(errors[:MAX_ERRORS]),
    )


def _not_json(error: json.JSONDecodeError) -> MalformedJson:
    return _malformed(
        "malformed_json",
        "The body is not JSON",
        f"Line {error.lineno}, column {error.colno}: {error.msg}.",
    )


def _malformed(code: str, title: str, detail: str) -> MalformedJson:
    return MalformedJson(
        code,
        title,
        detail=detail,
        help="Send one JSON object in UTF-8.",
        errors=(FieldError("", code, detail),),
    )
