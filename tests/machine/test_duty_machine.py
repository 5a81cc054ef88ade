"""Random desks played by the real service and by a plain model of the design, which must say the same.

People ask, act for each other, are away, are found to be one, get other roles and accounts, break the glass
and have conflicts accepted; and they try to get round all of it (`exceptions_played`).

After every step no constraint that denies is broken that was not broken before two persons were found to be
one, or by what a second person lifted; what was denied for what somebody has done stays denied; at the end,
the export alone gives every verdict again, and the same play by people of other names goes as this one did.

Which denials stay, whatever else happens on the same links and facts: those of `whole_chain`, `separate`,
`at_most`, `exclusive_roles` in use, `votes`, `relation` (as long as nobody is found to be somebody else), and
of `cooling_off`, walls and scopes beyond the chain for as long as they last. Others may end: `at_least` and
`coalition` when new people take a hand, `bind` when a claim is abandoned, `sole_actor` when somebody else
acts, what was only claimed of a later step when that is done, and whatever is about the order of steps.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from controls.services import writer
from tests.conftest import LONG_RUN
from tests.machine.comparing import BECAME
from tests.machine.exceptions_played import MINUTES, WithExceptions
from tests.machine.plain_exceptions import ends_by_merging
from tests.machine.plain_laws import TIMED, broken
from tests.machine.plans import FACTS, ROLES
from tests.machine.questions import Question

SPANS = (timedelta(minutes=20), timedelta(hours=1), timedelta(days=2))
CHANGES = ("time", "absence", "account", "merge")
# The long run is at least of so many steps.
STEPS = 50_000
# What a long run must have met with.
MET = (
    *("permit for somebody else", "review for somebody else", "deny for somebody else"),
    *("delegations made", "delegations refused", "denials lifted", "denials that nobody lifts"),
    *("mitigations made", "mitigations refused", "conflicts that are accepted"),
    *("approvals", "approvals barred", "approvals refused"),
    *("uses looked at", "uses asked for again", "moves", "moves refused", "rules come to apply"),
)
roles_held = st.frozensets(st.sampled_from(ROLES), min_size=1)
number = st.integers(0, 999)


class DutyMachine(WithExceptions):
    """The everyday rules of a play."""

    @rule(
        account=number, seed=number, step=number, way=number, older=st.lists(number, max_size=2), more=number
    )
    def asks(self, account: int, seed: int, step: int, way: int, older: list[int], more: int) -> None:
        """Anybody asks for anything, now and then for somebody else, or without claiming it."""
        chain = self.chain(seed)
        steps = self.steps_of(chain[0])
        question = Question(
            account % len(self.owners),
            chain,
            steps[step % len(steps)],
            self.facts(chain, way),
            self.older(chain, older),
            behalf=more % len(self.owners) if more % 5 == 0 else None,
            minutes=MINUTES[0] if more % 7 == 0 else 0,
            claim=more % 8 > 0,
        )
        self.ask(question)

    @rule(account=number, seed=number, older=st.lists(number, max_size=2), state=st.sampled_from(BECAME))
    def advances(self, account: int, seed: int, older: list[int], state: str) -> None:
        """Somebody takes the next step of a chain."""
        chain = self.chain(seed)
        step = self.waits_for(chain)
        if step is not None:
            named = self.older(chain, older) if not self.world.begun(chain) else ()
            facts = self.facts(chain, 0)
            self.reported(self.ask(Question(account % len(self.owners), chain, step, facts, named)), state)

    @precondition(lambda self: self.claims)
    @rule(which=number, state=st.sampled_from(["performed", "abandoned"]))
    def reports(self, which: int, state: str) -> None:
        self.report(self.claims[-1 - which % len(self.claims)], state)

    @precondition(lambda self: self.held)
    @rule(which=number, supervisor=st.integers(0, 1), again=st.booleans())
    def approves(self, which: int, supervisor: int, again: bool) -> None:
        """A supervisor approves what waits, and mostly it is asked for again at once."""
        item = self.held[-1 - which % min(3, len(self.held))]
        self.settle(item, supervisor)
        if again:
            self.ask(replace(item.question, claim=True))

    @precondition(lambda self: self.held)
    @rule(which=number, supervisor=st.integers(0, 1), seed=number, step=number)
    def acts_elsewhere_and_approves(self, which: int, supervisor: int, seed: int, step: int) -> None:
        """A supervisor takes a hand in another chain, and then would approve what waits."""
        waiting = [item for item in self.held if item.approved is None] or self.held
        item = waiting[-1 - which % min(3, len(waiting))]
        others = [chain for kind in self.plan.kinds for chain in self.chains(kind.id)]
        others.remove(item.question.chain)
        chain = others[seed % len(others)]
        waits = self.waits_for(chain) if step % 3 == 0 else None
        beyond = {name for duty in self.plan.duties if duty.scope != "chain" for name in duty.steps}
        steps = [name for name in self.steps_of(chain[0]) if name in beyond] or self.steps_of(chain[0])
        facts = self.facts(chain, 0)
        if not self.world.begun(chain):
            facts |= {name: item.question.facts.get(name, facts[name]) for name in FACTS[: seed % 7]}
        account = self.plan.supervisors[supervisor]
        self.ask(Question(account, chain, waits or steps[step % len(steps)], facts))
        self.settle(item, supervisor)
        self.ask(replace(item.question, claim=True))

    @rule(account=number, seed=number, other=number, names=st.integers(1, 63), step=number)
    def moves(self, account: int, seed: int, other: int, names: int, step: int) -> None:
        """Somebody amends a chain to where another one is, and then somebody acts on it."""
        kinds = [kind.id for kind in self.plan.kinds if kind.material]
        begun = [chain for kind in kinds for chain in self.chains(kind) if self.world.begun(chain)]
        if not begun:
            return
        chain, to = begun[seed % len(begun)], self.facts(begun[other % len(begun)], 0)
        facts = self.facts(chain, 0)
        facts |= {name: to[name] for place, name in enumerate(FACTS) if names >> place & 1}
        able = self.able(chain[0], "amend")
        answer = self.ask(Question(able[account % len(able)], chain, "amend", facts))
        self.seen["moves refused"] += "moved_history" in answer.findings
        if answer.outcome == "permit":
            self.seen["moves"] += self.world.in_force(chain) == facts
            steps = self.steps_of(chain[0])
            self.ask(Question(step % len(self.owners), chain, steps[step % len(steps)], facts))

    @rule(one=number, other=number, seed=number, state=st.sampled_from(BECAME))
    def amends(self, one: int, other: int, seed: int, state: str) -> None:
        """Somebody does what a large amount would forbid, mostly, and then somebody changes the amount."""
        chains = [chain for kind in self.plan.kinds if kind.material for chain in self.chains(kind.id)]
        if not chains:
            return
        chain = chains[seed % len(chains)]
        facts = self.facts(chain, 0)
        steps = {step for duty in self.plan.duties if duty.large for step in duty.steps}
        if facts["amount"] == "small" and seed % 3:
            for step in [step for step in self.steps_of(chain[0]) if step in steps][:3]:
                able = self.able(chain[0], step)
                self.reported(self.ask(Question(able[one % len(able)], chain, step, facts)), state)
        able = self.able(chain[0], "amend")
        self.ask(Question(able[other % len(able)], chain, "amend", self.facts(chain, 1)))

    def able(self, kind: str, step: str) -> list[int]:
        """The accounts of those who may take a step; somebody's, if nobody may."""
        return [one for one, who in enumerate(self.owners) if self.world.granted(who, kind, step)] or [0]

    @precondition(lambda self: self.denied)
    @rule(which=number)
    def asks_again(self, which: int) -> None:
        """What was denied for what somebody has done stays denied, whatever has happened since."""
        item = self.denied[which % len(self.denied)]
        answer = self.ask(replace(item.question, minutes=0, claim=False))
        kinds = {duty.id: duty for duty in self.plan.duties}

        def stays(rule: str) -> bool:
            duty = kinds.get(rule)
            if duty is None or self.world.now == item.at:
                return duty is None or duty.kind != "relation" or item.merges == self.merges
            timed = duty.kind in TIMED or duty.scope != "chain"
            return not timed and (duty.kind != "relation" or item.merges == self.merges)

        rules = {rule for rule in item.rules if stays(rule)}
        assert answer.outcome == "deny" or not rules
        if "lineage_changed" not in answer.findings:
            assert rules <= answer.findings.keys()

    @rule(what=st.sampled_from(CHANGES), one=number, other=number, roles=st.none() | roles_held)
    def something_changes(self, what: str, one: int, other: int, roles: frozenset[str] | None) -> None:
        """Time passes; somebody goes away, gets another account or other roles, or is found to be another."""
        people = [person for person, held in self.world.roles.items() if held]
        person = people[one % len(people)]
        match what:
            case "time":
                self.wait(SPANS[other % len(SPANS)])
            case "absence":
                self.away[person] = self.world.now + timedelta(days=1 + other % 3)
                self.play("away", person, self.away[person])
            case "account" if len(self.owners) < 12:
                kept = self.world.roles[person] & {"supervisor"}
                self.world.roles[person] = self.world.roles[person] if roles is None else roles | kept
                self.play("account", person, self.world.roles[person])
                self.owners.append(person)
            case "merge" if self.merges < 2 and one % 3 == 0:
                into = people[other % len(people)]
                if into != person:
                    self.merge(person, into)

    def merge(self, person: int, into: int) -> None:
        self.play("merge", person, into)
        self.merges += 1
        moved = [
            item.number
            for item in self.world.lent
            if item.delegate == person and item.person not in (person, into) and self.world.now < item.until
        ]
        self.world.merge(person, into)
        ends_by_merging(self.world, moved)
        self.owners = [into if owner == person else owner for owner in self.owners]
        self.excused |= broken(self.world)


