"""Duty separation as plainly as it can be written: history is a list, each constraint a few lines over it.

Written from the design of duty separation alone. Nothing of the engine is used here, so that where both say
the same, two readings of the design agree. Persons are numbers and have no names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import combinations

from tests.machine.plain_words import Act, Ask, Chain, Duty, Kind, Step


@dataclass
class World:
    """Everything that verdicts are about."""

    kinds: Mapping[str, Kind]
    duties: tuple[Duty, ...]
    grants: Mapping[str, frozenset[tuple[str, str]]]  # role -> kind and action
    inherits: Mapping[str, frozenset[str]]
    roles: dict[int, frozenset[str]]
    profiles: dict[int, dict[str, str]]
    now: datetime
    acts: list[Act] = field(default_factory=list)
    links: dict[Chain, tuple[Chain, ...]] = field(default_factory=dict)
    shared: dict[str, str] = field(default_factory=dict)  # decisions that shared the claim of an earlier one

    # --- What has happened --------------------------------------------------------------------------------

    def on(self, chain: Chain) -> list[Act]:
        return [act for act in self.acts if act.chain == chain]

    def begun(self, chain: Chain) -> bool:
        return any(not act.approver for act in self.on(chain))

    def standing(self, chain: Chain, step: str) -> list[Act]:
        return [act for act in self.on(chain) if act.step == step and act.stands]

    def in_force(self, chain: Chain) -> Mapping[str, str]:
        """The material facts of a chain: what it began with, or the last amendment."""
        told: Mapping[str, str] = {}
        for act in self.on(chain):
            if not act.approver and (not told or act.step == "amend"):
                told = act.facts
        return told

    def votes(self, ask: Ask, step: str) -> int:
        asked = [
            duty.limit
            for duty in self.duties
            if duty.kind == "votes" and duty.steps == (step,) and self.applies(duty, ask)
        ]
        return max([self.kinds[ask.chain[0]].step(step).votes, *asked])

    def performed(self, ask: Ask, step: str) -> bool:
        wanted = ("performed", "claimed") if self.kinds[ask.chain[0]].claimed else ("performed",)
        done = {act.person for act in self.standing(ask.chain, step) if act.state in wanted}
        return len(done) >= self.votes(ask, step)

    # --- Lineage ------------------------------------------------------------------------------------------

    def ancestry(self, chain: Chain, links: Mapping[Chain, tuple[Chain, ...]]) -> set[Chain]:
        return {chain}.union(*(self.ancestry(older, links) for older in links.get(chain, ())))

    def lines(self, chain: Chain, older: tuple[Chain, ...] = ()) -> list[set[Chain]]:
        """The chains of each line that the chain is on: an end of the lineage with all that it comes from."""
        if not self.links and not older:
            return [{chain}]
        links = dict(self.links) if self.begun(chain) else {**self.links, chain: older}
        lines = [self.ancestry(end, links) for end in {chain, *links} if not self._younger(end, links)]
        return [line for line in lines if chain in line]

    def _younger(self, chain: Chain, links: Mapping[Chain, tuple[Chain, ...]]) -> bool:
        return any(chain in older for older in links.values())

    # --- A verdict ----------------------------------------------------------------------------------------

    def verdict(self, ask: Ask) -> dict[str, str]:
        """What speaks against an act, each with its effect; nothing: it is permitted."""
        if ask.person is None:
            return {"unknown_subject": "deny"}
        found = dict.fromkeys(self._structure(ask), "deny")
        found |= dict.fromkeys(["joined_history"] * bool(effect := self._joined(ask)), effect)
        for duty in (*self._built_in(self.kinds[ask.chain[0]]), *self.duties):
            if self.applies(duty, ask) and self.breaks(duty, ask):
                found[duty.id] = duty.then
        return found

    def held(self, person: int) -> frozenset[str]:
        own = self.roles[person]
        return own.union(*(self.inherits.get(role, frozenset()) for role in own))

    def granted(self, person: int, kind: str, action: str) -> bool:
        return any((kind, action) in self.grants.get(role, ()) for role in self.held(person))

    def applies(self, duty: Duty, ask: Ask) -> bool:
        """Whether the constraint's condition holds, or might: an amount that is not told may be large."""
        return not duty.large or ask.facts.get("amount") != "small"

    def _structure(self, ask: Ask) -> Iterator[str]:
        """Grants, the order of steps, claims, material facts, lineage."""
        assert ask.person is not None
        kind = self.kinds[ask.chain[0]]
        if not self.granted(ask.person, kind.id, ask.step):
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
            act.step == before and not act.approver and act.state not in ("abandoned", "void")
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
        own = [act for act in held if act.person == ask.person]
        if step.repeats == "anyone":
            return
        if step.repeats == "same_person":
            if held and not own:
                performed = any(act.state == "performed" for act in held)
                yield "already_performed" if performed else "claimed_by_other"
            return
        needed = self.votes(ask, step.id)
        if any(act.state == "performed" for act in own):
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
            and any(
                not any(person in self._broken_on(duty, part) for part in parts)
                for person in self._broken_on(duty, whole)
            )
        }
        return next((effect for effect in ("deny", "review", "flag") if effect in effects), "")

    def _broken_on(self, duty: Duty, chains: set[Chain]) -> set[int]:
        """The persons whose acts on these chains, taken together, break a constraint."""
        hands: dict[int, set[str]] = {}
        for act in self.acts:
            if act.chain in chains:
                hands.setdefault(act.person, set()).add(act.counts)
        return {person for person, steps in hands.items() if self.too_much(duty, steps)}

    def _built_in(self, kind: Kind) -> Iterator[Duty]:
        yield Duty("whole_chain", "whole_chain", "deny", tuple(kind.mandatory))
        if not kind.sole_allowed:
            yield Duty("sole_actor", "sole_actor", "deny", tuple(kind.mandatory[-1:]))

    # --- Constraints --------------------------------------------------------------------------------------

    def breaks(self, duty: Duty, ask: Ask) -> bool:
        """Whether the act would break the constraint, on any line that its chain is on."""
        if duty.kind == "chinese_wall":
            behind = "sector" in self.kinds[ask.chain[0]].material
            return behind and (not duty.steps or ask.counts in duty.steps) and self._wall(duty, ask)
        if ask.counts not in (*duty.steps, *duty.distinct_from):
            return False
        if duty.scope != "chain":
            return self._beyond(duty, ask)
        return any(self._on_line(duty, ask, line) for line in self.lines(ask.chain, ask.older))

    def _on_line(self, duty: Duty, ask: Ask, line: set[Chain]) -> bool:
        acts = [act for act in self.acts if act.chain in line]
        stand = [act for act in acts if act.chain == ask.chain and act.stands]
        here = [act for act in stand if act.step != "amend"]
        mine = {act.counts for act in acts if act.person == ask.person} | {ask.counts}
        others = self._others(duty, ask)
        match duty.kind:
            case "separate":
                return bool(mine & others)
            case "at_most" | "whole_chain" | "exclusive_roles" | "votes":
                return self.too_much(duty, mine)
            case "sole_actor":
                return {act.person for act in stand} <= {ask.person}  # whoever amends acts on the chain
            case "at_least":
                return self._too_few(duty, ask, here)
            case "bind":
                return any(act.step in others and act.person != ask.person for act in here)
            case "relation":
                return any(
                    act.counts in others and self.related(duty, ask.person, act.person) for act in acts
                )
            case "cooling_off":
                return any(act.counts in others and act.at > self.now - duty.within for act in acts)
            case "coalition":
                return self._few_hands(duty, ask, acts)
        raise AssertionError(duty.kind)

    def too_much(self, duty: Duty, steps: set[str]) -> bool:
        """Whether all these steps are too much for one person."""
        match duty.kind:
            case "separate":
                return len(steps & {*duty.steps}) > 1
            case "at_most":
                groups = duty.groups or tuple((step,) for step in duty.steps)
                return sum(not steps.isdisjoint(group) for group in groups) > duty.limit
            case "whole_chain":
                return steps >= {*duty.steps}
            case "votes":
                return duty.steps[0] in steps and not steps.isdisjoint(duty.distinct_from)
            case "exclusive_roles":  # no so few of the roles may take all of these steps
                wanted = steps & {step for group in duty.groups for step in group}
                few = combinations(duty.groups, min(duty.limit, len(duty.groups)))
                return not any(wanted <= {step for group in some for step in group} for some in few)
        return False

    def _others(self, duty: Duty, ask: Ask) -> set[str]:
        """The steps that the one asked for is held against."""
        if duty.ordered:
            return {*duty.steps[: duty.steps.index(ask.counts)]}
        return {*duty.steps} - {ask.counts}

    def related(self, duty: Duty, one: int | None, other: int) -> bool:
        """Whether it is not known that two persons are unrelated; everybody is of the own household."""
        assert one is not None
        a, b = self.profiles[one], self.profiles[other]
        same = [*duty.differ, *(["household"] if "household" in duty.forbid else [])]
        if any(not a.get(name) or not b.get(name) or a[name] == b[name] for name in same):
            return True
        return "reports_to" in duty.forbid and (self._above(one, other) or self._above(other, one))

    def _above(self, below: int, above: int) -> bool:
        """Whether somebody is above somebody else, or might be for all that is known."""
        seen: set[int] = set()
        while below not in seen:
            seen.add(below)
            superior = self.profiles[below].get("reports_to", "")
            if superior == "":
                return True
            if int(superior) == above and int(superior) != below:
                return True
            below = int(superior)
        return False

    def _too_few(self, duty: Duty, ask: Ask, here: list[Act]) -> bool:
        """Even if every other person that the steps still take were a new one."""
        hands = {(act.step, act.person) for act in here} | {(ask.counts, ask.person)}
        open_ = 0
        for step in {*duty.steps} & {*self.kinds[ask.chain[0]].mandatory}:
            taken = {person for name, person in hands if name == step}
            open_ += max(0, self.votes(ask, step) - len(taken))
        return len({person for step, person in hands if step in duty.steps}) + open_ < duty.limit

    def _few_hands(self, duty: Duty, ask: Ask, acts: Iterable[Act]) -> bool:
        """Even if every mandatory step that nobody has touched went to a new person."""
        hands = {(act.counts, act.person) for act in acts if act.counts in duty.steps}
        hands.add((ask.counts, ask.person or 0))
        taken = {step for step, _ in hands}
        people = {person for _, person in hands}
        least = next(
            few
            for few in range(1, len(people) + 1)
            if any(
                taken <= {step for step, person in hands if person in some}
                for some in combinations(people, few)
            )
        )
        open_ = {*duty.steps} & {*self.kinds[ask.chain[0]].mandatory} - taken
        return least + len(open_) < duty.limit

    # --- Beyond the chain ---------------------------------------------------------------------------------

    def values(self, chain: Chain, *names: str) -> set[tuple[str, ...]]:
        """What a chain has ever been about."""
        told = [act.facts for act in self.on(chain)]
        return {
            tuple(facts[name] for name in names) for facts in told if all(name in facts for name in names)
        }

    def _beyond(self, duty: Duty, ask: Ask) -> bool:
        if duty.scope not in ask.facts:
            return True
        value = (ask.facts[duty.scope],)
        recent = [act for act in self.acts if act.at > self.now - duty.within]
        trail = [
            act for act in recent if act.chain == ask.chain or value in self.values(act.chain, duty.scope)
        ]
        lines = set().union(*self.lines(ask.chain, ask.older))
        if duty.kind == "at_most":
            mine = {(act.chain, act.counts) for act in trail if act.person == ask.person}
            counted = {place for place in mine if place[1] in duty.steps} | {(ask.chain, ask.counts)}
            return len(counted) > duty.limit
        others = self._others(duty, ask)
        return any(
            act.counts in others and (duty.kind == "cooling_off" or act.person == ask.person)
            for act in [*trail, *(act for act in recent if act.chain in lines)]
        )

    def _wall(self, duty: Duty, ask: Ask) -> bool:
        if "sector" not in ask.facts or "issuer" not in ask.facts:
            return True
        return any(
            act.person == ask.person
            and act.at > self.now - duty.within
            and (not duty.steps or act.counts in duty.steps)
            and sector == ask.facts["sector"]
            and issuer != ask.facts["issuer"]
            for act in self.acts
            for sector, issuer in self.values(act.chain, "sector", "issuer")
        )

    # --- What happens -------------------------------------------------------------------------------------

    def take(self, ask: Ask, decision: str) -> None:
        """A permit goes on record; asked again it shares the claim that is there."""
        assert ask.person is not None
        kind = self.kinds[ask.chain[0]]
        facts = {name: ask.facts[name] for name in kind.material}
        if not self.begun(ask.chain) and ask.older:
            self.links[ask.chain] = ask.older
        if ask.step == "amend":
            again = {step.id for step in kind.steps if step.reapprove}
            self._change(lambda act: act.chain == ask.chain and act.step in again and act.stands, "reopened")
            self.acts.append(
                Act(ask.chain, "amend", ask.person, self.now, decision, "performed", facts=facts)
            )
            return
        live = [act for act in self.standing(ask.chain, ask.step) if act.state == "claimed"]
        own = [act for act in live if act.person == ask.person]
        if own:
            self.shared[decision] = own[-1].decision
        else:
            self.acts.append(Act(ask.chain, ask.step, ask.person, self.now, decision, facts=facts))

    def approve(self, chain: Chain, step: str, supervisor: int) -> None:
        """Whoever approves a step counts as having acted on it."""
        self.acts.append(Act(chain, step, supervisor, self.now, "", "performed", approver=True))

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
        self._change(lambda other: other is act, state)
        return True

    def parties(self, chain: Chain) -> set[int]:
        lines = set().union(*self.lines(chain))
        return {act.person for act in self.acts if act.chain in lines}

    def merge(self, person: int, into: int) -> None:
        """Two persons are one: so is their history; the later of two votes on one step is void."""
        seen: set[tuple[Chain, str]] = set()
        for number, act in enumerate(self.acts):
            if act.person in (person, into):
                place = (act.chain, act.step)
                twice = act.stands and act.step != "amend" and place in seen and self._never(act)
                self.acts[number] = replace(act, person=into, state="void" if twice else act.state)
                if act.stands:
                    seen.add(place)
        self.roles[person] = frozenset()
        for profile in self.profiles.values():
            if profile.get("reports_to") == str(person):
                profile["reports_to"] = str(into)

    def _never(self, act: Act) -> bool:
        return self.kinds[act.chain[0]].step(act.step).repeats == "never"

    def _change(self, wanted: Callable[[Act], bool], state: str) -> None:
        self.acts[:] = [replace(act, state=state) if wanted(act) else act for act in self.acts]
