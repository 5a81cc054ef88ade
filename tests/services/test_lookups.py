"""What the ledger keeps of a look-up into a table of the release."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tests.desk import DESK_RULES, an_order, ask, start_desk, submit
from tests.services.test_administration import entries

LIMITS = 'currency:string key,limit:money\nEUR,1234567.89 EUR\n"U""S",1.00 USD\n'
RULE = """\
id: a.limit
title: {en: Above the limit, es: Por encima del límite}
source: {law: Policy, basis: policy}
on: order.capture
when: order.notional > table.limits["EUR"].limit
then: deny
message:
  en: '{order.notional} passes {table.limits["EUR"].limit}'
  es: '{order.notional} supera {table.limits["EUR"].limit}'
examples:
  - {name: inside, given: {order.notional: 1.00 EUR}, expect: permit}
  - {name: above, given: {order.notional: 1234567.90 EUR}, expect: deny}
"""


async def test_a_cell_is_told_to_the_caller_and_committed_to_in_the_entry(
    tmp_path: Path, migrated_database_url: str
) -> None:
    """The answer quotes the limit; the entry holds a commitment that the disclosure opens, under its name."""
    rules = tmp_path / "rules"
    shutil.copytree(DESK_RULES, rules)
    for path, text in (("tables/limits.csv", LIMITS), ("regulatory/a/limit.yaml", RULE)):
        (rules / path).parent.mkdir()
        (rules / path).write_text(text, encoding="utf-8")
    desk = start_desk(tmp_path, database_url=migrated_database_url, rules=rules)
    service = desk.build()
    await service.start()
    try:
        body = ask("capture", "tina.trader", an_order(notional="1234568.00 EUR"))
        answer: dict[str, Any] = await submit(service, desk.decide(body))
        recorded = (await entries(service))[-1]
    finally:
        await service.close()
    assert answer["outcome"] == "deny"
    assert "1,234,568.00 EUR passes 1,234,567.89 EUR" in json.dumps(answer)
    name = 'table.limits["EUR"].limit'
    (finding,) = (item for item in recorded["entry"]["findings"] if item["rule"] == "a.limit")
    assert set(finding["values"][name]) == {"hmac"}
    assert "1234567.89" not in json.dumps(recorded["entry"])
