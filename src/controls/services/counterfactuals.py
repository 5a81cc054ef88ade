"""What would have to be otherwise: for a recorded deny or review, the smallest changes that would flip it.

Guarantees: it is about asking the recorded question again now, with the chain, the people and the rules of
one moment, read in one transaction; every change offered was decided (`smallest_changes`); nothing is
recorded. It tells nothing that searches and evaluations with the same key would not: the key must cover the
question, and only persons for whom it may speak are offered. One is looked for at a time, and for no longer
than `SECONDS_AT_MOST`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Final

from controls.model.chain import ChainKind
from controls.model.errors import Conflict, Forbidden, Unavailable
from controls.model.finding import Outcome
from controls.model.values import Json, Missing, canonical, utc_text
from controls.rules.release import Release
from controls.services import counterfactual_sentences as sentences
from controls.services.changed_worlds import (
    AnotherPerson,
    Change,
    Later,
    OtherFact,
    OtherRole,
    World,
    Worlds,
    overtaken,
    until,
)
from controls.services.decisions import ADMINISTERED
from controls.services.keys import may_ask, may_speak_for
from controls.services.proposed_changes import Proposals
from controls.services.recorded_questions import RecordedQuestion, decision_entry_named, recorded_question
from controls.services.service import Service
from controls.services.smallest_changes import Offer, SmallestChanges
from controls.store.listings import open_work
from controls.store.rows import ApiKey
from controls.store.unit import read_head

SECONDS_AT_MOST: Final = 3.0
# How many offers one answer tells.
OFFERS_TOLD: Final = 40
_WAIT_SECONDS: Final = 10.0
_ATTEMPTS: Final = 3


@dataclass(slots=True)
class Counterfactuals:
    """The counterfactuals of one service, one decision at a time."""

    service: Service
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def of(self, decision: str, *, key: ApiKey) -> dict[str, Json]:
        """What would flip the decision with this id, were it asked again now.

        Raises:
            NotFound: there is no such decision.
            Forbidden: the key lacks the scope `read` or `decide`, or does not cover the question.
            Conflict: it was permitted, or it cannot be asked again.
            Unavailable: too many are waiting, or what is in force changed meanwhile.
        """
        check_scopes(key)
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await self._turn.acquire()
        except TimeoutError as error:
            raise Unavailable(
                "too_many_questions",
                "Too many counterfactuals are being looked for",
                help="Ask again in a few seconds.",
            ) from error
        try:
            return await self._of(decision, key)
        finally:
            self._turn.release()

    async def _of(self, decision: str, key: ApiKey) -> dict[str, Json]:
        service = self.service
        for _ in range(_ATTEMPTS):
            await service.snapshot()
            async with service.database.read() as connection:
                head, now = await read_head(connection, service.tenant, clock=service.writer.settings.clock)
                active, directory = service.state.active, service.state.directory
                if (
                    active is None
                    or directory is None
                    or not service.state.holds(head.release, head.directory_index, head.keys_index)
                ):
                    continue  # something was put into force after the snapshot: take that
                row = await decision_entry_named(connection, service.tenant, decision)
                question = recorded_question(row, directory=directory)
                check_question(question, key)
                request = replace(question.request, claim=True)
                worlds = Worlds(
                    service, connection, head, now, active, directory, request, until(SECONDS_AT_MOST)
                )
                proposals = Proposals(
                    active,
                    directory,
                    request,
                    now,
                    lambda login: may_speak_for(key, login),
                    await open_work(connection, service.tenant),
                )
                search = SmallestChanges(worlds, proposals)
                base = await search.run()
            told = {"decision": decision, "recorded": question.outcome, "at": utc_text(now)}
            return told | _told(search, base, release=active.release, kind=proposals.kind)
        raise overtaken()


def check_scopes(key: ApiKey) -> None:
    """Refuse a key that may not both read decisions and ask for them.

    Raises:
        Forbidden: a scope is missing.
    """
    missing = sorted({"read", "decide"} - key.scopes)
    if missing:
        raise Forbidden(
            "scope_missing",
            "The API key does not cover this",
            detail=f"It needs the scopes read and decide, and lacks {' and '.join(missing)}.",
            help="Ask an administrator for a key that covers it, or use another key.",
        )


def check_question(question: RecordedQuestion, key: ApiKey) -> None:
    """Refuse questions that the key could not put, and those to which there is nothing to find.

    Raises:
        Forbidden, Conflict: why.
    """
    request = question.request
    covered = may_ask(key, request.resource_type, request.action) and may_speak_for(key, request.subject_id)
    if not covered or request.resource_type in ADMINISTERED:
        raise Forbidden(
            "question_not_covered",
            "The API key does not cover this question",
            detail=f"It may not ask for {request.resource_type}.{request.action} on behalf of who asked it.",
            help="Use a key that may put the question itself.",
        )
    if question.outcome in (Outcome.PERMIT.value, Outcome.WOULD_PERMIT.value):
        raise Conflict(
            "decision_permitted",
            "This decision permitted what was asked",
            help="Counterfactuals are for decisions that deny or ask for a review.",
        )


def _told(
    search: SmallestChanges, base: World, *, release: Release, kind: ChainKind | None
) -> dict[str, Json]:
    words = sentences.NOTHING_NEEDED
    if base.outcome is not Outcome.PERMIT:
        words = sentences.found(search.found, complete=search.complete)
    return {
        "now": base.outcome.value,
        "message": {"en": words.en, "es": words.es},
        "complete": search.complete,
        "tried": search.worlds.decided,
        "found": search.found,
        "counterfactuals": [
            _offer(offer, release=release, kind=kind) for offer in search.offers[:OFFERS_TOLD]
        ],
    }


def _offer(offer: Offer, *, release: Release, kind: ChainKind | None) -> Json:
    words = sentences.offered(offer.changes, offer.outcome, release=release, kind=kind)
    return {
        "outcome": offer.outcome.value,
        "message": {"en": words.en, "es": words.es},
        "changes": [_change(item) for item in offer.changes],
    }


def _change(change: Change) -> Json:
    if isinstance(change, AnotherPerson):
        account = change.account
        return {"kind": "person", "person": account.person.id, "account": account.login, "open": change.open}
    if isinstance(change, OtherRole):
        return {"kind": "role", "person": change.person, "role": change.role, "given": change.given}
    if isinstance(change, OtherFact):
        value = None if isinstance(change.value, Missing) else canonical(change.value)
        return {"kind": "fact", "fact": change.name, "value": value}
    if isinstance(change, Later):
        return {"kind": "time", "at": utc_text(change.at)}
    return {
        "kind": "step",
        "step": change.step,
        "person": change.account.person.id,
        "claimed": change.held,
    }
