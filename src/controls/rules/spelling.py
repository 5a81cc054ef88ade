"""Names that are almost those of declared facts: `order.legalHold`, `order.quantiy`.

Guarantees: finds every declared name that differs in capitals, the width of letters, `_` and `-`, and in one
letter at most that is missing, too many, another one, or exchanged with its neighbour. Takes time in the
name's length alone, not in the number of facts: two such names become equal where at most one letter of each
is left out. A name that stands in full inside another part, `context.order.side`, is found as well, so are
all facts of a group of which no object was made: `"override": [{"blocked_by": "R13"}]`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping

_SHORTEST = 4  # letters of the last word: shorter ones are alike by chance


class Spellings:
    """An index of the declared names by what is left of them without one letter."""

    def __init__(self, declared: Iterable[str]) -> None:
        found: dict[str, list[str]] = {}
        groups: dict[str, list[str]] = {}
        for name in sorted(declared):
            groups.setdefault(f"context.{name.partition('.')[0]}", []).append(name)
            for rest in _rests(name):
                found.setdefault(rest, []).append(name)
        self._names: Mapping[str, list[str]] = found
        self._groups: Mapping[str, list[str]] = groups

    def almost(self, name: str) -> frozenset[str]:
        """The declared names that `name` is almost, or that stand whole in another part of the request."""
        if len(name.rpartition(".")[2]) < _SHORTEST:
            return frozenset()
        # `order.order.side`, `context.order.side`: a name in full where only its last word belongs.
        ways = (name, name.partition(".")[2])
        return frozenset(
            declared for way in ways for rest in _rests(way) for declared in self._names.get(rest, ())
        )

    def grouped(self, name: str) -> frozenset[str]:
        """The declared names of the group that `name`, which holds no object, is called by."""
        return frozenset(self._groups.get(name, ()))


def _rests(name: str) -> Iterator[str]:
    # Cut, as one letter may stand for eighteen.
    letters = unicodedata.normalize("NFKC", name)[: len(name)]
    plain = letters.lower().replace("_", "").replace("-", "")
    yield plain
    for at in range(len(plain)):
        yield plain[:at] + plain[at + 1 :]
