"""Reading what is on record: decisions, chains, review cases, and the ledger with its proofs.

Guarantees: every answer comes from one consistent read; a listing is ordered and goes on exactly where its
cursor says; private values are shown only from disclosures that still exist.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from controls.ledger.note import Checkpoint
from controls.model.errors import Conflict, FieldError, InvalidInput, NotFound
from controls.model.values import Json, from_microseconds, utc_text
from controls.services.recorded_questions import decision_entry_named
from controls.store.connection import StoreConnection
from controls.store.database import Database
from controls.store.ledger_reads import (
    checkpoint_at,
    entry_at,
    iterate_decisions_backwards,
    latest_checkpoint,
    prove_consistency,
    prove_inclusion,
)
from controls.store.listings import acts_of_chain, kinds_of_chain, review_named, reviews_page
from controls.store.rows import ReviewCase, StoredAct

PAGE_LIMIT: Final = 200
_CURSOR: Final = re.compile(rb"(\d{1,17}):(\w{1,64})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Queries:
    """Reads of one tenant."""

    database: Database
    tenant: str

    async def decision(self, id: str) -> dict[str, Json]:
        """The entry of a decision, its disclosed values, messages and place in the ledger."""
        async with self.database.read() as connection:
            return _entry(await decision_entry_named(connection, self.tenant, id))

    async def entry(self, index: int, *, size: int | None = None) -> dict[str, Json]:
        """One entry with an inclusion proof in the newest checkpoint (or in the tree of `size` entries)."""
        async with self.database.read() as connection:
            row = await entry_at(connection, self.tenant, index)
            if row is None:
                raise NotFound(
                    "entry_unknown", "There is no such entry", help="Indexes run from 0 to the ledger's size."
                )
            if size is None:
                size, note = await latest_checkpoint(connection, self.tenant)
            else:
                note = await self._checkpoint(connection, size)
            if index >= size:
                raise InvalidInput(
                    "size_too_small",
                    "The tree of that size does not hold this entry",
                    help=f"Ask for a size above {index}.",
                    errors=(FieldError("/size", "size_too_small", f"must be above {index}"),),
                )
            proof = await prove_inclusion(connection, self.tenant, index=index, size=size)
        return _entry(row) | {"proof": _proof(size, proof, note)}

    async def checkpoint(self) -> str:
        """The newest signed checkpoint, as a C2SP note."""
        async with self.database.read() as connection:
            _, note = await latest_checkpoint(connection, self.tenant)
        return note

    async def consistency(self, old: int, new: int | None) -> dict[str, Json]:
        """Proof that the tree of `old` entries is a prefix of that of `new` (default: the newest)."""
        async with self.database.read() as connection:
            if new is None:
                new, note = await latest_checkpoint(connection, self.tenant)
            else:
                note = await self._checkpoint(connection, new)
            if not 0 <= old <= new:
                raise InvalidInput(
                    "sizes_reversed",
                    "The old size is above the new one",
                    help="Ask from the smaller size to the larger one.",
                    errors=(FieldError("/from", "sizes_reversed", f"must be at most {new}"),),
                )
            proof = await prove_consistency(connection, self.tenant, size1=old, size2=new)
        return {"from": old} | _proof(new, proof, note)

    async def _checkpoint(self, connection: StoreConnection, size: int) -> str:
        note = await checkpoint_at(connection, self.tenant, size)
        if note is None:
            raise NotFound(
                "no_checkpoint",
                "No checkpoint of exactly this size was signed",
                help="Use the size of a checkpoint you hold, or leave the size out for the newest.",
            )
        return note

    async def chain(self, id: str, *, kind: str | None) -> dict[str, Json]:
        """Who did what on one chain, by pseudonym and in ledger order."""
        async with self.database.read() as connection:
            wanted = await kind_of_chain(connection, self.tenant, id, kind=kind)
            rows = await acts_of_chain(connection, self.tenant, wanted, id)
        if not rows:
            raise NotFound("chain_unknown", "Nothing is known of this chain", help="Check its id and kind.")
        return {"kind": wanted, "id": id, "acts": [_act(StoredAct.read(row)) for row in rows]}

    async def last_fired(self, rules: Iterable[str]) -> dict[str, datetime]:
        """When each of the rules and duties last fired in a decision; those that never did are left out.

        Reads the ledger backwards until all were met: for reports, never on the way of a decision. An
        observed finding counts, and one that an approval cleared; one for want of a fact does not.
        """
        wanted = set(rules)
        found: dict[str, datetime] = {}
        async with self.database.read() as connection:
            decisions = cast(
                "AsyncGenerator[Any, None]", iterate_decisions_backwards(connection, self.tenant)
            )
            async with aclosing(decisions) as rows:
                async for row in rows:
                    entry = json.loads(bytes(row.bytes))
                    for finding in entry.get("findings", []) + entry.get("cleared", []):
                        if finding["rule"] in wanted and "cause" not in finding:
                            wanted.discard(finding["rule"])
                            found[finding["rule"]] = from_microseconds(row.at)
                    if not wanted:
                        break
        return found

    async def reviews(self, *, state: str | None, limit: int, cursor: str | None) -> dict[str, Json]:
        """Review cases, oldest first, a page at a time."""
        after = read_cursor(cursor) if cursor else None
        async with self.database.read() as connection:
            rows = await reviews_page(connection, self.tenant, state=state, limit=limit + 1, after=after)
        cases = [ReviewCase.read(row) for row in rows[:limit]]
        answer: dict[str, Json] = {"reviews": [review_json(case) for case in cases]}
        if len(rows) > limit:
            answer["next"] = cursor_of(cases[-1].opened_at, cases[-1].id)
        return answer

    async def review(self, id: str) -> dict[str, Json]:
        async with self.database.read() as connection:
            row = await review_named(connection, self.tenant, id)
        if row is None:
            raise NotFound(
                "review_unknown", "There is no such review case", help="List the open ones: GET /v1/reviews."
            )
        return review_json(ReviewCase.read(row))


async def kind_of_chain(connection: StoreConnection, tenant: str, id: str, *, kind: str | None) -> str:
    """The kind of the chain with this id: the one asked for, or the only one; empty when there is none.

    Raises:
        Conflict: there are several, and none was asked for.
    """
    if kind is not None:
        return kind
    kinds = await kinds_of_chain(connection, tenant, id)
    if len(kinds) > 1:
        raise Conflict(
            "chain_ambiguous",
            "Several chain kinds have a chain of this id",
            help=f"Say which: ?kind={' or ?kind='.join(kinds)}",
        )
    return kinds[0] if kinds else ""


def review_json(case: ReviewCase) -> dict[str, Json]:
    """A case as a supervisor reads it."""
    told: dict[str, Json] = {
        "id": case.id,
        "kind": case.kind,
        "state": case.state,
        "decision": case.decision,
        "person": case.person,
        "action": case.action,
        "resource": {"type": case.resource_type, "id": case.resource_id},
        "reasons": [dict(reason) for reason in case.reasons],
        "opened_at": utc_text(from_microseconds(case.opened_at)),
    }
    if case.claim:
        told["claim"] = case.claim
    if case.chain_kind:
        told["chain"] = {"kind": case.chain_kind, "id": case.resource_id}
    if case.due_at is not None:
        told["due_at"] = utc_text(from_microseconds(case.due_at))
    if case.beside:
        told["on_behalf_of"] = case.beside
    if case.follows:
        told["follows"] = case.follows
    if case.resolved_at is not None:
        told["resolved"] = {
            "at": utc_text(from_microseconds(case.resolved_at)),
            "by": case.resolved_by,
            "resolution": case.resolution,
        }
    return told


def _entry(row: Any) -> dict[str, Json]:
    data = bytes(row.bytes)
    told: dict[str, Json] = {
        "index": row.index,
        "leaf": b64encode(bytes(row.leaf)).decode(),
        "entry": json.loads(data),
        "bytes": data.decode(),
    }
    if row.disclosure is not None:
        told["disclosure"] = json.loads(row.disclosure)
    return told


def _proof(size: int, hashes: tuple[bytes, ...], note: str) -> dict[str, Json]:
    return {
        "size": size,
        "root": b64encode(Checkpoint.parse(note.partition("\n\n")[0] + "\n").root).decode(),
        "hashes": [b64encode(item).decode() for item in hashes],
        "checkpoint": note,
    }


def _act(stored: StoredAct) -> dict[str, Json]:
    act = stored.act
    return {
        "step": act.step,
        "person": act.person,
        "account": act.account,
        **({"beside": act.beside} if act.beside else {}),
        "capacity": act.capacity.value,
        "state": act.state.value,
        "at": utc_text(act.at),
        "done_at": None if act.done_at is None else utc_text(act.done_at),
        "valid_until": utc_text(act.valid_until),
        "claim": act.claim,
        "decision": act.decision,
        "index": act.index,
    }


def cursor_of(at: int, id: str) -> str:
    """Where a page ended: the next one goes on from there."""
    return urlsafe_b64encode(f"{at}:{id}".encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[int, str]:
    """What `cursor_of` was given.

    Raises:
        InvalidInput: nobody here made this cursor.
    """
    try:
        found = _CURSOR.match(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        found = None
    if found is None:
        raise InvalidInput(
            "cursor_invalid",
            "This cursor was not given by this service",
            help="Use the `next` of the page before, or leave the cursor out.",
            errors=(FieldError("/cursor", "cursor_invalid", "not a cursor of this listing"),),
        )
    return int(found[1]), found[2].decode()
