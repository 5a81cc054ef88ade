"""Reading a directory from CSV: one row an account, and absences from another file, one row an absence.

    person,name,account,kind,roles,valid_from,valid_to,department,desk,household,reports_to
    person,absent_from,absent_to

`valid_from` and `valid_to` are the account's; a role has times of its own as in
`trader[2026-04-01T00:00:00Z/2026-07-01T00:00:00Z]`, either of which may be left out. Several roles are
separated by semicolons, in quotes where these separate the columns as well, as many spreadsheets have it. An
attribute whose column is not there stays as it is; one whose cell is empty in all rows of a person ends. A
row of absences that names a person and no time says that there are none.

Guarantees: all errors are reported at once, by line; a file with one error changes nothing.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final, Protocol

from controls.model.errors import FieldError
from controls.model.people import AccountKind, Attribute
from controls.model.values import microseconds
from controls.services.directory_checks import directory_errors
from controls.services.directory_plans import AbsenceLine, AccountLine, PersonPlan, RoleLine
from controls.services.foreign_csv import separator_of

ATTRIBUTES: Final = tuple(attribute.value for attribute in Attribute)
COLUMNS: Final = ("person", "name", "account", "kind", "roles", "valid_from", "valid_to", *ATTRIBUTES)
REQUIRED: Final = ("person", "account", "roles")
ABSENCE_COLUMNS: Final = ("person", "absent_from", "absent_to")
MAX_BYTES: Final = 64 * 1024 * 1024
MAX_ERRORS: Final = 200
MAX_ROLE: Final = 256  # characters, times included

# Ids appear in records, messages and Casbin rows: no separators, quotes, blanks at the ends or controls.
_ID: Final = re.compile(
    r"[^\s,;:()\[\]#\"'\\\x00-\x1f\x7f]([^,;()\[\]#\"'\\\x00-\x1f\x7f]{0,126}[^\s,;:()\[\]#\"'\\\x00-\x1f\x7f])?\Z"
)
# A role, with its times in the notation of ISO 8601 where it has any.
_ROLE: Final = re.compile(r"(?P<role>[^\[\]]+?)\s*(\[(?P<start>[^/\[\]]*)/(?P<end>[^/\[\]]*)\])?\Z")
# What an attribute may say: it is shown to people and compared, and never part of another notation.
_TEXT: Final = re.compile(r"[^\x00-\x1f\x7f]{1,128}\Z")


def read_directory(text: str) -> tuple[PersonPlan, ...]:
    """The persons of a directory file.

    Raises:
        InvalidInput: `errors` holds every mistake with its line.
    """
    owners: dict[str, str] = {}
    return _read(text, COLUMNS, REQUIRED, partial(_read_row, owners=owners))


def read_absences(text: str) -> tuple[PersonPlan, ...]:
    """The persons of a file of absences, with all that each is to have from now on.

    Raises:
        InvalidInput: `errors` holds every mistake with its line.
    """
    return _read(text, ABSENCE_COLUMNS, ABSENCE_COLUMNS, _read_absence)


class _ReadRow(Protocol):
    def __call__(
        self, line: int, row: dict[str, str], people: dict[str, PersonPlan], errors: list[FieldError]
    ) -> None: ...


def _read(
    text: str, columns: Sequence[str], required: Sequence[str], read_row: _ReadRow
) -> tuple[PersonPlan, ...]:
    errors: list[FieldError] = []
    people: dict[str, PersonPlan] = {}
    for line, row in _rows(text, columns, required, errors):
        if len(errors) >= MAX_ERRORS:
            break
        read_row(line, row, people, errors)
    if not people and not errors:
        errors.append(FieldError("line 1", "empty_file", "holds no person; write rows below the header"))
    if errors:
        raise directory_errors(errors)
    return tuple(people.values())


def _rows(
    text: str, columns: Sequence[str], required: Sequence[str], errors: list[FieldError]
) -> Iterator[tuple[int, dict[str, str]]]:
    if len(text) > MAX_BYTES:
        errors.append(FieldError("line 1", "too_large", "the file is larger than 64 MiB; split it"))
        return
    text = text.removeprefix("\ufeff")
    separator = separator_of(text.partition("\n")[0])
    reader = csv.reader(io.StringIO(text), delimiter=separator, strict=True)
    header: list[str] = []
    try:
        for cells in reader:
            if not header:
                header = [cell.strip() for cell in cells]
                if not _check_header(header, columns, required, errors):
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


def _check_header(
    header: list[str], columns: Sequence[str], required: Sequence[str], errors: list[FieldError]
) -> bool:
    unknown = [name for name in header if name not in columns]
    missing = [name for name in required if name not in header]
    if unknown or missing or len(set(header)) != len(header):
        said = f"unknown: {', '.join(unknown) or 'none'}; missing: {', '.join(missing) or 'none'}"
        errors.append(FieldError("line 1", "wrong_header", f"{said}; the columns are {','.join(columns)}"))
        return False
    return True


def _read_row(
    line: int,
    row: dict[str, str],
    people: dict[str, PersonPlan],
    errors: list[FieldError],
    *,
    owners: dict[str, str],
) -> None:
    where = f"line {line}"
    before = len(errors)
    errors += _bad_ids(where, {column: row[column] for column in ("person", "account")})
    roles = list(_roles(where, row["roles"], errors))
    kind = _kind(where, row.get("kind", ""), errors)
    valid_from, valid_to = _period(where, row, ("valid_from", "valid_to"), errors)
    errors += [
        FieldError(where, "bad_text", f"{name} {row[name][:40]!r} is too long or holds control characters")
        for name in ATTRIBUTES
        if row.get(name) and not is_text(row[name])
    ]
    owner = owners.setdefault(row["account"], row["person"])
    if owner != row["person"]:
        errors.append(
            FieldError(where, "account_of_two", f"account {row['account']} belongs to {owner} above already")
        )
    if len(errors) > before:
        return
    person = people.setdefault(
        row["person"], PersonPlan(row["person"], row.get("name", ""), where, roles=set())
    )
    if row.get("name") and person.name and person.name != row["name"]:
        errors.append(FieldError(where, "two_names", f"{person.id} is called {person.name} above"))
    person.name = person.name or row.get("name", "")
    assert person.roles is not None
    person.roles.update(roles)
    person.accounts.append(AccountLine(row["account"], valid_from, valid_to, where, kind))
    for attribute in Attribute:
        if attribute.value in row:
            said, known = row[attribute.value], person.attributes.get(attribute, "")
            if said and known and said != known:
                told = f"{attribute.value} of {person.id} is {known} above"
                errors.append(FieldError(where, "two_values", told))
            person.attributes[attribute] = known or said


def _read_absence(
    line: int, row: dict[str, str], people: dict[str, PersonPlan], errors: list[FieldError]
) -> None:
    where = f"line {line}"
    before = len(errors)
    errors += _bad_ids(where, {"person": row["person"]})
    absent_from, absent_to = _period(where, row, ("absent_from", "absent_to"), errors)
    if len(errors) > before:
        return
    person = people.setdefault(row["person"], PersonPlan(row["person"], where=where, absences=[]))
    assert person.absences is not None
    if row["absent_from"] or row["absent_to"]:
        person.absences.append(AbsenceLine(absent_from, absent_to))


def is_id(text: str) -> bool:
    """Whether persons, accounts and roles may be called so."""
    return _ID.match(text) is not None


def is_text(text: str) -> bool:
    """Whether an attribute may have this value."""
    return _TEXT.match(text) is not None


def _bad_ids(where: str, ids: dict[str, str]) -> Iterator[FieldError]:
    for column, text in ids.items():
        if not is_id(text):
            told = f"{column} {text[:40]!r} is empty, too long or holds one of , ; : ( ) [ ] # \" ' \\"
            yield FieldError(where, "bad_id", told)


def _roles(where: str, cell: str, errors: list[FieldError]) -> Iterator[RoleLine]:
    for text in sorted({item.strip() for item in cell.split(";")} - {""}):
        found = _ROLE.match(text) if len(text) <= MAX_ROLE else None
        if found is None or not is_id(found["role"]):
            told = f"role {text[:40]!r} is not a role name, or one with its times as in clerk[FROM/TO]"
            errors.append(FieldError(where, "bad_role", told))
            continue
        times = {"from": found["start"] or "", "to": found["end"] or ""}
        yield RoleLine(found["role"], *_period(where, times, ("from", "to"), errors))


def _kind(where: str, text: str, errors: list[FieldError]) -> AccountKind | None:
    if not text:
        return None
    try:
        return AccountKind(text)
    except ValueError:
        errors.append(FieldError(where, "bad_kind", f"kind {text[:40]!r} is not person or bot"))
        return None


def _period(
    where: str, row: Mapping[str, str], columns: tuple[str, str], errors: list[FieldError]
) -> tuple[int | None, int | None]:
    begin, end = (_moment(where, column, row.get(column, ""), errors) for column in columns)
    if begin is not None and end is not None and end <= begin:
        errors.append(FieldError(where, "period_reversed", f"{columns[1]} is not after {columns[0]}"))
    return begin, end


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
