"""`controls.store.guards`: the start-up self-test finds a ledger that is not the true one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from controls.ledger.merkle import EMPTY_ROOT, BatchTree, Frontier, leaf_hash
from controls.model.errors import VerificationFailed
from controls.store.database import Database
from controls.store.guard_definitions import GUARDED_NAMES
from controls.store.guards import self_test
from controls.store.tables import heads
from tests.store.conftest import SEEDED
from tests.store.ledgers import Ledger, sign, verify_note


@pytest_asyncio.fixture
async def seeded(ledger_url: str) -> AsyncIterator[Database]:
    """A ledger of SEEDED entries, on each kind of database."""
    database = Database(ledger_url)
    yield database
    await database.close()


async def start(database: Database, *, kept: str | None = None) -> None:
    """The self-test, as at the start of the service."""
    async with database.read() as connection:
        await self_test(connection, "t", verify_note=verify_note, kept_checkpoint=kept)


async def frontier_of(database: Database) -> Frontier:
    async with database.read() as connection:
        query = select(heads.c.frontier).where(heads.c.tenant == "t")
        return Frontier.from_bytes(bytes((await connection.execute(query)).scalar_one()))


async def checkpoints_of(database: Database) -> list[str]:
    async with database.read() as connection:
        rows = await connection.execute(text("SELECT note FROM ledger_checkpoints ORDER BY size"))
        return list(rows.scalars())


async def refusal(url: str, statements: str) -> VerificationFailed:
    """How the self-test refuses a ledger that was changed with its guards off; nothing of that stays.

    The guards are back before the test looks, so that nothing but the change itself shows.
    """
    database = Database(url)
    try:
        async with database.write() as connection:
            if connection.dialect.name == "sqlite":
                await tamper_sqlite(connection, statements)
            else:
                await tamper_postgresql(connection, statements)
            with pytest.raises(VerificationFailed) as refused:
                await self_test(connection, "t", verify_note=verify_note, kept_checkpoint=None)
            await connection.rollback()
    finally:
        await database.close()
    assert refused.value.help
    return refused.value


async def tamper_sqlite(connection: AsyncConnection, statements: str) -> None:
    query = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    triggers = (await connection.execute(query)).all()
    for name, _ in triggers:
        await connection.exec_driver_sql(f"DROP TRIGGER {name}")
    for statement in statements.split(";"):
        await connection.exec_driver_sql(statement)
    for _, sql in triggers:
        await connection.exec_driver_sql(sql)


async def tamper_postgresql(connection: AsyncConnection, statements: str) -> None:
    for table in GUARDED_NAMES:
        await connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    for statement in statements.split(";"):
        await connection.exec_driver_sql(statement.replace("x'", "'\\x"))
    query = text("SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal")
    for table, name in (await connection.execute(query)).all():
        await connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")


async def test_a_true_ledger_passes(seeded: Database) -> None:
    """With no kept checkpoint, with the last one, and with every older one."""
    await start(seeded)
    for note in await checkpoints_of(seeded):
        await start(seeded, kept=note)
    await start(seeded, kept=sign(0, EMPTY_ROOT))


async def test_a_growing_ledger_passes_at_every_size(ledger: Ledger) -> None:
    """From nothing over the first entries to behind the first full tile."""
    await start(ledger.database)
    kept = []
    for count in (1, 1, 1, 252, 1, 1, 254):
        await ledger.append(count)
        assert ledger.checkpoint is not None
        kept.append(ledger.checkpoint)
        await start(ledger.database, kept=kept[0])
        await start(ledger.database, kept=kept[-1])


async def test_a_database_without_a_ledger_passes(migrated_database_url: str) -> None:
    """Before `init` there is nothing to test, but the guards."""
    database = Database(migrated_database_url)
    try:
        await start(database)
    finally:
        await database.close()


async def test_missing_guards_are_refused(shared_ledger_url: str) -> None:
    """The ledger may be true, but nothing keeps it so."""
    on = "" if shared_ledger_url.startswith("sqlite") else " ON ledger_entries"
    database = Database(shared_ledger_url)
    try:
        async with database.write() as connection:
            await connection.exec_driver_sql("DROP TRIGGER ledger_entries_next" + on)
            with pytest.raises(VerificationFailed, match="ledger_entries_next is missing") as refused:
                await self_test(connection, "t", verify_note=verify_note, kept_checkpoint=None)
            await connection.rollback()
    finally:
        await database.close()
    assert refused.value.code == "guards_missing"


LEAF_OF_X = leaf_hash(b"x").hex()
AT = 'WHERE "index" ='


@pytest.mark.parametrize(
    ("statements", "code"),
    [
        (f"UPDATE ledger_entries SET bytes = x'78' {AT} 599", "entry_changed"),
        (f"UPDATE ledger_entries SET bytes = x'78' {AT} 256", "entry_changed"),
        (f"UPDATE ledger_entries SET bytes = x'78', leaf = x'{LEAF_OF_X}' {AT} 590", "frontier_mismatch"),
        (f"UPDATE ledger_entries SET bytes = x'78', leaf = x'{LEAF_OF_X}' {AT} 300", "tile_mismatch"),
        (f"UPDATE ledger_tiles SET data = x'{'00' * 8192}' {AT} 0", "frontier_mismatch"),
        (f"UPDATE ledger_tiles SET data = x'{'00' * 8192}' {AT} 1", "tile_mismatch"),
        (f"UPDATE ledger_tiles SET data = x'{'00' * 100}' {AT} 0", "tile_malformed"),
        (f"UPDATE ledger_tiles SET data = x'{'00' * 100}' {AT} 1", "tile_mismatch"),
        (f"DELETE FROM ledger_tiles {AT} 1", "tile_mismatch"),
        (f"DELETE FROM ledger_tiles {AT} 0", "tree_incomplete"),
        (f"DELETE FROM ledger_entries {AT} 599", "head_mismatch"),
        (f"DELETE FROM ledger_entries {AT} 3", "head_mismatch"),
        ("DELETE FROM ledger_entries", "head_mismatch"),
        ("UPDATE ledger_heads SET size = 599", "head_malformed"),
        ("UPDATE ledger_heads SET frontier = x'00'", "head_malformed"),
        ("UPDATE ledger_heads SET size = 0, frontier = x'0000000000000000'", "head_mismatch"),
        ("DELETE FROM ledger_heads", "head_missing"),
        ("DELETE FROM ledger_checkpoints WHERE size = 600", "checkpoint_mismatch"),
        ("DELETE FROM ledger_checkpoints", "checkpoint_missing"),
        ("UPDATE ledger_checkpoints SET size = 601 WHERE size = 600", "checkpoint_mismatch"),
        ("UPDATE ledger_checkpoints SET note = replace(note, '600', '601')", "note_invalid"),
    ],
)
async def test_a_changed_ledger_is_refused(shared_ledger_url: str, statements: str, code: str) -> None:
    """What an administrator changed with the guards off shows when the guards are back on."""
    assert (await refusal(shared_ledger_url, statements)).code == code


async def test_a_frontier_that_does_not_fit_is_refused(shared_ledger_url: str) -> None:
    """A head row with the right size and other hashes would sign another history."""
    hashes = tuple(leaf_hash(b"%d" % number) for number in range(SEEDED.bit_count()))
    other = Frontier(SEEDED, hashes).to_bytes().hex()
    error = await refusal(shared_ledger_url, f"UPDATE ledger_heads SET frontier = x'{other}'")
    assert error.code == "frontier_mismatch"


async def test_a_checkpoint_of_another_root_is_refused(shared_ledger_url: str) -> None:
    """Signed with the right key, but over another tree."""
    note = sign(SEEDED, leaf_hash(b"another"))
    change = f"UPDATE ledger_checkpoints SET note = '{note}' WHERE size = {SEEDED}"
    assert (await refusal(shared_ledger_url, change)).code == "checkpoint_mismatch"


async def test_a_restored_backup_is_refused(seeded: Database) -> None:
    """A database that ends before the kept checkpoint would give the lost indexes a second time."""
    await start(seeded)
    lost = BatchTree(await frontier_of(seeded), [leaf_hash(b"lost %d" % number) for number in range(10)])
    kept = sign(lost.size, lost.root)
    with pytest.raises(VerificationFailed, match="covers 610 entries; this database has only 600") as refused:
        await start(seeded, kept=kept)
    assert refused.value.code == "ledger_forked"
    assert "restored old backup" in refused.value.help


async def test_a_fork_is_refused(seeded: Database) -> None:
    """A backup that has already gone on is larger, consistent in itself, and still not the same ledger."""
    lost = BatchTree(await frontier_of(seeded), [leaf_hash(b"lost %d" % number) for number in range(10)])
    kept = sign(lost.size, lost.root)
    for count in (10, 10, 300):
        await Ledger(seeded, seed=99 + count + (await frontier_of(seeded)).size).append(count)
        await start(seeded)
        with pytest.raises(VerificationFailed, match="are not those of the kept checkpoint") as refused:
            await start(seeded, kept=kept)
        assert refused.value.code == "ledger_forked"


async def test_an_emptied_database_is_refused(migrated_database_url: str) -> None:
    """A new database in the place of the old one is noticed by what was kept outside."""
    database = Database(migrated_database_url)
    try:
        with pytest.raises(VerificationFailed, match="this database has no ledger") as refused:
            await start(database, kept=sign(3, leaf_hash(b"x")))
    finally:
        await database.close()
    assert refused.value.code == "ledger_forked"


async def test_a_kept_checkpoint_of_somebody_else_is_refused(seeded: Database) -> None:
    """What was kept outside must be signed by the ledger's key."""
    note = sign(SEEDED, leaf_hash(b"x"))
    signature = note.splitlines()[-1]
    forged = note.replace(signature, signature[:-12] + "AAAAAAAAAAA=")
    with pytest.raises(VerificationFailed):
        await start(seeded, kept=forged)
