"""Obligations through the service: what the caller is told and what the ledger keeps."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

from tests.desk import DESK_RULES, ask, start_desk, submit

CALENDAR = """\
title: {en: Test, es: Prueba}
first_year: 2026
last_year: 2026
weekend: [saturday, sunday]
holidays: {2026-03-09: A holiday}
"""
RULE = """\
id: test.report
title: {en: Report the order, es: Comunicar la orden}
source: {law: Desk policy, basis: policy}
on: [order.capture]
when: order.side == "buy"
then: oblige
obligation:
  duty: report
  due: {business_days: 1, calendar: test, at: "18:00", zone: Europe/Madrid, warn_at: "12:00"}
message: {en: "Report ({order.side}) by {due_at}", es: "Comunicar ({order.side}) antes del {due_at}"}
examples:
  - {name: a sale, given: {order.side: sell}, expect: permit}
  - name: a purchase
    at: 2026-03-06T10:00:00Z
    given: {order.side: buy}
    expect: oblige
    due: 2026-03-10T17:00:00Z
"""
DUE = {
    "id": "test.report",
    "rule": "test.report",
    "properties": {"duty": "report"},
    "due_at": "2026-03-06T17:00:00.000000Z",
    "warn_at": "2026-03-06T11:00:00.000000Z",
    "zone": "Europe/Madrid",
}


async def test_the_due_time_is_told_and_recorded(tmp_path: Path, migrated_database_url: str) -> None:
    """Answer and entry hold the same obligation, reckoned from the time under the lock, not the caller's."""
    rules = tmp_path / "rules"
    shutil.copytree(DESK_RULES, rules)
    (rules / "calendars").mkdir()
    (rules / "calendars" / "test.yaml").write_text(CALENDAR, encoding="utf-8")
    (rules / "regulatory" / "pre_trade" / "report.yaml").write_text(RULE, encoding="utf-8")
    now = datetime(2026, 3, 5, 22, 59, tzinfo=UTC)  # Thursday, a minute to midnight in Madrid
    desk = start_desk(tmp_path, database_url=migrated_database_url, rules=rules, clock=lambda: now)
    service = desk.build(clock=lambda: now)
    await service.start()
    try:
        context = {"at": "2026-03-05T23:01:00Z"}  # the caller's clock is ahead: Friday already
        answer = await submit(service, desk.decide(ask("capture", "tina.trader", context=context)))
        entry = (await service.queries.decision(answer["id"]))["entry"]
    finally:
        await service.close()
    assert (answer["outcome"], answer["obligations"]) == ("permit", [DUE])
    assert isinstance(entry, dict)
    assert entry["obligations"] == [DUE]
    assert answer["findings"][0]["message"]["es"] == (
        "Comunicar (buy) antes del 6 de marzo de 2026, 18:00 (Europe/Madrid)"
    )
