"""Duty constraints of two rule sets, compared by what they keep apart or together.

Guarantees: a class follows from the formula of the constraint's kind (see `controls.duties.constraints`): it
is claimed only for changes under which every violation stays one, or every kept constraint stays kept.
Constraints that are built in follow from the chain kinds and are reported there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final, Protocol

from controls.model.condition import Facts, Truth
from controls.model.duty import Constraint, ConstraintKind, Period
from controls.model.finding import Effect, Text
from controls.model.values import canonical
from controls.rules.changed_data import changed_data, in_words
from controls.rules.changes import Change, ChangeClass, Shown, by_rank, by_sets, looser, tighter
from controls.rules.compare_conditions import (
    ALWAYS,
    Comparison,
    Speaker,
    compare,
    holds,
    reads_time,
    shared_domains,
    within,
)
from controls.rules.condition import WholeCondition
from controls.rules.constraints import BUILT_IN
from controls.rules.effective import compared_periods, overlap, periods_text
from controls.rules.rule_sets import RuleSet
from controls.rules.tree import Typed, facts_of

# Of these, a step more is one more that a person is held against.
_MORE_STEPS_TIGHTEN: Final = frozenset(
    {
        ConstraintKind.SEPARATE,
        ConstraintKind.AT_MOST,
        ConstraintKind.BIND,
        ConstraintKind.RELATION,
        ConstraintKind.COOLING_OFF,
        ConstraintKind.CHINESE_WALL,
    }
)
# What a constraint's limit is called in its file, where it is not `max`.
_LIMITS: Final = {
    ConstraintKind.AT_LEAST: "min",
    ConstraintKind.VOTES: "votes",
    ConstraintKind.COALITION: "people",
}


class Plain(Protocol):
    """Makes a change of which there is nothing to show but what it was and is."""

    def __call__(self, what: str, kind: ChangeClass, why: str, old: object, new: object) -> Change: ...


def changed_duties(one: RuleSet, other: RuleSet) -> Iterator[Change]:
    """The changes of all constraints, by id."""
    ours, theirs = _by_name(one), _by_name(other)
    for name in sorted(ours.keys() | theirs.keys()):
        before, after = ours.get(name), theirs.get(name)
        if before is not None and after is not None:
            yield from _changed(one, other, before, after)
            continue
        known = before or after
        assert known is not None
        gone = after is None
        yield Change(
            what="duty",
            id=_id(known),
            act="removed" if gone else "added",
            kind=_whole_class(known, gone=gone),
            reason=f"{known.title.en}: {'no longer asked for' if gone else known.then.value}",
            before=_words(known) if gone else "",
            after="" if gone else _words(known),
            where=(one.where("duty", known.id), None) if gone else (None, other.where("duty", known.id)),
        )


def _by_name(rules: RuleSet) -> dict[tuple[str, str], Constraint]:
    return {(item.id, item.chain): item for item in rules.release.constraints if item.kind not in BUILT_IN}


def _id(constraint: Constraint) -> str:
    return f"{constraint.id} ({constraint.chain})" if constraint.chain else constraint.id


def _words(constraint: Constraint) -> str:
    parts = constraint.roles if constraint.kind is ConstraintKind.EXCLUSIVE_ROLES else constraint.steps
    limit = f" {constraint.limit}" if constraint.limit else ""
    if constraint.kind is ConstraintKind.CHINESE_WALL:
        parts = (f"{constraint.conflict_class}/{constraint.dataset}", *parts)
    return f"{constraint.kind.value}{limit}: {', '.join(parts)}"


def _whole_class(constraint: Constraint, *, gone: bool) -> ChangeClass:
    """What it means that a constraint comes or goes."""
    if constraint.kind is ConstraintKind.VOTES:
        return ChangeClass.BOTH  # what comes after waits, and the step is open to more persons
    return ChangeClass.LOOSENING if gone else ChangeClass.TIGHTENING


def _of_votes(comparison: Comparison) -> Comparison:
    """Where several votes are asked for more often, what comes after waits, and more persons may vote."""
    if comparison.kind not in (ChangeClass.TIGHTENING, ChangeClass.LOOSENING):
        return comparison
    return Comparison(ChangeClass.BOTH, (), comparison.why)


def _changed(one: RuleSet, other: RuleSet, before: Constraint, after: Constraint) -> Iterator[Change]:
    def change(what: str, comparison: Comparison, old: str, new: str) -> Change:
        limit = _LIMITS.get(before.kind, "max")
        within = "apart" if before.kind is ConstraintKind.COOLING_OFF else "within"
        part = {"limit": limit, "within": within, "wording": "title"}.get(what, what)
        if before.kind is ConstraintKind.VOTES and what in ("when", "effective"):
            comparison = _of_votes(comparison)
        return Change(
            what=what,
            id=_id(before),
            act="changed",
            kind=comparison.kind,
            reason=comparison.why,
            before=old,
            after=new,
            where=(
                one.where("duty", before.id, part=(part,)),
                other.where("duty", after.id, part=(part,)),
            ),
            shown=comparison.shown,
        )

    def plain(what: str, kind: ChangeClass, why: str, old: object, new: object) -> Change:
        return change(what, Comparison(kind, (), why), str(old), str(new))

    if before.kind is not after.kind:
        yield plain(
            "kind", ChangeClass.NOT_PROVED, "another kind of constraint counts other things",
            _words(before), _words(after),
        )  # fmt: skip
        return
    if before.then is not after.then:
        kind = _effect_class(before.then, after.then)
        yield plain("then", kind, "a violation has another effect", before.then.value, after.then.value)
    reordered = before.ordered and after.ordered and before.steps != after.steps
    if (set(before.steps) != set(after.steps) or reordered) and not before.groups:
        kind, why = _steps_class(before, after)
        yield plain("steps", kind, why, ", ".join(before.steps), ", ".join(after.steps))
    if set(before.roles) != set(after.roles):
        kind = by_sets(before.roles, after.roles, more=ChangeClass.TIGHTENING)
        why = "the more roles are listed, the sooner a person holds too many of them"
        if before.dynamic or after.dynamic:
            kind, why = ChangeClass.NOT_PROVED, "a role more is used by its steps, and covers those of others"
        yield plain("roles", kind, why, ", ".join(before.roles), ", ".join(after.roles))
    elif before.dynamic and after.dynamic and before.groups != after.groups:
        yield plain(
            "roles", ChangeClass.NOT_PROVED, "the roles may take other steps, which is what uses them",
            _groups(before), _groups(after),
        )  # fmt: skip
    if before.limit != after.limit:
        kind, why = _limit_class(before, after)
        yield plain("limit", kind, why, before.limit, after.limit)
    yield from _changed_reach(before, after, plain)
    old, new = _source(before), _source(after)
    if old != new:
        yield change("when", _compared(one, other, before, after), old or "always", new or "always")
    elif data := changed_data(_tree(before), _tree(after)):
        yield change("when", _compared(one, other, before, after), *in_words(data))
    if before.effective != after.effective:
        kind, why = compared_periods((before.effective,), (after.effective,))
        yield plain(
            "effective", kind, why, periods_text((before.effective,)), periods_text((after.effective,))
        )
    if before.absolute != after.absolute:
        yield plain(
            "absolute", ChangeClass.NEUTRAL, "what may be asked to set it aside changed, and no answer does",
            before.absolute, after.absolute,
        )  # fmt: skip
    # A title that nobody wrote names what is counted.
    parts = ("message", "sources") if _counted(before) != _counted(after) else ("title", "message", "sources")
    changed = [part for part in parts if getattr(before, part) != getattr(after, part)]
    if changed:
        yield plain(
            "wording", ChangeClass.NEUTRAL, f"{', '.join(changed)} changed, and no answer does", "", ""
        )


def _counted(constraint: Constraint) -> Constraint:
    """What a title that nobody wrote is made of."""
    return replace(
        constraint, version="", then=Effect.DENY, title=Text("", ""), when=None, absolute=False, message=None,
        sources=(), effective=Period(),
    )  # fmt: skip


def _changed_reach(before: Constraint, after: Constraint, plain: Plain) -> Iterator[Change]:
    """Whose acts count, how far back, and against whom."""
    if before.scope is not after.scope:
        yield plain(
            "scope", ChangeClass.NOT_PROVED, "another scope counts the acts of other chains",
            before.scope.value, after.scope.value,
        )  # fmt: skip
    if before.within != after.within:
        longer = after.within is None or (before.within is not None and after.within > before.within)
        kind = ChangeClass.TIGHTENING if longer else ChangeClass.LOOSENING
        why = "acts count for longer" if longer else "acts count for less long"
        yield plain("within", kind, why, _span(before), _span(after))
    if before.ordered != after.ordered:
        kind = ChangeClass.LOOSENING if after.ordered else ChangeClass.TIGHTENING
        why = "steps listed later do not count" if after.ordered else "steps count in whatever order"
        yield plain("ordered", kind, why, before.ordered, after.ordered)
    if not (before.dynamic and after.dynamic) and before.groups != after.groups:
        yield plain(
            "groups", ChangeClass.NOT_PROVED, "other steps count as one", _groups(before), _groups(after)
        )
    if before.dynamic != after.dynamic:
        yield plain(
            "dynamic", ChangeClass.NOT_PROVED, "what is held and what is used are different things",
            before.dynamic, after.dynamic,
        )  # fmt: skip
    for what, why in (
        ("forbid", "persons related in one more way are kept apart"),
        ("differ", "persons must differ in one thing more"),
        ("distinct_from", "whoever took one of these has no vote"),
    ):
        old, new = getattr(before, what), getattr(after, what)
        if set(old) != set(new):
            kind = by_sets(old, new, more=ChangeClass.TIGHTENING)
            yield plain(what, kind, why, ", ".join(old), ", ".join(new))
    for name, what in (("conflict_class", "class"), ("dataset", "dataset")):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield plain(what, ChangeClass.NOT_PROVED, "the wall stands between other things", old, new)


def _span(constraint: Constraint) -> str:
    return "for ever" if constraint.within is None else str(canonical(constraint.within))


def _groups(constraint: Constraint) -> str:
    return "; ".join(f"{group.name}: {', '.join(group.steps)}" for group in constraint.groups)


def _limit_class(before: Constraint, after: Constraint) -> tuple[ChangeClass, str]:
    more = after.limit > before.limit
    if before.kind is ConstraintKind.VOTES:
        return (
            ChangeClass.BOTH,
            "what comes after waits for another number of votes, which more or fewer may give",
        )
    if before.kind in (ConstraintKind.AT_LEAST, ConstraintKind.COALITION):
        kind = by_rank(before.limit, after.limit, more=ChangeClass.TIGHTENING)
        return kind, "more persons are needed" if more else "fewer persons are needed"
    kind = by_rank(before.limit, after.limit, more=ChangeClass.LOOSENING)
    return kind, "a person may take more" if more else "a person may take fewer"


def _effect_class(before: Effect, after: Effect) -> ChangeClass:
    milder, stricter = looser(before, after), tighter(before, after)
    if milder and stricter:
        return ChangeClass.BOTH
    return ChangeClass.LOOSENING if milder else ChangeClass.TIGHTENING


def _steps_class(before: Constraint, after: Constraint) -> tuple[ChangeClass, str]:
    if before.kind is ConstraintKind.VOTES:
        return ChangeClass.NOT_PROVED, "another step is voted on"
    if before.kind not in _MORE_STEPS_TIGHTEN:
        # at_least, coalition: a step more is one more chance for another person, and is itself counted
        return ChangeClass.NOT_PROVED, "a step more is counted, and gives room for one more person"
    if before.ordered and [step for step in before.steps if step in after.steps] != [
        step for step in after.steps if step in before.steps
    ]:
        return ChangeClass.NOT_PROVED, "which step comes before which has changed"
    if not before.steps or not after.steps:  # a wall over every step
        kind = ChangeClass.LOOSENING if after.steps else ChangeClass.TIGHTENING
        return kind, "fewer steps count" if after.steps else "every step counts"
    kind = by_sets(before.steps, after.steps, more=ChangeClass.TIGHTENING)
    added = [step for step in after.steps if step not in before.steps]
    gone = [step for step in before.steps if step not in after.steps]
    said = [f"{', '.join(added)} count as well"] if added else []
    said += [f"{', '.join(gone)} count no longer"] if gone else []
    return kind, "; ".join(said)


def _source(constraint: Constraint) -> str:
    return "" if constraint.when is None else constraint.when.source


def _compared(one: RuleSet, other: RuleSet, before: Constraint, after: Constraint) -> Comparison:
    """The conditions: a constraint applies unless its condition is false."""
    trees = [_tree(before), _tree(after)]
    periods = overlap((before.effective,), (after.effective,))
    names = frozenset().union(*map(facts_of, trees))
    domains = shared_domains(one.release.vocabulary, other.release.vocabulary, names)
    if isinstance(domains, str):
        return Comparison(ChangeClass.NOT_PROVED, (), domains)
    effects = {Truth.TRUE: before.then, Truth.UNKNOWN: before.then, Truth.FALSE: None}

    def confirm(facts: Facts) -> Shown:
        answers = [
            before.then if item.when is None or item.when.evaluate(facts).truth is not Truth.FALSE else None
            for item in (before, after)
        ]
        return Shown(
            f"{before.chain or 'any'}.{before.steps[-1] if before.steps else '*'}", facts, names, *answers
        )

    timed = any(map(reads_time, trees)) and periods not in ((), (Period(),))
    found = compare(
        Speaker.of(trees[0], effects),
        Speaker.of(trees[1], effects),
        domains=domains,
        confirm=confirm,
        given=(holds(within(periods)),) if timed else (),
    )
    says = {
        ChangeClass.TIGHTENING: "it applies to more requests",
        ChangeClass.LOOSENING: "it applies to fewer requests",
        ChangeClass.BOTH: "it applies to some requests more and to others no longer",
        ChangeClass.NEUTRAL: "it applies to the same requests",
        ChangeClass.NOT_PROVED: "to which requests it applies could not be compared",
    }[found.kind]
    return Comparison(found.kind, found.shown, f"{says} ({found.why})" if found.why else says)


def _tree(constraint: Constraint) -> Typed:
    if constraint.when is None:
        return ALWAYS
    assert isinstance(constraint.when, WholeCondition)
    return constraint.when.tree
