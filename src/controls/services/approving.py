"""What an approval of a held step reads: the question that waits, and all that was done where it will count.

Guarantees: an approver's act is looked at where it will count (`model.trail.of_chain`): on the lines that the
chain is on, those that the question declares included, and wherever the chain was, or where the question says
that it will be while nobody has begun it. All of it is read under the lock, this unit of work included. What
of the question was erased, or could not be loaded, is not known, which loosens nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from controls.decide import material_of
from controls.duties.approving import Approving
from controls.duties.asked import Asked
from controls.duties.material import baseline
from controls.model.chain import AMEND, ChainHistory, ChainKind
from controls.model.condition import Facts
from controls.model.errors import Conflict
from controls.model.request import Request
from controls.model.trail import TrailAct, TrailReading
from controls.rules.values_on_record import values_on_record
from controls.rules.vocabulary import FactReading, read_facts
from controls.services.commands import Context
from controls.services.lineage import need_lineage, read_lineage
from controls.services.recorded_questions import recorded_links, recorded_question
from controls.services.trails import (
    Places,
    approval_places,
    need_places,
    places_ahead,
    read_places,
    read_trails,
)
from controls.store.rows import BREAK_GLASS, ReviewCase
from controls.store.workspace import Needs


def holds(case: ReviewCase) -> bool:
    """Whether something waits for the approval of the case."""
    return case.kind in ("hold", BREAK_GLASS)


@dataclass(slots=True)
class HeldStep:
    """The step that a case holds, as somebody is about to approve it: first `prepare`, then what was named is
    loaded, then the rest."""

    review: str
    person: str
    _question: Request | None = field(default=None, init=False)
    _reading: FactReading | None = field(default=None, init=False)

    def prepare(self, context: Context, needs: Needs) -> None:
        """Name what must be known of the case, and see to what can be named only then."""
        needs.reviews.add(self.review)
        needs.with_cases.append(partial(self._name_lines, context, needs))

    def _name_lines(self, context: Context, needs: Needs) -> None:
        case = context.work.reviews.get(self.review)
        if case is None or not holds(case) or case.chain_kind not in context.active.kinds:
            return
        self._question = _question(context, case)
        self._reading = read_facts(context.active.release.vocabulary, self._question.properties)
        if self._question.lineage:
            need_lineage(context, self._question, needs)
        needs.with_chains.append(partial(self._name_places, context, needs, case))

    def _name_places(self, context: Context, needs: Needs, case: ReviewCase) -> None:
        needs.trails.update(query for _, query in self._places(context, case))
        need_places(needs, self._ahead(context, case))

    def approving(self, context: Context, case: ReviewCase) -> Approving | None:
        """What the approver is asked about; None where the case holds no step of a chain."""
        active, work = context.active, context.work
        kind = active.kinds.get(case.chain_kind)
        if kind is None or self._reading is None:
            return None
        history = work.history(kind.id, case.resource_id)
        stated = self._reading.values
        recorded = values_on_record(active.release.vocabulary, baseline(history))
        known = [{**stated, **recorded}]
        if case.action == AMEND:  # the hand is in the chain as it is, and as it is to be
            known.append({**recorded, **stated})
        facts = tuple(active.counted(Facts(values, history, work.now), kind=kind.id) for values in known)
        asked = Asked(
            person=self.person,
            step=_step(case, kind),
            kind=kind,
            history=history,
            now=work.now,
            profiles=context.directory.profiles(at=work.at) if kind.id in active.related else {},
        )
        trails: dict[str, list[TrailReading]] = {}
        places = self._places(context, case)
        for trail, query in places:
            trails.setdefault(trail.name, []).append(read_trails(context, ((trail, query),))[trail.name])
        for trail, query in places:
            if query not in work.looked_up:  # a place that the chain was brought to in this unit of work
                trails.pop(trail.name, None)
        return Approving(
            asked,
            tuple(context.directory.survivor(person) for person in (case.person, case.beside) if person),
            self.lines(context, kind),
            facts,
            trails,
            frozenset(finding.rule for finding in case.findings),
            context.directory.crowd(at=work.at),
            read_places(context, self._ahead(context, case)),
        )

    def lines(self, context: Context, kind: ChainKind) -> Sequence[tuple[TrailAct, ...]]:
        """The acts on the other chains of each line that the chain is on, or would be."""
        reading = None if self._question is None else read_lineage(context, self._question, kind=kind)
        return () if reading is None else reading.lines

    def material(self, context: Context, case: ReviewCase) -> Mapping[str, str]:
        """What the approver's act says of where it counts: nothing once the chain says that itself."""
        kind = context.active.kinds.get(case.chain_kind)
        if kind is None or self._reading is None or self._history(context, case).begun():
            return {}
        return material_of(kind, step=kind.step(case.action), forms=self._reading.forms)

    def _places(self, context: Context, case: ReviewCase) -> Places:
        kind = context.active.kinds[case.chain_kind]
        held = {} if self._reading is None else self._reading.forms
        history, step = self._history(context, case), _step(case, kind)
        return approval_places(context, history, held, kind=kind, step=step, person=self.person)

    def _ahead(self, context: Context, case: ReviewCase) -> Places:
        kind = context.active.kinds[case.chain_kind]
        return places_ahead(context, self._history(context, case), {}, kind=kind)

    @staticmethod
    def _history(context: Context, case: ReviewCase) -> ChainHistory:
        return context.work.history(case.chain_kind, case.resource_id)


def _step(case: ReviewCase, kind: ChainKind) -> str:
    """The step that approving the action counts as an act on."""
    return kind.steps[0].id if case.action == AMEND else case.action


def _question(context: Context, case: ReviewCase) -> Request:
    """What was asked when the case was opened; without its facts where one of them was erased."""
    row = context.work.questions[case.id]
    try:
        return recorded_question(row, directory=context.directory).request
    except Conflict:  # what is not known any more is a fact that is missing
        return Request(
            id=case.decision,
            subject_type="",
            subject_id="",
            action=case.action,
            resource_type=case.resource_type,
            resource_id=case.resource_id,
            properties={},
            lineage=recorded_links(row),
        )
