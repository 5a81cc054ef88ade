"""Two things that speak on conditions, compared over every request there can be.

Guarantees: a class other than `not proved` holds for all values that both vocabularies accept, absent facts
included, under the three-valued truth that decisions use; a request that is shown has been evaluated by the
caller's `confirm` and really has the two answers. What the search leaves open is `not proved`, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from controls.model.condition import Facts, Truth
from controls.model.duty import Period
from controls.model.finding import Effect
from controls.model.values import Value
from controls.rules.aggregates import PREFIX
from controls.rules.changed_data import changed_data, differs, with_shared_lists
from controls.rules.changes import ChangeClass, Shown, looser, tighter
from controls.rules.domains import Domain, domains_of
from controls.rules.folding import Folder
from controls.rules.linear import available
from controls.rules.satisfiable import Asked, NotDecided, Together, Wanted, Witness, find
from controls.rules.tree import Comparison as ComparisonNode
from controls.rules.tree import Constant, FactRead, Logic, Now, Operation, Typed, facts_of, key_of, walk
from controls.rules.types import BOOL, STRING, TIMESTAMP, Kind
from controls.rules.vocabulary import Vocabulary

Relation: TypeAlias = Callable[[Effect | None, Effect | None], bool]
Confirm: TypeAlias = Callable[[Facts], Shown | None]


@dataclass(frozen=True, slots=True)
class Speaker:
    """Conditions' trees (`WholeCondition.tree`) and what is said by their truths.

    `answers` gives what must hold of the trees, or of others in their places, for each thing that is said:
    one of them holds of every request. Two speakers with equal trees and equal `meaning` say the same.
    `skips`: what is unknown is passed over when facts are missing, and reviewed when it cannot be computed.
    """

    trees: tuple[Typed, ...]
    answers: Callable[[Sequence[Typed]], Sequence[tuple[Asked, Effect | None]]]
    meaning: object
    skips: bool = False

    @classmethod
    def of(cls, tree: Typed, effects: Mapping[Truth, Effect | None], *, skips: bool = False) -> Speaker:
        """One condition, with what each of its truths asks for."""
        return cls(
            (tree,),
            lambda trees: [
                (Wanted(trees[0], frozenset({truth})), effect) for truth, effect in effects.items()
            ],
            effects,
            skips,
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the second speaker's answers relate to the first one's. `why`: what a reader must know besides."""

    kind: ChangeClass
    shown: tuple[Shown, ...] = ()
    why: str = ""


ALWAYS: Final = Constant(type=BOOL, start=0, end=0, value=True)

_OPEN: Final = "no request that differs was found, and that there is none could not be proved"
_PARTLY: Final = "whether there are requests of the other sort as well could not be told"
_NO_EXAMPLE: Final = "no request that shows it was found"
_NO_SOLVER: Final = "; pip install 'controls[solver]' may settle it"
_DIGITS: Final = "leaving aside requests with sums or products of more than 34 digits"
_COMPUTED: Final = "leaving aside requests with values that cannot be computed, which are reviewed"


def compare(
    before: Speaker,
    after: Speaker,
    *,
    domains: Mapping[str, Domain],
    confirm: Confirm,
    given: Sequence[Wanted] = (),
) -> Comparison:
    """How `after` answers where `before` answered.

    Args:
        domains: what the facts may be on both sides (`shared_domains`).
        confirm: evaluates both sides on facts, and says what they answer.
        given: what holds of every request that is looked at, such as its action and time.
    """
    if _keys(before.trees) == _keys(after.trees) and before.meaning == after.meaning:
        return Comparison(ChangeClass.NEUTRAL)
    changed = changed_data(any_of(before.trees), any_of(after.trees))
    one, other = with_shared_lists(before.trees, after.trees)
    before, after = replace(before, trees=one), replace(after, trees=other)
    milder = _searched(before, after, looser, domains=domains, confirm=confirm, given=given)
    stricter = _searched(before, after, tighter, domains=domains, confirm=confirm, given=given)
    shown = tuple(item for item in (milder.shown, stricter.shown) if item is not None)
    if len(shown) == 2:
        return Comparison(ChangeClass.BOTH, shown)
    if not milder.excluded and not stricter.excluded:
        hint = "" if available() else _NO_SOLVER
        about = f"{differs(item.name for item in changed)}; " if changed else ""
        return Comparison(ChangeClass.NOT_PROVED, shown, about + (_PARTLY if shown else _OPEN) + hint)
    aside = [_COMPUTED] if _leaves_errors_aside(before, after) else []
    aside += [_DIGITS] if milder.but_for_digits or stricter.but_for_digits else []
    if milder.excluded and stricter.excluded:
        return Comparison(ChangeClass.NEUTRAL, (), "; ".join(aside))
    kind = ChangeClass.LOOSENING if stricter.excluded else ChangeClass.TIGHTENING
    return Comparison(kind, shown, "; ".join(aside if shown else [*aside, _NO_EXAMPLE]))


