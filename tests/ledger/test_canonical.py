"""Canonical bytes: RFC 8785 under the ledger's limits."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from controls.ledger.canonical import canonical_bytes, exact_bytes, parse_exact
from controls.model.values import utc_text

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
KEYS = st.text(st.characters(max_codepoint=127), max_size=8)
INTEGERS = st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | INTEGERS | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


def normal(value: Any) -> Any:
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, dict):
        return {key: normal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [normal(item) for item in value]
    return value


@given(VALUES)
def test_exact_bytes_are_those_of_rfc_8785(value: Any) -> None:
    """Under our limits the standard library writes what the reference implementation writes."""
    assert exact_bytes(value) == rfc8785.dumps(value)


@given(VALUES)
def test_canonical_bytes_are_rfc_8785_of_the_normalised_value(value: Any) -> None:
    """Equal text in two Unicode forms has the same bytes."""
    assert canonical_bytes(value) == rfc8785.dumps(normal(value))


@given(st.lists(KEYS, unique=True))
def test_ascii_keys_have_one_order(keys: list[str]) -> None:
    """For ASCII keys the order of Python and of UTF-16 code units (RFC 8785, 3.2.3) are the same."""
    assert sorted(keys) == sorted(keys, key=lambda key: key.encode("utf-16-be"))


@given(VALUES)
def test_what_was_written_is_read_back(value: Any) -> None:
    """`parse_exact` is the inverse of `exact_bytes`."""
    assert parse_exact(exact_bytes(value)) == value


@pytest.mark.parametrize(
    "text",
    ["e\u0301", "\n\u0301", "\u1100\u1161", "a\u0338=\u0338", "\u212b", "\\\u0301", '"\u0338'],
)
def test_strings_are_written_in_normal_form_c(text: str) -> None:
    """Decomposed text is composed, also next to characters that JSON escapes."""
    assert canonical_bytes([text]) == rfc8785.dumps([unicodedata.normalize("NFC", text)])
    assert exact_bytes([text]) == rfc8785.dumps([text])


@pytest.mark.parametrize("value", [1.0, Decimal(1), b"x", {1: "x"}, {None: 1}, object(), {"a": [1.5]}, {"a"}])
def test_types_without_a_canonical_form_are_refused(value: Any) -> None:
    """Floats, decimals, bytes and keys that are no strings never reach the ledger."""
    with pytest.raises(TypeError):
        canonical_bytes(value)


@pytest.mark.parametrize("value", [2**53, -(2**53), "\ud800", ["a", "\udfff"], {"é": 1}, {"a": {"ñ": 1}}])
def test_values_beyond_the_limits_are_refused(value: Any) -> None:
    """Large integers, lone surrogates and keys that are not ASCII are refused with a clear error."""
    with pytest.raises(ValueError, match=r"2\^53|surrogate|ASCII"):
        canonical_bytes(value)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1, "b":2}',
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b"1.0",
        b"1e3",
        b"NaN",
        b"-0",
        b"9007199254740993",
        b'"\\u0041"',
        b'"\\ud800"',
        b"\xff",
        b"",
        b"[" * 100_000,
        b" 1",
    ],
)
def test_only_the_one_form_is_read(data: bytes) -> None:
    """Spaces, other orders, doubled keys, floats and needless escapes are refused."""
    with pytest.raises(ValueError, match=r"."):
        parse_exact(data)


@given(
    st.datetimes(
        min_value=datetime.fromisoformat("0001-01-02"),
        max_value=datetime.fromisoformat("9999-12-30"),
        timezones=st.timezones() | st.just(UTC),
    )
    | st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(microsecond=0))
)
def test_a_moment_has_six_digits_in_utc(moment: datetime) -> None:
    """In every zone and every year, as RFC 3339 writes it; years have four digits."""
    utc = moment.astimezone(UTC)
    expected = (
        f"{utc.year:04}-{utc.month:02}-{utc.day:02}T{utc.hour:02}:{utc.minute:02}:{utc.second:02}"
        f".{utc.microsecond:06}Z"
    )
    assert utc_text(moment) == expected
