"""Roles and grants of two rule sets, compared by who may do what.

Guarantees: what is compared is the permission of each role for each action, not how grants are written down;
a permission on conditions counts only where its condition is true, as in decisions. `permissions` answers the
question for what a role holds with all that it inherits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from controls.model.condition import Facts, Truth
from controls.model.duty import ConstraintKind, Grant
from controls.model.finding import Effect
from controls.model.values import Json
from controls.rules.changes import Change, ChangeClass, Shown
from controls.rules.compare_conditions import (
    ALWAYS,
    Comparison,
    Speaker,
    any_of,
    asked,
    compare,
    shared_domains,
)
from controls.rules.condition import WholeCondition
from controls.rules.evaluate import compiled
from controls.rules.folding import Folder
from controls.rules.rule_sets import RuleSet
from controls.rules.tree import Typed, facts_of

# (role, `resource.action`) -> the conditions of its grants; None stands for no condition.
Granted: TypeAlias = Mapping[tuple[str, str], tuple[WholeCondition | None, ...]]

_EFFECTS = {Truth.TRUE: None, Truth.UNKNOWN: Effect.DENY, Truth.FALSE: Effect.DENY}


@dataclass(frozen=True, slots=True)
class Permission:
    """What a role, with all it inherits, may do in one rule set and not, or not always, in the other."""

    role: str
    action: str
    before: str  # `never`, `always` or its conditions
    after: str
    kind: ChangeClass

    def as_json(self) -> dict[str, Json]:
        return {
            "role": self.role, "action": self.action, "a": self.before, "b": self.after,
            "class": self.kind.value,
        }  # fmt: skip


def changed_grants(one: RuleSet, other: RuleSet) -> Iterator[Change]:
    """The changes of roles and of what is granted to them directly."""
    yield from _changed_roles(one, other)
    ours, theirs = _granted(one.release.grants), _granted(other.release.grants)
    for role, action in sorted(ours.keys() | theirs.keys()):
        before, after = ours.get((role, action), ()), theirs.get((role, action), ())
        if _keys(before) == _keys(after):
            continue
        found = _compared(one, other, action, before, after)
        says = {
            ChangeClass.LOOSENING: f"{role} may take {action} on more requests",
            ChangeClass.TIGHTENING: f"{role} may take {action} on fewer requests",
            ChangeClass.BOTH: f"{role} may take {action} on other requests",
            ChangeClass.NEUTRAL: f"{role} may take {action} on the same requests",
            ChangeClass.NOT_PROVED: f"on which requests {role} may take {action} could not be compared",
        }[found.kind]
        if not before or not after:
            says = f"{role} {'may now' if after else 'may no longer'} take {action}"
        resource = action.partition(".")[0]
        yield Change(
            what="grant",
            id=f"{role}: {action}",
            act="changed" if before and after else "added" if after else "removed",
            kind=found.kind,
            reason=f"{says} ({found.why})" if found.why else says,
            before=_words(before) if before else "",
            after=_words(after) if after else "",
            where=(
                one.where("grant", role, resource) if before else None,
                other.where("grant", role, resource) if after else None,
            ),
            shown=found.shown,
        )


def permissions(one: RuleSet, other: RuleSet) -> tuple[Permission, ...]:
    """Who may do what on one side only, or on other requests; roles with all that they inherit."""
    ours, theirs = _held(one), _held(other)
    found = []
    for role, action in sorted(ours.keys() | theirs.keys()):
        before, after = ours.get((role, action), ()), theirs.get((role, action), ())
        if _keys(before) != _keys(after):
            kind = _compared(one, other, action, before, after).kind
            if kind is not ChangeClass.NEUTRAL:
                found.append(Permission(role, action, _words(before), _words(after), kind))
    return tuple(found)


def _changed_roles(one: RuleSet, other: RuleSet) -> Iterator[Change]:
    ours, theirs = one.release.roles, other.release.roles
    counted = {
        role
        for rules in (one, other)
        for item in rules.release.constraints
        if item.kind is ConstraintKind.EXCLUSIVE_ROLES
        for role in item.roles
    }
    for role in sorted(ours.keys() | theirs.keys()):
        where = (one.where("role", role), other.where("role", role))
        if role not in ours or role not in theirs:
            added = role in theirs
            yield Change(
                what="role",
                id=role,
                act="added" if added else "removed",
                kind=ChangeClass.NEUTRAL,
                reason="what it may do stands with the grants"
                if added
                else "what it could do stands with the grants",
                where=where,
            )
            continue
        more, less = theirs[role] - ours[role], ours[role] - theirs[role]
        if more or less:
            kind = (
                ChangeClass.BOTH
                if more and less
                else ChangeClass.LOOSENING
                if more
                else ChangeClass.TIGHTENING
            )
            said = [f"it now has all that {', '.join(sorted(more))} may do"] if more else []
            said += [f"it no longer has what {', '.join(sorted(less))} may do"] if less else []
            if counted & (more | less):
                kind = ChangeClass.BOTH
                said.append("constraints on exclusive roles count that")
            yield Change(
                what="role", id=role, act="changed", kind=kind, reason="; ".join(said), where=where,
                before=_inherited(role, ours), after=_inherited(role, theirs),
            )  # fmt: skip
        elif one.release.role_titles.get(role) != other.release.role_titles.get(role):
            yield Change(
                what="wording", id=role, act="changed", kind=ChangeClass.NEUTRAL, where=where,
                reason="the title changed, and no answer does",
            )  # fmt: skip


def _inherited(role: str, implied: Mapping[str, frozenset[str]]) -> str:
    return ", ".join(sorted(implied[role] - {role}))


def _granted(grants: Iterable[Grant]) -> Granted:
    found: dict[tuple[str, str], tuple[WholeCondition | None, ...]] = {}
    for grant in grants:
        condition = grant.when
        assert condition is None or isinstance(condition, WholeCondition)
        for action in dict.fromkeys(grant.actions):
            key = (grant.role, f"{grant.resource}.{action}")
            found[key] = (*found.get(key, ()), condition)
    return found


def _held(rules: RuleSet) -> Granted:
    """As `_granted`, with what each role inherits."""
    direct = _granted(rules.release.grants)
    found: dict[tuple[str, str], tuple[WholeCondition | None, ...]] = {}
    for role, implied in rules.release.roles.items():
        for (granted, action), conditions in direct.items():
            if granted in implied:
                found[role, action] = (*found.get((role, action), ()), *conditions)
    return found


def _keys(conditions: tuple[WholeCondition | None, ...]) -> frozenset[str]:
    """What a permission rests on; one without a condition makes the others idle."""
    if None in conditions:
        return frozenset({""})
    return frozenset(item.key for item in conditions if item is not None)


def _words(conditions: tuple[WholeCondition | None, ...]) -> str:
    if not conditions:
        return "never"
    if None in conditions:
        return "always"
    return " or ".join(f"when {item.source}" for item in dict.fromkeys(conditions) if item is not None)


def _compared(
    one: RuleSet,
    other: RuleSet,
    action: str,
    before: tuple[WholeCondition | None, ...],
    after: tuple[WholeCondition | None, ...],
) -> Comparison:
    if not before or not after:
        return Comparison(ChangeClass.LOOSENING if after else ChangeClass.TIGHTENING)
    trees = [_tree(before), _tree(after)]
    names = frozenset().union(*map(facts_of, trees))
    domains = shared_domains(one.release.vocabulary, other.release.vocabulary, names)
    if isinstance(domains, str):
        return Comparison(ChangeClass.NOT_PROVED, (), domains)
    runs = [compiled(Folder().fold(tree)) for tree in trees]

    def confirm(facts: Facts) -> Shown:
        answers = [None if run(facts, ()) is True else Effect.DENY for run in runs]
        return Shown(action, facts, names, *answers)

    return compare(
        Speaker.of(trees[0], _EFFECTS),
        Speaker.of(trees[1], _EFFECTS),
        domains=domains,
        confirm=confirm,
        given=asked(action, trees=trees),
    )


def _tree(conditions: tuple[WholeCondition | None, ...]) -> Typed:
    if None in conditions:
        return ALWAYS
    trees = {item.key: item.tree for item in conditions if item is not None}
    return any_of([trees[key] for key in sorted(trees)])
