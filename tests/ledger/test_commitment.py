"""Commitments: what opens them, what does not, and what is left after erasure."""

from __future__ import annotations

import hmac
import json
from hashlib import sha256
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from controls.ledger.canonical import canonical_bytes, exact_bytes
from controls.ledger.commitment import (
    Disclosure,
    check_disclosure,
    commit,
    disclosure_text,
    find_commitments,
    sealed,
)
from controls.model.errors import VerificationFailed
from controls.model.values import Json

RANDOMNESS = bytes(range(256))
VALUES = st.dictionaries(
    st.sampled_from(["order.notional", "subject.id", "reason", "messages"]),
    st.text(st.characters(codec="utf-8"), max_size=20) | st.integers(-9, 9) | st.none(),
    max_size=4,
)


def an_entry(commitments: dict[str, Any]) -> dict[str, Json]:
    """An entry in which each commitment stands twice, at different depths."""
    return {"v": 1, "request": commitments, "findings": [{"values": commitments}]}


def test_a_commitment_is_the_documented_hmac() -> None:
    """HMAC-SHA256 with the salt as key over the RFC 8785 bytes of path and value."""
    salt = bytes(range(32))
    expected = hmac.new(salt, rfc8785.dumps(["order.notional", "10.5"]), "sha256").hexdigest()
    assert commit("order.notional", "10.5", salt) == expected


@given(VALUES, st.binary(min_size=32, max_size=32))
def test_what_is_written_ahead_is_the_same(values: dict[str, Json], salt: bytes) -> None:
    """An entry and its disclosure made of written parts have the very bytes of those made of values."""
    salts = {path: sha256(salt + path.encode()).digest() for path in values}
    written, opening = sealed(values, randomness=b"".join(salts.values()))
    hidden = {path: {"hmac": commit(path, value, salts[path])} for path, value in values.items()}
    opened = {path: {"salt": salts[path].hex(), "value": value} for path, value in values.items()}
    for exact in (canonical_bytes, exact_bytes):
        assert exact(an_entry(written)) == rfc8785.dumps(an_entry(hidden))
    assert disclosure_text(opening).encode() == rfc8785.dumps(opened)


def test_each_value_has_a_salt_of_its_own() -> None:
    """Too little randomness is an error of the program, never a shorter salt or one used twice."""
    with pytest.raises(ValueError, match="2 values need 64 random bytes"):
        sealed({"a": "x", "b": "y"}, randomness=bytes(63))


def test_a_path_is_ascii() -> None:
    """Another one has no place among the keys of an entry."""
    with pytest.raises(ValueError, match="is not ASCII"):
        sealed({"año": "x"}, randomness=bytes(32))


def test_a_written_part_beside_text_that_is_not_normal() -> None:
    """Text of the entry comes into normal form; a part that is written already stays as it is."""
    hidden, _ = sealed({"reason": "x"}, randomness=bytes(32))
    entry = canonical_bytes({"id": "man\u0303ana", **hidden})
    assert json.loads(entry) == {"id": "ma\u00f1ana", "reason": {"hmac": commit("reason", "x", bytes(32))}}


@given(VALUES)
def test_a_disclosure_opens_its_entry(values: dict[str, Json]) -> None:
    """What was committed to is found everywhere in the entry, and the stored form opens it."""
    made = Disclosure.of(values, randomness=RANDOMNESS)
    entry = an_entry(made.commitments())
    assert find_commitments(entry).keys() == values.keys()
    opened = check_disclosure(entry, disclosure=Disclosure.from_json(made.to_json()))
    assert (opened.disclosed, opened.erased) == (len(values), 0)


@given(VALUES.filter(len), st.data())
def test_an_erased_value_is_counted(values: dict[str, Json], data: st.DataObject) -> None:
    """Deleting a path's value and salt leaves the rest open and is no failure."""
    made = Disclosure.of(values, randomness=RANDOMNESS).to_json()
    for path in data.draw(st.sets(st.sampled_from(sorted(values)))):
        del made[path]
    entry = an_entry(Disclosure.of(values, randomness=RANDOMNESS).commitments())
    opened = check_disclosure(entry, disclosure=Disclosure.from_json(made))
    assert (opened.disclosed, opened.erased) == (len(made), len(values) - len(made))
    assert check_disclosure(entry, disclosure=None).erased == len(values)


@pytest.mark.parametrize(
    "disclosure",
    [
        {"reason": {"salt": bytes(range(32)).hex(), "value": "another"}},
        {"reason": {"salt": bytes(32).hex(), "value": "late"}},
        {"desk": {"salt": bytes(range(32)).hex(), "value": "late"}},
    ],
)
def test_a_disclosure_that_does_not_fit_is_refused(disclosure: dict[str, Any]) -> None:
    """Another value, another salt or a path that was never committed to is a failure."""
    made = Disclosure.of({"reason": "late"}, randomness=RANDOMNESS)
    with pytest.raises(VerificationFailed):
        check_disclosure(an_entry(made.commitments()), disclosure=Disclosure.from_json(disclosure))


def test_equal_text_in_two_unicode_forms_is_one_value() -> None:
    """A value read back in another normal form still opens the commitment."""
    salt = bytes(32)
    assert commit("reason", "ma\u00f1ana", salt) == commit("reason", "man\u0303ana", salt)


def test_the_same_value_has_unlinkable_commitments() -> None:
    """With other salts nobody can tell that two entries hide the same value; the path is bound as well."""
    assert commit("reason", "x", bytes(32)) != commit("reason", "x", bytes(31) + b"\x01")
    assert commit("reason", "x", bytes(32)) != commit("desk", "x", bytes(32))


@pytest.mark.parametrize(
    "entry",
    [
        {"a": {"reason": {"hmac": "0" * 64}}, "b": {"reason": {"hmac": "1" * 64}}},
        {"a": [{"hmac": "0" * 64}]},
        {"hmac": "0" * 64},
    ],
)
def test_a_commitment_without_one_path_is_refused(entry: Any) -> None:
    """Two commitments of one path, or one that stands under no path, say nothing certain."""
    with pytest.raises(VerificationFailed):
        find_commitments(entry)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {"a": 1},
        {"a": {"salt": "00" * 32}},
        {"a": {"salt": "AB" * 32, "value": 1}},
        {"a": {"salt": 1, "value": 1}},
    ],
)
def test_what_is_no_disclosure_is_refused(data: Any) -> None:
    """A disclosure is an object of salts and values."""
    with pytest.raises(ValueError, match=r"disclosure|salt"):
        Disclosure.from_json(data)


def test_salts_are_never_short() -> None:
    """Too little randomness is an error, not a weak salt."""
    with pytest.raises(ValueError, match="random bytes"):
        Disclosure.of({"a": 1, "b": 2}, randomness=bytes(63))
    with pytest.raises(ValueError, match="32 bytes"):
        commit("a", 1, bytes(31))
