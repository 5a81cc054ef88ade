"""The limits that the database's own triggers keep acts to, release by release.

Guarantees: what a release sets is written before, or in the transaction in which, it is put into force; what
is stored for a release is never more than it sets, for a limit too many would refuse what is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Final

from sqlalchemy import bindparam, insert, select

from controls.model.duty import StepLimit
from controls.model.errors import VerificationFailed
from controls.store.connection import StoreConnection
from controls.store.tables import duty_limits

_STORED: Final = select(duty_limits).where(
    duty_limits.c.tenant == bindparam("tenant"), duty_limits.c.release == bindparam("release")
)


async def keep_limits(
    connection: StoreConnection, *, tenant: str, release: str, limits: Iterable[StepLimit]
) -> None:
    """Write the limits of a release, where they are not there from an earlier time.

    Raises:
        VerificationFailed: other ones are stored for it.
    """
    wanted = set(limits)
    rows = await connection.execute(_STORED, {"tenant": tenant, "release": release})
    stored = {StepLimit(row.kind, row.rule, row.act, row.step, row.most) for row in rows}
    if stored - wanted:
        named = sorted({f"{limit.kind} {limit.rule}" for limit in stored - wanted})
        raise VerificationFailed(
            "limits_changed",
            "The database keeps to limits that the release in force does not set",
            detail=f"duty_limits holds more for {release} than it says: {', '.join(named)}.",
            help="Find out who wrote them. What they refuse is answered with an error until the owner of the "
            "tables has taken these rows away (with the triggers on duty_limits off, and then on again).",
        )
    missing = sorted(wanted - stored, key=lambda limit: (limit.kind, limit.rule, limit.act, limit.step))
    if missing:
        rows_of = [{"tenant": tenant, "release": release, **asdict(limit)} for limit in missing]
        await connection.execute(insert(duty_limits), rows_of)
