"""Each line of a permitted allocation is a ledger entry of its own, recorded with its authorisation."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.desk import an_order, ask, lines_of, submit
from tests.ledger.test_verifier_on_a_desk import exported
from tests.services.seats import BEGUN, Seat, seated

LINES = lines_of("600", "300", "100")


@pytest.fixture
async def seat(migrated_database_url: str, tmp_path: Path) -> AsyncIterator[Seat]:
    async with seated(tmp_path, migrated_database_url) as found:
        yield found


async def ledger(seat: Seat) -> tuple[list[dict[str, Any]], list[int]]:
    """The entries, each with what opens it as `opened`, and the sizes of all checkpoints."""
    lines = [json.loads(line) for line in (await exported(seat.desk)).splitlines()]
    entries = [
        json.loads(line["bytes"]) | {"opened": line.get("disclosure") or {}}
        for line in lines
        if line["type"] == "entry"
    ]
    return entries, [line["size"] for line in lines if line["type"] == "checkpoint"]


async def test_each_line_is_an_entry_of_its_own(seat: Seat) -> None:
    """In order, after the decision and under the same checkpoint, by whom and on which chain; account,
    quantity, price and costs stand in it as a commitment only, which its own disclosure opens."""
    order = an_order()
    await seat.walked(order, *BEGUN[:3])
    before = len((await ledger(seat))[0])
    answer = await seat.claimed("allocate", "mateo.middle", order, lines=LINES)
    entries, sizes = await ledger(seat)
    decided, *allocated = entries[before:]
    assert (decided["kind"], decided["id"], decided["lines"]) == ("decision", answer["id"], len(LINES))
    assert not [size for size in sizes if before < size < before + 1 + len(LINES)]
    assert [(item["kind"], item["line"], item["of"]) for item in allocated] == [
        ("allocation", number, len(LINES)) for number in (1, 2, 3)
    ]
    for item, line in zip(allocated, LINES, strict=True):
        assert item["decision"] == answer["id"]
        assert {name: item[name] for name in ("account", "chain", "key", "person")} == {
            name: decided[name] for name in ("account", "chain", "key", "person")
        }
        told = item["opened"]["allocation"]["value"]
        assert told == {**line, "price": "1500", "costs": "1 EUR"}
        assert item["allocation"].keys() == {"hmac"}
        assert item.keys() - decided.keys() == {"allocation", "decision", "line", "of"}
    await seat.verified()


@pytest.mark.parametrize(
    ("login", "lines"), [("mateo.middle", lines_of("600", "400", price="1600.00")), ("tina.trader", LINES)]
)
async def test_what_is_not_permitted_leaves_no_line(
    seat: Seat, login: str, lines: list[dict[str, str]]
) -> None:
    """Another price than the average of the fills; somebody who may not allocate."""
    order = an_order()
    await seat.walked(order, *BEGUN[:3])
    answer = await seat.asked("allocate", login, order, lines=lines)
    assert answer["outcome"] == "deny"
    entries, _ = await ledger(seat)
    assert entries[-1]["id"] == answer["id"]
    assert not [item for item in entries if item["kind"] == "allocation"]


async def test_the_lines_of_a_list_stand_behind_their_own_decisions(seat: Seat) -> None:
    """Two allocations that one unit of work commits are not mixed up."""
    orders = [an_order(), an_order()]
    for order in orders:
        await seat.walked(order, *BEGUN[:3])
    both = [ask("allocate", "mateo.middle", order, lines=lines_of("999", "1")) for order in orders]
    answers = await submit(seat.service, seat.desk.decide(*both))
    assert [answer["outcome"] for answer in answers] == ["permit", "permit"]
    entries, _ = await ledger(seat)
    shown = [(item["kind"], item["chain"]["id"]) for item in entries[-6:]]
    first, second = (order["id"] for order in orders)
    assert shown == [
        *(("decision", first), ("allocation", first), ("allocation", first)),
        *(("decision", second), ("allocation", second), ("allocation", second)),
    ]
