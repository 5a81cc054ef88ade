"""Everything wrong with a set of rule files, gathered in one pass.

Guarantees: an error never hides another one, the order is that of the files, and the number is bounded.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final, NamedTuple

from controls.model.errors import Diagnostic, RuleFilesInvalid

MAX_DIAGNOSTICS: Final = 1_000  # nobody reads more, and a file of a megabyte could yield one per byte
MAX_QUOTED: Final = 60


class Place(NamedTuple):
    """A place in a rule file; line and column count from 1."""

    file: str
    line: int
    column: int


class Diagnostics:
    """Collects what is wrong. Loading goes on after each, so that the reader sees all of it at once."""

    def __init__(self) -> None:
        self._found: dict[Diagnostic, None] = {}
        self._dropped = 0

    def add(self, place: Place, code: str, message: str) -> None:
        """Note one thing that is wrong at `place`."""
        if len(self._found) >= MAX_DIAGNOSTICS:
            self._dropped += 1
            return
        self._found[Diagnostic(place.file, place.line, place.column, code, message)] = None

    @property
    def count(self) -> int:
        """How many have been noted so far: tells whether a part was sound."""
        return len(self._found) + self._dropped

    def all(self) -> tuple[Diagnostic, ...]:
        """The diagnostics by file, line and column."""
        found = sorted(self._found)
        if self._dropped:
            last = found[-1]
            found.append(
                Diagnostic(
                    last.file,
                    last.line,
                    last.column,
                    "too_many",
                    f"{self._dropped} more are not listed: mend these first",
                )
            )
        return tuple(found)

    def raise_if_any(self) -> None:
        """Refuse the files when anything is wrong.

        Raises:
            RuleFilesInvalid: with all diagnostics.
        """
        found = self.all()
        if found:
            raise RuleFilesInvalid(found)


def quoted(text: str) -> str:
    """The text in quotes on one line, shortened, safe to print."""
    shown = text if len(text) <= MAX_QUOTED else text[: MAX_QUOTED - 1] + "…"
    return "'" + "".join(letter if letter.isprintable() else "�" for letter in shown) + "'"


def closest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` when a known word is near `word`, else nothing."""
    if len(word) > MAX_QUOTED:  # difflib is quadratic
        return ""
    choice = list(known)
    near = [name for name in choice if name.casefold() == word.casefold()]
    near = near or difflib.get_close_matches(word, choice, n=1, cutoff=0.7)
    return f"; did you mean {quoted(near[0])}?" if near else ""


def listed(words: Iterable[str]) -> str:
    """The words in one readable row: `a, b, c`."""
    return ", ".join(words)
