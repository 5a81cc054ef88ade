"""The envelope: mandatory fields, size, one form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controls.ledger.envelope import MAX_ENTRY_SIZE, EntryKind, blob_digest, entry_bytes, parse_entry
from controls.model.errors import InvalidInput, VerificationFailed


def fields(**others: Any) -> dict[str, Any]:
    """The least an entry can be."""
    return {
        "v": 1,
        "ledger": "example.com/ledger",
        "kind": "decision",
        "id": "0195",
        "at": "2026-03-02T09:30:00.000000Z",
        **others,
    }


@pytest.mark.parametrize("kind", list(EntryKind))
def test_an_entry_of_each_kind_is_read_back(kind: EntryKind) -> None:
    """`parse_entry` is the inverse of `entry_bytes`; a kind may be given as enum or text."""
    data = entry_bytes(fields(kind=kind, person="ana"))
    assert parse_entry(data) == fields(kind=kind.value, person="ana")
    assert data == entry_bytes(fields(kind=kind.value, person="ana"))


def test_the_largest_entry_fits_and_one_byte_more_does_not() -> None:
    """65,535 bytes can be recorded; more is refused with a code and what to do."""
    room = MAX_ENTRY_SIZE - len(entry_bytes(fields(reason="")))
    assert len(entry_bytes(fields(reason="x" * room))) == MAX_ENTRY_SIZE
    with pytest.raises(InvalidInput) as refused:
        entry_bytes(fields(reason="x" * (room + 1)))
    assert refused.value.code == "entry_too_large"
    assert refused.value.help


@pytest.mark.parametrize("value", [1.5, 2**53, "\ud800", {"ñ": 1}])
def test_values_that_cannot_be_recorded_are_the_callers_fault(value: Any) -> None:
    """What has no canonical form is refused as invalid input."""
    with pytest.raises(InvalidInput) as refused:
        entry_bytes(fields(extra=value))
    assert refused.value.code == "entry_invalid"


WRONG: list[dict[str, Any]] = [
    {"v": 2},
    {"v": True},
    {"ledger": ""},
    {"kind": "other"},
    {"kind": None},
    {"id": ""},
    {"id": 5},
    {"at": "2026-03-02T09:30:00Z"},
    {"at": "2026-03-02T09:30:00.000000+00:00"},
    {"at": None},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_mandatory_fields_are_demanded(wrong: dict[str, Any]) -> None:
    """Version, ledger, kind, id and time are there and well formed, when written and when read."""
    with pytest.raises(ValueError, match="must be"):
        entry_bytes(fields(**wrong))
    data = json.dumps(fields(**wrong), sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(VerificationFailed):
        parse_entry(data)


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{", b"x" * 70_000, b'{"v": 1}'])
def test_bytes_that_are_no_entry_are_refused(data: bytes) -> None:
    """Nothing but the canonical form of a whole envelope is an entry."""
    with pytest.raises(VerificationFailed):
        parse_entry(data)


def test_a_blob_is_named_by_its_bytes() -> None:
    """The digest is SHA-256 with its name in front."""
    assert blob_digest(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
