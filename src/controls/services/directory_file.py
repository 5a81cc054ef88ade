"""Reading a directory from CSV: one row an account, `person,name,account,roles,valid_from,valid_to`.

Guarantees: all errors are reported at once, by line; a file with one error changes nothing.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from controls.model.errors import FieldError, InvalidInput
from controls.model.values import microseconds
from controls.services.directory_plans import AccountLine, PersonPlan, RoleLine

COLUMNS: Final = ("person", "name", "account", "roles", "valid_from", "valid_to")
REQUIRED: Final = ("person", "account", "roles")
MAX_BYTES: Final = 64 * 1024 * 1024
MAX_ERRORS: Final = 200

# Ids appear in records, messages and Casbin rows: no separators, quotes, blanks at the ends or controls.
_ID: Final = re.compile(
    r"[^\s,;:()\[\]#\"'\\\x00-\x1f\x7f]([^,;()\[\]#\"'\\\x00-\x1f\x7f]{0,126}[^\s,;:()\[\]#\"'\\\x00-\x1f\x7f])?\Z"
)


def read_directory(text: str) -> tuple[PersonPlan, ...]:
    """The persons of a directory file.

    Raises:
        InvalidInput: `errors` holds every mistake with its line.
    """
    errors: list[FieldError] = []
    people: dict[str, PersonPlan] = {}
    owners: dict[str, str] = {}
    for line, row in _rows(text, errors):
        if len(errors) >= MAX_ERRORS:
            break
        _read_row(line, row, people, owners, errors)
    if not people and not errors:
        errors.append(FieldError("line 1", "empty_file", "holds no person; add one row an account"))
    if errors:
        raise directory_errors(errors)
    return tuple(people.values())


def directory_errors(errors: list[FieldError]) -> InvalidInput:
    """All mistakes of one file as one error."""
    return InvalidInput(
        "directory_invalid",
        "The directory file has errors; nothing was imported",
        detail="\n".join(f"{item.pointer}: {item.code}: {item.message}" for item in errors),
        help=f"Mend these lines and import again. Columns: {','.join(COLUMNS)}.",
        errors=tuple(errors),
    )


def _rows(text: str, errors: list[FieldError]) -> Iterator[tuple[int, dict[str, str]]]:
    if len(text) > MAX_BYTES:
        errors.append(FieldError("line 1", "too_large", "the file is larger than 64 MiB; split it"))
        return
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    header: list[str] = []
    try:
        for cells in reader:
            if not header:
                header = [cell.strip() for cell in cells]
                if not _check_header(header, errors):
                    return
            elif any(cell.strip() for cell in cells):
                if len(cells) != len(header):
                    errors.append(
                        FieldError(
                            f"line {reader.line_num}",
                            "wrong_column_count",
                            f"has {len(cells)} columns and the header has {len(header)}",
                        )
                    )
                else:
                    yield reader.line_num, dict(zip(header, map(_plain, cells), strict=True))
    except csv.Error as error:
        errors.append(FieldError(f"line {reader.line_num}", "not_csv", f"cannot be read as CSV: {error}"))


def _plain(cell: str) -> str:
    """Without blanks around it and in Unicode normal form C, as requests name persons and accounts."""
    return unicodedata.normalize("NFC", cell).strip()


def _check_header(header: list[str], errors: list[FieldError]) -> bool:
    unknown = [name for name in header if name not in COLUMNS]
    missing = [name for name in REQUIRED if name not in header]
    if unknown or missing or len(set(header)) != len(header):
        said = f"unknown: {', '.join(unknown) or 'none'}; missing: {', '.join(missing) or 'none'}"
        errors.append(FieldError("line 1", "wrong_header", f"{said}; the columns are {','.join(COLUMNS)}"))
        return False
    return True


def _read_row(
    line: int,
    row: dict[str, str],
    people: dict[str, PersonPlan],
    owners: dict[str, str],
    errors: list[FieldError],
) -> None:
    where = f"line {line}"
    before = len(errors)
    errors += [
        FieldError(
            where,
            "bad_id",
            f"{column} {row[column][:40]!r} is empty, too long or holds one of , ; : ( ) [ ] # \" ' \\",
        )
        for column in ("person", "account")
        if not _ID.match(row[column])
    ]
    roles = {role.strip() for role in row["roles"].split(";") if role.strip()}
    errors += [
        FieldError(where, "bad_role", f"role {role[:40]!r} is not a role name")
        for role in sorted(roles)
        if not _ID.match(role)
    ]
    valid_from = _moment(where, "valid_from", row.get("valid_from", ""), errors)
    valid_to = _moment(where, "valid_to", row.get("valid_to", ""), errors)
    if valid_from is not None and valid_to is not None and valid_to <= valid_from:
        errors.append(FieldError(where, "period_reversed", "valid_to is not after valid_from"))
    owner = owners.setdefault(row["account"], row["person"])
    if owner != row["person"]:
        errors.append(
            FieldError(where, "account_of_two", f"account {row['account']} belongs to {owner} above already")
        )
    if len(errors) > before:
        return
    person = people.setdefault(row["person"], PersonPlan(row["person"], row.get("name", ""), where))
    if row.get("name") and person.name and person.name != row["name"]:
        errors.append(FieldError(where, "two_names", f"{person.id} is called {person.name} above"))
    person.name = person.name or row.get("name", "")
    person.roles = (person.roles or set()) | {RoleLine(role) for role in roles}
    person.accounts.append(AccountLine(row["account"], valid_from, valid_to, where))


def _moment(where: str, column: str, text: str, errors: list[FieldError]) -> int | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not 1990 <= moment.year <= 2200:
        errors.append(
            FieldError(
                where, "bad_time", f"{column} {text[:40]!r} is not like 2026-03-02T09:30:00Z (with a zone)"
            )
        )
        return None
    return microseconds(moment)