def shared_domains(one: Vocabulary, other: Vocabulary, names: Iterable[str]) -> dict[str, Domain] | str:
    """What the facts may be in requests that both vocabularies accept; a sentence if nobody can say."""
    ours, theirs = domains_of(one), domains_of(other)
    found: dict[str, Domain] = {}
    for name in names:
        a, b = ours.get(name), theirs.get(name)
        if a is None or b is None:
            known = a or b
            if known is not None:  # an aggregate is no fact of a vocabulary, and may be any value of its type
                found[name] = known
            continue
        if a.type != b.type:
            return f"{name} is {a.type} in A and {b.type} in B, so that no request means the same to both"
        values = tuple(value for value in a.values if not b.values or value in b.values) or b.values
        if a.values and b.values and not set(a.values) & set(b.values):
            return f"A and B share no value of {name}"
        if a.format and b.format and a.format != b.format:
            return f"{name} has the form {a.format} in A and {b.format} in B, so that no request suits both"
        found[name] = Domain(
            a.type,
            values=values,
            format=a.format or b.format,
            max_length=min(a.max_length, b.max_length),
            max_items=min(a.max_items, b.max_items),
            optional=a.optional or b.optional,
        )
    return found


def within(periods: Sequence[Period]) -> Typed:
    """The condition that `now` lies in one of the periods."""
    return _joined([_joined(_bounds(period), every=True) for period in periods], every=False)


def asked(action: str, *, trees: Iterable[Typed]) -> tuple[Wanted, ...]:
    """That the request is for `action` (`resource.name`), as far as the trees look at it."""
    resource, _, name = action.partition(".")
    read = frozenset().union(*map(facts_of, trees))
    return tuple(
        holds(_compared("==", FactRead(type=STRING, start=0, end=0, name=fact), _constant(value)))
        for fact, value in (("action.name", name), ("resource.type", resource))
        if fact in read
    )


def holds(tree: Typed) -> Wanted:
    return Wanted(tree, frozenset({Truth.TRUE}))


def reads_time(tree: Typed) -> bool:
    return any(isinstance(part, Now) for part in walk(tree))


def any_of(trees: Sequence[Typed]) -> Typed:
    """The condition that one of the trees is true."""
    return _joined(list(trees), every=False)


@dataclass(frozen=True, slots=True)
class _Searched:
    """A request that was found; or whether it is proved that there is none (`but_for_digits`: nearly)."""

    shown: Shown | None = None
    excluded: bool = False
    but_for_digits: bool = False


def _searched(
    before: Speaker,
    after: Speaker,
    relation: Relation,
    *,
    domains: Mapping[str, Domain],
    confirm: Confirm,
    given: Sequence[Wanted],
) -> _Searched:
    """The search for a request on which the answers stand in the relation."""
    excluded, but_for_digits = True, False
    answers = after.answers(after.trees)
    for first, effect in before.answers(before.trees):
        others = tuple(asked for asked, other in answers if relation(effect, other))
        if not others:
            continue
        wanted = (first, Together(every=False, parts=others), *given)
        answer = find(wanted, domains=domains)
        if isinstance(answer, Witness):
            shown = confirm(answer.facts)
            if shown is not None and relation(shown.before, shown.after):
                return _Searched(shown)
            excluded = False
        elif isinstance(answer, NotDecided):
            excluded = excluded and answer.but_for_digits
            but_for_digits = True
    return _Searched(None, excluded, excluded and but_for_digits)


def _leaves_errors_aside(*speakers: Speaker) -> bool:
    """Whether what is unknown may be skipped or reviewed, so that one effect does not tell all of it."""
    return any(speaker.skips for speaker in speakers) and any(
        isinstance(part, Operation)
        or part.type.kind is Kind.MONEY
        or (isinstance(part, FactRead) and part.name.startswith(PREFIX))
        for speaker in speakers
        for tree in speaker.trees
        for part in walk(tree)
    )


def _keys(trees: Sequence[Typed]) -> list[str]:
    return [key_of(Folder().fold(tree)) for tree in trees]


def _joined(parts: list[Typed], *, every: bool) -> Typed:
    if len(parts) == 1:
        return parts[0]
    return Logic(type=BOOL, start=0, end=0, every=every, parts=tuple(parts))


def _bounds(period: Period) -> list[Typed]:
    now = Now(type=TIMESTAMP, start=0, end=0)
    bounds: list[Typed] = []
    if period.start is not None:
        bounds.append(_compared(">=", now, _constant(period.start)))
    if period.end is not None:
        bounds.append(_compared("<", now, _constant(period.end)))
    return bounds or [ALWAYS]


def _compared(operator: str, left: Typed, right: Typed) -> ComparisonNode:
    return ComparisonNode(type=BOOL, start=0, end=0, operator=operator, left=left, right=right)


def _constant(value: Value) -> Constant:
    return Constant(type=STRING if isinstance(value, str) else TIMESTAMP, start=0, end=0, value=value)
