"""What is played with exceptions: delegations, acting for others, break-glass and accepted conflicts.

Whatever is tried here, rightly or as an attack, the plain model says beforehand what comes of it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.machine.comparing import BECAME, Compared
from tests.machine.plain_exceptions import may_accept, may_be_accepted, may_lend
from tests.machine.plain_words import UNKNOWN, Accepted, Chain, Lent
from tests.machine.playing import Answer
from tests.machine.questions import Question

number = st.integers(0, 999)
# How long an exception is made for; the last ones are refused.
SPANS = (
    *(timedelta(minutes=30), timedelta(days=1), timedelta(days=30), timedelta(days=30)),
    *(timedelta(0), timedelta(days=93), timedelta(days=367)),
)
# Ways to get round what somebody has done, or round the end of a delegation.
ATTACKS = (
    "a delegate of a delegate",
    "somebody else in the delegate's place",
    "the delegate, after one of the two has acted",
    "the delegator, after the delegate has acted",
    "another account of who has acted",
    "the owner's account, named by the own bot",
    "by a delegation that is over",
    "for nobody of record",
)
MINUTES = (15, 90)


class WithExceptions(Compared):
    """The rules of a play that make exceptions, use them and attack by them."""

    @rule(one=number, other=number, kind=number, which=st.sets(number, min_size=1, max_size=3), span=number)
    def delegates(self, one: int, other: int, kind: int, which: set[int], span: int) -> None:
        """Somebody lets somebody else take some steps, mostly own ones."""
        person, delegate = one % len(self.plan.roles), other % len(self.plan.roles)
        chosen = self.plan.kinds[kind % len(self.plan.kinds)].id
        steps = self.steps_of(chosen)
        own = [step for step in steps if self.world.granted(person, chosen, step)]
        pool = steps if one % 10 == 0 else own or steps
        wanted = tuple(dict.fromkeys(pool[place % len(pool)] for place in sorted(which)))
        until = self.world.now + SPANS[span % len(SPANS)]
        lent = Lent(person, delegate, chosen, frozenset(wanted), until, len(self.engine.exceptions))
        expected = may_lend(self.world, lent)
        made = self.play("lend", person, delegate, chosen, wanted, until)
        assert made == expected, (lent, self.world.lent, self.world.duties)
        self.seen["delegations made" if made else "delegations refused"] += 1
        if made:
            self.world.lent.append(lent)

    @precondition(lambda self: any(may_be_accepted(duty) for duty in self.plan.duties))
    @rule(one=number, other=number, which=number, span=number)
    def accepts(self, one: int, other: int, which: int, span: int) -> None:
        """Somebody's conflict with a constraint is accepted, where that can be."""
        duties = [duty for duty in self.plan.duties if which % 10 == 0 or may_be_accepted(duty)]
        person, owner = one % len(self.plan.roles), other % len(self.plan.roles)
        until = self.world.now + SPANS[span % len(SPANS)]
        rule = duties[which % len(duties)].id
        accepted = Accepted(person, rule, owner, until, len(self.engine.exceptions))
        expected = may_accept(self.world, accepted)
        made = self.play("accept", person, rule, owner, until)
        assert made == expected, accepted
        self.seen["mitigations made" if made else "mitigations refused"] += 1
        if made:
            self.world.accepted.append(accepted)

    @precondition(lambda self: self.engine.exceptions)
    @rule(which=number)
    def ends_an_exception(self, which: int) -> None:
        """It is over at once; what is over already cannot be ended."""
        place = which % len(self.engine.exceptions)
        assert self.play("end", place) == self.world.end(place)

    @precondition(lambda self: self.uses)
    @rule(which=number, supervisor=st.integers(0, 1))
    def looks_at_a_use(self, which: int, supervisor: int) -> None:
        """A supervisor looks at what was permitted by an exception, which no party to it may do."""
        self.look_at(self.uses[-1 - which % len(self.uses)], supervisor)

    @precondition(lambda self: self.uses)
    @rule(which=number)
    def asks_for_a_use_again(self, which: int) -> None:
        """What was permitted by an exception is asked for again."""
        self.ask(replace(self.uses[-1 - which % len(self.uses)].question, claim=True))

    # --- Acting for others --------------------------------------------------------------------------------

    @precondition(lambda self: self.world.lent)
    @rule(which=number, seed=number, way=number, state=st.sampled_from(BECAME))
    def acts_for_another(self, which: int, seed: int, way: int, state: str) -> None:
        """A delegate takes a step for who delegated it, of a chain that waits for it if there is one."""
        item = self.world.lent[-1 - which % len(self.world.lent)]
        chains = [chain for chain in self.chains(item.kind) if self.waits_for(chain) in item.steps]
        chain = (chains or self.chains(item.kind))[seed % len(chains or self.chains(item.kind))]
        step = self.waits_for(chain)
        steps = sorted(item.steps)
        taken = step if step in item.steps else steps[seed % len(steps)]
        answer = self.asked(item.delegate, chain, taken, seed=seed, way=way, behalf=item.person)
        self.reported(answer, state)

    @precondition(lambda self: self.world.lent)
    @rule(attack=st.sampled_from(ATTACKS), which=number, other=number, seed=number, step=number)
    def attacks(self, attack: str, which: int, other: int, seed: int, step: int) -> None:
        """Somebody tries to get round what was done by a delegate, a delegator, an account or a bot."""
        lent, people = self.world.lent, range(len(self.plan.roles))
        item = lent[which % len(lent)]
        both = {item.person, item.delegate}
        touched = [chain for chain in self.chains(item.kind) if both & self.world.parties(chain)]
        chain = (touched or self.chains(item.kind))[seed % len(touched or self.chains(item.kind))]
        steps = self.steps_of(item.kind)
        actor, behalf = item.delegate, item.person
        match attack:
            case "a delegate of a delegate":
                further = [next_.delegate for next_ in lent if next_.person == item.delegate]
                actor = further[other % len(further)] if further else other % len(people)
            case "somebody else in the delegate's place":
                actor = other % len(people)
            case "the delegate, after one of the two has acted":
                behalf = item.person if other % 2 else item.delegate
            case "the delegator, after the delegate has acted":
                actor, behalf = item.person, item.delegate if other % 3 == 0 else item.person
            case "another account of who has acted":
                parties = sorted(self.world.parties(chain)) or [*both]
                actor = behalf = parties[other % len(parties)]
            case "the owner's account, named by the own bot":
                extra = self.owners[len(people) :] or [*both]
                actor = behalf = extra[other % len(extra)]
            case "by a delegation that is over":
                assert self.play("end", item.number) == self.world.end(item.number)
            case "for nobody of record":
                behalf = UNKNOWN
        wanted = (self.waits_for(chain) if step % 2 else None) or steps[step // 2 % len(steps)]
        answer = self.asked(actor, chain, wanted, seed=other, way=0, behalf=behalf)
        if answer is not None:
            self.seen[f"attack, {attack}: {answer.outcome}"] += 1
        self.reported(answer, "performed" if seed % 4 else "abandoned")

    def asked(
        self, actor: int, chain: Chain, step: str, *, seed: int, way: int, behalf: int
    ) -> Answer | None:
        """One of a person's accounts asks, mostly the last one that was made, for one of another person, or
        of the same one; None: somebody has no account any more."""
        own = self.accounts_of(actor)
        theirs = [UNKNOWN] if behalf == UNKNOWN else self.accounts_of(behalf)
        if not own or not theirs:
            return None
        named = None if actor == behalf and seed % 3 == 0 else theirs[seed % len(theirs)]
        account = own[seed % len(own)] if seed % 4 == 0 else own[-1]
        return self.ask(Question(account, chain, step, self.facts(chain, way), behalf=named))

    def reported(self, answer: Answer | None, state: str) -> None:
        if answer is not None and answer.outcome == "permit" and state:
            self.report(len(self.engine.answers) - 1, state)

    # --- Break-glass --------------------------------------------------------------------------------------

    @precondition(lambda self: self.refused)
    @rule(which=number, minutes=st.sampled_from(MINUTES), supervisor=st.integers(0, 1), late=number)
    def breaks_the_glass(self, which: int, minutes: int, supervisor: int, late: int) -> None:
        """What was denied is asked for again with break-glass, and a supervisor may lift what denies it."""
        refused = [replace(question, minutes=minutes, claim=True) for question in self.refused[-20:]]
        lifted = [question for question in refused if self.could_be_lifted(question)]
        pool = lifted if lifted and which % 3 else refused
        question = pool[-1 - which // 3 % len(pool)]
        answer = self.ask(question)
        if answer.outcome == "deny" and answer.review:
            self.seen["break-glass waits for a supervisor"] += 1
            self.settle(self.held[-1], supervisor)
            if late % 6 == 0:
                self.wait(timedelta(minutes=minutes))
            answer = self.ask(question)
        self.reported(answer, "performed" if late % 4 else "")

    def could_be_lifted(self, question: Question) -> bool:
        found = self.world.verdict(self.meant(question))
        return "deny" in found.values() and "break_glass_refused" not in found
