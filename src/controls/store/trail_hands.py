"""Whose acts have left marks at a place of a trail: each person once for each step, part and kind of chain.

Guarantees: read in the deciding transaction, under the tenant's lock. What it costs grows with the persons at
the place and not with how often they acted there, some ten microseconds for each: from each group of marks it
goes on to the next by the index, as neither database does of itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import TextClause, text

from controls.model.trail import TrailHand
from controls.store.connection import StoreConnection
from controls.store.trails import PlaceKey

_GROUPED: Final = ("person", "step", "part", "kind")
_PLACE: Final = "x.tenant = :tenant AND x.value = :value AND x.trail = :trail AND x.person <> ''"
# What a row is called by its database.
_ROW: Final = {"sqlite": "rowid", "postgresql": "ctid"}


def _next(row: str, same: int) -> str:
    """The first mark after those of the group h that shares so many of the columns with it."""
    equal = "".join(f" AND x.{name} = h.{name}" for name in _GROUPED[:same])
    order = ", ".join(f"x.{name}" for name in _GROUPED[same:])
    return (
        f"(SELECT x.{row} FROM trail_marks x WHERE {_PLACE}{equal}"  # noqa: S608  # of the texts above
        f" AND x.{_GROUPED[same]} > h.{_GROUPED[same]} ORDER BY {order} LIMIT 1)"
    )


def _hands(row: str) -> TextClause:
    names = ", ".join(f"x.{name}" for name in _GROUPED)
    own = " AND ".join(f"x.{name} = h.{name}" for name in _GROUPED)
    following = ", ".join(_next(row, same) for same in reversed(range(len(_GROUPED))))
    return text(
        f"WITH RECURSIVE hands AS (SELECT * FROM (SELECT {names} FROM trail_marks x WHERE {_PLACE}"  # noqa: S608
        f" ORDER BY {names} LIMIT 1) first UNION ALL SELECT {names} FROM hands h"
        f" JOIN trail_marks x ON x.{row} = coalesce({following})),"
        " latest AS MATERIALIZED (SELECT h.*, (SELECT max(x.at) FROM trail_marks x"
        f" WHERE {_PLACE} AND {own}) AS at FROM hands h) SELECT * FROM latest WHERE at > :since"
    )


_HANDS: Final = {dialect: _hands(row) for dialect, row in _ROW.items()}


async def load_hands(
    connection: StoreConnection, tenant: str, places: Mapping[PlaceKey, int]
) -> dict[PlaceKey, list[TrailHand]]:
    """Everybody who has acted at these places since the moment (microseconds) given for each."""
    found: dict[PlaceKey, list[TrailHand]] = {}
    for (trail, value), since in sorted(places.items()):
        asked = {"tenant": tenant, "trail": trail, "value": value, "since": since}
        rows = await connection.execute(_HANDS[connection.dialect.name], asked)
        found[trail, value] = [TrailHand(row.person, row.kind, row.step, row.part, row.at) for row in rows]
    return found
