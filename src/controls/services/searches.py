"""Searching: of whom, of what or of which actions a question would be answered with a permit now.

Guarantees: each candidate is decided by the very `decide` that answers questions, over the situation that it
would have (`situations`), without claiming; nothing is recorded. A page is of one moment: it is read in one
transaction, and given up if another release comes into force meanwhile. Candidates are all there are
(`_candidates`), each once, so that pages taken together leave nobody out and name nobody twice. A page ends
after a number of candidates or a time, whichever comes first, and says where the next one begins.

Subjects come in the order of their open work, that is of the steps that their persons hold unfinished, and
then of their logins. Work changes while pages are turned; a page therefore says who has been looked at, and
the next one ranks the others anew. That holds for one directory: after a change of it the search begins anew.
With more than RANKED_AT_MOST logins they come in the order of their logins alone.

What is searched for, by kind of search: every login that belongs to a person of record now; every action
that the rules in force know for the type; the chains of the type that are on record and, for a type without
chains, what the list of the rule files that is named like the type holds (`lists/TYPE.csv`).
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from time import monotonic
from typing import Final
from unicodedata import category

from controls.decide import decide
from controls.model.errors import FieldError, InvalidInput, Unavailable
from controls.model.finding import Outcome
from controls.model.request import Request
from controls.rules.vocabulary import read_facts
from controls.services.commands import Context
from controls.services.service import Service
from controls.services.situations import Asked
from controls.store.connection import StoreConnection
from controls.store.listings import chains_after, open_work
from controls.store.people import holds
from controls.store.unit import load, read_head
from controls.store.workspace import Needs, Workspace

# How many candidates one page looks at; each takes a tenth of a millisecond to some milliseconds.
EXAMINED_AT_MOST: Final = 1_000
# How many logins are ranked: one bit for each has to fit into a token.
RANKED_AT_MOST: Final = 20_000
# After so long a page ends where it is; one candidate is always looked at.
SECONDS_AT_MOST: Final = 1.0
# For so long at a time others, decisions among them, are kept waiting.
_SLICE_SECONDS: Final = 0.005
# How long a search waits for those before it: one is run at a time.
_WAIT_SECONDS: Final = 10.0
_ATTEMPTS: Final = 3
_INDEX_BYTES: Final = 8


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
    """What was found, in order; `place` is where the next page begins, None when there is none."""

    found: tuple[str, ...]
    place: bytes | None


@dataclass(frozen=True, slots=True)
class _Round:
    """The candidates of one page, in order and one more than are looked at when there are more; `place` is
    where the next page begins after the first so many of them."""

    names: Sequence[str]
    place: Callable[[int], bytes]


@dataclass(slots=True)
class Searches:
    """The searches of one service, one at a time."""

    service: Service
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def page(self, search: Search, *, limit: int, place: bytes = b"") -> Page:
        """The first results from a place that a page before told (empty: the beginning), `limit` at most.

        Raises:
            InvalidInput: no page of this search told the place, or the directory has changed since.
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
            return await self._page(search, limit=limit, place=place)
        finally:
            self._turn.release()

    async def _page(self, search: Search, *, limit: int, place: bytes) -> Page:
        context, questions, chosen = await self._read(search, place=place)
        found: list[str] = []
        began = paused = monotonic()
        for number, (candidate, asked) in enumerate(questions):
            if len(found) >= limit or (number and monotonic() - began > SECONDS_AT_MOST):
                return Page(tuple(found), chosen.place(number))
            if monotonic() - paused > _SLICE_SECONDS:
                await asyncio.sleep(0)
                paused = monotonic()
            if self.service.state.active is not context.active:
                raise _overtaken()  # and what it was built of may be freed
            decision = decide(asked.request, asked.situation(context), active=context.active)
            if decision.outcome in (Outcome.PERMIT, Outcome.WOULD_PERMIT):
                found.append(candidate)
        more = len(chosen.names) > len(questions)
        return Page(tuple(found), chosen.place(len(questions)) if more else None)

    async def _read(self, search: Search, *, place: bytes) -> tuple[Context, list[tuple[str, Asked]], _Round]:
        """The candidates with all that deciding them reads, as of one moment."""
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
                chosen = await _candidates(connection, service.tenant, search, context, place=place)
                reading = read_facts(active.release.vocabulary, search.request.properties)
                questions = [
                    (name, Asked(search.about(name), reading)) for name in chosen.names[:EXAMINED_AT_MOST]
                ]
                needs = Needs()
                for _, asked in questions:
                    asked.prepare(context, needs)
                await load(connection, work, needs)
            return context, questions, chosen
        raise _overtaken()


