"""Duty separation as plainly as it can be written: history is a list, each constraint a few lines over it.

Written from the design of duty separation alone. Nothing of the engine is used here, so that where both say
the same, two readings of the design agree. Persons are numbers and have no names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import combinations

from tests.machine.plain_words import UNKNOWN, Accepted, Act, Ask, Chain, Duty, Kind, Lent, Step

EFFECTS = ("flag", "review", "deny")


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
    lent: list[Lent] = field(default_factory=list)
    accepted: list[Accepted] = field(default_factory=list)

    def copy(self) -> World:
        """A world that goes its own way from here on."""
        return replace(
            self,
            acts=[*self.acts],
            links={**self.links},
            shared={**self.shared},
            lent=[*self.lent],
            accepted=[*self.accepted],
        )

    # --- What has happened --------------------------------------------------------------------------------

    def on(self, chain: Chain) -> list[Act]:
        return [act for act in self.acts if act.chain == chain]

    def begun(self, chain: Chain) -> bool:
        return any(act.acted for act in self.on(chain))

    def standing(self, chain: Chain, step: str) -> list[Act]:
        return [act for act in self.on(chain) if act.step == step and act.stands]

    def in_force(self, chain: Chain) -> Mapping[str, str]:
        """The material facts of a chain: what it began with, or the last amendment."""
        told: Mapping[str, str] = {}
        for act in self.on(chain):
            if act.acted and (not told or act.step == "amend"):
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
            return {"unknown_subject": "deny"} | ({"break_glass_refused": "deny"} if ask.glass else {})
        found = dict.fromkeys(self._structure(ask), "deny")
        found |= dict.fromkeys(["joined_history"] * bool(effect := self._joined(ask)), effect)
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

    def known_to_apply(self, duty: Duty, ask: Ask, who: int) -> bool:
        """Whether a constraint that speaks does so by what is known, and not for what is not."""
        wanted = {"amount"} if duty.large else set()
        wanted |= {duty.scope} if duty.scope != "chain" else set()
        wanted |= {"sector", "issuer"} if duty.kind == "chinese_wall" else set()
        if duty.kind == "relation":
            return wanted <= ask.facts.keys() and self._surely_related(duty, ask, who)
        return wanted <= ask.facts.keys()

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

    def breaks(self, duty: Duty, ask: Ask, who: int) -> bool:
        """Whether the act would break the constraint for one of those whose act it is, on any line that its
        chain is on."""
        if duty.of_roles:
            return ask.chain[0] == duty.chain and self._roles_together(duty, ask, who)
        if duty.kind == "chinese_wall":
            behind = "sector" in self.kinds[ask.chain[0]].material
            return behind and (not duty.steps or ask.counts in duty.steps) and self._wall(duty, ask, who)
        if ask.counts not in (*duty.steps, *duty.distinct_from):
            return False
        if duty.scope != "chain":
            return self._beyond(duty, ask, who)
        return any(self._on_line(duty, ask, who, line) for line in self.lines(ask.chain, ask.older))

    def _roles_together(self, duty: Duty, ask: Ask, who: int) -> bool:
        """Whether somebody has too many of the roles; who acts has those of the other by which that is
        granted, too."""
        roles = self.held(who)
        if who == ask.person and ask.beside is not None:
            able = {role for role in self.held(ask.beside) if self._grants(role, ask)}
            roles |= able
        return len(roles & {*duty.roles}) > duty.limit

    def _grants(self, role: str, ask: Ask) -> bool:
        held = {role, *self.inherits.get(role, ())}
        return any((ask.chain[0], ask.step) in self.grants.get(name, ()) for name in held)

    def _on_line(self, duty: Duty, ask: Ask, who: int, line: set[Chain]) -> bool:
        acts = [act for act in self.acts if act.chain in line]
        stand = [act for act in acts if act.chain == ask.chain and act.stands]
        here = [act for act in stand if act.step != "amend"]
        mine = {act.counts for act in acts if act.person == who} | {ask.counts}
        others = self._others(duty, ask)
        match duty.kind:
            case "separate":
                return bool(mine & others)
            case "at_most" | "whole_chain" | "exclusive_roles" | "votes":
                return self.too_much(duty, mine)
            case "sole_actor":
                return all(who in act.hands for act in stand)  # whoever amends acts on the chain
            case "at_least":
                return self._too_few(duty, ask, who, here)
            case "bind":  # of those who act, for whomever
                return who == ask.person and any(act.step in others and act.person != who for act in here)
            case "relation":
                return any(act.counts in others and self.related(duty, who, act.person) for act in acts)
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

    def related(self, duty: Duty, one: int, other: int) -> bool:
        """Whether it is not known that two persons are unrelated; everybody is of the own household."""
        return self._relation(duty, one, other) is not False

    def barred_from_approving(self, ask: Ask, who: int) -> bool:
        """Whether somebody is related to those who ask, or to who took another step, as a constraint forbids;
        where that is not known, one that denies counts."""
        told = self.in_force(ask.chain)
        lines = set().union(*self.lines(ask.chain))
        for duty in self.duties:
            if duty.kind != "relation" or ask.counts not in duty.steps or duty.then == "flag":
                continue
            if duty.large and told.get("amount") == "small":
                continue
            others = self._others(duty, ask)
            beside = {act.person for act in self.acts if act.chain in lines and act.counts in others}
            found = {self._relation(duty, who, other) for other in beside.union(ask.hands)}
            if True in found or (duty.then == "deny" and None in found):
                return True
        return False

    def _surely_related(self, duty: Duty, ask: Ask, who: int) -> bool:
        """Whether somebody is known to be related to who took another step."""
        others = self._others(duty, ask)
        lines = set().union(*self.lines(ask.chain, ask.older))
        return any(
            act.chain in lines and act.counts in others and self._relation(duty, who, act.person)
            for act in self.acts
        )

    def _relation(self, duty: Duty, one: int, other: int) -> bool | None:
        """Whether two persons are related in one of the ways that a constraint names; None: not known."""
        a, b = self.profiles[one], self.profiles[other]
        told: list[bool | None] = []
        for name in (*duty.differ, *(["household"] if "household" in duty.forbid else [])):
            known = one == other or (a.get(name) and b.get(name))
            told.append(one == other or a[name] == b[name] if known else None)
        if "reports_to" in duty.forbid and one != other:
            told += [self._above(one, other), self._above(other, one)]
        return True if True in told else None if None in told else False

    def _above(self, below: int, above: int) -> bool | None:
        """Whether somebody is above somebody else; None: it is not known."""
        seen: set[int] = set()
        while below not in seen:
            seen.add(below)
            superior = self.profiles[below].get("reports_to", "")
            if superior == "":
                return None
            if int(superior) == above and int(superior) != below:
                return True
            below = int(superior)
        return False

    def _too_few(self, duty: Duty, ask: Ask, who: int, here: list[Act]) -> bool:
        """Even if every other person that the steps still take were a new one. What one did for another was
        done by one of the two, whichever makes them fewer."""
        taken = [act for act in here if act.step in duty.steps]
        hands = [frozenset(ask.hands), *(act.hands for act in taken)]
        open_ = 0
        for step in {*duty.steps} & {*self.kinds[ask.chain[0]].mandatory}:
            people = {act.person for act in taken if act.step == step} | (
                {who} if step == ask.counts else set()
            )
            open_ += max(0, self.votes(ask, step) - len(people))
        return self.fewest(hands) + open_ < duty.limit

    def _few_hands(self, duty: Duty, ask: Ask, acts: Iterable[Act]) -> bool:
        """Even if every mandatory step that nobody has touched went to a new person."""
        hands = {ask.counts: {*ask.hands}}
        for act in acts:
            if act.counts in duty.steps:
                hands.setdefault(act.counts, set()).add(act.person)
        open_ = {*duty.steps} & {*self.kinds[ask.chain[0]].mandatory} - hands.keys()
        return self.fewest(hands.values()) + len(open_) < duty.limit

    def fewest(self, sets: Iterable[Iterable[int]]) -> int:
        """How few persons there are one of in each of the sets."""
        wanted = [{*people} for people in sets]
        people = sorted(set().union(*wanted))
        return next(
            few
            for few in range(1, len(people) + 1)
            if any(all(not each.isdisjoint(some) for each in wanted) for some in combinations(people, few))
        )

    # --- Beyond the chain ---------------------------------------------------------------------------------

    def values(self, chain: Chain, *names: str) -> set[tuple[str, ...]]:
        """What a chain has ever been about."""
        told = [act.facts for act in self.on(chain)]
        return {
            tuple(facts[name] for name in names) for facts in told if all(name in facts for name in names)
        }

    def _beyond(self, duty: Duty, ask: Ask, who: int) -> bool:
        if duty.scope not in ask.facts:
            return True
        value = (ask.facts[duty.scope],)
        recent = [act for act in self.acts if act.at > self.now - duty.within]
        trail = [
            act for act in recent if act.chain == ask.chain or value in self.values(act.chain, duty.scope)
        ]
        lines = set().union(*self.lines(ask.chain, ask.older))
        if duty.kind == "at_most":
            mine = {(act.chain, act.counts) for act in trail if act.person == who}
            counted = {place for place in mine if place[1] in duty.steps} | {(ask.chain, ask.counts)}
            return len(counted) > duty.limit
        others = self._others(duty, ask)
        return any(
            act.counts in others and (duty.kind == "cooling_off" or act.person == who)
            for act in [*trail, *(act for act in recent if act.chain in lines)]
        )

    def _wall(self, duty: Duty, ask: Ask, who: int) -> bool:
        if "sector" not in ask.facts or "issuer" not in ask.facts:
            return True
        return any(
            act.person == who
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
        live = [act for act in self.standing(ask.chain, ask.step) if act.state == "claimed"]
        own = [act for act in live if (act.person, act.beside) == (ask.person, ask.beside)]
        if own:
            self.shared[decision] = own[-1].decision
            return
        state = "claimed"
        if ask.step == "amend":
            state = "performed"
            again = {step.id for step in kind.steps if step.reapprove}
            self._change(lambda act: act.chain == ask.chain and act.step in again and act.stands, "reopened")
        act = Act(ask.chain, ask.step, ask.person, self.now, decision, state, beside=ask.beside, facts=facts)
        self.acts.append(act)
        if ask.beside is not None:
            theirs = replace(act, person=ask.beside, beside=ask.person)
            self.acts.append(replace(theirs, state="performed", capacity="principal"))

    def approve(self, chain: Chain, step: str, supervisor: int) -> None:
        """Whoever approves a step counts as having acted on it."""
        self.acts.append(Act(chain, step, supervisor, self.now, "", "performed", capacity="approver"))

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
        self.roles[person] = frozenset()
        for profile in self.profiles.values():
            if profile.get("reports_to") == str(person):
                profile["reports_to"] = str(into)
        # What somebody lent or was granted as another person is over; what was lent to that one goes on.
        self.lent = [
            replace(item, until=min(self.now, item.until))
            if item.person == person
            else replace(item, delegate=into if item.delegate == person else item.delegate)
            for item in self.lent
        ]
        self.accepted = [
            replace(item, until=min(self.now, item.until)) if item.person == person else item
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
        self.acts[:] = [replace(act, state=state) if wanted(act) else act for act in self.acts]
