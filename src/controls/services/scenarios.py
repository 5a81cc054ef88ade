"""Playing scenarios: each through the real writer, in a ledger of its own, with its own clock.

Guarantees: nothing but time, people and the store's place differs from the service: the same commands, the
same duty history, the same reviews, in a temporary SQLite database that is gone afterwards. Every step is
put to durable-rules, to the reference engine and to both of them together, and fails when they differ,
whatever it expects. A scenario ends at its first step that is not answered as expected: what follows would
only repeat its mistake.

The people of a scenario may hold roles together that constraints exclude, as in a directory that is older
than the constraint: what is decided about them then is what a scenario can show.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from controls.decide import ActiveRelease
from controls.duties.breaking import MINUTES
from controls.ledger.note import Signer, generate_key
from controls.model.chain import AMEND
from controls.model.condition import Facts
from controls.model.errors import ControlsError
from controls.model.finding import Finding
from controls.model.request import BreakGlass, Request
from controls.model.values import microseconds, utc_text
from controls.rules.branch_coverage import Coverage
from controls.rules.engine import Engine, EngineDisagreement, build_engine
from controls.rules.expectations import unmet
from controls.rules.release import Release
from controls.rules.scenario import Report, Scenario, ScenarioDelegation, ScenarioStep
from controls.services.activate import activate
from controls.services.administration import Confirm, Propose
from controls.services.answers import Item, Told
from controls.services.candidates import Candidates
from controls.services.decisions import Decide
from controls.services.delegations import DelegationGrant
from controls.services.directory_plans import AccountLine, PersonPlan, open_roles
from controls.services.genesis import ADMINISTRATOR, Genesis, start_ledger
from controls.services.grant_conflicts import without_grant_constraints
from controls.services.identifiers import new_id
from controls.services.keys import mint
from controls.services.metrics import Metrics
from controls.services.outcomes import Reported, ReportOutcome
from controls.services.replay import ReplayClock
from controls.services.reviews import Resolution, Resolve
from controls.services.signing import CheckpointSigner
from controls.services.state import StateCache
from controls.services.writer import Writer, WriterSettings
from controls.store.database import Database
from controls.store.migrate import migrate
from controls.store.rows import ApiKey
from controls.store.workspace import Sealed

# No scenario can call its people so: logins there hold no blanks.
_ADMINISTRATORS: Final = ("administrator of scenarios 1", "administrator of scenarios 2")
_ORIGIN: Final = "demo/scenarios"


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step that was played. `problems` says in words what was not as expected; none: it passed."""

    number: int
    line: int
    who: str
    action: str
    at: str
    expected: str
    got: str
    findings: tuple[str, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """A scenario as far as it was played. `problem`: it could not even begin."""

    scenario: str
    file: str
    line: int
    steps: int
    played: tuple[StepResult, ...]
    problem: str = ""

    @property
    def passed(self) -> bool:
        return not self.problem and len(self.played) == self.steps and not self.played[-1].problems

    @property
    def failure(self) -> str:
        """What went wrong, in one line with its place; empty when nothing did."""
        if self.passed:
            return ""
        if self.problem:
            return f"{self.file}:{self.line}: scenario {self.scenario}: {self.problem}"
        last = self.played[-1]
        return (
            f"{self.file}:{last.line}: scenario {self.scenario}: step {last.number}, {last.action} by "
            f"{last.who} at {last.at}: {'; '.join(last.problems)}"
        )

    def as_json(self) -> dict[str, object]:
        return asdict(self) | {"passed": self.passed}


def play_scenarios(release: Release, *, coverage: Coverage) -> tuple[ScenarioResult, ...]:
    """Play all scenarios of a release, in order; it blocks, so call it in a thread where a loop is running.

    Args:
        release: made from files: one made from a stored document has no scenarios.
        coverage: is told what each step asked and was answered.
    """
    if not release.scenarios:
        return ()
    active = activate(release, engine="both")
    try:
        engines = _Engines(active.engine, release, coverage)
        try:
            with tempfile.TemporaryDirectory(prefix="controls-scenarios-") as folder:
                url = f"sqlite+aiosqlite:///{Path(folder) / 'scenarios.db'}"
                migrate(url)
                return asyncio.run(_play_all(url, replace(active, engine=engines), engines))
        finally:
            engines.close()
    finally:
        active.engine.close()


class _Engines:
    """Every way of evaluating a release at once: they must find the same. What is asked is watched."""

    name = "both"

    def __init__(self, both: Engine, release: Release, coverage: Coverage) -> None:
        self.coverage = coverage
        self.scenario = ""  # the one that is being played
        self._both = both
        self._others = [build_engine(name, release.rules) for name in ("durable", "reference")]

    def evaluate(self, action: str, facts: Facts) -> tuple[Finding, ...]:
        self.coverage.asked(self.scenario, action, facts)
        found = self._both.evaluate(action, facts)
        for engine in self._others:
            other = engine.evaluate(action, facts)
            if other != found:
                differing = {item.rule for item in (*found, *other) if item not in found or item not in other}
                raise EngineDisagreement(sorted(differing), detail=f"{engine.name} finds otherwise on")
        return found

    def close(self) -> None:
        for engine in self._others:
            engine.close()


async def _play_all(url: str, active: ActiveRelease, engines: _Engines) -> tuple[ScenarioResult, ...]:
    signing = generate_key(_ORIGIN, seed=os.urandom(32)).signing
    signer = CheckpointSigner(Signer.parse(signing), keep_in=None)
    metrics = Metrics()
    results: list[ScenarioResult] = []
    database = Database(url, durable=False)
    try:
        for number, scenario in enumerate(active.release.scenarios):
            engines.scenario = scenario.id
            clock = ReplayClock(scenario.start)
            settings = WriterSettings(
                tenant=f"scenario-{number}",
                sign=signer.sign,
                new_id=new_id,
                entropy=os.urandom,
                clock=clock,
            )
            player = _Player(database, settings, clock, active, metrics, engines, scenario)
            results.append(await player.play(signer.vkey))
    finally:
        await database.close()
    return tuple(results)


@dataclass(slots=True)
class _Player:
    """Plays one scenario in a ledger of its own."""

    database: Database
    settings: WriterSettings
    clock: ReplayClock
    active: ActiveRelease
    metrics: Metrics
    engines: _Engines
    scenario: Scenario

    async def play(self, vkey: str) -> ScenarioResult:
        scenario = self.scenario
        played: list[StepResult] = []
        keys = self._keys()
        try:
            await start_ledger(
                self.database,
                self.settings,
                Genesis(
                    origin=_ORIGIN,
                    vkey=vkey,
                    active=without_grant_constraints(self.active),
                    people=_people(scenario),
                    administrators=_ADMINISTRATORS,
                    keys=tuple(keys.values()),
                ),
            )
        except ControlsError as error:
            return self._result(played, problem=f"its ledger cannot be started: {error.detail}")
        state = StateCache(candidates=Candidates(engine=self.active.engine.name), metrics=self.metrics)
        state.take(self.active)
        writer = Writer(database=self.database, state=state, settings=self.settings, metrics=self.metrics)
        writer.start()
        try:
            for delegation in scenario.delegations:
                refused = await self._delegate(writer, delegation, keys)
                if refused:
                    return self._result(played, problem=refused)
            for number, step in enumerate(scenario.steps, start=1):
                self.clock.now = step.at
                played.append(await self._step(writer, number, step, keys))
                if played[-1].problems:
                    break
        finally:
            await writer.close()
        return self._result(played)

    def _result(self, played: Sequence[StepResult], problem: str = "") -> ScenarioResult:
        scenario = self.scenario
        return ScenarioResult(
            scenario.id, scenario.file, scenario.line, len(scenario.steps), tuple(played), problem
        )

    def _keys(self) -> dict[str, ApiKey]:
        """The caller's key (under no name), and one for everybody who approves something."""
        at = microseconds(self.scenario.start)
        _, caller = mint(
            name="caller", scopes=("decide", "outcome"), speaks_for="*", at=at, entropy=os.urandom
        )
        keys = {"": caller}
        steps = self.scenario.steps
        approvers = {login for step in steps for login in (step.approved_by, step.not_approved_by)}
        scopes = dict.fromkeys(sorted(approvers - {""}), "review")
        if self.scenario.delegations:
            scopes |= dict.fromkeys(_ADMINISTRATORS, "directory")
        for login, scope in scopes.items():
            _, keys[login] = mint(name=login, scopes=(scope,), account=login, at=at, entropy=os.urandom)
        return keys

    async def _delegate(
        self, writer: Writer, delegation: ScenarioDelegation, keys: Mapping[str, ApiKey]
    ) -> str:
        """Make a delegation as two administrators do; why it is refused, if it is."""
        kind = self.active.release.chains.get(self.scenario.resource_type)
        grant = DelegationGrant(
            delegation.person,
            delegation.delegate,
            "" if kind is None else kind.id,
            delegation.steps,
            microseconds(delegation.until),
            "As the scenario says.",
        )
        name = new_id("chg")
        proposer, confirmer = (keys[login].id for login in _ADMINISTRATORS)
        try:
            await writer.submit(Propose(new_id("prp"), name, proposer, grant))
            await writer.submit(Confirm(new_id("cnf"), confirmer, name))
        except ControlsError as error:
            return (
                f"{delegation.person} cannot delegate {', '.join(delegation.steps)} to "
                f"{delegation.delegate} (line {delegation.line}): {error.detail}"
            )
        return ""

    async def _step(
        self, writer: Writer, number: int, step: ScenarioStep, keys: Mapping[str, ApiKey]
    ) -> StepResult:
        release = self.active.release
        resource = self.scenario.resource_type
        request = Request(
            id=new_id("dec"),
            subject_type=min(release.vocabulary.subject_types),
            subject_id=step.who,
            action=step.action,
            resource_type=resource,
            resource_id=step.resource_id,
            properties=step.facts,
            claim=step.claim,
            on_behalf_of=step.on_behalf_of,
            break_glass=BreakGlass(step.break_glass, MINUTES) if step.break_glass else None,
        )
        command = Decide((request,), keys[""].id, _silent)
        got = "error"
        findings: tuple[Finding, ...] = ()
        problems: list[str] = []
        try:
            await writer.submit(command)
            told = command.told[0]
            assert isinstance(told, Told)
            decision = told.decision
            got = decision.outcome.value
            findings = decision.findings
            self.engines.coverage.answered(
                self.scenario.id, f"{resource}.{step.action}", decision.findings + decision.cleared
            )
            problems += unmet(step, decision)
            if not problems and step.not_approved_by:
                problems += await self._refused(writer, told.review, keys[step.not_approved_by])
            if not problems and step.approved_by:
                await writer.submit(_approval(told.review, keys[step.approved_by]))
            if not problems and told.claim and step.action != AMEND and step.report is not Report.NOTHING:
                await writer.submit(
                    ReportOutcome(
                        id=new_id("out"),
                        key=keys[""].id,
                        decision=request.id,
                        reported=Reported(step.report.value),
                    )
                )
        except ControlsError as error:
            problems.append(f"{error.code}: {error.detail}")
        return StepResult(
            number=number,
            line=step.line,
            who=step.who,
            action=step.action,
            at=utc_text(step.at),
            expected=step.expect.outcome,
            got=got,
            findings=tuple(item.rule for item in findings),
            problems=tuple(problems),
        )

    async def _refused(self, writer: Writer, review: str, key: ApiKey) -> list[str]:
        """The problem, where somebody may approve who must not."""
        try:
            await writer.submit(_approval(review, key))
        except ControlsError as error:
            return [] if error.code == "resolution_refused" else [f"{error.code}: {error.detail}"]
        return [f"{key.account} approved the review, and should be refused"]


def _approval(review: str, key: ApiKey) -> Resolve:
    return Resolve(
        id=new_id("res"),
        key=key.id,
        review=review,
        resolution=Resolution.APPROVE,
        reason="As the scenario says.",
    )


def _people(scenario: Scenario) -> tuple[PersonPlan, ...]:
    plans = [
        PersonPlan(
            id=person.id,
            where=f"line {scenario.line}",
            accounts=[AccountLine(login, None, None, f"line {scenario.line}") for login in person.accounts],
            roles=open_roles(person.roles),
            attributes=dict(person.attributes),
        )
        for person in scenario.people
    ]
    plans += [
        PersonPlan(id=login, accounts=[AccountLine(login, None, None, "")], roles=open_roles([ADMINISTRATOR]))
        for login in _ADMINISTRATORS
    ]
    return tuple(plans)


def _silent(_items: Sequence[Item], _sealed: Sealed) -> bytes:
    """A scenario reads what was told, not how it would be written."""
    return b""
