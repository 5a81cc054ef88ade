"""The present with some changes, and what would be decided in it.

Guarantees: what is decided is decided by the very `decide` that answers questions, claim included, over all
that it would read then: another person's trails, another value's counts, the directory of a later moment.
Nothing is recorded, and nothing that decisions keep is touched: people and look-ahead are of its own. A step
that is supposed done must itself be permitted to whoever is to do it; what it would add to counts and trails
is not added. A moment to come has the records, the people and the rules that are known for it now.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from time import monotonic
from typing import ClassVar, Final, TypeAlias

from controls.decide import ActiveRelease, Situation, decide, material_of
from controls.model.chain import Act, ActState, Capacity, ChainHistory
from controls.model.crowd import Crowd
from controls.model.decision import Decision
from controls.model.errors import Unavailable
from controls.model.finding import Outcome
from controls.model.people import Account
from controls.model.request import Request
from controls.model.values import MISSING, Json, Missing, Value, canonical, microseconds
from controls.rules.vocabulary import read_facts
from controls.services.commands import Context
from controls.services.service import Service
from controls.services.situations import Asked
from controls.store.connection import StoreConnection
from controls.store.directory import Directory
from controls.store.rows import Head
from controls.store.unit import load
from controls.store.workspace import Needs, Workspace

# For so long at a time others, decisions among them, are kept waiting.
_SLICE_SECONDS: Final = 0.005
# Questions whose records are read together.
_READ_TOGETHER: Final = 100
_SOON: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class AnotherPerson:
    """Somebody asks with this account and for nobody else; `open` are the steps that he or she holds
    unfinished."""

    account: Account
    open: int
    alternative: ClassVar[bool] = False

    @property
    def about(self) -> str:
        return "person"


@dataclass(frozen=True, slots=True)
class OtherRole:
    """The person has one more role, or one fewer."""

    person: str
    role: str
    given: bool
    alternative: ClassVar[bool] = False

    @property
    def about(self) -> str:
        return f"role {self.role}"


@dataclass(frozen=True, slots=True)
class OtherFact:
    """The request states another value of a fact, or does not state it (MISSING).

    `nearest`: values of the fact are proposed by their distance, and the first that will do stands for all.
    """

    name: str
    value: Value | Missing
    stated: bool  # whether the request states it as it is
    nearest: bool = False

    @property
    def about(self) -> str:
        return f"fact {self.name}"

    @property
    def alternative(self) -> bool:
        return self.nearest


@dataclass(frozen=True, slots=True)
class Later:
    """It is asked later; the first moment that will do stands for all."""

    at: datetime
    alternative: ClassVar[bool] = True

    @property
    def about(self) -> str:
        return "time"


@dataclass(frozen=True, slots=True)
class EarlierStep:
    """Somebody performs another step first; whoever is proposed first stands for all. `held`: he or she has
    claimed it already."""

    step: str
    account: Account
    held: bool
    alternative: ClassVar[bool] = True

    @property
    def about(self) -> str:
        return f"step {self.step}"


Change: TypeAlias = AnotherPerson | OtherRole | OtherFact | Later | EarlierStep
Changes: TypeAlias = tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class World:
    """What would be: the request and everything that deciding it reads, and the decision.

    `counted` are the moments of the first and the last request in each window that is read. Where it is not
    `reached`, because a step before it is not permitted, all this is about that step.
    """

    request: Request
    situation: Situation
    decision: Decision
    counted: tuple[datetime, ...] = ()
    reached: bool = True

    @property
    def outcome(self) -> Outcome:
        return self.decision.outcome if self.reached else Outcome.DENY


@dataclass(slots=True)
class Worlds:
    """The worlds about one request, until `deadline` (of the monotonic clock)."""

    service: Service
    connection: StoreConnection
    head: Head
    now: datetime
    active: ActiveRelease
    directory: Directory
    request: Request
    deadline: float
    decided: int = field(default=0, init=False)
    _own: ActiveRelease = field(init=False)
    _people: Directory = field(init=False)
    _crowds: dict[tuple[int, str, frozenset[str]], Crowd] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        active = self.active
        self._own = ActiveRelease(active.release, active.enforcement, active.engine)
        self._people = Directory(index=self.directory.index, people=(), before=self.directory)

    def late(self) -> bool:
        """Whether the time is over; one decision there is always time for."""
        return self.decided > 0 and monotonic() > self.deadline

    async def each(self, wanted: Sequence[Changes]) -> AsyncIterator[tuple[Changes, World]]:
        """The world of each set of changes that there is time for, in order of the moments they are about.

        Raises:
            Unavailable: another release came into force meanwhile.
        """
        by_moment: dict[datetime, list[Changes]] = {}
        for changes in wanted:
            by_moment.setdefault(_moment(changes, self.now), []).append(changes)
        paused = monotonic()
        for moment in sorted(by_moment):
            together = by_moment[moment]
            for first in range(0, len(together), _READ_TOGETHER):
                if self.late():
                    return
                part = together[first : first + _READ_TOGETHER]
                context, asked = await self._read(moment, part)
                for changes, questions in zip(part, asked, strict=True):
                    if self.late():
                        return
                    if monotonic() - paused > _SLICE_SECONDS:
                        await asyncio.sleep(0)
                        paused = monotonic()
                    if self.service.state.active is not self.active:
                        raise overtaken()  # and what it was built of may be freed
                    yield changes, self._world(context, changes, questions)

    async def _read(self, moment: datetime, together: Iterable[Changes]) -> tuple[Context, list[list[Asked]]]:
        """What deciding each of these reads, of the steps before it and of the request itself."""
        work = Workspace(self.head, now=moment, entropy=_nothing)
        context = Context(work, self._own, self._people, {}, _no_name)
        vocabulary = self._own.release.vocabulary
        asked = [
            [
                Asked(request, read_facts(vocabulary, request.properties))
                for request in _requests(self.request, changes)
            ]
            for changes in together
        ]
        needs = Needs()
        for questions in asked:
            for question in questions:
                question.prepare(context, needs)
        await load(self.connection, work, needs)
        return context, asked

    def _world(self, context: Context, changes: Changes, questions: Sequence[Asked]) -> World:
        """The world in which the steps among the changes have been done, if they may be."""
        *before, asked = questions
        done: list[tuple[EarlierStep, Act]] = []
        for step, question in zip(_steps(changes), before, strict=True):
            situation = self._situation(context, question, (), done=done)
            if not step.held:
                self.decided += 1
                decision = decide(question.request, situation, active=self._own)
                if decision.outcome is not Outcome.PERMIT:
                    return World(question.request, situation, decision, reached=False)
            done.append((step, self._act(context, question, step)))
        situation = self._situation(context, asked, changes, done=done)
        self.decided += 1
        decision = decide(asked.request, situation, active=self._own)
        return World(asked.request, situation, decision, asked.counted(context.work))

    def _situation(
        self, context: Context, asked: Asked, changes: Changes, *, done: Sequence[tuple[EarlierStep, Act]]
    ) -> Situation:
        situation = asked.situation(context)
        account = situation.account
        roles = [item for item in changes if isinstance(item, OtherRole)]
        if account is not None and any(item.person == account.person.id for item in roles):
            held = account.person.roles.union(item.role for item in roles if item.given)
            held -= {item.role for item in roles if not item.given}
            account = replace(account, person=replace(account.person, roles=held))
            situation = replace(
                situation, account=account, crowd=self._crowd(situation.crowd, account, context)
            )
        if done:
            situation = replace(situation, history=_with(situation.history, done))
        return situation

    def _crowd(self, crowd: Crowd | None, account: Account, context: Context) -> Crowd | None:
        """The crowd with the person's roles as supposed, one object for as long as they are the same."""
        person = account.person
        if crowd is None or person.id not in crowd.roles:
            return crowd
        key = (context.work.at, person.id, person.roles)
        if key not in self._crowds:
            self._crowds[key] = replace(crowd, roles={**crowd.roles, person.id: person.roles})
        return self._crowds[key]

    def _act(self, context: Context, asked: Asked, step: EarlierStep) -> Act:
        """What would be on record once the step is reported as performed."""
        request = asked.request
        kind = self._own.release.chains[request.resource_type]
        return Act(
            claim=f"supposed {step.step} {step.account.person.id}",
            decision=request.id,
            chain=request.resource_id,
            step=step.step,
            person=step.account.person.id,
            account=step.account.ref,
            capacity=Capacity.ACTOR,
            state=ActState.PERFORMED,
            at=context.work.now,
            done_at=context.work.now,
            valid_until=context.work.now + _SOON,
            index=self.head.frontier.size,
            material=material_of(kind, step=kind.step(step.step), forms=asked.reading.forms),
        )


