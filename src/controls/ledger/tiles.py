"""Tiles: the tree in pieces of 256 hashes, each written once (C2SP tlog-tiles).

Guarantees: a complete tile never changes; every complete subtree of the tree lies in exactly one tile;
a tile has one path and a path names one tile.

Tile `(level, index)` of height 8 holds nodes `[256 * index, 256 * index + width)` of tree level
`8 * level`; it is complete when its width is 256. `new_tiles` after a batch says which tiles to store.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from controls.ledger.merkle import HASH_SIZE, node_hash

TILE_HEIGHT: Final = 8
ENTRIES_LEVEL: Final = -1  # not hashes but the entries themselves: `tile/entries/...`
_PATH: Final = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]*))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile: its level, its index on that level, and how many hashes it holds now."""

    level: int
    index: int
    width: int
    height: int = TILE_HEIGHT

    @property
    def complete(self) -> bool:
        return self.width == 1 << self.height

    @property
    def path(self) -> str:
        """Where the tile is read: `tile/0/x001/x234/067`, or `....p/12` while 12 hashes wide."""
        index = f"{self.index % 1000:03d}"
        above = self.index // 1000
        while above:
            index = f"x{above % 1000:03d}/{index}"
            above //= 1000
        level = "entries" if self.level == ENTRIES_LEVEL else str(self.level)
        return f"tile/{level}/{index}" + ("" if self.complete else f".p/{self.width}")


def parse_tile_path(path: str, *, height: int = TILE_HEIGHT) -> Tile:
    """The tile whose path this is.

    Raises:
        ValueError: it is no tile's path.
    """
    found = _PATH.fullmatch(path)
    if found is None:
        raise ValueError(f"{path!r} is not the path of a tile such as tile/0/x001/067")
    level = ENTRIES_LEVEL if found["level"] == "entries" else int(found["level"])
    index = int(found["index"].replace("x", "").replace("/", ""))
    tile = Tile(level=level, index=index, width=int(found["width"] or 1 << height), height=height)
    if tile.path != path or tile.width > 1 << height:
        raise ValueError(f"{path!r} is not how the path of a tile is written")
    return tile


def new_tiles(old_size: int, *, new_size: int, height: int = TILE_HEIGHT) -> tuple[Tile, ...]:
    """The tiles that a tree grown from `old_size` to `new_size` leaves has and the old one had not.

    Those that are `complete` are final; the others (at most one a level) are the ragged edge.
    """
    tiles: list[Tile] = []
    level = 0
    while new_size >> level * height:
        old, new = old_size >> level * height, new_size >> level * height
        if old != new:
            first, full = old >> height, new >> height
            tiles += [
                Tile(level=level, index=at, width=1 << height, height=height) for at in range(first, full)
            ]
            if rest := new - (full << height):
                tiles.append(Tile(level=level, index=full, width=rest, height=height))
        level += 1
    return tuple(tiles)


def tile_of_node(level: int, *, index: int) -> tuple[int, int]:
    """The (level, index) of the tile from which the complete subtree `(level, index)` can be worked out.

    The tile needs not be complete: it holds the leaves of the subtree, or nodes of tree level 8 * n
    under it, as soon as the subtree is complete.
    """
    tile_level = level // TILE_HEIGHT
    return tile_level, (index << level - tile_level * TILE_HEIGHT) >> TILE_HEIGHT


def node_in_tile(hashes: Sequence[bytes], *, level: int, index: int) -> bytes:
    """The hash of the complete subtree `(level, index)`, from the hashes of its tile (`tile_of_node`).

    Raises:
        ValueError: the tile is not wide enough yet.
    """
    height = level % TILE_HEIGHT
    first = (index << height) % (1 << TILE_HEIGHT)
    current = list(hashes[first : first + (1 << height)])
    if len(current) != 1 << height:
        raise ValueError(f"a tile of {len(hashes)} hashes does not hold subtree ({level}, {index})")
    while len(current) > 1:
        current = [node_hash(current[at], current[at + 1]) for at in range(0, len(current), 2)]
    return current[0]


def split_hashes(data: bytes) -> tuple[bytes, ...]:
    """The hashes of a stored tile.

    Raises:
        ValueError: `data` is no tile.
    """
    if len(data) % HASH_SIZE or len(data) > HASH_SIZE << TILE_HEIGHT:
        raise ValueError(f"{len(data)} bytes are not a tile")
    return tuple(data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE))
