"""Private values as commitments: an entry holds `HMAC-SHA256(salt, JCS([path, value]))`, never the value.

Guarantees:

- with the disclosure (value and salt of each path) anybody can check what was committed to;
- once value and salt are deleted, the entry and every proof over it stay valid and say nothing about the
  value: a salt is 32 random bytes, so guessing values does not help;
- in one entry one path has one value: the same path has the same commitment.

In an entry a commitment is the object `{"hmac": "<64 hex digits>"}` under an object key equal to its
path (`order.notional`, `subject.id`, `reason`). The disclosure of an entry is the JSON object
`{path: {"salt": "<64 hex digits>", "value": ...}}`. No randomness is made here: it is passed in.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

import orjson

from controls.ledger.canonical import canonical_bytes, exact_bytes
from controls.model.errors import VerificationFailed
from controls.model.values import Json

SALT_SIZE: Final = 32
_quoted: Final = json.encoder.encode_basestring  # as JSON strings are written, in C
# HMAC's two pads over a key of 32 bytes, as translations of the key and what follows it.
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))
_INNER_REST: Final = b"\x36" * 32
_OUTER_REST: Final = b"\x5c" * 32
_HEX_256: Final = re.compile(r"[0-9a-f]{64}")


def commit(path: str, value: Json, salt: bytes) -> str:
    """The commitment to `value` at `path`, 64 hex digits.

    Raises:
        ValueError: the salt has not 32 bytes, or the value has no canonical form.
    """
    if len(salt) != SALT_SIZE:
        raise ValueError(f"a salt has {SALT_SIZE} bytes, not {len(salt)}")
    return hmac.digest(salt, canonical_bytes([path, value]), "sha256").hex()


def sealed(values: Mapping[str, Json], *, randomness: bytes) -> tuple[dict[str, Json], dict[str, str]]:
    """What stands in the entry for each value, and what opens it, both keyed by path and written already.

    The first is `{"hmac": commit(path, value, salt)}`, the second the member of the disclosure (see
    `disclosure_text`), with salts taken from `randomness` in the order of `values`, 32 bytes a path.

    Raises:
        ValueError: as `commit`; a path is not ASCII, or `randomness` is too short.
    """
    if len(randomness) != SALT_SIZE * len(values):
        raise ValueError(f"{len(values)} values need {SALT_SIZE * len(values)} random bytes")
    # The pads of all salts at once: an entry has a dozen of them.
    inner, outer, digits = randomness.translate(_INNER), randomness.translate(_OUTER), randomness.hex()
    hidden: dict[str, Any] = {}
    opened: dict[str, str] = {}
    written, start = orjson.Fragment, 0
    for path, value in values.items():
        end = start + SALT_SIZE
        name = _written_path(path)
        # Most values are text or a truth value, and are written in a third of the time that any takes.
        if value.__class__ is str and value.isascii():
            text = _quoted(value)
            committed = f"[{name},{text}]".encode()
        elif value is True or value is False:
            text = "true" if value else "false"
            committed = f"[{name},{text}]".encode()
        else:
            text = exact_bytes(value).decode()
            committed = canonical_bytes([path, value])
        # HMAC-SHA256 (RFC 2104) of a key of 32 bytes, written out: `hmac.digest` looks its digest up anew for
        # each message and takes twice as long.
        digest = sha256(
            outer[start:end] + _OUTER_REST + sha256(inner[start:end] + _INNER_REST + committed).digest()
        ).hexdigest()
        hidden[path] = written(f'{{"hmac":"{digest}"}}')
        opened[path] = f'{name}:{{"salt":"{digits[2 * start : 2 * end]}","value":{text}}}'
        start = end
    return hidden, opened


@lru_cache(4_096)
def _written_path(path: str) -> str:
    if not path.isascii():
        raise ValueError(f"the path {path!r} is not ASCII")
    return _quoted(path)


def disclosure_text(opened: Mapping[str, str]) -> str:
    """The JSON of the disclosure with these members (of `sealed`): what is stored and exported."""
    return f"{{{','.join([opened[path] for path in sorted(opened)])}}}"


@dataclass(frozen=True, slots=True)
class Disclosed:
    """What opens one commitment."""

    salt: bytes
    value: Json


@dataclass(frozen=True, slots=True)
class Disclosure:
    """The values and salts of one entry's private paths: the part that can be deleted."""

    values: Mapping[str, Disclosed] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Mapping[str, Json], *, randomness: bytes) -> Disclosure:
        """The disclosure of `values` (path to value), salted from `randomness`, 32 bytes a path.

        Raises:
            ValueError: `randomness` is too short.
        """
        if len(randomness) < SALT_SIZE * len(values):
            raise ValueError(f"{len(values)} values need {SALT_SIZE * len(values)} random bytes")
        return cls(
            {
                path: Disclosed(salt=randomness[SALT_SIZE * at : SALT_SIZE * (at + 1)], value=values[path])
                for at, path in enumerate(sorted(values))
            }
        )

    def commitments(self) -> dict[str, dict[str, Json]]:
        """For each path the object that stands in the entry in place of the value."""
        return {
            path: {"hmac": commit(path, value=item.value, salt=item.salt)}
            for path, item in self.values.items()
        }

    def to_json(self) -> dict[str, Json]:
        """The JSON object that is stored and exported."""
        return {path: {"salt": item.salt.hex(), "value": item.value} for path, item in self.values.items()}

    @classmethod
    def from_json(cls, data: Json) -> Disclosure:
        """The disclosure of which `data` is the `to_json`.

        Raises:
            ValueError: `data` is not a disclosure.
        """
        if not isinstance(data, dict):
            raise ValueError("a disclosure is an object")  # noqa: TRY004 (a wrong value from outside)
        values: dict[str, Disclosed] = {}
        for path, item in data.items():
            if not isinstance(item, dict) or item.keys() != {"salt", "value"}:
                raise ValueError(f"the disclosure of {path} must hold exactly a salt and a value")
            salt = item["salt"]
            if not isinstance(salt, str) or not _HEX_256.fullmatch(salt):
                raise ValueError(f"the salt of {path} is not 64 hex digits")
            values[path] = Disclosed(salt=bytes.fromhex(salt), value=item["value"])
        return cls(values)


