"""`controls.store.ledger_reads`, through ledgers that the store itself wrote."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import text

from controls.ledger.merkle import Frontier, leaf_hash, verify_consistency, verify_inclusion
from controls.model.errors import NotFound, VerificationFailed
from controls.store import ledger_reads
from controls.store.ledger_reads import (
    TILE_WIDTH,
    blob,
    blob_digests,
    checkpoint_at,
    entry_at,
    entry_count,
    entry_named,
    iterate_checkpoints,
    iterate_entries,
    latest_checkpoint,
    prove_consistency,
    prove_inclusion,
    split,
)
from controls.store.workspace import Workspace
from tests.conftest import LONG_RUN
from tests.store.ledgers import Ledger, verify_note

PAIRS = 2_000 if LONG_RUN else 60


async def fill(ledger: Ledger) -> dict[int, bytes]:
    """Batches of 1 to 300 entries over several tile boundaries; the root after each, by size."""
    roots = {}
    for count in (1, 2, 252, 1, 1, 300, 210, 1, 17):
        sealed = await ledger.append(count)
        roots[sealed.tree.frontier.size] = sealed.tree.root
    return roots


async def test_the_roots_are_those_of_the_entries(ledger: Ledger) -> None:
    """Whatever the batches, the root is that of all entries appended one after the other."""
    roots = await fill(ledger)
    frontier = Frontier()
    for number, data in enumerate(ledger.data, 1):
        frontier = frontier.append([leaf_hash(data)])
        if number in roots:
            assert roots[number] == frontier.root()
    assert frontier.size == max(roots)


async def test_random_proofs_from_stored_tiles_verify(ledger: Ledger) -> None:
    """Inclusion and consistency are proved between any sizes, also within and across tiles."""
    roots = await fill(ledger)
    frontier = Frontier()
    every = {0: frontier.root()}
    for data in ledger.data:
        frontier = frontier.append([leaf_hash(data)])
        every[frontier.size] = frontier.root()
    chance = random.Random(2)
    edges = [1, 2, 255, 256, 257, 511, 512, 513, max(roots)]
    async with ledger.database.read() as connection:
        for _ in range(PAIRS):
            size2 = chance.choice(edges) if chance.random() < 0.4 else chance.randint(1, max(roots))
            size1 = chance.randint(1, size2)
            index = chance.randrange(size2)
            proof = await prove_inclusion(connection, "t", index=index, size=size2)
            leaf = leaf_hash(ledger.data[index])
            verify_inclusion(leaf, index=index, size=size2, proof=proof, root=every[size2])
            consistency = await prove_consistency(connection, "t", size1=size1, size2=size2)
            verify_consistency(consistency, size1=size1, size2=size2, root1=every[size1], root2=every[size2])


async def test_a_batch_proves_its_own_entries(ledger: Ledger) -> None:
    """The receipt made before the commit is the proof that the stored tree gives afterwards."""
    await ledger.append(250)
    sealed = await ledger.append(20)
    async with ledger.database.read() as connection:
        for index in (250, 255, 256, 269):
            stored = await prove_inclusion(connection, "t", index=index, size=270)
            assert sealed.tree.inclusion_proof(index) == stored


async def test_tiles_are_stored_when_they_are_full(ledger: Ledger) -> None:
    """As many tiles as full rows of 256, each with the leaf hashes of its entries."""
    await fill(ledger)
    async with ledger.database.read() as connection:
        query = text('SELECT level, "index", data FROM ledger_tiles ORDER BY level, "index"')
        rows = (await connection.execute(query)).all()
    assert [(row.level, row.index) for row in rows] == [(0, 0), (0, 1), (0, 2)]
    for row in rows:
        expected = ledger.data[row.index * TILE_WIDTH : (row.index + 1) * TILE_WIDTH]
        assert split(bytes(row.data)) == [leaf_hash(data) for data in expected]


async def test_tiles_of_tiles(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """With tiles of 4 hashes instead of 256, proofs go over five levels of tiles."""
    monkeypatch.setattr(ledger_reads, "TILE_LEVELS", 2)
    monkeypatch.setattr(ledger_reads, "TILE_WIDTH", 4)
    chance = random.Random(3)
    frontier = Frontier()
    every = [frontier.root()]
    while frontier.size < 300:
        await ledger.append(chance.choice([1, 2, 3, 5, 16, 63]))
        for data in ledger.data[frontier.size :]:
            frontier = frontier.append([leaf_hash(data)])
            every.append(frontier.root())
    async with ledger.database.read() as connection:
        query = text("SELECT level, count(*) AS number FROM ledger_tiles GROUP BY level ORDER BY level")
        rows = [tuple(row) for row in await connection.execute(query)]
        assert rows == [(level, frontier.size >> 2 * level + 2) for level in range(4)]
        for size2 in [4, 16, 64, 256, *(chance.randint(1, frontier.size) for _ in range(PAIRS))]:
            size1, index = chance.randint(1, size2), chance.randrange(size2)
            proof = await prove_inclusion(connection, "t", index=index, size=size2)
            leaf = leaf_hash(ledger.data[index])
            verify_inclusion(leaf, index=index, size=size2, proof=proof, root=every[size2])
            proof = await prove_consistency(connection, "t", size1=size1, size2=size2)
            verify_consistency(proof, size1=size1, size2=size2, root1=every[size1], root2=every[size2])


@pytest.mark.fuzz
@pytest.mark.skipif(not LONG_RUN, reason="65,536 entries; set CONTROLS_FUZZ=1")
async def test_a_real_tile_of_tiles(ledger: Ledger) -> None:
    """The 65,536th entry completes a tile of the second level, and proofs go on over it."""
    await ledger.append(1)
    for _ in range(256):
        await ledger.append(256)
    last = await ledger.append(3)
    size = last.tree.size
    async with ledger.database.read() as connection:
        query = text("SELECT level, count(*) AS number FROM ledger_tiles GROUP BY level ORDER BY level")
        assert [tuple(row) for row in await connection.execute(query)] == [(0, 256), (1, 1)]
        for index in (0, 65_535, 65_536, size - 1):
            proof = await prove_inclusion(connection, "t", index=index, size=size)
            leaf = leaf_hash(ledger.data[index])
            verify_inclusion(leaf, index=index, size=size, proof=proof, root=last.tree.root)


async def test_a_missing_hash_is_a_broken_ledger(ledger: Ledger) -> None:
    """Proofs for a size that the ledger does not have are refused, not made up."""
    await ledger.append(3)
    async with ledger.database.read() as connection:
        with pytest.raises(VerificationFailed, match="level 0 holds"):
            await prove_inclusion(connection, "t", index=1, size=4)


async def test_every_commit_has_a_signed_checkpoint(ledger: Ledger) -> None:
    """The newest checkpoint is that of the last batch, and each batch has its own."""
    roots = await fill(ledger)
    async with ledger.database.read() as connection:
        size, note = await latest_checkpoint(connection, "t")
        assert verify_note(note) == (size, roots[size])
        assert size == max(roots)
        every = [row async for row in iterate_checkpoints(connection, "t", end=size)]
        assert {row.size: verify_note(row.note)[1] for row in every} == roots
        assert [row.size for row in every] == sorted(roots)
        first, _ = await latest_checkpoint(connection, "t", at_least=257)
        assert first == min(size for size in roots if size >= 257)
        assert await checkpoint_at(connection, "t", 3) is not None
        assert await checkpoint_at(connection, "t", 4) is None


async def test_a_ledger_without_entries_has_no_checkpoint(ledger: Ledger) -> None:
    """Asking for one says so."""
    async with ledger.database.read() as connection:
        with pytest.raises(NotFound):
            await latest_checkpoint(connection, "t")


async def test_entries_are_read_in_order_with_their_disclosures(ledger: Ledger) -> None:
    """Index order over page boundaries; entries without private values have no disclosure."""
    for _ in range(4):
        await ledger.append(260)
    async with ledger.database.read() as connection:
        rows = [row async for row in iterate_entries(connection, "t", start=5, end=1_035)]
        assert [row.index for row in rows] == list(range(5, 1_035))
        assert [bytes(row.bytes) for row in rows] == ledger.data[5:1_035]
        assert all((row.disclosure is None) == bool(row.index % 3) for row in rows)
        assert await entry_count(connection, "t") == 1_040
        assert (await entry_at(connection, "t", 7)).id == "dec_7_7"
        assert (await entry_named(connection, "t", "dec_7_7")).index == 7
        assert await entry_at(connection, "t", 1_040) is None
        assert await entry_named(connection, "other", "dec_7_7") is None


async def test_a_blob_is_stored_once(ledger: Ledger) -> None:
    """The same content in two batches is one row; its bytes come back as they were."""
    for _ in range(2):

        def add(workspace: Workspace) -> None:
            workspace.new_blobs["sha256:aa"] = b"\x00body"

        await ledger.work(add)
    async with ledger.database.read() as connection:
        assert await blob_digests(connection, "t") == ["sha256:aa"]
        assert await blob(connection, "t", "sha256:aa") == b"\x00body"
        assert await blob(connection, "t", "sha256:bb") is None
