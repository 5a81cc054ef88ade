"""The same request asked again under the same Idempotency-Key gets the same answer, byte for byte.

Guarantees: two requests with one key are never both decided, however close they are (the second waits for
the first one's record); a stored permit stops being repeated once its claim has ended, so that it cannot be
used twice; another body under the same key is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from controls.model.chain import AMEND, ActState
from controls.model.errors import Conflict, InvalidInput
from controls.model.values import Json
from controls.services.commands import Command, Context, Render
from controls.store.workspace import Needs, Sealed, StoredAnswer


class Claiming(Command, Protocol):
    """A command that can say which claims its answer rests on."""

    claims: tuple[str, ...]


@dataclass(slots=True)
class Once:
    """Runs a command at most once per (key, route, token)."""

    command: Claiming
    route: str
    token: str
    body: bytes  # digest of the request's body
    id: str = field(init=False)
    key: str = field(init=False)
    alone: bool = field(init=False)
    weight: int = field(init=False)

    def __post_init__(self) -> None:
        self.id = self.command.id
        self.key = self.command.key
        self.alone = self.command.alone
        self.weight = self.command.weight

    @property
    def _place(self) -> tuple[str, str, str]:
        return self.key, self.route, self.token

    def prepare(self, context: Context, needs: Needs) -> None:
        needs.tokens.add(self._place)
        self.command.prepare(context, needs)

    def execute(self, context: Context) -> Render:
        work, place = context.work, self._place
        promised = work.promised.get(place)
        stored = work.answers.get(place)
        if promised is not None or stored is not None:
            if (promised or (stored.body if stored else b"")) != self.body:
                raise _reused()
            if stored is None:
                return lambda _sealed: work.answers[place].answer
            if not all(_live(context, claim) for claim in stored.claims):
                raise _ended()
            answer = stored.answer
            return lambda _sealed: answer
        render = self.command.execute(context)
        work.promised[place] = self.body

        def remember(sealed: Sealed) -> bytes:
            answer = render(sealed)
            work.remember(place, StoredAnswer(self.body, answer, self.command.claims, work.at))
            return answer

        return remember

    def refused_act(self) -> dict[str, Json]:
        return self.command.refused_act()


def _live(context: Context, claim: str) -> bool:
    """Whether the permit that made the claim may be repeated: nothing has come of it yet.

    An amendment is made by the permit itself, so what ends it is the next act on its chain.
    """
    found = context.work.claims.get(claim)
    if found is None or context.work.now >= found.act.valid_until:
        return False
    if found.act.step == AMEND:
        acts = context.work.history(found.kind, found.act.chain).acts
        return acts[-1].claim == claim and found.act.state is ActState.PERFORMED
    return found.act.state is ActState.CLAIMED


def _reused() -> InvalidInput:
    return InvalidInput(
        "idempotency_key_reused",
        "This Idempotency-Key was used for another request",
        help="Use a fresh key for every new request, and the same key only to repeat the same body.",
    )


def _ended() -> Conflict:
    return Conflict(
        "claim_ended",
        "The claim behind the stored answer has ended",
        detail="The permit given under this Idempotency-Key has been performed, abandoned or has expired.",
        help="Ask again with a fresh Idempotency-Key; everything is evaluated anew.",
    )
