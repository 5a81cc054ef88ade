"""What changed between two rule sets, and how sure that is: the words of `controls rules diff`.

Guarantees: `tightening` says that no request gets a milder answer from the second set, as far as the changed
thing goes, `loosening` that none gets a stricter one, `both` that there are requests of each sort, `neutral`
that no answer changes. What is none of these with certainty is `not proved`. A `Shown` request has been
evaluated on both sides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from controls.model.condition import Facts
from controls.model.finding import Effect
from controls.model.values import Json, canonical, utc_text
from controls.rules.rule_sets import Where

# Answers by strictness: nothing said, then what comes with a permit, then what holds the action up.
_RANKS: Final = {None: 0, Effect.OBLIGE: 1, Effect.FLAG: 1, Effect.REVIEW: 2, Effect.DENY: 3}


def looser(before: Effect | None, after: Effect | None) -> bool:
    """Whether something that `before` asks for is not asked for by `after`.

    An obligation and a flag are not alike: each loses what the other one asks for.
    """
    return before is not after and _RANKS[after] <= _RANKS[before]


def tighter(before: Effect | None, after: Effect | None) -> bool:
    """Whether `after` asks for something that `before` does not ask for."""
    return looser(after, before)


class ChangeClass(StrEnum):
    """Which way a change goes."""

    TIGHTENING = "tightening"
    LOOSENING = "loosening"
    BOTH = "both"
    NEUTRAL = "neutral"
    NOT_PROVED = "not proved"


@dataclass(frozen=True, slots=True)
class Shown:
    """A request that the two sides answer differently: facts that decide it, and the two answers.

    An answer is what the changed thing alone asks for; None is a permit, as far as it goes.
    """

    action: str
    facts: Facts
    names: frozenset[str]  # the facts that matter
    before: Effect | None
    after: Effect | None

    def as_json(self) -> dict[str, Json]:
        return {
            "action": self.action,
            "at": utc_text(self.facts.now),
            "facts": {
                name: canonical(value)
                for name, value in sorted(self.facts.values.items())
                if name in self.names
            },
            "absent": [name for name in sorted(self.names) if name not in self.facts.values],
            "performed": [act.step for act in self.facts.chain.acts if self.facts.chain.performed(act.step)],
            "claimed": [
                act.step for act in self.facts.chain.acts if not self.facts.chain.performed(act.step)
            ],
            "a": answer_text(self.before),
            "b": answer_text(self.after),
        }


def answer_text(effect: Effect | None) -> str:
    return "permit" if effect is None else effect.value


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changed.

    `what` is the kind of thing (rule, parameter, condition, grant, ...), `id` says which one, `act` is added,
    removed or changed. `before` and `after` are its values in words, empty where there is none. `reason` is
    one sentence. `shown` are requests that prove it, a milder and a stricter answer at most.
    """

    what: str
    id: str
    act: str
    kind: ChangeClass
    reason: str
    before: str = ""
    after: str = ""
    where: tuple[Where | None, Where | None] = (None, None)
    shown: tuple[Shown, ...] = ()
    basis: str = ""  # of a parameter, before the change

    @property
    def loosens(self) -> bool:
        """Whether a request is known that gets a milder answer, or it is certain that there is one."""
        if self.kind in (ChangeClass.LOOSENING, ChangeClass.BOTH):
            return True
        return any(looser(item.before, item.after) for item in self.shown)

    def as_json(self) -> dict[str, Json]:
        return {
            "what": self.what,
            "id": self.id,
            "change": self.act,
            "class": self.kind.value,
            "before": self.before or None,
            "after": self.after or None,
            "reason": self.reason,
            "basis": self.basis or None,
            "a": _place(self.where[0]),
            "b": _place(self.where[1]),
            "requests": [item.as_json() for item in self.shown],
        }


def _place(where: Where | None) -> Json:
    return None if where is None else {"file": where.file, "line": where.line}


def by_sets(before: Iterable[object], after: Iterable[object], *, more: ChangeClass) -> ChangeClass:
    """The class of a changed set, when more elements mean `more` (tightening or loosening)."""
    old, new = set(before), set(after)
    if old == new:
        return ChangeClass.NEUTRAL
    if old < new:
        return more
    return _opposite(more) if new < old else ChangeClass.BOTH


def by_rank(before: int, after: int, *, more: ChangeClass) -> ChangeClass:
    """The class of a changed number, when a higher one means `more`."""
    if before == after:
        return ChangeClass.NEUTRAL
    return more if before < after else _opposite(more)


def _opposite(kind: ChangeClass) -> ChangeClass:
    return ChangeClass.LOOSENING if kind is ChangeClass.TIGHTENING else ChangeClass.TIGHTENING
