"""Reading an event log: CSV with at least `case,activity,resource,timestamp`, plain or gzip.

Guarantees: rows come in file order; a log that cannot be read is refused with its line, never read in part.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Final

from controls.model.errors import FieldError, InvalidInput
from controls.services.foreign_csv import separator_of

NEEDED: Final = ("case", "activity", "resource", "timestamp")
MAX_ROWS: Final = 5_000_000
MAX_TEXT: Final = 256


@dataclass(frozen=True, slots=True)
class Event:
    """One row: who did what on which case, and when."""

    line: int
    case: str
    activity: str
    resource: str
    at: datetime


def read_log(path: Path) -> list[Event]:
    """All rows of the log, in file order.

    Raises:
        InvalidInput: not a readable event log; the message names file and line.
    """
    try:
        with path.open("rb") as raw, gzip.open(raw) if path.suffix == ".gz" else raw as file:
            text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
            first = text.readline()
            rows = csv.reader(chain([first], text), delimiter=separator_of(first), strict=True)
            return list(_events(path, rows))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(
            "log_unreadable",
            f"{path} cannot be read as an event log",
            detail=str(error),
            help=f"Give a CSV file (or .csv.gz) in UTF-8 with the columns {', '.join(NEEDED)}.",
        ) from None


def _events(path: Path, rows: Iterator[list[str]]) -> Iterator[Event]:
    header = next(rows, [])
    missing = [name for name in NEEDED if name not in header]
    if missing:
        raise _wrong(path, 1, "wrong_header", f"lacks the columns {', '.join(missing)}")
    case, activity, resource, timestamp = (header.index(name) for name in NEEDED)
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise _wrong(path, number, "wrong_column_count", f"has {len(row)} of {len(header)} columns")
        if number > MAX_ROWS:
            raise _wrong(path, number, "too_many_rows", f"a log has at most {MAX_ROWS} rows; split it")
        if not row[case] or max(len(row[case]), len(row[activity]), len(row[resource])) > MAX_TEXT:
            raise _wrong(path, number, "bad_text", f"case is empty or a field is longer than {MAX_TEXT}")
        yield Event(
            line=number,
            case=row[case],
            activity=row[activity],
            resource=row[resource],
            at=_moment(path, number, row[timestamp]),
        )


def _moment(path: Path, line: int, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _wrong(path, line, "bad_time", f"{text[:40]!r} is not an ISO 8601 time") from None
    # Logs without a zone are common; within one log only the order of times matters.
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _wrong(path: Path, line: int, code: str, message: str) -> InvalidInput:
    where = f"{path}:{line}"
    return InvalidInput(
        "log_invalid",
        "The event log is not valid; nothing was replayed",
        detail=f"{where}: {code}: {message}",
        help=f"The columns needed are {', '.join(NEEDED)}.",
        errors=(FieldError(where, code, message),),
    )