async def _candidates(
    connection: StoreConnection, tenant: str, search: Search, context: Context, *, place: bytes
) -> _Round:
    release, request = context.active.release, search.request
    if request.subject_type not in release.vocabulary.subject_types:
        return _in_order([])
    most = EXAMINED_AT_MOST + 1
    if search.sought is Sought.SUBJECT:
        if len(context.directory.accounts) <= RANKED_AT_MOST:
            return _ranked(search, context, await open_work(connection, tenant), place=place)
        names = sorted(_logins(context))
    elif search.sought is Sought.ACTION:
        stem = f"{request.resource_type}."
        known = (name.removeprefix(stem) for name in release.actions if name.startswith(stem))
        names = sorted(name for name in known if "." not in name)
    elif request.resource_type in release.chains:
        kind, after = release.chains[request.resource_type].id, _after(place)
        return _in_order(await chains_after(connection, tenant, kind, after=after, limit=most), place=place)
    else:
        listed = release.lists.get(request.resource_type)
        names = sorted(item for item in listed.items if isinstance(item, str)) if listed else []
    names = names[bisect_right(names, _after(place)) :] if place else names
    return _in_order([name for name in names if search.covered(search.about(name))][:most], place=place)


def _in_order(names: Sequence[str], *, place: bytes = b"") -> _Round:
    """Candidates in the order of their names: the next page begins after the last one."""
    return _Round(names, lambda looked_at: names[looked_at - 1].encode() if looked_at else place)


def _after(place: bytes) -> str:
    try:
        name = place.decode()
    except UnicodeDecodeError:
        raise token_invalid() from None
    # No control characters, which no database takes; ids may hold all others.
    if any(category(letter) == "Cc" for letter in name):
        raise token_invalid()  # a database takes no control characters
    return name


def _logins(context: Context) -> Iterator[str]:
    """The logins that belong to a person now."""
    at = context.work.at
    for login, records in context.directory.accounts.items():
        if any(holds(item, at) for item in records):
            yield login


def _ranked(search: Search, context: Context, work: Mapping[str, int], *, place: bytes) -> _Round:
    """Logins by the open work of their persons. A place tells the directory, and of its logins in their order
    those that were looked at, a bit each."""
    directory, at = context.directory, context.work.at
    bits = {login: number for number, login in enumerate(sorted(directory.accounts))}
    begun = directory.index.to_bytes(_INDEX_BYTES)
    if place and place[:_INDEX_BYTES] != begun:
        raise InvalidInput(
            "token_outdated",
            "The directory changed since the page before",
            help="Begin the search anew, without a token.",
            errors=(FieldError("/page/token", "token_outdated", "is of an earlier directory"),),
        )
    seen = int.from_bytes(place[_INDEX_BYTES:])
    if seen.bit_length() > len(bits):
        raise token_invalid()
    names = [
        login
        for login in _logins(context)
        if not seen >> bits[login] & 1 and search.covered(search.about(login))
    ]

    def rank(login: str) -> tuple[int, str]:
        account = directory.account(login, at=at)
        return work.get(account.person.id, 0) if account is not None else 0, login

    names.sort(key=rank)

    def next_place(looked_at: int) -> bytes:
        after = seen
        for login in names[:looked_at]:
            after |= 1 << bits[login]
        return begun + after.to_bytes((after.bit_length() + 7) // 8)

    return _Round(names, next_place)


def token_invalid() -> InvalidInput:
    """A token that no page of this search told."""
    return InvalidInput(
        "token_invalid",
        "This token does not belong to this search",
        help="Send `next_token` of the page before with the same subject, action, resource and context, or "
        "leave the token out.",
        errors=(FieldError("/page/token", "token_invalid", "was not given for this request"),),
    )


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
