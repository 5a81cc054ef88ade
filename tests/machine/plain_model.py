"""Duty separation as plainly as it can be written: what speaks against an act, and what comes of it.

Written from the design of duty separation alone. Nothing of the engine is used here, so that where both say
the same, two readings of the design agree. Persons are numbers and have no names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations

from tests.machine.plain_amendments import Amendments
from tests.machine.plain_words import UNKNOWN, Accepted, Act, Ask, Chain, Duty, Kind, Lent, Step

EFFECTS = ("flag", "review", "deny")
# What is said of an amendment that nobody can make.
CANNOT_BE_AMENDED = {"unknown_chain", "material_missing", "amend_too_late"}


class World(Amendments):
    """Everything that verdicts are about."""

    # --- A verdict ----------------------------------------------------------------------------------------

    def verdict(self, ask: Ask) -> dict[str, str]:
        """What speaks against an act, each with its effect; nothing: it is permitted."""
        if ask.person is None:
            return {"unknown_subject": "deny"} | ({"break_glass_refused": "deny"} if ask.glass else {})
        found = dict.fromkeys(self._structure(ask), "deny")
        found |= dict.fromkeys(["joined_history"] * bool(effect := self._joined(ask)), effect)
        found |= dict.fromkeys(["moved_history"] * bool(effect := self._moved(ask)), effect)
        if ask.step == "amend" and not found.keys() & CANNOT_BE_AMENDED:
            effect = max(self.breaks_when_amended(ask), key=EFFECTS.index, default="")
            found |= dict.fromkeys(["amended_history"] * bool(effect), effect)
        stands = "deny" in found.values()  # whatever a second person lifts
        built_in = (*self._built_in(self.kinds[ask.chain[0]]),)
        for duty in (*built_in, *self.duties):
            for who in ask.hands:
                if not self.applies(duty, ask) or not self.breaks(duty, ask, who):
                    continue
                known = self.known_to_apply(duty, ask, who)
                effect = "flag" if known and self.accepts(duty, who) else duty.then
                found[duty.id] = max(effect, found.get(duty.id, effect), key=EFFECTS.index)
                stands |= effect == "deny" and (not known or duty.absolute or duty in built_in)
        if ask.glass and stands:
            found["break_glass_refused"] = "deny"
        return found

    def lends(self, ask: Ask) -> bool:
        """Whether a delegation in force lets the person act for whom he or she says."""
        return any(
            (item.person, item.delegate, item.kind) == (ask.behalf, ask.person, ask.chain[0])
            and ask.step in item.steps
            and self.now < item.until
            for item in self.lent
        )

    def accepts(self, duty: Duty, person: int) -> bool:
        """Whether a person's conflict with a constraint is accepted, which one that is absolute never is."""
        return not duty.absolute and any(
            (item.person, item.rule) == (person, duty.id) and self.now < item.until for item in self.accepted
        )

    def _structure(self, ask: Ask) -> Iterator[str]:
        """Grants, the order of steps, claims, material facts, lineage."""
        assert ask.person is not None
        kind = self.kinds[ask.chain[0]]
        if ask.behalf == UNKNOWN:
            yield "unknown_principal"
        elif ask.beside is not None and not self.lends(ask):
            yield "no_delegation"
        if not self.granted(ask.hands[-1], kind.id, ask.step):
            yield "no_grant"
        yield from self._lineage(ask)
        begun = self.begun(ask.chain)
        force = self.in_force(ask.chain)
        missing = [name for name in kind.material if name not in ask.facts]
        if ask.step == "amend":
            if not begun:
                yield "unknown_chain"
            if missing:
                yield "material_missing"
            again = {step.id for step in kind.steps if step.reapprove}
            if any(self.standing(ask.chain, step) for step in self.following(kind, again)):
                yield "amend_too_late"
            return
        if missing:
            yield "material_missing"
        if begun and any(ask.facts.get(name, force[name]) != force[name] for name in kind.material):
            yield "material_changed"
        step = kind.step(ask.step)
        if not kind.free and step.after and not begun:
            yield "unknown_chain"
        elif not kind.free and any(self._waits(ask, before) for before in step.after):
            yield "not_yet"
        yield from self._claims(ask, step)

    def _waits(self, ask: Ask, before: str) -> bool:
        """Whether a step must still be done; for an optional one not begun, what it comes after."""
        step = self.kinds[ask.chain[0]].step(before)
        begun = any(
            act.step == before and act.acted and act.state not in ("abandoned", "void")
            for act in self.on(ask.chain)
        )
        if step.optional and not begun:
            return any(self._waits(ask, earlier) for earlier in step.after)
        return not self.performed(ask, before)

    def following(self, kind: Kind, steps: set[str]) -> set[str]:
        """All steps that come after some of these, directly or not."""
        found: set[str] = set()
        for _ in kind.steps:
            found |= {step.id for step in kind.steps if (steps | found) & {*step.after}}
        return found

    def _claims(self, ask: Ask, step: Step) -> Iterator[str]:
        held = self.standing(ask.chain, step.id)
        own = [act for act in held if (act.person, act.beside) == (ask.person, ask.beside)]
        if step.repeats == "anyone":
            return
        if step.repeats == "same_person":
            if held and not own:
                performed = any(act.state == "performed" for act in held)
                yield "already_performed" if performed else "claimed_by_other"
            return
        needed = self.votes(ask, step.id)
        voted = [act for act in held if not act.hands.isdisjoint(ask.hands)]
        if needed > 1 and voted and not any(act.state == "claimed" for act in own):
            # One vote for each person, whoever gave it.
            yield "already_performed" if voted[-1].state == "performed" else "claimed_by_other"
        elif any(act.state == "performed" for act in own):
            yield "already_performed"
        elif not own and len(held) >= needed:
            done = [act for act in held if act.state == "performed"]
            yield "already_performed" if len(done) >= needed else "claimed_by_other"

    def _lineage(self, ask: Ask) -> Iterator[str]:
        if not ask.older:
            return
        if any(older == ask.chain or not self.begun(older) for older in ask.older):
            yield "lineage_unknown"
        if self.begun(ask.chain) and not {*ask.older} <= {*self.links.get(ask.chain, ())}:
            yield "lineage_changed"

    def _joined(self, ask: Ask) -> str:
        """What bringing older chains together leads to: it breaks what none of them breaks alone."""
        if self.begun(ask.chain):
            return ""
        parts = [self.ancestry(older, self.links) for older in ask.older]
        whole: set[Chain] = set().union(*parts)
        wholes = [built for kind in self.kinds.values() for built in self._built_in(kind)]
        effects = {
            duty.then
            for duty in (*wholes, *self.duties)
            if self.applies(duty, ask)
            and (
                any(
                    not any(person in self._broken_on(duty, part) for part in parts)
                    for person in self._broken_on(duty, whole)
                )
                or self._joins_approvers(duty, ask.chain, whole)
            )
        }
        return next((effect for effect in ("deny", "review", "flag") if effect in effects), "")

    def _moved(self, ask: Ask) -> str:
        """What it leads to that an amendment brings a chain somewhere else: what was done on it counts there,
        too."""
        if ask.step != "amend":
            return ""
        effects = [
            duty.then for duty in self.duties if self.applies(duty, ask) and self.moves_into(duty, ask)
        ]
        return max(effects, key=EFFECTS.index, default="")

    def _broken_on(self, duty: Duty, chains: set[Chain]) -> set[int]:
        """The persons whose acts on these chains, taken together, break a constraint; one with an order keeps
        nobody from what comes first on its list."""
        hands: dict[int, list[Act]] = {}
        for act in self.acts:
            if act.chain in chains:
                hands.setdefault(act.person, []).append(act)
        if duty.kind == "separate" and duty.ordered:
            return {
                person
                for person, acts in hands.items()
                for early, late in combinations([act for act in acts if act.counts in duty.steps], 2)
                if self.against(duty, late.counts, early, late.at)
            }
        return {person for person, acts in hands.items() if self.too_much(duty, {act.counts for act in acts})}

    def _joins_approvers(self, duty: Duty, chain: Chain, whole: set[Chain]) -> bool:
        """Whether a constraint is broken by what was approved of a chain, together with what this one is now
        said to come from, and by neither alone."""
        both = {chain, *whole}
        if duty.kind != "relation":
            alone = self._broken_on(duty, {chain}) | self._broken_on(duty, whole)
            return not self._broken_on(duty, both) <= alone
        alone = self._beside_relatives(duty, {chain}) | self._beside_relatives(duty, whole)
        return not self._beside_relatives(duty, both) <= alone

    def _beside_relatives(self, duty: Duty, chains: set[Chain]) -> set[int]:
        """Who acted after somebody to whom he or she is known to be related, on steps that are kept apart."""
        acts = [act for act in self.acts if act.chain in chains and act.counts in duty.steps]
        return {
            late.person
            for number, late in enumerate(acts)
            for early in acts[:number]
            if self.against(duty, late.counts, early, late.at)
            and self._relation(duty, late.person, early.person)
        }

    def _built_in(self, kind: Kind) -> Iterator[Duty]:
        yield Duty("whole_chain", "whole_chain", "deny", tuple(kind.mandatory))
        if not kind.sole_allowed:
            yield Duty("sole_actor", "sole_actor", "deny", tuple(kind.mandatory[-1:]))

    # --- What happens -------------------------------------------------------------------------------------

    def take(self, ask: Ask, decision: str) -> None:
        """A permit goes on record; asked again it shares the claim that is there."""
        assert ask.person is not None
        kind = self.kinds[ask.chain[0]]
        facts = {name: ask.facts[name] for name in kind.material}
        if not self.begun(ask.chain) and ask.older:
            self.links[ask.chain] = ask.older
        live = [act for act in self.standing(ask.chain, ask.step) if act.state == "claimed"]
        own = [act for act in live if (act.person, act.beside) == (ask.person, ask.beside)]
        if own:
            self.shared[decision] = own[-1].decision
            return
        state, done = "claimed", self.now if kind.claimed else None
        if ask.step == "amend":
            state, done = "performed", self.now
            again = {step.id for step in kind.steps if step.reapprove}
            self._change(lambda act: act.chain == ask.chain and act.step in again and act.stands, "reopened")
        act = Act(ask.chain, ask.step, ask.person, self.now, decision, state, beside=ask.beside, facts=facts)
        act = replace(act, done=done)
        self.acts.append(act)
        if ask.beside is not None:
            theirs = replace(act, person=ask.beside, beside=ask.person)
            self.acts.append(replace(theirs, state="performed", capacity="principal"))

    def approve(self, ask: Ask, supervisor: int) -> None:
        """Whoever approves a step counts as having acted on it; before the chain has begun, on what is asked
        for."""
        named = () if self.begun(ask.chain) else self.kinds[ask.chain[0]].material
        facts = {name: ask.facts[name] for name in named if name in ask.facts}
        act = Act(ask.chain, ask.step, supervisor, self.now, "", "performed", facts=facts)
        self.acts.append(replace(act, capacity="approver", done=self.now))

    def report(self, decision: str, state: str) -> bool:
        """What became of a claim; False: it is refused."""
        claim = self.shared.get(decision, decision)
        act = next(act for act in self.acts if act.decision == claim)
        if act.state != "claimed":
            return False
        if state == "abandoned":
            later = self.following(self.kinds[act.chain[0]], {act.step}) - {act.step}
            if any(self.standing(act.chain, step) for step in later):
                return False
            if self.too_few_without(act) or self.alone_without(act):
                return False
        self._change(lambda other: other is act, state)
        return True

    def parties(self, chain: Chain, older: tuple[Chain, ...] = ()) -> set[int]:
        """Whoever has a hand in a chain and in those on its lines, as it began or is said to begin."""
        lines = set().union(*self.lines(chain, older))
        return {act.person for act in self.acts if act.chain in lines}

    def merge(self, person: int, into: int) -> None:
        """Two persons are one: so is their history; the later of two votes on one step is void."""
        seen: set[tuple[Chain, str]] = set()
        void: set[str] = set()
        for number, act in enumerate(self.acts):
            if not act.hands.isdisjoint((person, into)):
                place = (act.chain, act.step)
                twice = act.stands and act.step != "amend" and place in seen and self._never(act)
                who = into if act.person == person else act.person
                beside = into if act.beside == person else act.beside
                self.acts[number] = replace(
                    act,
                    person=who,
                    beside=None if beside == who else beside,
                    state="void" if twice else act.state,
                )
                if act.stands:
                    seen.add(place)
                if twice:
                    void.add(act.decision)
        self._done(void)
        self.roles[person] = frozenset()
        for whose, profile in self.profiles.items():
            if profile.get("reports_to") == str(person):
                # Whose superior was found to be the same person has one whom nobody knows.
                profile["reports_to"] = "" if whose == into else str(into)
        # What somebody lent or was granted as another person is over; what was lent to that one goes on.
        self.lent = [
            replace(item, until=min(self.now, item.until))
            if item.person == person
            else replace(item, delegate=into if item.delegate == person else item.delegate)
            for item in self.lent
        ]
        # And nobody answers for the own conflict.
        self.accepted = [
            replace(item, owner=into if item.owner == person else item.owner) for item in self.accepted
        ]
        self.accepted = [
            replace(item, until=min(self.now, item.until)) if item.person in (person, item.owner) else item
            for item in self.accepted
        ]

    def end(self, number: int) -> bool:
        """An exception is over from now on; False: it was already."""
        made: list[Lent | Accepted] = [*self.lent, *self.accepted]
        if not any(self.now < item.until for item in made if item.number == number):
            return False
        self.lent = [item if item.number != number else replace(item, until=self.now) for item in self.lent]
        self.accepted = [
            item if item.number != number else replace(item, until=self.now) for item in self.accepted
        ]
        return True

    def _never(self, act: Act) -> bool:
        return self.kinds[act.chain[0]].step(act.step).repeats == "never"

    def _change(self, wanted: Callable[[Act], bool], state: str) -> None:
        ended = {act.decision for act in self.acts if wanted(act)}
        self.acts[:] = [replace(act, state=state) if wanted(act) else act for act in self.acts]
        self._done(ended)

    def _done(self, decisions: set[str]) -> None:
        """What was claimed by these is done with, for whomever it was done."""
        self.acts[:] = [
            replace(act, done=self.now) if act.decision in decisions and act.done is None else act
            for act in self.acts
        ]
