"""The constraints of the plain model: each a few lines over the list of acts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import combinations

from tests.machine.plain_history import History
from tests.machine.plain_words import UNKNOWN, Act, Ask, Chain, Duty


class Duties(History):
    """What acts break, alone or with what was done before."""

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
        others = [act for act in acts if self._is_against(duty, ask, act)]
        match duty.kind:
            case "separate":
                return any(act.person == who for act in others)
            case "at_most" | "whole_chain" | "exclusive_roles" | "votes":
                return self.too_much(duty, mine)
            case "sole_actor":
                return all(who in act.hands for act in stand)  # whoever amends acts on the chain
            case "at_least":
                return self._too_few(duty, ask, who, here)
            case "bind":  # of those who act, for whomever
                apart = [act for act in others if any(act is other for other in here)]
                return who == ask.person and any(act.person != who for act in apart)
            case "relation":
                return any(self.related(duty, who, act.person) for act in others)
            case "cooling_off":
                return any(act.younger(duty.within, self.now) for act in others)
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

    def against(self, duty: Duty, step: str, act: Act, now: datetime) -> bool:
        """Whether a step that is asked for is held against an act on another one: where the order matters, on
        one that comes before it, or one of which it is not known yet that it was done before."""
        if act.counts == step or act.counts not in duty.steps:
            return False
        before = duty.steps.index(act.counts) < duty.steps.index(step)
        return before or not duty.ordered or act.done is None or act.done > now

    def _is_against(self, duty: Duty, ask: Ask, act: Act) -> bool:
        return ask.counts in duty.steps and self.against(duty, ask.counts, act, self.now)

    def _held_against(self, duty: Duty, ask: Ask) -> list[Act]:
        """What was done by anybody on any line that the chain is on, and counts for the step asked for."""
        lines = set().union(*self.lines(ask.chain, ask.older))
        return [act for act in self.acts if act.chain in lines and self._is_against(duty, ask, act)]

    def related(self, duty: Duty, one: int, other: int) -> bool:
        """Whether it is not known that two persons are unrelated; everybody is of the own household."""
        return self._relation(duty, one, other) is not False

    def barred_from_approving(self, ask: Ask, who: int, rules: Collection[str]) -> bool:
        """Whether somebody who approves what waits for `rules` would break what looks beyond the own acts on
        the chain, as whoever takes the step might. What is not known counts where a constraint denies."""
        recorded = self.in_force(ask.chain)
        amounts = {{**ask.facts, **recorded}.get("amount")}
        if ask.step == "amend":  # the approver's hand is in the chain as it is, and as it is to be
            amounts.add({**recorded, **ask.facts}.get("amount"))
        return any(
            duty.then != "flag"
            and not (duty.large and amounts == {"small"})
            and self._barred_by(duty, ask, who, rules)
            for duty in self.duties
        )

    def _barred_by(self, duty: Duty, ask: Ask, who: int, rules: Collection[str]) -> bool:
        if duty.kind == "chinese_wall":
            if "sector" not in self.kinds[ask.chain[0]].material:
                return False
            if duty.steps and ask.counts not in duty.steps:
                return False
            return self._barred_somewhere(duty, ask, who, ("sector", "issuer"))
        if ask.counts not in duty.steps:
            return False
        if duty.kind == "cooling_off":
            # It is the same for all, so that only time helps, or who says that it may be done all the same.
            if duty.then == "review" or duty.id in rules:
                return False
            if duty.scope == "chain":
                return any(self._on_line(duty, ask, who, line) for line in self.lines(ask.chain, ask.older))
        if duty.scope != "chain":
            return self._barred_somewhere(duty, ask, who, (duty.scope,))
        if duty.kind == "relation":
            beside = {act.person for act in self._held_against(duty, ask)}
            found = {self._relation(duty, who, other) for other in beside.union(ask.hands)}
            return True in found or (duty.then == "deny" and None in found)
        return False  # who approves has done nothing else on the chain

    def _barred_somewhere(self, duty: Duty, ask: Ask, who: int, names: tuple[str, ...]) -> bool:
        """Whether taking the step would break it in one of the places where that would count."""
        said = _said(ask.facts, names)
        places = set() if said is None else {said}
        if self.begun(ask.chain):  # an amendment would bring it to one more
            places |= self.been(ask.chain, *names)
        if not places:
            return duty.then == "deny"
        asked = [replace(ask, facts=dict(zip(names, place, strict=True))) for place in places]
        if duty.kind == "chinese_wall":
            return any(self._wall(duty, there, who) for there in asked)
        return any(self._beyond(duty, there, who) for there in asked)

    def _surely_related(self, duty: Duty, ask: Ask, who: int) -> bool:
        """Whether somebody is known to be related to who took another step."""
        return any(self._relation(duty, who, act.person) for act in self._held_against(duty, ask))

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

    def too_few_without(self, act: Act) -> bool:
        """Whether as many persons as must be could still come to steps of the chain, and without an act that
        ends could not."""
        ask = Ask(act.person, act.chain, act.step, self.in_force(act.chain))
        for duty in self.duties:
            if duty.kind == "at_least" and duty.then == "deny" and self.applies(duty, ask):
                here = [other for other in self.on(act.chain) if other.stands and other.step in duty.steps]
                left = [other for other in here if other is not act]
                if (
                    act in here
                    and left
                    and self.most_persons(duty, ask, left)
                    < min(duty.limit, self.most_persons(duty, ask, here))
                ):
                    return True
        return False

    def most_persons(self, duty: Duty, ask: Ask, held: list[Act]) -> int:
        """How many persons the steps of a chain can have, once everybody has come who still may."""
        count = self.fewest(act.hands for act in held) if held else 0
        for step in {*duty.steps} & {*self.kinds[ask.chain[0]].mandatory}:
            people = {act.person for act in held if act.step == step}
            count += max(0, self.votes(ask, step) - len(people))
        return count

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

    def known_to_apply(self, duty: Duty, ask: Ask, who: int) -> bool:
        """Whether a constraint that speaks does so by what is known, and not for what is not."""
        wanted = {"amount"} if duty.large else set()
        wanted |= {duty.scope} if duty.scope != "chain" else set()
        wanted |= {"sector", "issuer"} if duty.kind == "chinese_wall" else set()
        if duty.kind == "relation":
            return wanted <= ask.facts.keys() and self._surely_related(duty, ask, who)
        return wanted <= ask.facts.keys()

    # --- Beyond the chain ---------------------------------------------------------------------------------

    def places(self, act: Act, *names: str) -> set[tuple[str, ...]]:
        """Where an act counts: wherever its chain ever was. What was approved before the chain began counts
        where that was to be, and with the chain only if it is where it began."""
        if self._elsewhere(act, names):
            own = _said(act.facts, names)
            return set() if own is None else {own}
        told = [
            _said(other.facts, names) for other in self.on(act.chain) if not self._elsewhere(other, names)
        ]
        return {said for said in told if said is not None}

    def _elsewhere(self, act: Act, names: tuple[str, ...]) -> bool:
        """Whether it was approved that a chain begins which has not begun, or has begun somewhere else."""
        if act.capacity != "approver":
            return False
        chain = self.on(act.chain)
        begins = next((other for other in chain if other.capacity != "approver"), None)
        if begins is None:
            return True
        if any(other is act for other in chain[chain.index(begins) :]):
            return False
        return _said(act.facts, names) not in (None, _said(begins.facts, names))

    def been(self, chain: Chain, *names: str) -> set[tuple[str, ...]]:
        """Everywhere that a chain has been."""
        told = [_said(act.facts, names) for act in self.on(chain) if not self._elsewhere(act, names)]
        return {said for said in told if said is not None}

    def moves_into(self, duty: Duty, ask: Ask) -> bool:
        """Whether an amendment would bring the chain somewhere where what was done on it breaks a constraint
        that it did not break before, whoever amends."""
        names = ("sector", "issuer") if duty.kind == "chinese_wall" else (duty.scope,)
        if names == ("chain",) or not self.begun(ask.chain):
            return False
        # An amendment changes what the kind calls material, and nothing else that is said.
        facts = {name: ask.facts[name] for name in self.kinds[ask.chain[0]].material if name in ask.facts}
        nobody = Act(ask.chain, "amend", UNKNOWN, self.now, "", facts=facts)
        after = replace(self, acts=[*self.acts, nobody])
        return not {*after.clashes(duty, names, len(self.acts))} <= {*self.clashes(duty, names)}

    def clashes(self, duty: Duty, names: tuple[str, ...], most: int | None = None) -> Iterator[object]:
        """Which acts break a constraint at some place, of the first so many."""
        placed = [
            (number, act, place)
            for number, act in enumerate(self.acts[:most])
            if not duty.steps or act.counts in duty.steps
            for place in self.places(act, *names)
        ]
        for number, late, place in placed:
            recent = [
                (earlier, act, there)
                for earlier, act, there in placed
                if earlier <= number and there[0] == place[0] and act.younger(duty.within, late.at)
            ]
            if duty.kind == "at_most":
                counted = frozenset(
                    (act.chain, act.counts) for _, act, _ in recent if act.person == late.person
                )
                if len(counted) > duty.limit:
                    yield number, place, counted
                continue
            for earlier, act, there in recent:
                if duty.kind == "chinese_wall":
                    same = act.chain == late.chain and not self._elsewhere(act, names)
                    apart = there != place and not same
                else:
                    apart = self.against(duty, late.counts, act, late.at)
                if apart and (duty.kind == "cooling_off" or act.person == late.person):
                    yield earlier, number, there, place

    def _beyond(self, duty: Duty, ask: Ask, who: int) -> bool:
        if duty.scope not in ask.facts:
            return True
        return any(
            self._beyond_at(duty, ask, who, value)
            for value in {(ask.facts[duty.scope],), *self.been(ask.chain, duty.scope)}
        )

    def _beyond_at(self, duty: Duty, ask: Ask, who: int, value: tuple[str, ...]) -> bool:
        recent = [act for act in self.acts if act.younger(duty.within, self.now)]
        trail = [act for act in recent if act.chain == ask.chain or value in self.places(act, duty.scope)]
        lines = set().union(*self.lines(ask.chain, ask.older))
        if duty.kind == "at_most":
            mine = {(act.chain, act.counts) for act in trail if act.person == who}
            counted = {place for place in mine if place[1] in duty.steps} | {(ask.chain, ask.counts)}
            return len(counted) > duty.limit
        return any(
            self._is_against(duty, ask, act) and (duty.kind == "cooling_off" or act.person == who)
            for act in [*trail, *(act for act in recent if act.chain in lines)]
        )

    def _wall(self, duty: Duty, ask: Ask, who: int) -> bool:
        if "sector" not in ask.facts or "issuer" not in ask.facts:
            return True
        sides = {(ask.facts["sector"], ask.facts["issuer"]), *self.been(ask.chain, "sector", "issuer")}
        return any(
            act.person == who
            and act.younger(duty.within, self.now)
            and (not duty.steps or act.counts in duty.steps)
            and any(sector == there and issuer != side for there, side in sides)
            for act in self.acts
            for sector, issuer in self.places(act, "sector", "issuer")
        )


def _said(facts: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, ...] | None:
    """What the facts say of these; None where they do not say all of it."""
    return tuple(facts[name] for name in names) if all(name in facts for name in names) else None
