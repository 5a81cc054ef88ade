"""Random desks played by the real service and by a plain model of the design, which must say the same.

After every step no constraint that denies is broken that was not broken before two persons were found to be
one; what was denied for what somebody has done stays denied; at the end, the export alone gives every verdict
again, and the same play by people of other names goes as this one did.

Which denials stay, whatever else happens on the same links and facts: those of `whole_chain`, `separate`,
`at_most`, `exclusive_roles`, `votes`, `relation` (as long as nobody is found to be somebody else), and of
`cooling_off`, walls and scopes beyond the chain for as long as they last. Others may end: `at_least` and
`coalition` when new people take a hand, `bind` when a claim is abandoned, `sole_actor` when somebody else
acts, and whatever is about the order of steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from controls.ledger.verifier import Key, Verification
from tests.conftest import LONG_RUN
from tests.machine.ledger_alone import verdicts
from tests.machine.plain_laws import TIMED, Unsettled, broken, can_be_finished
from tests.machine.plain_model import World
from tests.machine.plain_words import Ask, Chain
from tests.machine.plans import FACTS, ROLES, Plan, plans
from tests.machine.playing import START, Answer, Playing

LOOKED_AHEAD = {"would_strand", "strand_unknown"}
STAYING = {"separate", "at_most", "exclusive_roles", "votes", "relation", *TIMED}
APPROVAL_LASTS = timedelta(hours=24)
BECAME = (*["performed"] * 4, "abandoned", "")
SPANS = (timedelta(minutes=20), timedelta(hours=1), timedelta(days=2))
CHANGES = ("time", "absence", "account", "merge")
roles_held = st.frozensets(st.sampled_from(ROLES), min_size=1)
number = st.integers(0, 999)


@dataclass
class Held:
    """An answer that waits for a supervisor."""

    answer: int
    ask: Ask
    rules: frozenset[str]
    approver: int = -1
    state: object = (
        None  # of the world when it was asked, and once it is approved, if nothing has happened since
    )
    approved: datetime | None = None
    used: bool = False


@dataclass(frozen=True)
class Denied:
    """Something that was denied for what somebody had done."""

    account: int
    ask: Ask
    rules: frozenset[str]
    at: datetime
    merges: int


class DutyMachine(RuleBasedStateMachine):
    template: ClassVar[Path]
    seen: ClassVar[Counter[str]] = Counter()

    @initialize(plan=plans(), order=st.permutations(range(7)))
    def desk(self, plan: Plan, order: list[int]) -> None:
        self.plan, self.order = plan, order
        self.engine = self.started([f"p-{place:02}" for place in order])
        self.script: list[tuple[str, tuple[Any, ...], Any]] = []
        self.owners = list(plan.accounts)
        self.world = World(
            kinds={kind.id: kind for kind in plan.kinds},
            duties=plan.duties,
            grants=plan.grants,
            inherits=plan.inherits,
            roles=dict(enumerate(plan.roles)),
            profiles={person: dict(said) for person, said in enumerate(plan.profiles)},
            now=START,
        )
        self.away: dict[int, datetime] = {}
        self.held: list[Held] = []
        self.denied: list[Denied] = []
        self.claims: list[int] = []
        self.merges = 0
        self.excused: frozenset[Any] = frozenset()

    def started(self, names: list[str]) -> Playing:
        return Playing(self.plan, tuple(names[: len(self.plan.roles)]), self.template)

    def play(self, what: str, *args: Any) -> Any:
        """Do something in the engine, and keep what it said."""
        said = getattr(self.engine, what)(*args)
        self.script.append((what, args, said))
        return said

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.check_the_ledger()
            if self.order[0] == 0:
                self.check_other_names()
        finally:
            self.engine.close()

    def check_the_ledger(self) -> None:
        """The export verifies, and gives every verdict again."""
        export = self.engine.export()
        report = Verification([Key.of(self.engine.desk.vkey)], None).run(export.splitlines(keepends=True))
        assert report.problems == []
        again = list(verdicts(export, self.world))
        assert len(again) == len(self.engine.answers)
        for entry, found, expected in again:
            told = {rule: said for rule, said in found.items() if rule not in LOOKED_AHEAD}
            assert told == expected, f"{entry}\n{expected}"

    def check_other_names(self) -> None:
        """The same play by people with other names."""
        other = self.started([f"q{place}" for place in reversed(self.order)])
        try:
            for what, args, said in self.script:
                again = getattr(other, what)(*args)
                if isinstance(said, Answer):
                    assert (again.outcome, again.findings) == (said.outcome, said.findings)
                else:
                    assert again == said
        finally:
            other.close()

    # --- Asking -------------------------------------------------------------------------------------------

    def chain(self, seed: int) -> Chain:
        kind = self.plan.kinds[seed % len(self.plan.kinds)]
        return kind.id, f"{kind.id}-{seed // 2 % 4}"

    def facts(self, chain: Chain, way: int) -> dict[str, str]:
        """What is in force on the chain, mostly; else something else."""
        digit = int(chain[1][-1])
        told = {
            "account": f"A{digit % 2}",
            "instrument": f"I{digit // 2}",
            "desk": "D",
            "amount": "large" if digit else "small",
            "sector": "oil",
            "issuer": f"X{digit % 2}",
        } | dict(self.world.in_force(chain))
        if way % 10 == 1:
            told["amount"] = "small" if told["amount"] == "large" else "large"
        elif way % 10 == 2:
            name = FACTS[way // 10 % 3]
            told[name] = "other"
        elif way % 10 == 3:
            del told[FACTS[way // 10 % 6]]
        return told

    def older(self, chain: Chain, seeds: list[int]) -> tuple[Chain, ...]:
        """Older chains to name: those that the chain has, or some that have begun, mostly."""
        if self.world.begun(chain) and seeds and seeds[0] % 4:
            return self.world.links.get(chain, ())
        named = (self.chain(seed) for seed in seeds if seed % 3 == 0)
        begun = dict.fromkeys(other for other in named if other != chain and self.world.begun(other))
        # What the acts of several persons break together, once chains are joined, the model does not say.
        together = {"relation", "coalition", "cooling_off"} & {duty.kind for duty in self.plan.duties}
        return tuple(begun)[: 1 if together else 2]

    def ask(
        self,
        account: int,
        chain: Chain,
        step: str,
        facts: Mapping[str, str],
        older: tuple[Chain, ...] = (),
        *,
        claim: bool = True,
    ) -> Answer:
        """Ask both, compare what they say, and put a permit on the model's record."""
        ask = Ask(self.owners[account], chain, step, facts, older)
        expected = self.world.verdict(ask)
        answer: Answer = self.play("ask", account, chain, step, facts, older, claim)
        self.seen[answer.outcome] += 1
        ahead = {rule: said for rule, said in answer.findings.items() if rule in LOOKED_AHEAD}
        found = {rule: said for rule, said in answer.findings.items() if rule not in ahead}
        told = self.told(ask, answer, expected)
        denies = "deny" in expected.values()
        reviews = frozenset(rule for rule, said in expected.items() if said == "review")
        if denies:
            assert answer.outcome == "deny", told
        else:
            cleared = self.check_outcome(ask, answer.outcome, reviews, ahead, told)
            expected = {rule: said for rule, said in expected.items() if not cleared or rule not in reviews}
            assert claim is (answer.outcome != "would_permit") or answer.outcome == "review", told
        assert found == expected, told
        if answer.outcome == "permit":
            self.world.take(ask, answer.id)
            self.claims.append(len(self.engine.answers) - 1)
        if denies:
            self.note_denial(account, ask, expected)
        return answer

    def check_outcome(
        self, ask: Ask, outcome: str, reviews: frozenset[str], ahead: Mapping[str, str], told: str
    ) -> bool:
        """Of what nothing denies: review, or permit; whether that is because a supervisor has approved it."""
        finished = self.finished(ask, ahead)
        if outcome == "review":
            rules = reviews | ahead.keys()
            assert rules, told
            assert "strand_unknown" in ahead or finished is not ("would_strand" in ahead), told
            assert self.approval(ask, rules) is None, told
            self.held.append(Held(len(self.engine.answers) - 1, ask, rules, state=self.state()))
            return False
        assert outcome in ("permit", "would_permit"), told
        assert not ahead, told
        if finished is not False and not reviews:
            return False
        approvals = [item for item in self.held if self.approves_of(item, ask)]
        assert approvals, told
        approvals[0].used = outcome == "permit"
        return True

    def approval(self, ask: Ask, rules: frozenset[str]) -> Held | None:
        """An approval of exactly this, since which nothing has happened."""
        for item in self.held:
            same = (item.ask.person, item.rules, item.state) == (ask.person, rules, self.state())
            party = any(item.approver in self.world.parties(older) for older in ask.older)
            if same and not party and self.approves_of(item, ask):
                return item
        return None

    def approves_of(self, item: Held, ask: Ask) -> bool:
        """Whether it was approved that somebody does this on these facts."""
        material = self.world.kinds[ask.chain[0]].material
        return (
            (item.ask.chain, item.ask.step, item.ask.older) == (ask.chain, ask.step, ask.older)
            and all(item.ask.facts[name] == ask.facts[name] for name in material)
            and item.approved is not None
            and not item.used
            and self.world.now < item.approved + APPROVAL_LASTS
        )

    def state(self) -> object:
        return (tuple(self.world.acts), self.merges, self.world.now, repr(self.world.roles), repr(self.away))

    def finished(self, ask: Ask, ahead: Mapping[str, str]) -> bool | None:
        """Whether somebody can do the rest of the chain, found by trying every way; None: cannot be told."""
        world = World(**{**vars(self.world), "acts": [*self.world.acts], "links": {**self.world.links}})
        world.take(ask, "")
        if ahead:
            # Steps that remain are thought of as taken in the order in which a constraint lists them.
            world.duties = tuple(duty.but(ordered=False) for duty in world.duties)
        there = [
            person
            for person, roles in self.world.roles.items()
            if roles and self.away.get(person, START) <= self.world.now
        ]
        facts = dict(ask.facts)
        if not self.world.kinds[ask.chain[0]].material:
            # Nobody knows what will be said later: at best it is little, and a constraint may always apply.
            facts["amount"] = "small" if ahead else "large"
        try:
            return can_be_finished(world, ask.chain, facts, there)
        except Unsettled:
            self.seen["unsettled"] += 1
            return None

    def note_denial(self, account: int, ask: Ask, found: Mapping[str, str]) -> None:
        staying = {duty.id for duty in self.plan.duties if duty.kind in STAYING and duty.then == "deny"}
        rules = frozenset(found.keys() & (staying | {"whole_chain"}))
        if rules:
            self.denied.append(Denied(account, ask, rules, self.world.now, self.merges))

    def told(self, ask: Ask, answer: Answer, expected: Mapping[str, str]) -> str:
        """Everything that a disagreement depends on, in few lines."""
        world = self.world
        return "\n".join(
            [
                f"asked:  {ask} at {world.now}",
                f"engine: {answer.outcome} {answer.findings}",
                f"model:  {expected}",
                *(
                    f"  {act.chain[1]} {act.step} by {act.person}: {act.state}{' approver' * act.approver}"
                    f" {act.at} {[*act.facts.values()]}"
                    for act in world.acts
                ),
                *(f"  {younger} <- {older}" for younger, older in world.links.items()),
                *(f"  {item}" for item in (*world.kinds.values(), *world.duties)),
                f"  {world.roles} {world.profiles} away: {self.away}",
                f"  {dict(world.grants)} {world.inherits}",
            ]
        )

    # --- What happens -------------------------------------------------------------------------------------

    @rule(
        account=number, seed=number, step=number, way=number, older=st.lists(number, max_size=2), claim=number
    )
    def asks(self, account: int, seed: int, step: int, way: int, older: list[int], claim: int) -> None:
        """Anybody asks for anything."""
        chain = self.chain(seed)
        steps = [*(item.id for item in self.world.kinds[chain[0]].steps), "amend"]
        self.ask(
            account % len(self.owners),
            chain,
            steps[step % len(steps)],
            self.facts(chain, way),
            self.older(chain, older),
            claim=claim % 8 > 0,
        )

    @rule(account=number, seed=number, older=st.lists(number, max_size=2), state=st.sampled_from(BECAME))
    def advances(self, account: int, seed: int, older: list[int], state: str) -> None:
        """Somebody takes the next step of a chain."""
        chain = self.chain(seed)
        facts = self.facts(chain, 0)
        for step in self.world.kinds[chain[0]].steps:
            if not self.world.performed(Ask(None, chain, step.id, facts), step.id):
                named = self.older(chain, older) if not self.world.begun(chain) else ()
                answer = self.ask(account % len(self.owners), chain, step.id, facts, named)
                if answer.outcome == "permit" and state:
                    self.report(len(self.engine.answers) - 1, state)
                return

    def report(self, answer: int, state: str) -> None:
        taken = self.play("report", answer, state)
        assert taken == self.world.report(self.engine.answers[answer].id, state)

    @precondition(lambda self: self.claims)
    @rule(which=number, state=st.sampled_from(["performed", "abandoned"]))
    def reports(self, which: int, state: str) -> None:
        self.report(self.claims[-1 - which % len(self.claims)], state)

    @precondition(lambda self: self.held)
    @rule(which=number, supervisor=st.integers(0, 1), again=st.booleans())
    def approves(self, which: int, supervisor: int, again: bool) -> None:
        """A supervisor approves what waits, and mostly it is asked for again at once."""
        item = self.held[-1 - which % min(3, len(self.held))]
        person = self.owners[self.plan.supervisors[supervisor]]
        review = self.engine.answers[item.answer].review
        closed = any(
            other.approved is not None and self.engine.answers[other.answer].review == review
            for other in self.held
        )
        party = person in self.world.parties(item.ask.chain) or person == item.ask.person
        may = review and not closed and not party and "supervisor" in self.world.roles[person]
        if not review:
            return  # an opinion was asked for
        assert self.play("resolve", item.answer, self.plan.supervisors[supervisor]) == bool(may)
        if may:
            # Where it says who else could act, or who has acted together, the approver's act may change it.
            kinds = {duty.kind for duty in self.plan.duties}
            alone = self.world.roles[person] == {"supervisor"} and "relation" not in kinds
            same = "coalition" not in kinds and (alone or not item.rules & LOOKED_AHEAD)
            fresh = same and item.state == self.state()
            self.world.approve(item.ask.chain, item.ask.step, person)
            item.approver = person
            item.approved, item.state = self.world.now, self.state() if fresh else None
        if again and item.ask.person in self.owners:
            ask = item.ask
            self.ask(self.owners.index(ask.person), ask.chain, ask.step, ask.facts, ask.older)

    @precondition(lambda self: self.denied)
    @rule(which=number)
    def asks_again(self, which: int) -> None:
        """What was denied for what somebody has done stays denied, whatever has happened since."""
        item = self.denied[which % len(self.denied)]
        ask = item.ask
        answer = self.ask(item.account, ask.chain, ask.step, ask.facts, ask.older, claim=False)
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
                span = SPANS[other % len(SPANS)]
                self.play("wait", span)
                self.world.now += span
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
        self.world.merge(person, into)
        self.owners = [into if owner == person else owner for owner in self.owners]
        for item in self.held:
            if item.ask.person == person:
                item.ask = replace(item.ask, person=into)
        self.excused |= broken(self.world)

    @invariant()
    def no_history_violates_a_constraint(self) -> None:
        self.seen["steps"] += 1
        if hasattr(self, "world") and self.world.acts:
            assert broken(self.world) <= self.excused, broken(self.world) - self.excused


@pytest.mark.fuzz
@pytest.mark.differential
def test_the_engine_says_what_the_plain_model_says(sqlite_template: Path, record_property: Any) -> None:
    """Random desks, chains and attacks: the same verdicts, and all the laws above."""

    class Machine(DutyMachine):
        template = sqlite_template

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=1_200 if LONG_RUN else 30,
            stateful_step_count=50 if LONG_RUN else 30,
            deadline=None,
            derandomize=not LONG_RUN,
            suppress_health_check=[*HealthCheck],
        ),
    )
    record_property("seen", dict(Machine.seen))
    assert min(Machine.seen[outcome] for outcome in ("permit", "review", "deny")) > 10
