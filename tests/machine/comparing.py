"""One desk played twice, by the real service and by the plain model, and compared after every step.

What is played is told in words when something differs: who asked for what, and what was said.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from controls.ledger.verifier import Key, Verification
from tests.machine.ledger_alone import verdicts
from tests.machine.plain_exceptions import LOOKED_AT_WITHIN, lent_by, used
from tests.machine.plain_laws import TIMED, Broken, Unsettled, can_be_finished, unexcused
from tests.machine.plain_model import World
from tests.machine.plain_words import UNKNOWN, Ask, Chain
from tests.machine.plans import FACTS, Plan, plans
from tests.machine.playing import START, Answer, Playing
from tests.machine.questions import Denied, Held, Question, Use

LOOKED_AHEAD = {"would_strand", "strand_unknown"}
STAYING = {"separate", "at_most", "exclusive_roles", "votes", "relation", *TIMED}
APPROVAL_LASTS = timedelta(hours=24)
BECAME = (*["performed"] * 4, "abandoned", "")  # what becomes of a claim


@dataclass
class Told:
    """What a disagreement depends on; made into words only then."""

    machine: Compared
    ask: Ask
    answer: Answer
    expected: Mapping[str, str]
    before: World = field(init=False)

    def __post_init__(self) -> None:
        self.before = self.machine.world.copy()

    def __str__(self) -> str:
        world = self.before
        return "\n".join(
            [
                f"asked:  {self.ask} at {world.now}",
                f"engine: {self.answer.outcome} {self.answer.findings} cleared: {self.answer.cleared}",
                f"model:  {self.expected}",
                *(
                    f"  {act.chain[1]} {act.step} by {act.person}: {act.state} {act.capacity}"
                    f"{'' if act.beside is None else f' beside {act.beside}'}"
                    f" {act.at} {[*act.facts.values()]}"
                    for act in world.acts
                ),
                *(f"  {younger} <- {older}" for younger, older in world.links.items()),
                *(f"  {item}" for item in (*world.lent, *world.accepted)),
                *(f"  {item}" for item in (*world.kinds.values(), *world.duties)),
                f"  {world.roles} {world.profiles} away: {self.machine.away}",
                f"  {dict(world.grants)} {world.inherits}",
            ]
        )


class Compared(RuleBasedStateMachine):
    """The state of a play, without any rule of it."""

    template: ClassVar[Path]
    seen: ClassVar[Counter[str]] = Counter()

    @initialize(plan=plans(), order=st.permutations(range(7)))
    def desk(self, plan: Plan, order: list[int]) -> None:
        self.plan, self.order = plan, order
        self.engine = self.started([f"p-{place:02}" for place in order])
        self.script: list[tuple[str, tuple[Any, ...], Any]] = []
        self.story: list[str] = []
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
        self.refused: list[Question] = []
        self.claims: list[int] = []
        self.uses: list[Use] = []
        self.merges = 0
        self.excused: frozenset[Broken] = frozenset()

    def started(self, names: list[str]) -> Playing:
        return Playing(self.plan, tuple(names[: len(self.plan.roles)]), self.template)

    def play(self, what: str, *args: Any) -> Any:
        """Do something in the engine, and keep what it said."""
        said = getattr(self.engine, what)(*args)
        self.script.append((what, args, said))
        shown = said.outcome if isinstance(said, Answer) else said
        self.story.append(f"{self.world.now:%d %H:%M} {what} {', '.join(map(str, args))}: {shown}")
        return said

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        note("What was played (accounts and persons are numbers; the first accounts are of one person each):")
        note("\n".join(self.story))
        try:
            if sys.exc_info()[0] is None:  # else what differed is told, and not what follows from it
                self.check_the_ledger()
                self.check_the_report()
                if self.order[0] == 0:
                    self.check_other_names()
        finally:
            self.engine.close()

    def check_the_ledger(self) -> None:
        """The export verifies, and gives every verdict again."""
        export = self.engine.export()
        report = Verification([Key.of(self.engine.desk.vkey)], None).run(export.splitlines(keepends=True))
        assert not report.problems, report.problems
        again = list(verdicts(export, self.world))
        assert len(again) == len(self.engine.answers)
        for entry, found, expected in again:
            told = {rule: said for rule, said in found.items() if rule not in LOOKED_AHEAD}
            assert told == expected, f"{entry}\n{expected}"

    def check_the_report(self) -> None:
        """Every use of an exception is in the report, with what became of its case."""
        overdue = 0
        expected = []
        for use in self.uses:
            late = use.open and use.at + LOOKED_AT_WITHIN <= self.world.now
            overdue += late
            state = "overdue" if late else "open" if use.open else "approved"
            expected.append((use.kind, self.engine.answers[use.answer].id, state))
        said, rows = self.engine.report_of_exceptions()
        assert sorted(row for row in rows if row[0] != "break_glass_request") == sorted(expected)
        assert said == overdue

    def check_other_names(self) -> None:
        """The same play by people with other names."""
        other = self.started([f"q{place}" for place in reversed(self.order)])
        try:
            for what, args, said in self.script:
                again = getattr(other, what)(*args)
                if isinstance(said, Answer):
                    same = (again.outcome, again.findings, again.cleared, again.case)
                    assert same == (said.outcome, said.findings, said.cleared, said.case)
                else:
                    assert again == said
        finally:
            other.close()

    # --- What may be asked --------------------------------------------------------------------------------

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
            "amount": "large" if digit % 2 else "small",
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

    def chains(self, kind: str) -> list[Chain]:
        """All chains of a kind that are ever played."""
        return [(kind, f"{kind}-{number}") for number in range(4)]

    def steps_of(self, kind: str) -> list[str]:
        return [*(step.id for step in self.world.kinds[kind].steps), "amend"]

    def waits_for(self, chain: Chain) -> str | None:
        """The first step of a chain that is not done, if there is one."""
        facts = self.facts(chain, 0)
        for step in self.world.kinds[chain[0]].steps:
            if not self.world.performed(Ask(None, chain, step.id, facts), step.id):
                return step.id
        return None

    def accounts_of(self, person: int) -> list[int]:
        return [account for account, owner in enumerate(self.owners) if owner == person]

    # --- Asking -------------------------------------------------------------------------------------------

    def meant(self, question: Question) -> Ask:
        """A question as one of persons, as these are known now."""
        behalf = question.behalf
        return Ask(
            self.owners[question.account],
            question.chain,
            question.step,
            question.facts,
            question.older,
            behalf if behalf in (None, UNKNOWN) else self.owners[behalf],
            question.minutes > 0,
        )

    def ask(self, question: Question) -> Answer:
        """Ask both, compare what they say, and put a permit on the model's record."""
        ask = self.meant(question)
        expected = self.world.verdict(ask)
        answer: Answer = self.play("ask", *vars(question).values())
        self.count(ask, answer)
        told = Told(self, ask, answer, expected)
        said = {**answer.findings, **answer.cleared}
        ahead = {rule: effect for rule, effect in said.items() if rule in LOOKED_AHEAD}
        assert {rule: effect for rule, effect in said.items() if rule not in ahead} == expected, told
        denies = {rule for rule, effect in expected.items() if effect == "deny"}
        if denies and (not ask.glass or "break_glass_refused" in denies):
            assert (answer.outcome, answer.review, answer.cleared) == ("deny", "", {}), told
        else:
            reviews = {rule for rule, effect in expected.items() if effect == "review"}
            self.check_outcome(question, answer, frozenset(denies | reviews), ahead, told)
        if answer.outcome == "permit":
            lifted = {rule for rule, effect in answer.cleared.items() if effect == "deny"}
            kind, lent = used(self.world, ask, lifted), lent_by(self.world, ask)
            self.world.take(ask, answer.id)
            self.check_case(question, answer, kind, lent, told)
            self.claims.append(len(self.engine.answers) - 1)
            self.excuse(lifted)
        if answer.outcome == "deny":
            self.note_denial(question, expected)
        return answer

    def count(self, ask: Ask, answer: Answer) -> None:
        """What was met with, for the sum of a run."""
        self.seen[answer.outcome] += 1
        if ask.beside is not None:
            self.seen[f"{answer.outcome} for somebody else"] += 1
        if "deny" in answer.cleared.values():
            self.seen["denials lifted"] += 1
        self.seen["denials that nobody lifts"] += "break_glass_refused" in answer.findings
        self.seen["rules come to apply"] += "amended_history" in answer.findings

    def check_outcome(
        self,
        question: Question,
        answer: Answer,
        stopping: frozenset[str],
        ahead: Mapping[str, str],
        told: Told,
    ) -> None:
        """Of what nothing denies for good: it waits for what stops it, or somebody has approved just that."""
        ask = told.ask
        assert "strand_unknown" in ahead or self.finished(ask, ahead) is not ("would_strand" in ahead), told
        rules = stopping | ahead.keys()
        if answer.cleared or not rules:
            assert answer.outcome == ("permit" if question.claim else "would_permit"), told
            assert answer.cleared.keys() == rules, told
            if rules:
                approvals = [item for item in self.held if self.approves_of(item, ask, rules)]
                assert approvals, told
                approvals[0].used = answer.outcome == "permit"
            return
        lifts = "deny" in told.expected.values()
        assert answer.outcome == ("deny" if lifts else "review"), told
        assert (answer.review != "") is question.claim, told
        assert self.approval(ask, rules) is None, told
        until = self.world.now + timedelta(minutes=question.minutes) if lifts else None
        for item in self.held:
            # The same again is in the case that is open, which has the minutes that were asked for first.
            if answer.review and self.engine.answers[item.answer].review == answer.review:
                assert self.about_the_same(item, ask), told
                assert item.rules == rules, told
                assert item.until is None or self.world.now < item.until, told
                until = item.until
        self.held.append(Held(len(self.engine.answers) - 1, question, rules, self.state(), until))

    def check_case(
        self, question: Question, answer: Answer, kind: str, lent: frozenset[int], told: Told
    ) -> None:
        """What is permitted by an exception has a case of its own for a third person; asking again for the
        same claim shares it, until somebody has looked at it. Other flags have a case, too."""
        self.seen["conflicts that are accepted"] += kind == "mitigation"
        flags = "flag" in answer.findings.values()
        if not kind:
            assert answer.case == ("flag" if flags else ""), told
            return
        claim = self.world.shared.get(answer.id, answer.id)
        under = (kind, lent, frozenset(told.ask.older), self.merges)
        # What a finding says besides its name, and which of two delegations lasts longest, is not modelled.
        sole = kind == "delegation" and len(lent) == 1 and not flags and not answer.cleared
        known = [use for use in self.uses if use.claim == claim]
        same = [use for use in known if sole and use.sole and use.under == under]
        shared = [use for use in known if use.open and answer.review == self.review_of(use)]
        if same:
            assert answer.review == (self.review_of(same[0]) if same[0].open else ""), told
        elif shared or not answer.review:
            assert not answer.cleared, told
            assert shared or any(not use.open for use in known), told
        else:
            assert answer.case == "exception", told
            assert answer.review not in map(self.review_of, self.uses), told
            place = len(self.engine.answers) - 1
            self.uses.append(Use(place, question, kind, self.world.now, claim, under, sole))
            return
        self.seen["uses asked for again"] += 1

    def review_of(self, use: Use) -> str:
        return self.engine.answers[use.answer].review

    def look_at(self, use: Use, supervisor: int) -> None:
        """Let one of the two supervisors look at what was permitted by an exception."""
        ask = self.meant(use.question)
        person = self.owners[self.plan.supervisors[supervisor]]
        party = person in self.world.parties(ask.chain) or person in ask.hands
        may = use.open and not party and "supervisor" in self.world.roles[person]
        assert self.play("resolve", use.answer, self.plan.supervisors[supervisor]) == may
        use.open = use.open and not may
        self.seen["uses looked at"] += may

    def excuse(self, lifted: set[str]) -> None:
        """What a second person lifted is broken from now on, and nothing else is."""
        new = frozenset(unexcused(self.world, self.excused))
        assert {item[0] for item in new} <= lifted, new
        self.excused |= new

    def approval(self, ask: Ask, rules: frozenset[str]) -> Held | None:
        """An approval of exactly this, since which nothing has happened."""
        for item in self.held:
            party = any(item.approver in self.world.parties(older) for older in ask.older)
            if item.state == self.state() and not party and self.approves_of(item, ask, rules):
                return item
        return None

    def approves_of(self, item: Held, ask: Ask, rules: frozenset[str]) -> bool:
        """Whether just this was approved, and is not used or over yet."""
        return (
            self.about_the_same(item, ask)
            and item.rules == rules
            and item.approved is not None
            and item.approver not in ask.hands
            and not item.used
            and self.world.now < (item.until or item.approved + APPROVAL_LASTS)
        )

    def about_the_same(self, item: Held, ask: Ask) -> bool:
        """Whether it is asked that the same person does the same, for the same one, on the same facts."""
        asked = self.meant(item.question)
        material = self.world.kinds[ask.chain[0]].material
        return (
            (asked.chain, asked.step, asked.older) == (ask.chain, ask.step, ask.older)
            and (asked.person, asked.behalf) == (ask.person, ask.behalf)
            and all(asked.facts.get(name) == ask.facts.get(name) for name in material)
        )

    def state(self) -> object:
        world = self.world
        told = (world.roles, self.away, world.lent, world.accepted)
        return (tuple(world.acts), self.merges, world.now, repr(told))

    def finished(self, ask: Ask, ahead: Mapping[str, str]) -> bool | None:
        """Whether somebody can do the rest of the chain, found by trying every way; None: cannot be told."""
        world = self.world.copy()
        world.take(ask, "")
        return self.finished_in(world, ask, ahead=bool(ahead))

    def strands(self, ask: Ask, supervisor: int) -> bool:
        """Whether nobody can do the rest of the chain, which may be done now, once a supervisor has a hand in
        the step; what cannot be told may be so. An amendment that is approved may not come to pass."""
        world = self.world.copy()
        ask = replace(ask, facts=world.in_force(ask.chain))
        now = self.finished_in(world.copy(), ask, ahead=True)
        world.approve(ask, supervisor)
        return (
            self.world.begun(ask.chain)
            and now is not False
            and (self.finished_in(world, ask, ahead=True) is not True)
        )

    def finished_in(self, world: World, ask: Ask, *, ahead: bool) -> bool | None:
        """The same of this world; `ahead`: something was found by looking ahead."""
        if ahead:
            # Steps that remain are thought of as taken in the order in which a constraint lists them.
            world.duties = tuple(duty.but(ordered=False) for duty in world.duties)
        else:
            world.lent, world.accepted = [], []  # nobody counts on an exception
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

    def note_denial(self, question: Question, found: Mapping[str, str]) -> None:
        self.refused.append(question)
        staying = {
            duty.id
            for duty in self.plan.duties
            if duty.kind in STAYING and duty.then == "deny" and not duty.of_roles
        }
        # Where the order matters, what is only claimed counts until it is done.
        done = [replace(act, done=act.done or self.world.now) for act in self.world.acts]
        still = replace(self.world, acts=done).verdict(self.meant(question))
        rules = frozenset(found.keys() & still.keys() & (staying | {"whole_chain"}))
        if rules:
            self.denied.append(Denied(question, rules, self.world.now, self.merges))

    def settle(self, item: Held, supervisor: int) -> None:
        """Let one of the two supervisors approve what waits."""
        person = self.owners[self.plan.supervisors[supervisor]]
        review = self.engine.answers[item.answer].review
        same_case = (other for other in self.held if self.engine.answers[other.answer].review == review)
        ask = self.meant(next(same_case).question)
        closed = any(
            other.approved is not None and self.engine.answers[other.answer].review == review
            for other in self.held
        )
        lapsed = item.until is not None and self.world.now >= item.until
        party = person in self.world.parties(ask.chain, ask.older) or person in ask.hands
        barred = self.world.barred_from_approving(ask, person, item.rules)
        able = not closed and not lapsed and not party and "supervisor" in self.world.roles[person]
        may = able and not barred
        if not review:
            return  # an opinion was asked for
        told = (ask, person, item.rules, *self.world.acts, *self.world.duties)
        taken = self.play("resolve", item.answer, self.plan.supervisors[supervisor])
        if may and not taken:  # the rest of the chain needs the supervisor, who would have a hand in it
            assert self.strands(ask, person), told
            self.seen["approvals that would strand"] += 1
            return
        assert taken == may, told
        self.seen["approvals" if may else "approvals barred" if able else "approvals refused"] += 1
        if may:
            # Where it says who else could act, or who has acted together, the approver's act may change it.
            kinds = {duty.kind for duty in self.plan.duties}
            alone = self.world.roles[person] == {"supervisor"} and "relation" not in kinds
            same = "coalition" not in kinds and (alone or not item.rules & LOOKED_AHEAD)
            fresh = same and item.state == self.state()
            self.world.approve(ask, person)
            item.approver = person
            item.approved, item.state = self.world.now, self.state() if fresh else None

    def report(self, answer: int, state: str) -> None:
        taken = self.play("report", answer, state)
        assert taken == self.world.report(self.engine.answers[answer].id, state)

    def wait(self, span: timedelta) -> None:
        self.play("wait", span)
        self.world.now += span

    @invariant()
    def no_history_violates_a_constraint(self) -> None:
        self.seen["steps"] += 1
        if hasattr(self, "world") and self.world.acts:
            assert not unexcused(self.world, self.excused)
