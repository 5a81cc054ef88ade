"""Vocabularies of two rule sets, compared by which requests they accept.

Guarantees: a class other than `not proved` follows from the reading of facts: a value that is not of its
fact's type is refused, and what is not declared is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

from controls.rules.changes import Change, ChangeClass, by_rank, by_sets
from controls.rules.rule_sets import RuleSet
from controls.rules.vocabulary import FactDeclaration


def changed_vocabulary(one: RuleSet, other: RuleSet) -> Iterator[Change]:
    """The changes of subject types and facts."""
    ours, theirs = one.release.vocabulary, other.release.vocabulary
    if ours.subject_types != theirs.subject_types:
        yield Change(
            what="subject_types",
            id="vocabulary",
            act="changed",
            kind=by_sets(ours.subject_types, theirs.subject_types, more=ChangeClass.LOOSENING),
            reason="subjects of other types are refused",
            before=", ".join(sorted(ours.subject_types)),
            after=", ".join(sorted(theirs.subject_types)),
            where=(
                one.where("vocabulary", part=("subject_types",)),
                other.where("vocabulary", part=("subject_types",)),
            ),
        )
    for name in sorted(ours.facts.keys() | theirs.facts.keys()):
        before, after = ours.facts.get(name), theirs.facts.get(name)
        if before is not None and after is not None:
            yield from _changed_fact(one, other, before, after)
            continue
        added = after is not None
        yield Change(
            what="fact",
            id=name,
            act="added" if added else "removed",
            kind=ChangeClass.TIGHTENING if added else ChangeClass.LOOSENING,
            reason="it was ignored, and a value of another type is now refused"
            if added
            else "it is now ignored, whatever its value",
            before="" if before is None else str(before.type),
            after="" if after is None else str(after.type),
            where=(one.where("fact", name), other.where("fact", name)),
        )


def _changed_fact(
    one: RuleSet, other: RuleSet, before: FactDeclaration, after: FactDeclaration
) -> Iterator[Change]:
    name = before.name

    def change(what: str, kind: ChangeClass, reason: str, old: str, new: str) -> Change:
        return Change(
            what=what,
            id=name,
            act="changed",
            kind=kind,
            reason=reason,
            before=old,
            after=new,
            where=(one.where("fact", name, part=(what,)), other.where("fact", name, part=(what,))),
        )

    if before.type != after.type:
        yield change(
            "type", ChangeClass.NOT_PROVED, "requests are read differently", str(before.type), str(after.type)
        )
        return
    if before.values != after.values and set(before.values) != set(after.values):
        if before.values and after.values:
            kind = by_sets(before.values, after.values, more=ChangeClass.LOOSENING)
        else:
            kind = ChangeClass.TIGHTENING if after.values else ChangeClass.LOOSENING
        yield change(
            "values", kind, "other values are refused", ", ".join(before.values) or "any",
            ", ".join(after.values) or "any",
        )  # fmt: skip
    if before.format != after.format:
        kind = ChangeClass.LOOSENING if before.format else ChangeClass.TIGHTENING
        if before.format and after.format:
            kind = ChangeClass.NOT_PROVED
        yield change(
            "format", kind, "what has another form is refused", before.format or "any", after.format or "any"
        )
    for what in ("max_length", "max_items"):
        old, new = getattr(before, what), getattr(after, what)
        if old != new:
            kind = by_rank(old, new, more=ChangeClass.LOOSENING)
            yield change(what, kind, "what is longer is refused", str(old), str(new))
    if before.public != after.public:
        shows = "now show its values" if after.public else "no longer show its values"
        yield change(
            "public", ChangeClass.NEUTRAL, f"no answer changes; records {shows}", str(before.public).lower(),
            str(after.public).lower(),
        )  # fmt: skip
    parts = ("label", "unit", "fix", "iso", "stated")
    changed = [part for part in parts if getattr(before, part) != getattr(after, part)]
    if changed:
        yield change(
            "wording", ChangeClass.NEUTRAL, f"{', '.join(changed)} changed, and no answer does", "", ""
        )
