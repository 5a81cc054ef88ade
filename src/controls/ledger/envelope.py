"""The envelope of an entry: which fields each has, how its bytes are made, and how large it may be.

Guarantees: an entry's bytes are the canonical form of its fields, hold at least `v`, `ledger`, `kind`,
`id` and `at`, and are at most 65,535 long; bytes that `parse_entry` accepts are exactly those that
`entry_bytes` makes of the fields it returns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256
from typing import Final

from controls.ledger.canonical import canonical_bytes, parse_exact
from controls.model.errors import FieldError, InvalidInput, VerificationFailed
from controls.model.values import Json

ENVELOPE_VERSION: Final = 1
MAX_ENTRY_SIZE: Final = 65_535  # what a tlog-tiles entry bundle can hold
_AT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)


class EntryKind(StrEnum):
    """What an entry records."""

    GENESIS = "genesis"  # entry 0: the first administrators, the release and the public key
    DECISION = "decision"
    ALLOCATION = "allocation"  # one line of an allocation
    OUTCOME = "outcome"
    REVIEW = "review"
    RESOLUTION = "resolution"
    DIRECTORY = "directory"
    KEY = "key"
    RELEASE = "release"
    EXPIRY = "expiry"  # a claim passed its time
    REFUSAL = "refusal"  # an act refused before it was a decision, such as a replayed key
    CHANGE = "change"


_KINDS: Final = frozenset(EntryKind)


def entry_bytes(fields: Mapping[str, Json]) -> bytes:
    """The bytes of the entry with these fields: what is hashed and stored.

    Raises:
        InvalidInput: `entry_too_large` when they are more than 65,535; `entry_invalid` when a value has
            no canonical form (a float, an integer beyond 2^53 - 1, a lone surrogate).
        ValueError: a mandatory field is missing or malformed; that is an error of the program.
    """
    wrong = _what_is_wrong(fields)
    if wrong:
        raise ValueError(wrong)
    try:
        data = canonical_bytes(dict(fields))
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            "entry_invalid",
            "The request holds a value that cannot be recorded",
            detail=str(error),
            help="Send numbers that are not small integers as strings, and text as valid Unicode.",
        ) from error
    if len(data) > MAX_ENTRY_SIZE:
        detail = f"Its ledger entry would be {len(data)} bytes long; {MAX_ENTRY_SIZE} can be recorded."
        raise InvalidInput(
            "entry_too_large",
            "The request is too large to be recorded",
            detail=detail,
            help="Send fewer or shorter properties, or split the request.",
            errors=(FieldError(pointer="", code="entry_too_large", message=detail),),
        )
    return data


def parse_entry(data: bytes) -> dict[str, Json]:
    """The fields of an entry.

    Raises:
        VerificationFailed: `data` is not an entry.
    """
    if len(data) > MAX_ENTRY_SIZE:
        raise _failed(f"it is {len(data)} bytes long; an entry has at most {MAX_ENTRY_SIZE}")
    try:
        fields = parse_exact(data)
    except ValueError as error:
        raise _failed(str(error)) from None
    if not isinstance(fields, dict):
        raise _failed("it is not a JSON object")
    wrong = _what_is_wrong(fields)
    if wrong:
        raise _failed(wrong)
    return fields


def blob_digest(data: bytes) -> str:
    """The name of a blob: `sha256:` and the hex digest of its bytes."""
    return f"sha256:{sha256(data).hexdigest()}"


def _what_is_wrong(fields: Mapping[str, Json]) -> str:
    version = fields.get("v")
    if version != ENVELOPE_VERSION or isinstance(version, bool):
        return f"`v` must be {ENVELOPE_VERSION}"
    for name in ("ledger", "id"):
        value = fields.get(name)
        if not isinstance(value, str) or not value:
            return f"`{name}` must be a text that is not empty"
    if fields.get("kind") not in _KINDS:
        return f"`kind` must be one of {', '.join(EntryKind)}"
    at = fields.get("at")
    if not isinstance(at, str) or not _AT.fullmatch(at):
        return "`at` must be a UTC time such as 2026-03-02T09:30:00.000000Z"
    return ""


def _failed(detail: str) -> VerificationFailed:
    return VerificationFailed(
        "entry_malformed",
        "The bytes are not a ledger entry",
        detail=detail,
        help="Verify an export of the ledger with controls-verify to see whether its history was changed.",
    )
