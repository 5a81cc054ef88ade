"""Who acted at a place of a trail: found group by group, as one grouping of all marks would say it."""

from __future__ import annotations

from random import Random

from sqlalchemy import insert, text

from controls.model.trail import TrailHand
from controls.store.database import Database
from controls.store.tables import STILL_CLAIMED, trail_marks
from controls.store.trail_hands import _HANDS, load_hands
from controls.store.trails import Mark, TrailKey, value_digest

from .ledgers import Ledger

PLACES = [("account", value_digest(name)) for name in "AB"]


def some_marks(random: Random) -> list[Mark]:
    """Some persons at two places, with steps, parts and kinds that share beginnings."""
    return [
        Mark(
            TrailKey(*random.choice(PLACES), random.choice(("", "p", "p1", "p11", "p2", "q"))),
            random.choice(("", "x", "xy")),
            random.choice((5, 10, 15, 20, STILL_CLAIMED)),
            f"c{number}",
            random.choice(("kind", "kind_of")),
            random.choice(("a", "ab", "b")),
        )
        for number in range(random.choice((0, 1, 40)))
    ]


def grouped(marks: list[Mark], place: tuple[str, str], *, since: int) -> set[TrailHand]:
    latest: dict[tuple[str, str, str, str], int] = {}
    for mark in marks:
        group = mark.key.person, mark.kind, mark.step, mark.part
        if mark.key.place == place and mark.key.person:
            latest[group] = max(mark.at, latest.get(group, mark.at))
    return {TrailHand(*group, at) for group, at in latest.items() if at > since}


async def test_each_group_is_found_once_with_its_latest_mark(ledger: Ledger) -> None:
    for seed in range(12):
        marks = some_marks(Random(seed))
        async with ledger.database.write() as connection:
            await connection.execute(text("DELETE FROM trail_marks"))
            if marks:
                await connection.execute(insert(trail_marks), [mark.row(ledger.tenant) for mark in marks])
                others = [mark.row("another") | {"person": "r"} for mark in marks]
                await connection.execute(insert(trail_marks), others)
            found = await load_hands(connection, ledger.tenant, dict.fromkeys(PLACES, 10))
        for place in PLACES:
            assert len(found[place]) == len(set(found[place]))
            assert set(found[place]) == grouped(marks, place, since=10), seed


async def test_no_mark_is_read_but_the_first_and_last_of_its_group(migrated_sqlite_url: str) -> None:
    """Every search is one of the index, by columns that say where to go on."""
    database = Database(migrated_sqlite_url)
    asked = {"tenant": "t", "trail": "account", "value": "v", "since": 0}
    async with database.read() as connection:
        rows = await connection.execute(text(f"EXPLAIN QUERY PLAN {_HANDS['sqlite'].text}"), asked)
        searches = [row.detail for row in rows if row.detail.startswith("SEARCH x")]
    await database.close()
    by_row = [told for told in searches if "INTEGER PRIMARY KEY (rowid=?)" in told]
    by_index = [
        told for told in searches if "COVERING INDEX ix_trail_marks_hands (tenant=? AND value=?" in told
    ]
    assert (len(by_row), len(by_index)) == (1, 6)
    assert len(by_row) + len(by_index) == len(searches)
