"""Names that are almost those of declared facts: `order.legalHold`, `order.quantiy`, `context.legal_hold`.

Guarantees: finds every declared name that differs in capitals, accents, the width of letters, letters of
other alphabets that look the same, `_` and `-`, and in one letter at most that is missing, too many, another
one, or exchanged with its neighbour. Two such slips are found where the words keep most of their letters: one
in a word of four or more, two in one of six or more (`entered_by` is no slip of `entered_at`). A name that
stands in full inside another part, `context.order.side`, is found as well, and so are all facts of a group of
which no object was made: `"override": [{"blocked_by": "R13"}]`.

The last part of a name alone is found in the part of another fact where it tells whose it is: two words of
four letters or one of ten (`account.legal_hold`, but not `order.expires_at`), and straight in the context or
the subject also with one word and a short one (`context.blocked_by`, but not `context.type`). What callers
keep in a group of their own is theirs.

Takes time in the name's length and, for two slips, in how many facts share one of its words (which more than
200 share is passed over); the last answers are kept, as a caller's own names come again with every request.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

_SHORTEST: Final = 4  # letters of the last word: shorter ones are alike by chance
_LONG: Final = 10  # letters of a single word that no other name has by chance
_TELLING: Final = 4  # letters of a word that tells something, and that one slip leaves recognisable
_TWO_SLIPS: Final = 6
_SHARED: Final = 200  # facts: a word that more of them share says nothing about which one is meant
_KEPT: Final = 2_000

# Small letters without accents that are taken for Latin ones (confusables, Unicode Technical Standard 39).
_ALIKE: Final = {
    "a": "\u0430\u1d00\u0251\u03b1",
    "b": "\u0432\u03b2",
    "c": "\u0441\u03f2",
    "d": "\u0501",
    "e": "\u0435\u0454\u03b5",
    "g": "\u0261",
    "h": "\u04bb\u0570\u043d",
    "i": "\u0456\u0131\u03b9",
    "j": "\u0458",
    "k": "\u03ba\u043a",
    "l": "\u04cf",
    "m": "\u043c",
    "n": "\u0578\u043f\u03b7",
    "o": "\u043e\u03bf\u0585",
    "p": "\u0440\u03c1",
    "q": "\u051b",
    "r": "\u0433",
    "s": "\u0455",
    "t": "\u0442\u03c4",
    "u": "\u03c5\u057d",
    "v": "\u0475\u03bd",
    "w": "\u051d\u0461\u03c9",
    "x": "\u0445\u03c7",
    "y": "\u0443\u03b3",
    "z": "\u1d22\u03b6",
}
_LATIN: Final = str.maketrans({other: latin for latin, others in _ALIKE.items() for other in others})
_BETWEEN_WORDS: Final = re.compile(r"[._-]+|(?<=[a-z0-9])(?=[A-Z])")

# The number of words of a name, the place of one of them, and what is left of it without one letter.
_Key = tuple[int, int, str]


class Spellings:
    """An index of the declared names by what is left of them without one letter, and of their words."""

    def __init__(self, declared: Iterable[str]) -> None:
        found: dict[str, list[str]] = {}
        groups: dict[str, list[str]] = {}
        lasts: dict[str, list[str]] = {}
        words: dict[_Key, list[tuple[str, tuple[str, ...]]]] = {}
        for name in sorted(declared):
            groups.setdefault(f"context.{name.partition('.')[0]}", []).append(name)
            last = name.rpartition(".")[2]
            if len(last) >= _LONG or "_" in last:
                lasts.setdefault(_joined(last), []).append(name)
            for rest in _rests(_joined(name)):
                found.setdefault(rest, []).append(name)
            parts = _words(name)
            for key in _keys(parts):
                words.setdefault(key, []).append((name, parts))
        self._names: Mapping[str, list[str]] = found
        self._groups: Mapping[str, list[str]] = groups
        self._lasts: Mapping[str, list[str]] = lasts
        self._by_word: Mapping[_Key, list[tuple[str, tuple[str, ...]]]] = words
        self._kept: dict[str, frozenset[str]] = {}

    def almost(self, name: str) -> frozenset[str]:
        """The declared names that `name` is almost, or whose part of the request is another one."""
        found = self._kept.get(name)
        if found is None:
            found = frozenset(self._alike(name))
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[name] = found
        return found

    def grouped(self, name: str) -> frozenset[str]:
        """The declared names of the group that `name`, which holds no object, is called by."""
        return frozenset(self._groups.get(name, ()))

    def _alike(self, name: str) -> Iterator[str]:
        last = name.rpartition(".")[2]
        if len(last) >= _SHORTEST:
            yield from self._misplaced(name, last)
        parts = _words(name)
        for key in _keys(parts):
            near = self._by_word.get(key, ())
            if len(near) <= _SHARED:
                yield from (declared for declared, others in near if _alike(parts, others))

    def _misplaced(self, name: str, last: str) -> Iterator[str]:
        # `order.order.side`, `context.order.side`: a name in full where only its last word belongs.
        for way in (name, name.partition(".")[2]):
            for rest in _rests(_joined(way)):
                yield from self._names.get(rest, ())
        group = name.partition(".")[0] if "." in name else ""
        if group in ("context", "subject") or (f"context.{group}" in self._groups and _tells(last)):
            yield from self._lasts.get(_joined(last), ())


def _plain(text: str) -> str:
    """The text in small Latin letters, as far as it looks like some."""
    if text.isascii():
        return text.lower()
    letters = unicodedata.normalize("NFKD", text)
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return bare[: len(text)].lower().translate(_LATIN)  # cut, as one letter may stand for eighteen


def _joined(name: str) -> str:
    return _plain(name).replace("_", "").replace("-", "")


def _words(name: str) -> tuple[str, ...]:
    return tuple(_plain(word) for word in _BETWEEN_WORDS.split(name) if word)


def _rests(plain: str) -> Iterator[str]:
    yield plain
    for at in range(len(plain)):
        yield plain[:at] + plain[at + 1 :]


def _tells(last: str) -> bool:
    words = [word for word in _words(last) if len(word) >= _TELLING]
    return len(words) > 1 or any(len(word) >= _LONG for word in words)


def _keys(words: tuple[str, ...]) -> Iterator[_Key]:
    """What two names share whose words have two slips: a word after the first with one of them at most, or,
    where that is the only one and has both, the first word."""
    many = len(words)
    if many == 2:
        yield many, 0, words[0]
    for at, word in enumerate(words[1:], 1):
        for rest in _rests(word):
            yield many, at, rest


def _alike(words: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Whether names of as many words differ in two slips at most, and no word in more than it bears."""
    left = 2
    for one, other in zip(words, others, strict=True):
        if one == other:
            continue
        letters = max(len(one), len(other))
        slips = _slips(one, other)
        left -= slips
        if left < 0 or slips > (letters >= _TELLING) + (letters >= _TWO_SLIPS):
            return False
    return True


def _slips(one: str, other: str) -> int:
    """The optimal string alignment distance, 3 for more than 2: letters missing, too many, other ones, or
    exchanged with their neighbour, of which none is counted twice."""
    if abs(len(one) - len(other)) > 2:
        return 3
    before: list[int] = []
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one):
        before, last, row = row, before, [at + 1]
        for place, against in enumerate(other):
            cost = min(before[place] + (letter != against), before[place + 1] + 1, row[place] + 1)
            if at and place and letter == other[place - 1] and one[at - 1] == against:
                cost = min(cost, last[place - 1] + 1)
            row.append(cost)
    return min(row[-1], 3)
