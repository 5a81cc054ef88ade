"""Tiles: paths, which are new, and reading nodes out of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.ledger.merkle import Frontier, leaf_hash, root_of_range
from controls.ledger.tiles import (
    ENTRIES_LEVEL,
    Tile,
    new_tiles,
    node_in_tile,
    parse_tile_path,
    split_hashes,
    tile_of_node,
)

LEAVES = tuple(leaf_hash(b"%d" % number) for number in range(66_000))


def test_the_tile_paths_of_the_vectors_are_read_as_they_say(shared_data: Path) -> None:
    """Paths of golang/mod (which carry the height) are read and written back, malformed ones refused."""
    for case in json.loads((shared_data / "tlog" / "vectors.json").read_text("utf-8"))["tile_paths"]:
        _, height, level, rest = case["path"].split("/", 3)
        path = f"tile/{'entries' if level == 'data' else level}/{rest}"
        if case["tile"] is None:
            with pytest.raises(ValueError, match="path of a tile"):
                parse_tile_path(path, height=int(height))
            continue
        tile = parse_tile_path(path, height=int(height))
        assert [tile.height, tile.level, tile.index, tile.width] == case["tile"]
        assert tile.path == path
        assert (tile.level == ENTRIES_LEVEL) == (level == "data")


def test_new_tiles_are_those_of_the_vectors(shared_data: Path) -> None:
    """As many tiles are new, whole or partial, as golang/mod says."""
    for case in json.loads((shared_data / "tlog" / "vectors.json").read_text("utf-8"))["new_tiles"]:
        assert len(new_tiles(case["old"], new_size=case["new"], height=case["h"])) == case["count"]


@given(st.integers(min_value=0, max_value=10**9), st.integers(min_value=0, max_value=10**6))
def test_completed_tiles_come_once_and_in_full(old: int, more: int) -> None:
    """Growing in one go or in two completes the same tiles, each once."""

    def complete(first: int, last: int) -> list[Tile]:
        return [tile for tile in new_tiles(first, new_size=last) if tile.complete]

    middle = old + more // 3
    parts = complete(old, middle) + complete(middle, old + more)
    assert sorted(parts, key=lambda tile: (tile.level, tile.index)) == complete(old, old + more)


@given(
    st.integers(min_value=0, max_value=16).flatmap(
        lambda level: st.tuples(st.just(level), st.integers(min_value=0, max_value=(66_000 >> level) - 1))
    )
)
def test_every_complete_subtree_is_in_its_tile(place: tuple[int, int]) -> None:
    """A node read out of its tile is the root over its leaves."""
    level, index = place
    tile_level, tile_index = tile_of_node(level, index=index)
    height = 8 * tile_level
    first = tile_index << 8
    hashes = [
        Frontier().append(LEAVES[at << height : (at + 1) << height]).root()
        for at in range(first, min(first + 256, 66_000 >> height))
    ]
    expected = Frontier().append(LEAVES[index << level : (index + 1) << level]).root()
    assert node_in_tile(hashes, level=level, index=index) == expected
    assert split_hashes(b"".join(hashes)) == tuple(hashes)


def test_a_tile_too_narrow_for_a_node_is_refused() -> None:
    """What is not in the tile is not made up."""
    with pytest.raises(ValueError, match="does not hold"):
        node_in_tile(LEAVES[:3], level=1, index=1)
    with pytest.raises(ValueError, match="not a tile"):
        split_hashes(b"x" * 33)


def test_a_root_is_read_out_of_tiles() -> None:
    """With a reader of tiles the root of any size follows."""
    size = 1000

    def node(level: int, index: int) -> bytes:
        _, tile_index = tile_of_node(level, index=index)
        if level >= 8:
            rows = [Frontier().append(LEAVES[at << 8 : (at + 1) << 8]).root() for at in range(size >> 8)]
            return node_in_tile(rows, level=level, index=index)
        return node_in_tile(LEAVES[tile_index << 8 : size][:256], level=level, index=index)

    assert root_of_range(0, end=size, node=node) == Frontier().append(LEAVES[:size]).root()


@pytest.mark.parametrize(
    "path",
    ["tile/0/x000/001", "tile/0/1", "tile/00/001", "tile/0/001.p/257", "tile/0/001.p/256", "tile/0/001.p/0"],
)
def test_a_tile_has_one_path(path: str) -> None:
    """Other spellings of a path, and widths that no tile has, are refused."""
    with pytest.raises(ValueError, match="path of a tile"):
        parse_tile_path(path)
