"""Who used which exception, when and on which chain, and whether somebody has looked at it since.

Guarantees: every step that one person took for another (delegation), every act for which a constraint was
lifted (break-glass) and every act in an accepted conflict (mitigation) is there once, with every request to
lift a constraint; newest first, a page at a time, each read at one moment. What must be looked at and was not
by its deadline says `overdue`, and is counted over all pages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from controls.duties.acting import DELEGATED
from controls.duties.findings import MITIGATION
from controls.model.values import Json, from_microseconds, utc_text
from controls.services.queries import cursor_of, read_cursor
from controls.store.database import Database
from controls.store.exceptions import dated_cases, decisions_named, overdue_cases
from controls.store.rows import EXCEPTION, ReviewCase

USED: Final = "break_glass"
ASKED: Final = "break_glass_request"


@dataclass(frozen=True, slots=True)
class Exceptions:
    """Reads of one tenant."""

    database: Database
    tenant: str

    async def page(self, *, at: int, limit: int, cursor: str | None = None) -> dict[str, Json]:
        """Uses of and requests for exceptions, newest first.

        Args:
            at: the moment (microseconds) by which deadlines are told.
        """
        before = read_cursor(cursor) if cursor else None
        async with self.database.read() as connection:
            rows = await dated_cases(connection, self.tenant, limit=limit + 1, before=before)
            cases = [ReviewCase.read(row) for row in rows[:limit]]
            entries = {
                row.id: json.loads(bytes(row.bytes))
                for row in await decisions_named(connection, self.tenant, {case.decision for case in cases})
            }
            overdue = await overdue_cases(connection, self.tenant, at=at)
        answer: dict[str, Json] = {
            "at": utc_text(from_microseconds(at)),
            "overdue": overdue,
            "exceptions": [_told(case, entries.get(case.decision, {}), at=at) for case in cases],
        }
        if len(rows) > limit:
            answer["next"] = cursor_of(cases[-1].opened_at, cases[-1].id)
        return answer


def _told(case: ReviewCase, entry: Mapping[str, Any], *, at: int) -> dict[str, Json]:
    """One line of the report: an act and all it was done under, or what is asked to be lifted."""
    used = case.kind == EXCEPTION
    due = case.due_at or 0
    state = case.state
    if state == "open" and due <= at:
        state = "overdue" if used else "lapsed"
    told: dict[str, Json] = {
        "kind": _kind(entry) if used else ASKED,
        "at": utc_text(from_microseconds(case.opened_at)),
        "person": case.person,
        "chain": {"kind": case.chain_kind, "id": case.resource_id},
        "step": case.action,
        "decision": case.decision,
        "rules": [item.rule for item in case.findings],
        "review": {
            "id": case.id,
            "state": state,
            "due_at": utc_text(from_microseconds(due)),
            **({} if case.resolved_by is None else {"resolved_by": case.resolved_by}),
        },
    }
    if case.beside:
        told["on_behalf_of"] = case.beside
        told["delegation"] = entry.get("on_behalf_of", {}).get("delegation")
    if told["kind"] == USED:
        told["authorised_by"] = entry.get("approval", {}).get("approver")
    return told


def _kind(entry: Mapping[str, Any]) -> str:
    """Which exception an act was done under: of several, the one that lets pass most."""
    if entry.get("break_glass") is True:
        return USED
    accepted = any(MITIGATION in finding.get("values", {}) for finding in entry.get("findings", ()))
    return MITIGATION if accepted else DELEGATED
