"""Reading changes and releases: what waits for a second administrator, what is and was in force.

Guarantees: every answer comes from one consistent read; a listing is ordered, newest first, and goes on
exactly where its cursor says.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from controls.model.errors import Conflict, NotFound
from controls.model.values import Json, from_microseconds, utc_text
from controls.services.administration import read_change
from controls.services.directory_changes import DirectoryChange
from controls.services.directory_queries import told_difference
from controls.services.person_merge import PersonMerge
from controls.services.queries import cursor_of, read_cursor
from controls.services.release_candidates import is_release
from controls.services.release_changes import ReleaseActivation, digest_named
from controls.store.connection import StoreConnection
from controls.store.database import Database
from controls.store.directory import Directory
from controls.store.ledger_reads import blob, entry_at
from controls.store.listings import change_named, changes_page, in_force


@dataclass(frozen=True, slots=True)
class ChangeQueries:
    """Reads of one tenant."""

    database: Database
    tenant: str

    async def changes(self, *, state: str | None, limit: int, cursor: str | None) -> dict[str, Json]:
        """Changes to directory, keys and release, newest first, a page at a time."""
        before = read_cursor(cursor) if cursor else None
        async with self.database.read() as connection:
            rows = await changes_page(connection, self.tenant, state=state, limit=limit + 1, before=before)
        return _page("changes", [_change(row) for row in rows[:limit]], rows, limit)

    async def change(self, id: str, *, directory: Directory | None, at: int) -> dict[str, Json]:
        """One change; `directory`: with what it would do to that one, if it is proposed and about it. Of one
        that cannot be read any more `outdated` says why.

        Raises:
            NotFound: there is no such change.
        """
        async with self.database.read() as connection:
            row = await change_named(connection, self.tenant, id)
        if row is None:
            raise NotFound("change_unknown", "There is no such change", help="List them: GET /v1/changes.")
        told = _change(row)
        if directory is not None and row.state == "proposed" and row.kind == DirectoryChange.kind:
            try:
                change = read_change(row.kind, row.payload)
            except Conflict as outdated:
                return told | {"outdated": f"{outdated.title}: {outdated.help}"}
            assert isinstance(change, DirectoryChange)
            told |= told_difference(change, directory, at=at)
        return told

    async def merging(self, id: str) -> tuple[str, str] | None:
        """The two persons of a change that finds one to be the other; None for every other change."""
        async with self.database.read() as connection:
            row = await change_named(connection, self.tenant, id)
        if row is None or row.kind != PersonMerge.kind:
            return None
        change = read_change(row.kind, row.payload)
        assert isinstance(change, PersonMerge)
        return change.persons

    async def releases(self, *, limit: int, cursor: str | None) -> dict[str, Json]:
        """Every time that a release was proposed, newest first; the last one started the ledger. `state` is
        `proposed` until the second administrator's word, then that of the release: `active` or `past`."""
        before = read_cursor(cursor) if cursor else None
        async with self.database.read() as connection:
            active, _, _ = await in_force(connection, self.tenant)
            rows = await changes_page(
                connection, self.tenant, kind=ReleaseActivation.kind, limit=limit + 1, before=before
            )
            told = [_release(row, active) for row in rows[:limit]]
            if len(rows) <= limit:
                told.append(await self._first(connection, active))
        return _page("releases", told, rows, limit)

    async def _first(self, connection: StoreConnection, active: str) -> dict[str, Json]:
        entry = json.loads(bytes((await entry_at(connection, self.tenant, 0)).bytes))
        return {
            "release": entry["release"],
            "state": "active" if entry["release"] == active else "past",
            "confirmed_at": entry["at"],
        }

    async def release(self, digest: str) -> dict[str, Json]:
        """One release with all that is in it, as the loader read it (without comments and layout)."""
        async with self.database.read() as connection:
            active, _, _ = await in_force(connection, self.tenant)
            document = await blob(connection, self.tenant, digest)
            state = "active" if digest == active else "past"
            if document is None:
                document, state = await self._proposed(connection, digest), "proposed"
        if document is None or not is_release(document):
            raise NotFound(
                "release_unknown",
                "There is no such release",
                help="List them: controls release list, or GET /v1/releases.",
            )
        return {"release": digest, "state": state, "files": json.loads(document)["files"]}

    async def _proposed(self, connection: StoreConnection, digest: str) -> bytes | None:
        before: tuple[int, str] | None = None
        while True:
            rows = await changes_page(
                connection,
                self.tenant,
                kind=ReleaseActivation.kind,
                state="proposed",
                limit=100,
                before=before,
            )
            for row in rows:
                if digest_named(row.summary) == digest:
                    found = await change_named(connection, self.tenant, row.id)
                    # Whatever else an older program stored of it, this has always been there.
                    return str(json.loads(found.payload)["document"]).encode()
            if not rows:
                return None
            before = rows[-1].proposed_at, rows[-1].id


def _page(name: str, told: list[dict[str, Json]], rows: Any, limit: int) -> dict[str, Json]:
    answer: dict[str, Json] = {name: list[Json](told)}
    if len(rows) > limit:
        last = rows[limit - 1]
        answer["next"] = cursor_of(last.proposed_at, last.id)
    return answer


def _change(row: Any) -> dict[str, Json]:
    told: dict[str, Json] = {
        "change": row.id,
        "kind": row.kind,
        "state": row.state,
        "summary": row.summary,
        "proposed_by": row.proposed_by,
        "proposed_at": utc_text(from_microseconds(row.proposed_at)),
    }
    if row.confirmed_at is not None:
        told["confirmed_by"] = row.confirmed_by
        told["confirmed_at"] = utc_text(from_microseconds(row.confirmed_at))
    return told


def _release(row: Any, active: str) -> dict[str, Json]:
    """A change of release as a list of releases shows it."""
    told = _change(row)
    told["release"] = digest = digest_named(row.summary)
    del told["kind"], told["summary"]
    if row.state == "confirmed":
        told["state"] = "active" if digest == active else "past"
    return told
