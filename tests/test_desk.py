"""The desk that other tests start from, driven through the writer alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

from controls.services.identifiers import new_id
from controls.services.outcomes import Reported, ReportOutcome
from tests.desk import WALK, an_order, ask, start_desk, submit


def test_an_order_walks_the_whole_chain(migrated_database_url: str, tmp_path: Path) -> None:
    """Eight steps by five persons, each claimed and reported, leave 19 entries."""
    desk = start_desk(tmp_path, database_url=migrated_database_url)

    async def walk() -> list[str]:
        service = desk.build()
        await service.start()
        try:
            order, told = an_order(), []
            for action, login in WALK:
                answer = await submit(service, desk.decide(ask(action, login, order)))
                told.append(answer["outcome"])
                report = ReportOutcome(
                    new_id("out"), desk.key_ids["caller"], answer["id"], Reported.PERFORMED
                )
                await submit(service, report)
            note = await service.queries.checkpoint()
        finally:
            await service.close()
        return [*told, note.splitlines()[1]]

    # The start, two entries a step, and one for each of the two allocation lines.
    assert asyncio.run(walk()) == ["permit"] * 8 + ["19"]
