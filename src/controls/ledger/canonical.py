"""One byte string for one JSON value: RFC 8785 (JCS), so that equal values have equal hashes.

Guarantees, for every value that is not refused:

- the bytes are those of RFC 8785: RFC 8785 sorts keys by UTF-16 code units, and keys here are ASCII,
  for which that order, Python's and that of the bytes are one;
- `canonical_bytes` writes strings in Unicode normal form C; `exact_bytes` leaves them as they are;
- no float, no `Decimal`, no integer beyond 2^53 - 1, no lone surrogate, no key that is not ASCII.

A part that is written already stands in a value as an `orjson.Fragment`: canonical bytes of its own, with
ASCII keys and in normal form, which are taken as they are.

It rests on orjson, which is many times faster than a writer in Python and gives the same bytes under these
limits (a property test compares it with `rfc8785`).
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Collection, Sequence
from typing import Final, NoReturn

import orjson

from controls.model.values import SMALL_INTEGER, Json


def _no_float(text: str) -> NoReturn:
    raise ValueError(f"{text} is a float: numbers that are not small integers are strings")


_STRICT: Final = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_SCALARS: Final = frozenset({str, int, bool, type(None), orjson.Fragment})
_DECODER: Final = json.JSONDecoder(parse_float=_no_float, parse_constant=_no_float)


def canonical_bytes(value: Json) -> bytes:
    """The RFC 8785 bytes of `value` with every string in normal form C.

    Raises:
        TypeError: a type that has no place in the ledger (float, Decimal, bytes, a key that is no string).
        ValueError: an integer beyond 2^53 - 1, a key that is not ASCII, a lone surrogate.
    """
    data = _plain_bytes(value)
    if data is not None:
        return data
    _check(value)
    data = _encode(value)
    text = data.decode()
    # Escapes put ASCII in place of control characters, so a string that is not normal leaves a text that
    # is not normal; the reverse does not hold ("\n" + U+0301), hence the second look string by string.
    if not text.isascii() and not unicodedata.is_normalized("NFC", text):
        return _encode(_normal(value))
    return data


def form_text(form: Json) -> str:
    """One text for one value that is in its canonical form (`model.values.canonical`)."""
    if isinstance(form, str):
        return form
    if form is True or form is False:  # most of what is no text
        return "true" if form else "false"
    return canonical_bytes(form).decode()


def exact_bytes(value: Json) -> bytes:
    """The RFC 8785 bytes of `value`, strings untouched: for lines that carry other documents as text.

    Raises:
        TypeError, ValueError: as `canonical_bytes`.
    """
    data = _plain_bytes(value)
    if data is not None:
        return data
    _check(value)
    return _encode(value)


def _plain_bytes(value: Json) -> bytes | None:
    """The bytes of an ordinary value, or None where a closer look is needed.

    orjson refuses the types and integers that have no place here; what is ASCII has ASCII keys and is in
    normal form. That leaves floats.
    """
    if _unusual(value):
        return None
    try:
        data = orjson.dumps(value, option=_STRICT)
    except TypeError:
        return None
    return data if data.isascii() else None


def _unusual(value: object) -> bool:
    """Whether anything in the value is neither text, integer, truth value, null, object nor list."""
    inside: list[Collection[object]] = [(value,)]
    for items in inside:  # which grows meanwhile
        if _SCALARS.issuperset(map(type, items)):
            continue
        for item in items:
            if type(item) is dict:
                inside.append(item.values())
            elif type(item) is list:
                inside.append(item)
            elif type(item) not in _SCALARS:
                return True
    return False


def parse_exact(data: bytes) -> Json:
    """The value of which `data` are the RFC 8785 bytes.

    Raises:
        ValueError: `data` is not UTF-8, not JSON, or not the one way to write its value.
    """
    try:
        value: Json = _DECODER.decode(data.decode("utf-8"))
        same = exact_bytes(value) == data
    except RecursionError:
        raise ValueError("the value is nested too deeply") from None
    except TypeError as error:
        raise ValueError(str(error)) from None
    if not same:
        raise ValueError("the bytes are not the canonical form (RFC 8785) of their value")
    return value


def _check(value: object) -> None:
    """Refuse what `json.dumps` would write in another way than RFC 8785, or lose."""
    if value is None or isinstance(value, str | orjson.Fragment):
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"a key must be a string, not {type(key).__name__}")
            if not key.isascii():
                raise ValueError(f"the key {key!r} is not ASCII")
            # Most items are strings: do not pay for a call that says nothing.
            if type(item) is not str:
                _check(item)
    elif isinstance(value, list | tuple):
        for item in value:
            if type(item) is not str:
                _check(item)
    elif isinstance(value, int):
        if not -SMALL_INTEGER <= value <= SMALL_INTEGER:
            raise ValueError(f"the integer {value} is beyond 2^53 - 1: write it as a string")
    else:
        raise TypeError(
            f"a {type(value).__name__} must be given its text form first (model.values.canonical)"
        )


def _normal(value: Json) -> Json:
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, dict):
        return {key: _normal(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_normal(item) for item in value]
    return value


def _encode(value: Json) -> bytes:
    """The bytes of a value that `_check` let pass."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:  # all that is left to refuse
        raise ValueError(f"a string holds half a surrogate pair ({error})") from None
