"""Chain kinds of two rule sets, compared by what they ask of whoever takes a step.

Guarantees: a class other than `not proved` follows from `controls.duties.order` and from the built-in
constraints; what helps some requests and holds up others is `both`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from controls.model.chain import ChainKind, Repeats, Step
from controls.model.values import canonical
from controls.rules.changes import Change, ChangeClass, by_sets
from controls.rules.rule_sets import RuleSet, Where

_LOOSE: Final = {Repeats.NEVER: 0, Repeats.SAME_PERSON: 1, Repeats.ANYONE: 2}


def changed_chains(one: RuleSet, other: RuleSet) -> Iterator[Change]:
    """The changes of all chain kinds, by resource type."""
    ours, theirs = one.release.chains, other.release.chains
    for resource in sorted(ours.keys() | theirs.keys()):
        before, after = ours.get(resource), theirs.get(resource)
        where = (one.where("chain", resource), other.where("chain", resource))
        if before is not None and after is not None:
            yield from _Chain(one, other, before, after).changes()
            continue
        added = after is not None
        yield Change(
            what="chain",
            id=resource,
            act="added" if added else "removed",
            kind=ChangeClass.TIGHTENING if added else ChangeClass.LOOSENING,
            reason=f"the steps of {resource} now keep an order and nobody takes them all"
            if added
            else f"the steps of {resource} keep no order any more and one person may take them all",
            before=_steps(before),
            after=_steps(after),
            where=where,
        )


def _steps(kind: ChainKind | None) -> str:
    return "" if kind is None else ", ".join(step.id for step in kind.steps)


class _Chain:
    """One chain kind before and after."""

    def __init__(self, one: RuleSet, other: RuleSet, before: ChainKind, after: ChainKind) -> None:
        self.one, self.other, self.before, self.after = one, other, before, after

    def changes(self) -> Iterator[Change]:
        before, after = self.before, self.after
        if before.id != after.id:
            yield self._change(
                "chain", ChangeClass.BOTH,
                f"chains of {before.id} are unknown from then on: what was done on them counts for nobody "
                "on a chain of the new kind, and those under way begin anew",
                before.id, after.id,
            )  # fmt: skip
        for what, states, words, says in (
            (
                "order",
                (before.free_order, after.free_order),
                ("ordered", "free"),
                ("steps keep their order", "steps may be taken in any order"),
            ),
            (
                "progress",
                (before.progress_claimed, after.progress_claimed),
                ("performed", "claimed"),
                ("a step follows one that was performed", "a step may follow one that is only claimed"),
            ),
            (
                "sole_actor",
                (before.sole_actor_allowed, after.sole_actor_allowed),
                ("refused", "allowed"),
                (
                    "the chain's only actor may not take its last step",
                    "the chain's only actor may take its last step",
                ),
            ),
        ):
            old, new = states
            if old != new:
                kind = ChangeClass.LOOSENING if new else ChangeClass.TIGHTENING
                yield self._change(what, kind, says[new], words[old], words[new])
        if before.claim_valid_for != after.claim_valid_for:
            yield self._change(
                "claim_valid_for", ChangeClass.NOT_PROVED,
                "a longer claim serves its holder and may hold up others",
                str(canonical(before.claim_valid_for)), str(canonical(after.claim_valid_for)),
            )  # fmt: skip
        if before.resembles != after.resembles:
            spans = (before.resembles, after.resembles)
            longer = after.resembles is not None and (before.resembles or timedelta()) < after.resembles
            yield self._change(
                "resembles", ChangeClass.TIGHTENING if longer else ChangeClass.LOOSENING,
                "more new chains are flagged as like another" if longer
                else "fewer new chains are flagged as like another",
                *("never" if span is None else str(canonical(span)) for span in spans),
            )  # fmt: skip
        yield from self._material("material", before.material, after.material, "")
        yield from self._material("if_stated", before.if_stated, after.if_stated, "")
        yield from self._changed_steps()
        if before.title != after.title:
            yield self._change(
                "wording", ChangeClass.NEUTRAL, "the title changed, and no answer does", "", ""
            )

    def _changed_steps(self) -> Iterator[Change]:
        before = {step.id: step for step in self.before.steps}
        after = {step.id: step for step in self.after.steps}
        for name in [*before, *(name for name in after if name not in before)]:
            old, new = before.get(name), after.get(name)
            if old is not None and new is not None:
                yield from self._changed_step(old, new)
                continue
            step = old or new
            assert step is not None
            mandatory = "an optional" if step.optional else "a mandatory"
            yield self._change(
                "step", ChangeClass.NOT_PROVED,
                f"{mandatory} step {'less' if new is None else 'more'}: the chain has another order, and to "
                "take all of it means another thing",
                "" if old is None else name, "" if new is None else name, step=name,
                act="removed" if new is None else "added",
            )  # fmt: skip
        kept = [name for name in before if name in after]
        if kept != [name for name in after if name in before]:
            yield self._change(
                "steps", ChangeClass.NOT_PROVED, "which step begins the chain and which ends it may differ",
                _steps(self.before), _steps(self.after),
            )  # fmt: skip

    def _changed_step(self, old: Step, new: Step) -> Iterator[Change]:
        name = old.id
        if set(old.after) != set(new.after):
            kind = by_sets(old.after, new.after, more=ChangeClass.TIGHTENING)
            optional = {step.id for kind in (self.before, self.after) for step in kind.steps if step.optional}
            if optional.intersection(old.after, new.after) or optional.intersection(old.after + new.after):
                kind = ChangeClass.NOT_PROVED  # an optional step hands on what it waits for
            if not old.after or not new.after:
                kind = ChangeClass.NOT_PROVED  # whether it begins a chain changed as well
            yield self._change(
                "after", kind, f"{name} waits for other steps", ", ".join(old.after), ", ".join(new.after),
                step=name,
            )  # fmt: skip
        if old.optional != new.optional:
            yield self._change(
                "optional", ChangeClass.BOTH,
                "a mandatory step is waited for, and leaves more that one person may not take alone",
                str(old.optional).lower(), str(new.optional).lower(), step=name,
            )  # fmt: skip
        if old.repeats is not new.repeats:
            more = _LOOSE[new.repeats] > _LOOSE[old.repeats]
            yield self._change(
                "repeats", ChangeClass.LOOSENING if more else ChangeClass.TIGHTENING,
                f"more persons may repeat {name}" if more else f"fewer persons may repeat {name}",
                old.repeats.value, new.repeats.value, step=name,
            )  # fmt: skip
        if old.reapprove != new.reapprove:
            yield self._change(
                "reapprove", ChangeClass.TIGHTENING if new.reapprove else ChangeClass.LOOSENING,
                f"an amendment {'asks' if new.reapprove else 'no longer asks'} for {name} again",
                str(old.reapprove).lower(), str(new.reapprove).lower(), step=name,
            )  # fmt: skip
        if old.votes != new.votes:
            yield self._change(
                "votes", ChangeClass.BOTH,
                "what comes after waits for another number of votes, which more or fewer persons may give",
                str(old.votes), str(new.votes), step=name,
            )  # fmt: skip
        if old.material != new.material:
            yield from self._material(
                "material", self.before.material_of(old), self.after.material_of(new), name
            )
        if old.lines != new.lines:
            yield self._change(
                "lines", ChangeClass.NOT_PROVED, "other lines are recorded and bounded", old.lines, new.lines,
                step=name,
            )  # fmt: skip
        if (old.title, old.office) != (new.title, new.office):
            yield self._change(
                "wording", ChangeClass.NEUTRAL, "title or office changed, and no answer does", "", "",
                step=name,
            )  # fmt: skip

    def _material(self, what: str, old: tuple[str, ...], new: tuple[str, ...], step: str) -> Iterator[Change]:
        if set(old) != set(new):
            added = [fact for fact in new if fact not in old]
            gone = [fact for fact in old if fact not in new]
            said = [f"{', '.join(added)} may not change along the way any more"] if added else []
            said += [f"{', '.join(gone)} may change along the way"] if gone else []
            yield self._change(
                what, by_sets(old, new, more=ChangeClass.TIGHTENING), "; ".join(said), ", ".join(old),
                ", ".join(new), step=step,
            )  # fmt: skip

    def _change(
        self, what: str, kind: ChangeClass, reason: str, old: str, new: str, *, step: str = "",
        act: str = "changed",
    ) -> Change:  # fmt: skip
        resource = self.before.resource
        return Change(
            what=what,
            id=f"{resource}.{step}" if step else resource,
            act=act,
            kind=kind,
            reason=reason,
            before=old,
            after=new,
            where=(self._where(self.one, step, what), self._where(self.other, step, what)),
        )

    def _where(self, rules: RuleSet, step: str, what: str) -> Where | None:
        part = ("title" if what == "wording" else what,)
        resource = self.before.resource
        own = rules.where("step", resource, step, part=part) if step else None
        return own or rules.where("chain", resource, part=part)
