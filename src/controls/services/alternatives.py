"""Who else could do it: for a recorded deny or review, other persons who would be let do the same now.

Guarantees: each person told would be permitted what was asked, were it asked now for the account that is told
(`searches`: each was decided, nothing is claimed, nothing recorded); those with the least open work come
first. It tells nothing that a search with the same key would not: the key must cover the question, and only
accounts for which it may speak are told. Nothing of this is worked out before somebody asks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from controls.model.errors import InvalidInput
from controls.model.values import Json, from_microseconds, utc_text
from controls.services.changed_worlds import overtaken
from controls.services.counterfactuals import check_question, check_scopes
from controls.services.keys import may_ask, may_speak_for
from controls.services.recorded_questions import decision_entry_named, recorded_question
from controls.services.searches import Search, Searches, Sought
from controls.services.service import Service
from controls.store.directory import Directory
from controls.store.listings import open_work
from controls.store.rows import ApiKey

# How many persons are told, and how many pages are looked at for them: each takes a second at most.
TOLD_AT_MOST: Final = 5
_PAGES: Final = 3
# Several accounts may be one person's.
_LIMIT: Final = 4 * TOLD_AT_MOST


@dataclass(slots=True)
class Alternatives:
    """The alternatives of one service, one decision at a time."""

    service: Service
    _searches: Searches = field(init=False)

    def __post_init__(self) -> None:
        self._searches = Searches(self.service)

    async def of(self, decision: str, *, key: ApiKey) -> dict[str, Json]:
        """Who could do what the decision with this id did not permit.

        Raises:
            NotFound: there is no such decision.
            Forbidden: the key lacks the scope `read` or `decide`, or does not cover the question.
            Conflict: it was permitted, or it cannot be asked again.
            Unavailable: too many are waiting, or what is in force changed meanwhile.
        """
        check_scopes(key)
        service = self.service
        _, directory = await service.snapshot()
        async with service.database.read() as connection:
            row = await decision_entry_named(connection, service.tenant, decision)
            work = await open_work(connection, service.tenant)
        question = recorded_question(row, directory=directory)
        check_question(question, key)
        now = service.now()
        search = Search(
            Sought.SUBJECT,
            question.request,
            lambda one: may_ask(key, one.resource_type, one.action) and may_speak_for(key, one.subject_id),
        )
        asker = _person(directory, question.request.subject_id, at=now)
        found: dict[str, str] = {}  # person -> login
        place: bytes | None = b""
        for _ in range(_PAGES):
            if place is None or len(found) >= TOLD_AT_MOST:
                break
            try:
                page = await self._searches.page(search, limit=_LIMIT, place=place)
            except InvalidInput:  # of the place, which was told a moment ago: the directory changed
                raise overtaken() from None
            for login in page.found:
                person = _person(directory, login, at=now)
                if person and person != asker:
                    found.setdefault(person, login)
            place = page.place
        told: list[Json] = [
            {"person": person, "account": login, "open": work.get(person, 0)}
            for person, login in list(found.items())[:TOLD_AT_MOST]
        ]
        return {
            "decision": decision,
            "recorded": question.outcome,
            "at": utc_text(from_microseconds(now)),
            "alternatives": told,
            "complete": place is None and len(found) <= TOLD_AT_MOST,
        }


def _person(directory: Directory, login: str, *, at: int) -> str:
    """Whose account it is; empty for nobody's."""
    account = directory.account(login, at=at)
    return "" if account is None else account.person.id
