"""CSV files of other systems, plain or gzip, read row by row within bounds.

Guarantees: no file takes more memory than its bounds, whatever it expands to; what cannot be read is an error
with the file and the line; columns are known by their names, whatever their order.
"""

from __future__ import annotations

import csv
import gzip
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

from controls.model.errors import FieldError, InvalidInput

MAX_BYTES: Final = 256 * 1024 * 1024  # after expansion
MAX_LINE: Final = 64 * 1024  # bytes
MAX_ROWS: Final = 5_000_000
MAX_NAME: Final = 256  # characters
_GZIP: Final = b"\x1f\x8b"
_SEPARATORS: Final = ",;\t"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the cells under their columns' names, without blanks around them."""

    line: int
    cells: Mapping[str, str]


class ForeignFile:
    """One open CSV file: its header, then its rows."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.line = 0
        self._lines = self._read(file)
        first = next(self._lines, "")
        self._separator = separator_of(first)
        self.header: tuple[str, ...] = tuple(cell.strip() for cell in next(self._cells([first]), ()))
        if not any(self.header) or len(set(self.header)) < len(self.header):
            raise self.wrong(1, "wrong_header", "the first line must name the columns, each once")

    def column(self, *names: str) -> str:
        """The column with one of these plain names (`role_name` for `Role Name`); empty if there is none."""
        plain = {column: column.lower().replace(" ", "_").replace("-", "_") for column in self.header}
        return next((column for name in names for column in self.header if plain[column] == name), "")

    def rows(self) -> Iterator[Row]:
        """All rows below the header; blank ones are left out.

        Raises:
            InvalidInput: with the line that is wrong.
        """
        for number, cells in enumerate(self._cells(self._lines), start=1):
            line = self.line
            if number > MAX_ROWS:
                raise self.wrong(line, "too_many_rows", f"a file has at most {MAX_ROWS} rows; split it")
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(self.header):
                said = f"has {len(cells)} columns and the header has {len(self.header)}"
                raise self.wrong(line, "wrong_column_count", said)
            yield Row(line, dict(zip(self.header, map(str.strip, cells), strict=True)))

    def name(self, row: Row, column: str) -> str:
        """A cell that must hold a name.

        Raises:
            InvalidInput: it is empty, too long or holds what cannot be seen.
        """
        return self.checked_name(row, column, row.cells[column])

    def checked_name(self, row: Row, column: str, text: str) -> str:
        """A name out of a cell, as `name`."""
        if not text or len(text) > MAX_NAME or not text.isprintable():
            said = f"{column} {text[:40]!r} is empty, longer than {MAX_NAME} characters or not printable"
            raise self.wrong(row.line, "bad_name", said)
        return text if text.isascii() else unicodedata.normalize("NFC", text)

    def wrong(self, line: int, code: str, message: str) -> InvalidInput:
        """The error for something wrong on a line."""
        where = f"{self.path}:{line}"
        return InvalidInput(
            "file_invalid",
            f"{self.path.name} is not valid; nothing was analysed",
            detail=f"{where}: {code}: {message}",
            help="Mend that line, or export the file again as CSV in UTF-8.",
            errors=(FieldError(where, code, message),),
        )

    def _cells(self, lines: Iterable[str]) -> Iterator[list[str]]:
        try:
            yield from csv.reader(lines, delimiter=self._separator, strict=True)
        except csv.Error as error:
            raise self.wrong(self.line, "not_csv", f"cannot be read as CSV: {error}") from None

    def _read(self, file: BinaryIO) -> Iterator[str]:
        """The lines as text, counted and within the bounds."""
        total = 0
        while data := file.readline(MAX_LINE + 1):
            self.line += 1
            total += len(data)
            if len(data) > MAX_LINE:
                raise self.wrong(self.line, "long_line", f"is longer than {MAX_LINE >> 10} KiB")
            if total > MAX_BYTES:
                said = f"the file holds more than {MAX_BYTES >> 20} MiB; split it"
                raise self.wrong(self.line, "too_large", said)
            try:
                yield data.decode("utf-8-sig" if self.line == 1 else "utf-8")
            except UnicodeDecodeError:
                raise self.wrong(self.line, "not_utf8", "is no UTF-8: save the file as UTF-8") from None


def separator_of(header: str) -> str:
    """What separates the cells of a file with this first line: spreadsheets write semicolons in much of
    Europe, and some tabs."""
    return max(_SEPARATORS, key=header.count)


@contextmanager
def foreign_file(path: Path) -> Iterator[ForeignFile]:
    """The file, open for the block.

    Raises:
        InvalidInput: it cannot be read; also out of the block, for what stands further down.
    """
    try:
        with path.open("rb") as raw, _expanded(raw) as file:
            yield ForeignFile(path, file)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(
            "file_unreadable",
            f"{path} cannot be read",
            detail=str(error),
            help="Name a CSV file, plain or gzip.",
        ) from None


def _expanded(raw: BinaryIO) -> AbstractContextManager[BinaryIO]:
    packed = raw.read(len(_GZIP)) == _GZIP
    raw.seek(0)
    return cast("BinaryIO", gzip.open(raw)) if packed else nullcontext(raw)
