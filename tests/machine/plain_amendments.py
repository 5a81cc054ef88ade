"""What an amendment makes of what was done on a chain, and who is left alone on one, for the plain model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.machine.plain_duties import Duties
from tests.machine.plain_words import Act, Ask, Chain, Duty


class Amendments(Duties):
    """Whether what was allowed is still so when the facts are others."""

    def alone(self, chain: Chain, stand: list[Act]) -> bool:
        """Whether the last step was taken, and nobody but who took it holds anything."""
        kind = self.kinds[chain[0]]
        if kind.sole_allowed:
            return False
        takers = {who for act in stand if act.step == kind.mandatory[-1] for who in act.hands}
        return any(all(who in act.hands for act in stand) for who in takers)

    def alone_without(self, act: Act) -> bool:
        """Whether the end of an act would leave who took the last step alone."""
        stand = [other for other in self.on(act.chain) if other.stands]
        left = [other for other in stand if other is not act]
        return self.alone(act.chain, left) and not self.alone(act.chain, stand)

    def breaks_when_amended(self, ask: Ask) -> Iterator[str]:
        """What is to be done about each constraint that what was done breaks because the chain is amended."""
        kind = self.kinds[ask.chain[0]]
        again = {step.id for step in kind.steps if step.reapprove}
        stand = [act for act in self.on(ask.chain) if act.stands]
        left = [act for act in stand if act.step not in again]
        assert ask.person is not None
        new = Act(ask.chain, "amend", ask.person, self.now, "", beside=ask.beside)
        if self.alone(ask.chain, [*left, new]) and not self.alone(ask.chain, stand):
            yield "deny"
        was = Ask(None, ask.chain, "", self.in_force(ask.chain))
        will = replace(was, facts={name: ask.facts[name] for name in kind.material})
        for duty in self.duties:
            comes = self.applies(duty, will) and not self.applies(duty, was)
            if duty.kind == "at_least":
                worse = self._persons(duty, will, left) < (
                    duty.limit if comes else min(duty.limit, self._persons(duty, was, stand))
                )
                if self.applies(duty, will) and worse:
                    yield duty.then
            elif comes and not duty.of_roles and self._broken_before(duty, will, again):
                yield duty.then

    def _persons(self, duty: Duty, ask: Ask, held: list[Act]) -> int:
        """How many there can be on the steps of a constraint; as many as there must where nobody has any."""
        taken = [act for act in held if act.step in duty.steps]
        return self.most_persons(duty, ask, taken) if taken else duty.limit

    def _broken_before(self, duty: Duty, facts: Ask, again: set[str]) -> bool:
        """Whether an act that a chain still rests on would have broken it, had these been the facts."""
        rests = [
            act
            for act in self.on(facts.chain)
            if act.state != "reopened" and not (act.stands and act.step in again)
        ]
        concerned = [act for act in rests if act.counts in (*duty.steps, *duty.distinct_from)]
        if duty.kind == "chinese_wall" and not duty.steps:
            concerned = rests
        if duty.kind == "coalition":
            concerned = concerned[-1:]
        if duty.kind == "bind":
            concerned = [act for act in concerned if act.stands]
        return any(self._would_have_broken(duty, facts, act, rests) for act in concerned)

    def _would_have_broken(self, duty: Duty, facts: Ask, act: Act, rests: list[Act]) -> bool:
        number = next(place for place, other in enumerate(self.acts) if other is act)
        earlier = [
            other
            for other in self.acts[:number]
            if other.chain != act.chain or any(other is one for one in rests)
        ]
        if duty.scope != "chain" or duty.kind == "chinese_wall":
            return any(self._broken_at(duty, act, earlier, place) for place in self._been(duty, act.chain))
        then = replace(self, acts=earlier, now=act.at)
        actor, behalf = act.person, act.beside
        if act.capacity == "principal":
            assert act.beside is not None
            actor, behalf = act.beside, act.person
        older = self.links.get(act.chain, ())
        asked = Ask(actor, act.chain, act.step, facts.facts, older, behalf)
        return then.breaks(duty, asked, act.person)

    def _been(self, duty: Duty, chain: Chain) -> set[tuple[str, ...]]:
        return self.been(chain, *(("sector", "issuer") if duty.kind == "chinese_wall" else (duty.scope,)))

    def _broken_at(self, duty: Duty, act: Act, earlier: list[Act], place: tuple[str, ...]) -> bool:
        """Whether an act breaks it together with earlier ones at a place where its chain has been."""
        recent = [other for other in earlier if other.younger(duty.within, act.at)]
        if duty.kind == "chinese_wall":
            return any(
                other.person == act.person
                and other.chain != act.chain
                and (not duty.steps or other.counts in duty.steps)
                and any(
                    sector == place[0] and issuer != place[1]
                    for sector, issuer in self.places(other, "sector", "issuer")
                )
                for other in recent
            )
        there = [
            other for other in recent if other.chain == act.chain or place in self.places(other, duty.scope)
        ]
        if duty.kind == "at_most":
            mine = {
                (other.chain, other.counts)
                for other in (*there, act)
                if other.person == act.person and other.counts in duty.steps
            }
            return len(mine) > duty.limit
        lines = set().union(*self.lines(act.chain))
        return any(
            self.against(duty, act.counts, other, act.at)
            and (duty.kind == "cooling_off" or other.person == act.person)
            for other in (*there, *(other for other in recent if other.chain in lines))
        )