@dataclass(frozen=True, slots=True)
class Opened:
    """What checking an entry against its disclosure found: how many commitments it opens or no longer can."""

    disclosed: int
    erased: int


def find_commitments(entry: Json) -> dict[str, str]:
    """Every commitment in an entry: path to 64 hex digits.

    Raises:
        VerificationFailed: a commitment without a path, or two different ones for one path.
    """
    found: dict[str, str] = {}
    _collect(entry, path=None, found=found)
    return found


def check_disclosure(entry: Json, *, disclosure: Disclosure | None) -> Opened:
    """Check that the disclosure opens commitments of this entry; those without one were erased.

    Raises:
        VerificationFailed: a disclosed value is not the committed one, or was never committed to.
    """
    committed = find_commitments(entry)
    values = {} if disclosure is None else disclosure.values
    for path, item in values.items():
        if path not in committed:
            raise _failed(f"{path} is disclosed but the entry holds no commitment to it")
        try:
            expected = commit(path, value=item.value, salt=item.salt)
        except (TypeError, ValueError) as error:
            raise _failed(f"the value disclosed for {path} cannot have been committed to: {error}") from None
        if not hmac.compare_digest(expected, committed[path]):
            raise _failed(f"the value disclosed for {path} is not the one that was committed to")
    return Opened(disclosed=len(values), erased=len(committed) - len(values))


def _collect(value: Json, *, path: str | None, found: dict[str, str]) -> None:
    if isinstance(value, dict):
        commitment = value.get("hmac")
        if len(value) == 1 and isinstance(commitment, str) and _HEX_256.fullmatch(commitment):
            if path is None:
                raise _failed("a commitment stands without a path")
            if found.setdefault(path, commitment) != commitment:
                raise _failed(f"{path} has two different commitments in one entry")
            return
        for key, item in value.items():
            _collect(item, path=key, found=found)
    elif isinstance(value, list):
        for item in value:
            _collect(item, path=None, found=found)


def _failed(detail: str) -> VerificationFailed:
    return VerificationFailed(
        "disclosure_mismatch",
        "A disclosed value is not what the ledger committed to",
        detail=detail,
        help="The entry itself is unharmed: restore the disclosure row from a backup, or treat it as erased.",
    )
