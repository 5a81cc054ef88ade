"""Duty constraints of two rule sets, compared by what they keep apart or together.

Guarantees: a class follows from the formula of the constraint's kind (see `controls.duties.constraints`): it
is claimed only for changes under which every violation stays one, or every kept constraint stays kept.
Constraints that are built in follow from the chain kinds and are reported there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from controls.model.condition import Facts, Truth
from controls.model.duty import Constraint, ConstraintKind, Period
from controls.model.finding import Effect
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

_MORE_STEPS: Final = {
    ConstraintKind.SEPARATE: ChangeClass.TIGHTENING,
    ConstraintKind.AT_MOST: ChangeClass.TIGHTENING,
    ConstraintKind.BIND: ChangeClass.TIGHTENING,
}


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
            kind=ChangeClass.LOOSENING if gone else ChangeClass.TIGHTENING,
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
    return f"{constraint.kind.value}{limit}: {', '.join(parts)}"


def _changed(one: RuleSet, other: RuleSet, before: Constraint, after: Constraint) -> Iterator[Change]:
    def change(what: str, comparison: Comparison, old: str, new: str) -> Change:
        limit = "min" if before.kind is ConstraintKind.AT_LEAST else "max"
        part = {"limit": limit, "wording": "title"}.get(what, what)
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
    if set(before.steps) != set(after.steps):
        kind, why = _steps_class(before, after)
        yield plain("steps", kind, why, ", ".join(before.steps), ", ".join(after.steps))
    if set(before.roles) != set(after.roles):
        kind = by_sets(before.roles, after.roles, more=ChangeClass.TIGHTENING)
        yield plain(
            "roles", kind, "the more roles are listed, the sooner a person holds too many of them",
            ", ".join(before.roles), ", ".join(after.roles),
        )  # fmt: skip
    if before.limit != after.limit:
        least = before.kind is ConstraintKind.AT_LEAST
        kind = by_rank(
            before.limit, after.limit, more=ChangeClass.TIGHTENING if least else ChangeClass.LOOSENING
        )
        why = "more persons are needed" if after.limit > before.limit else "fewer persons are needed"
        if not least:
            why = "a person may take more" if after.limit > before.limit else "a person may take fewer"
        yield plain("limit", kind, why, before.limit, after.limit)
    if before.scope is not after.scope:
        yield plain(
            "scope", ChangeClass.NOT_PROVED, "chains and accounts count different acts",
            before.scope.value, after.scope.value,
        )  # fmt: skip
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


def _counted(constraint: Constraint) -> tuple[object, ...]:
    return constraint.steps, constraint.roles, constraint.limit, constraint.scope


def _effect_class(before: Effect, after: Effect) -> ChangeClass:
    milder, stricter = looser(before, after), tighter(before, after)
    if milder and stricter:
        return ChangeClass.BOTH
    return ChangeClass.LOOSENING if milder else ChangeClass.TIGHTENING


def _steps_class(before: Constraint, after: Constraint) -> tuple[ChangeClass, str]:
    more = _MORE_STEPS.get(before.kind)
    if more is None:  # at_least: a step more is one more chance for another person, and is itself counted
        return ChangeClass.NOT_PROVED, "a step more is counted, and gives room for one more person"
    kind = by_sets(before.steps, after.steps, more=more)
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
