"""Reading JSON from strangers.

Guarantees: what `read_json` returns is a whole UTF-8 text whose top level is an object or a list, without
duplicate keys, NaN or Infinity, at most 16 levels deep, with strings of at most 4,096 characters in Unicode
normal form C without lone surrogates or NUL, lists of at most 1,000 items, objects of at most 1,000 members,
and numbers that are exact: integers as `int`, fractions as `Decimal`, both of at most 34 digits, never a
float. Everything else is one error that names each place (RFC 6901).

A plain body (no backslash, no fraction, nothing long) takes the fastest way: orjson, which keeps the last of
duplicate keys and may read one name as another, and a look at text and value that shows that it did neither.
Others are read by the standard scanner with a few hooks; and what the hooks refuse is read once more by
`controls.api.json_troubles`, which knows where everything stands.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Collection
from decimal import Decimal
from itertools import islice
from typing import Final, NoReturn, cast

import orjson

from controls.api.json_troubles import (
    MAX_DEPTH,
    MAX_ERRORS,
    MAX_INTEGER,
    MAX_ITEMS,
    MAX_MEMBERS,
    MAX_STRING,
    UNFIT,
    MalformedJson,
    bounded,
    escape,
    explained,
    malformed,
    not_json,
    out_of_bounds,
    read_differently,
    walk_errors,
)
from controls.model.errors import FieldError
from controls.model.values import Json

__all__ = ["MAX_DEPTH", "MAX_ITEMS", "MAX_MEMBERS", "MAX_STRING", "MalformedJson", "escape", "read_json"]

_FEW: Final = min(MAX_ITEMS, MAX_MEMBERS)
_PLAIN: Final = frozenset({str, int, bool, type(None)})
# Wherever a string of MAX_STRING characters begins, one of these windows lies within it.
_WINDOW: Final = MAX_STRING // 2


class _SuspectError(Exception):
    """The reader met something; `json_troubles` will say what and where."""


def read_json(data: bytes, *, max_string: int = MAX_STRING) -> dict[str, Json] | list[Json]:
    """The object or list that `data` is.

    Args:
        max_string: for routes that take whole files; characters.

    Raises:
        MalformedJson: it is not JSON, not UTF-8, has a duplicate key, NaN or nothing in it.
        InvalidInput: a number, string, list or nesting is out of bounds.
    """
    if not data:
        raise malformed("body_missing", "The request has no body", "Send one JSON object.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise malformed(
            "not_utf8", "The body is not UTF-8", f"Byte {error.start} does not belong to UTF-8 text."
        ) from None
    escaped = "\\u" in text
    # Structure is ASCII and composes with nothing, so the whole text may be normalised at once.
    if not text.isascii() and not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    plain = _plainly(text, max_string)
    if plain is not None:
        return cast("dict[str, Json] | list[Json]", plain)
    try:
        value: object = _FAST.decode(text)
    except (_SuspectError, RecursionError):
        raise explained(text, max_string) from None
    except json.JSONDecodeError as error:
        raise not_json(error) from None
    if not isinstance(value, dict | list):
        raise malformed("not_an_object", "The body is not an object or a list", "Send one JSON object.")
    if not _within_bounds(value, max_string):
        raise out_of_bounds(list(islice(walk_errors(value, max_string), MAX_ERRORS)))
    if escaped:
        value = _composed(cast("Json", value), "")
    return cast("dict[str, Json] | list[Json]", value)


def _plainly(text: str, max_string: int) -> object:
    """The value of a plain text, None of one that must be looked at more closely.

    Without a backslash a quote begins or ends a string, so a quote and a colon after it end a name; others
    are names or texts that begin with a colon, or have a blank before theirs. So where there are as many as
    the value has names, and no blank before a colon, no name was given twice.

    orjson keeps names that it has met, in whatever body, by 64 bits of a hash without a secret, and compares
    nothing else. A name made to collide with that of a fact would hide the fact in later bodies of others. So
    the names of the value must be those of the text.
    """
    # Looking for one character is ten times as fast as for two.
    if "\\" in text or any(blank in text and f"{blank}:" in text for blank in " \n\t\r"):
        return None
    if max_string < MAX_STRING or any(
        '"' not in text[at : at + _WINDOW] for at in range(0, len(text) - _WINDOW, _WINDOW)
    ):
        return None
    try:
        value: object = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    level = [value]
    names = 0
    read: set[str] = set()
    for _ in range(MAX_DEPTH):
        inner: list[object] = []
        for container in level:
            if type(container) is dict:
                names += len(container)
                read.update(container)
                items: Collection[object] = container.values()
            elif type(container) is list:
                items = container
            else:
                return None  # a fraction, or no object at the top
            if len(items) > _FEW:
                return None
            if not _PLAIN.issuperset(map(type, items)):
                inner += [item for item in items if type(item) not in _PLAIN]
        if not inner:
            written = [before.rpartition('"')[2] for before in text.split('":')[:-1]]
            return value if names == len(written) and read == set(written) else None
        level = inner
    return None


def _within_bounds(top: dict[str, Json] | list[Json], max_string: int) -> bool:
    """The same limits as `walk_errors`, as a yes or no, level by level."""
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
    return "\0" not in together and (together.isascii() or not UNFIT.search(together))


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
                raise read_differently([FieldError(place, "duplicate_key", "is named twice")])
            found[normal] = _composed(item, place)
        return found
    if isinstance(value, list):
        return [_composed(item, f"{pointer}/{index}") for index, item in enumerate(value)]
    return value


def _normal(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


# -- the standard scanner with hooks ------------------------------------------------------------------------


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _SuspectError
    return found


def _integer(text: str) -> int:
    if len(text) > MAX_INTEGER:
        raise _SuspectError
    return int(text)


def _fraction(text: str) -> Decimal:
    number = bounded(text)
    if number is None:
        raise _SuspectError
    return number


def _constant(_text: str) -> NoReturn:
    raise _SuspectError


_FAST: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
)
