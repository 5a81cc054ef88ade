"""Lineage: which chains a chain comes from, as its caller declared when it began."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from controls.model.record import record
from controls.model.trail import TrailAct

# A chain by its kind and id.
ChainKey: TypeAlias = tuple[str, str]

# How many chains one request may name.
MAX_LINKS: Final = 64
# How many chains may hang together: all that a chain comes from, with all that has come of those.
MAX_CHAINS: Final = 256


class Relation(StrEnum):
    """How a chain came of an older one. It tells readers what happened; all relations count alike."""

    ALLOCATION_OF = "allocation_of"
    INSTRUCTION_OF = "instruction_of"
    SPLIT_FROM = "split_from"
    MERGED_FROM = "merged_from"
    REPLACES = "replaces"
    NETTED_FROM = "netted_from"


@dataclass(frozen=True, slots=True)
class StatedLink:
    """A link as a request states it: to a resource of a type."""

    relation: Relation
    type: str
    id: str


@dataclass(frozen=True, slots=True)
class Link:
    """A link to an older chain."""

    relation: Relation
    kind: str
    chain: str

    @property
    def older(self) -> ChainKey:
        return self.kind, self.chain


@record
class LineageReading:
    """What a request has to do with other chains, this unit of work included.

    `stated` are the links of the request to chains that have begun, `unknown` those to anything else, and
    `recorded` those that the chain began with. `lines` are the acts on other chains, by line (see
    `controls.duties.lineage`). For a chain that begins with this request, `parents` are the lines of the
    chains that it names, one each. `family` are all chains that hang together with it, or would, where that
    is asked for: of a chain that begins, and of one that is amended.
    """

    stated: tuple[Link, ...] = ()
    unknown: tuple[StatedLink, ...] = ()
    recorded: tuple[Link, ...] = ()
    lines: tuple[tuple[TrailAct, ...], ...] = ()
    parents: tuple[tuple[TrailAct, ...], ...] = ()
    family: frozenset[ChainKey] = frozenset()


class Lineage:
    """Links between chains, from younger to older ones."""

    def __init__(self) -> None:
        self._links: dict[ChainKey, dict[Link, None]] = {}
        self._older: dict[ChainKey, dict[ChainKey, None]] = {}
        self._younger: dict[ChainKey, dict[ChainKey, None]] = {}

    def add(self, younger: ChainKey, link: Link) -> None:
        self._links.setdefault(younger, {})[link] = None
        self._older.setdefault(younger, {})[link.older] = None
        self._younger.setdefault(link.older, {})[younger] = None

    def linked(self, chain: ChainKey) -> bool:
        """Whether the chain comes from others, or others come from it."""
        return chain in self._older or chain in self._younger

    def links(self, chain: ChainKey) -> tuple[Link, ...]:
        """What the chain was said to come from when it began."""
        return tuple(self._links.get(chain, ()))

    def ancestry(self, chains: Iterable[ChainKey]) -> set[ChainKey]:
        """The chains and all that they come from."""
        return _reached(chains, self._older)

    def progeny(self, chains: Iterable[ChainKey]) -> set[ChainKey]:
        """The chains and all that has come of them."""
        return _reached(chains, self._younger)

    def related(self, chains: Iterable[ChainKey]) -> set[ChainKey]:
        """All that hangs together with chains that begin with links to these: every line that they touch."""
        return self.ancestry(self.progeny(self.ancestry(chains)))

    def lines(self, chain: ChainKey) -> tuple[frozenset[ChainKey], ...]:
        """The other chains of each line that the chain is part of; none that is within another."""
        ends = sorted(item for item in self.progeny((chain,)) if not self._younger.get(item))
        return tuple(dict.fromkeys(frozenset(self.ancestry((end,)) - {chain}) for end in ends))


def _reached(chains: Iterable[ChainKey], following: Mapping[ChainKey, Iterable[ChainKey]]) -> set[ChainKey]:
    seen = set(chains)
    pending = list(seen)
    while pending:
        for chain in following.get(pending.pop(), ()):
            if chain not in seen:
                seen.add(chain)
                pending.append(chain)
    return seen
