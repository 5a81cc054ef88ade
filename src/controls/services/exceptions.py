"""Who used which exception, when and on which chain, and whether somebody has looked at it since.

Guarantees: every step that one person took for another (delegation), every constraint that was lifted for one
act (break-glass) and every act in an accepted conflict (mitigation) is there, with every request to lift one;
newest first, a page at a time, each read at one moment. What must be looked at and was not by its deadline
says `overdue`, and is counted over all pages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from controls.model.values import Json, from_microseconds, utc_text
from controls.services.queries import cursor_of, read_cursor
from controls.store.database import Database
from controls.store.exceptions import dated_cases, decisions_named, delegated_acts, overdue_cases
from controls.store.rows import EXCEPTION, ReviewCase, StoredAct

DELEGATION: Final = "delegation"
USED: Final = "break_glass"
MITIGATION: Final = "mitigation"
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
            acts = await delegated_acts(connection, self.tenant, limit=limit + 1, before=before)
            cases = await dated_cases(connection, self.tenant, limit=limit + 1, before=before)
            told = [_Use(row.at, row.decision, StoredAct.read(row)) for row in acts]
            told += [_Use(row.opened_at, row.id, ReviewCase.read(row)) for row in cases]
            told.sort(key=lambda use: (use.at, use.id), reverse=True)
            page = told[:limit]
            decisions = {use.decision for use in page}
            entries = {
                row.id: json.loads(bytes(row.bytes))
                for row in await decisions_named(connection, self.tenant, decisions)
            }
            overdue = await overdue_cases(connection, self.tenant, at=at)
        answer: dict[str, Json] = {
            "at": utc_text(from_microseconds(at)),
            "overdue": overdue,
            "exceptions": [use.as_json(entries, at=at) for use in page],
        }
        if len(told) > limit:
            answer["next"] = cursor_of(page[-1].at, page[-1].id)
        return answer


@dataclass(frozen=True, slots=True)
class _Use:
    """One line of the report."""

    at: int
    id: str
    source: StoredAct | ReviewCase

    @property
    def decision(self) -> str:
        source = self.source
        return source.act.decision if isinstance(source, StoredAct) else source.decision

    def as_json(self, entries: Mapping[str, Mapping[str, Any]], *, at: int) -> dict[str, Json]:
        if isinstance(self.source, StoredAct):
            return _delegated(self.source, entries)
        return _broken(self.source, entries, at=at)


def _delegated(stored: StoredAct, entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Json]:
    """A step that one person took for another; the act is the principal's."""
    act = stored.act
    entry = entries.get(act.decision, {})
    return {
        "kind": DELEGATION,
        "at": utc_text(act.at),
        "person": act.beside or act.person,  # the two may have been found to be one since
        "on_behalf_of": act.person,
        "chain": {"kind": stored.kind, "id": act.chain},
        "step": act.step,
        "decision": act.decision,
        "delegation": entry.get("on_behalf_of", {}).get("delegation"),
    }


def _broken(case: ReviewCase, entries: Mapping[str, Mapping[str, Any]], *, at: int) -> dict[str, Json]:
    """A constraint that was lifted, or is asked to be."""
    entry = entries.get(case.decision, {})
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
    if told["kind"] == USED:
        told["authorised_by"] = entry.get("approval", {}).get("approver")
    return told


def _kind(entry: Mapping[str, Any]) -> str:
    """Which exception an act was done under."""
    return USED if entry.get("break_glass") is True else MITIGATION
