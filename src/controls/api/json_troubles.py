"""Why a body is not the JSON that `controls.api.json_body` takes, with the place of each trouble (RFC 6901).

Slow: everything is read again by a reader that keeps duplicates and what it could not take.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow, Underflow
from itertools import islice
from typing import Final, TypeAlias

from controls.model.errors import ControlsError, FieldError, InvalidInput
from controls.model.values import MAX_DIGITS

MAX_DEPTH: Final = 16
MAX_STRING: Final = 4_096
MAX_ITEMS: Final = 1_000
MAX_MEMBERS: Final = 1_000
MAX_ERRORS: Final = 50

MAX_EXPONENT: Final = 400  # more than a double has: what a fact may hold is for its type to say
MAX_INTEGER: Final = MAX_DIGITS + 1  # a sign

_MAX_FRACTION: Final = 80
_DIGITS: Final = Context(
    prec=MAX_DIGITS,
    Emax=MAX_EXPONENT,
    Emin=-MAX_EXPONENT,
    traps=[Inexact, InvalidOperation, Overflow, Underflow],
)
UNFIT: Final = re.compile("[\x00\ud800-\udfff]")

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


def bounded(text: str) -> Decimal | None:
    """The exact number; None when it has too many digits or lies beyond what others can hold."""
    if len(text) > _MAX_FRACTION:
        return None
    try:
        number = _DIGITS.create_decimal(text)
    except (Inexact, InvalidOperation, Overflow, Underflow):
        return None
    return number or Decimal(0)


def _explain_integer(text: str) -> int | _Refused:
    if len(text) > MAX_INTEGER:
        return _Refused("number_too_long", f"has more than {MAX_DIGITS} digits")
    return int(text)


def _explain_fraction(text: str) -> Decimal | _Refused:
    number = bounded(text)
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


def explained(text: str, max_string: int) -> ControlsError:
    """Why the fast reader stopped."""
    try:
        value = _SLOW.decode(text)
    except json.JSONDecodeError as error:
        return not_json(error)
    except RecursionError:
        return out_of_bounds([_too_deep("")])
    errors = list(islice(walk_errors(value, max_string), MAX_ERRORS))
    if any(item.code in ("duplicate_key", "not_a_number") for item in errors):
        return read_differently(errors)
    return out_of_bounds(errors)


def walk_errors(top: object, max_string: int) -> Iterator[FieldError]:
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
    elif UNFIT.search(text):
        yield FieldError(pointer, "bad_character", "holds NUL or half a surrogate pair")


def escape(name: str) -> str:
    """One step of a pointer (RFC 6901), shortened, and safe to print whatever the caller sent."""
    name = name if len(name) <= 64 else f"{name[:61]}..."
    return UNFIT.sub("\ufffd", name).replace("~", "~0").replace("/", "~1")


def _too_deep(pointer: str) -> FieldError:
    return FieldError(pointer, "too_deep", f"is nested more than {MAX_DEPTH} levels deep")


def _told(errors: list[FieldError]) -> str:
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{first.pointer or 'The body'} {first.message}{more}."


def read_differently(errors: list[FieldError]) -> MalformedJson:
    return MalformedJson(
        "malformed_json",
        "The body is not JSON that everybody reads alike",
        detail=_told(errors),
        help="Name each member once, and send numbers as JSON numbers or strings.",
        errors=tuple(errors),
    )


def out_of_bounds(errors: list[FieldError]) -> InvalidInput:
    return InvalidInput(
        "out_of_bounds",
        "The body passes a limit of this service",
        detail=_told(errors),
        help="Send less: the limits are in the documentation of the API.",
        errors=tuple(errors[:MAX_ERRORS]),
    )


def not_json(error: json.JSONDecodeError) -> MalformedJson:
    return malformed(
        "malformed_json",
        "The body is not JSON",
        f"Line {error.lineno}, column {error.colno}: {error.msg}.",
    )


def malformed(code: str, title: str, detail: str) -> MalformedJson:
    return MalformedJson(
        code,
        title,
        detail=detail,
        help="Send one JSON object in UTF-8.",
        errors=(FieldError("", code, detail),),
    )