def _moment(changes: Changes, now: datetime) -> datetime:
    return next((item.at for item in changes if isinstance(item, Later)), now)


def _steps(changes: Changes) -> tuple[EarlierStep, ...]:
    return tuple(item for item in changes if isinstance(item, EarlierStep))


def _requests(request: Request, changes: Changes) -> list[Request]:
    """The questions about the steps that are supposed done, and at last the request itself, as changed."""
    properties: dict[str, Json] = dict(request.properties)
    for item in changes:
        if isinstance(item, OtherFact) and item.value is MISSING:
            properties.pop(item.name, None)
        elif isinstance(item, OtherFact):
            properties[item.name] = canonical(item.value)  # type: ignore[arg-type]
    login = next((item.account.login for item in changes if isinstance(item, AnotherPerson)), "")
    asked = replace(request, properties=properties)
    before = [
        replace(asked, subject_id=item.account.login, action=item.step, on_behalf_of="")
        for item in _steps(changes)
    ]
    return [*before, replace(asked, subject_id=login, on_behalf_of="") if login else asked]


def _with(history: ChainHistory, done: Sequence[tuple[EarlierStep, Act]]) -> ChainHistory:
    """The history once the steps are reported as performed."""
    acts = list(history.acts)
    for step, act in done:
        if step.held:
            acts = [
                replace(item, state=ActState.PERFORMED)
                if item.step == act.step and item.person == act.person and item.state is ActState.CLAIMED
                else item
                for item in acts
            ]
        else:
            acts.append(act)
    return replace(history, acts=tuple(acts))


def until(seconds: float) -> float:
    """The deadline so many seconds from now."""
    return monotonic() + seconds


def later_than(now: datetime, moments: Iterable[datetime]) -> list[datetime]:
    """The moments that are still to come, in order."""
    return sorted({item for item in moments if microseconds(item) > microseconds(now)})


def overtaken() -> Unavailable:
    return Unavailable(
        "question_overtaken",
        "What is in force changed meanwhile",
        help="Ask again.",
    )


def _nothing(_: int) -> bytes:
    raise AssertionError("what is only supposed conceals nothing, for it records nothing")


def _no_name(_: str) -> str:
    raise AssertionError("what is only supposed names nothing, for it records nothing")