@pytest.mark.fuzz
@pytest.mark.differential
def test_the_engine_says_what_the_plain_model_says(
    sqlite_template: Path,
    record_property: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Random desks, chains, exceptions and attacks: the same verdicts, and all the laws above."""

    class Machine(DutyMachine):
        template = sqlite_template

        def teardown(self) -> None:
            super().teardown()
            self.seen["plays"] += 1
            if LONG_RUN and self.seen["plays"] % 50 == 0:
                tell(f"{self.seen['plays']:,} plays, {self.seen['steps']:,} steps")

    def tell(*lines: str) -> None:
        with capsys.disabled():
            sys.stdout.write("".join(f"\n{line}" for line in lines))
            sys.stdout.flush()

    # Whoever measures beside it may stop this process for longer than an answer takes.
    monkeypatch.setattr(writer, "ANSWER_SECONDS", 24 * 3600)
    Machine.seen.clear()
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=1_600 if LONG_RUN else 30,
            stateful_step_count=60 if LONG_RUN else 30,
            deadline=None,
            derandomize=not LONG_RUN,
            suppress_health_check=[*HealthCheck],
        ),
    )
    record_property("seen", dict(Machine.seen))
    if LONG_RUN:
        tell(*(f"{count:8,} {what}" for what, count in sorted(Machine.seen.items())), "")
        assert Machine.seen["steps"] >= STEPS
        assert min(Machine.seen[what] for what in MET) > 10
    assert min(Machine.seen[outcome] for outcome in ("permit", "review", "deny")) > 10
