"""Searching: of whom, of what or of which actions a question would be answered with a permit now.

Guarantees: each candidate is decided by the very `decide` that answers questions, over the situation that it
would have (`situations`), without claiming; nothing is recorded. A page is of one moment: it is read in one
transaction, and given up if another release comes into force meanwhile. Candidates are all there are
(`_candidates`), each once and in one order, so that pages taken together leave nobody out. A page ends after
a number of candidates or a time, whichever comes first, and says where the next one begins.

What is searched for, by kind of search: every login that belongs to a person of record now; every action
that the rules in force know for the type; the chains of the type that are on record and, for a type without
chains, what the list of the rule files that is named like the type holds (`lists/TYPE.csv`).
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from time import monotonic
from typing import Final

from controls.decide import ActiveRelease, decide
from controls.model.errors import Unavailable
from controls.model.finding import Outcome
from controls.model.request import Request
from controls.rules.vocabulary import read_facts
from controls.services.commands import Context
from controls.services.service import Service
from controls.services.situations import Asked
from controls.store.connection import StoreConnection
from controls.store.directory import Directory
from controls.store.listings import chains_after
from controls.store.people import holds
from controls.store.unit import load, read_head
from controls.store.workspace import Needs, Workspace

# How many candidates one page looks at; each takes a tenth of a millisecond to some milliseconds.
EXAMINED_AT_MOST: Final = 1_000
# After so long a page ends where it is; one candidate is always looked at.
SECONDS_AT_MOST: Final = 1.0
# For so long at a time others, decisions among them, are kept waiting.
_SLICE_SECONDS: Final = 0.005
# How long a search waits for those before it: one is run at a time.
_WAIT_SECONDS: Final = 10.0
_ATTEMPTS: Final = 3


class Sought(StrEnum):
    """What a search is for."""

    SUBJECT = "subject"
    RESOURCE = "resource"
    ACTION = "action"


@dataclass(frozen=True, slots=True)
class Search:
    """`request` with everything but what is sought, of which only the type counts.

    `covered` says of a request whether the caller could ask it at all; what could not be asked is left out.
    """

    sought: Sought
    request: Request
    covered: Callable[[Request], bool]

    def about(self, candidate: str) -> Request:
        """The question about one candidate, which does not claim."""
        if self.sought is Sought.SUBJECT:
            return replace(self.request, subject_id=candidate, claim=False)
        if self.sought is Sought.RESOURCE:
            return replace(self.request, resource_id=candidate, claim=False)
        return replace(self.request, action=candidate, claim=False)


@dataclass(frozen=True, slots=True)
class Page:
    """What was found, in order; `after` is the last candidate that was looked at, None when all were."""

    found: tuple[str, ...]
    after: str | None


@dataclass(slots=True)
class Searches:
    """The searches of one service, one at a time."""

    service: Service
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def page(self, search: Search, *, limit: int, after: str = "") -> Page:
        """The first results after the candidate `after` (empty: from the beginning), `limit` at most.

        Raises:
            Unavailable: too many searches are waiting, or what is in force changed meanwhile.
        """
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await self._turn.acquire()
        except TimeoutError as error:
            raise Unavailable(
                "too_many_searches",
                "Too many searches are waiting",
                help="Ask again in a few seconds, or put your question as an evaluation.",
            ) from error
        try:
            return await self._page(search, limit=limit, after=after)
        finally:
            self._turn.release()

    async def _page(self, search: Search, *, limit: int, after: str) -> Page:
        context, questions, more = await self._read(search, after=after)
        found: list[str] = []
        began = paused = monotonic()
        last = after
        for candidate, asked in questions:
            if len(found) >= limit or (last != after and monotonic() - began > SECONDS_AT_MOST):
                return Page(tuple(found), last)
            if monotonic() - paused > _SLICE_SECONDS:
                await asyncio.sleep(0)
                paused = monotonic()
            if self.service.state.active is not context.active:
                raise _overtaken()  # and what it was built of may be freed
            decision = decide(asked.request, asked.situation(context), active=context.active)
            if decision.outcome in (Outcome.PERMIT, Outcome.WOULD_PERMIT):
                found.append(candidate)
            last = candidate
        return Page(tuple(found), last if more else None)

    async def _read(self, search: Search, *, after: str) -> tuple[Context, list[tuple[str, Asked]], bool]:
        """The candidates with all that deciding them reads, as of one moment, and whether more follow."""
        service = self.service
        for _ in range(_ATTEMPTS):
            await service.snapshot()
            async with service.database.read() as connection:
                head, now = await read_head(connection, service.tenant, clock=service.writer.settings.clock)
                state = service.state
                active, directory = state.active, state.directory
                if (
                    active is None
                    or directory is None
                    or not state.holds(head.release, head.directory_index, head.keys_index)
                ):
                    continue  # something was put into force after the snapshot: take that
                work = Workspace(head, now=now, entropy=_nothing)
                context = Context(work, active, directory, {}, _no_name)
                names = await _candidates(
                    connection, service.tenant, search, active, directory, at=work.at, after=after
                )
                more = len(names) > EXAMINED_AT_MOST
                vocabulary = active.release.vocabulary
                reading = read_facts(vocabulary, search.request.properties)
                questions = [(name, Asked(search.about(name), reading)) for name in names[:EXAMINED_AT_MOST]]
                needs = Needs()
                for _, asked in questions:
                    asked.prepare(context, needs)
                await load(connection, work, needs)
            return context, questions, more
        raise _overtaken()


async def _candidates(
    connection: StoreConnection,
    tenant: str,
    search: Search,
    active: ActiveRelease,
    directory: Directory,
    *,
    at: int,
    after: str,
) -> list[str]:
    """Those after `after` in order, one more than are looked at when there are more."""
    release, request = active.release, search.request
    if request.subject_type not in release.vocabulary.subject_types:
        return []
    most = EXAMINED_AT_MOST + 1
    if search.sought is Sought.RESOURCE and request.resource_type in release.chains:
        kind = release.chains[request.resource_type].id
        return await chains_after(connection, tenant, kind, after=after, limit=most)
    if search.sought is Sought.SUBJECT:
        names = sorted(
            login for login, records in directory.accounts.items() if any(holds(item, at) for item in records)
        )
    elif search.sought is Sought.ACTION:
        stem = f"{request.resource_type}."
        known = (name.removeprefix(stem) for name in release.actions if name.startswith(stem))
        names = sorted(name for name in known if "." not in name)
    else:
        listed = release.lists.get(request.resource_type)
        names = sorted(item for item in listed.items if isinstance(item, str)) if listed else []
    names = names[bisect_right(names, after) :] if after else names
    return [name for name in names if search.covered(search.about(name))][:most]


def _nothing(_: int) -> bytes:
    raise AssertionError("a search conceals nothing, for it records nothing")


def _no_name(_: str) -> str:
    raise AssertionError("a search names nothing, for it records nothing")


def _overtaken() -> Unavailable:
    return Unavailable(
        "search_overtaken",
        "What is in force changed during the search",
        help="Ask for this page again.",
    )
