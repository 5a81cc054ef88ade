"""What became of a claim: the caller reports `performed` or `abandoned`.

Guarantees: only the key that claimed may report; an abandoned step is free again but keeps counting against
its person; nothing is abandoned after it was performed or once a later step is claimed, nor what a number of
persons was made up by (`controls.duties.ending`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from controls.ledger.envelope import EntryKind
from controls.model.chain import ActState
from controls.model.errors import Conflict, Forbidden, NotFound
from controls.model.values import Json, utc_text
from controls.services.answers import chain_json, encode, receipt
from controls.services.claim_ends import check_end
from controls.services.commands import Context, Render
from controls.store.rows import StoredAct
from controls.store.workspace import Needs


class Reported(StrEnum):
    """What a caller may report of a claimed step."""

    PERFORMED = "performed"
    ABANDONED = "abandoned"


@dataclass(slots=True)
class ReportOutcome:
    """Report what became of the step that a decision claimed."""

    id: str
    key: str
    decision: str
    reported: Reported
    alone: bool = False
    weight: int = field(default=1, init=False)
    claims: tuple[str, ...] = field(default=(), init=False)

    def prepare(self, context: Context, needs: Needs) -> None:
        needs.decisions.add(self.decision)

    def execute(self, context: Context) -> Render:
        work = context.work
        stored = self._claim(context)
        act = stored.act
        self._check(context, stored)
        chain = f"{stored.kind}:{act.chain}"
        index = work.append(
            EntryKind.OUTCOME,
            self.id,
            {
                "key": self.key,
                "decision": self.decision,
                "claim": act.claim,
                "outcome": self.reported.value,
                "chain": {"kind": stored.kind, "id": act.chain},
                "step": act.step,
                "person": act.person,
            },
            chain=chain,
            person=act.person,
        )
        leaf = work.entries[-1].leaf
        work.change_act(act.claim, state=ActState(self.reported.value))
        history = work.history(stored.kind, act.chain)
        ballots = context.active.ballots.get(stored.kind)
        if ballots is not None:
            history = ballots.in_force(history)
        at = utc_text(work.now)
        return lambda sealed: encode(
            {
                "id": self.id,
                "decision": self.decision,
                "claim": act.claim,
                "outcome": self.reported.value,
                "at": at,
                "chain": chain_json(history),
                "receipt": receipt(index, leaf, sealed),
            }
        )

    def _claim(self, context: Context) -> StoredAct:
        entry = context.work.decisions.get(self.decision)
        if entry is None or entry["kind"] != EntryKind.DECISION:
            raise NotFound(
                "decision_unknown",
                "There is no such decision",
                help="Use the id that the decision's answer carried.",
            )
        claim = entry.get("claim")
        found = context.work.claims.get(claim["id"]) if claim else None
        if found is None:
            raise Conflict(
                "no_claim",
                "This decision claimed nothing",
                detail="Only a permit on a chain step makes a claim that can be performed or abandoned.",
                help="Report outcomes for permitted steps only.",
            )
        return found

    def _check(self, context: Context, stored: StoredAct) -> None:
        act = stored.act
        if act.key != self.key:
            raise Forbidden(
                "not_your_claim",
                "Another key made this claim",
                help="Report the outcome with the key that asked for the decision.",
            )
        if act.state is not ActState.CLAIMED:
            raise Conflict(
                f"already_{act.state.value}",
                f"This claim is {act.state.value} already",
                detail=f"The step {act.step} of {act.chain} was reported {act.state.value}; that stands.",
                help="Nothing is left to report.",
            )
        if self.reported is Reported.ABANDONED:
            kind = context.active.release.chains.get(_resource(stored, context))
            history = context.work.history(stored.kind, act.chain)
            standing = {item.step for item in history.acts if item.stands()} - {act.step}
            # Where no release in force knows the kind any more, every other step may be a later one.
            taken = sorted(standing if kind is None else standing & kind.following(act.step))
            if taken:
                raise Conflict(
                    "later_step_claimed",
                    "A later step is claimed already",
                    detail=f"{', '.join(taken)} came after {act.step}; it cannot be abandoned any more.",
                    help="Report it as performed, or have a supervisor look at the chain.",
                )
            check_end(context, stored)

    def refused_act(self) -> dict[str, Json]:
        return {"act": "outcome", "decision": self.decision, "outcome": self.reported.value}


def _resource(stored: StoredAct, context: Context) -> str:
    for resource, kind in context.active.release.chains.items():
        if kind.id == stored.kind:
            return resource
    return ""
