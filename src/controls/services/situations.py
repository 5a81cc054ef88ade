"""One request and everything that a decision on it reads.

Guarantees: whatever asks for a decision, to record it or to know only what it would be, gathers the same
situation in the same way; nothing here writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from controls.decide import Situation, material_of
from controls.duties.acting import other_of
from controls.duties.facts import facts_of
from controls.duties.moving import Arrival
from controls.model.chain import AMEND, ChainHistory, ChainKind
from controls.model.decision import Approval, Decision
from controls.model.people import Account, Principal, Profile
from controls.model.request import Request
from controls.model.trail import TrailPlace, TrailReading
from controls.rules.vocabulary import FactReading
from controls.services.commands import Context
from controls.services.counting import Counter
from controls.services.lineage import need_lineage, read_lineage
from controls.services.trails import (
    Places,
    arrivals,
    arrivals_at_once,
    earlier_places,
    may_move,
    need_places,
    places_ahead,
    places_of,
    read_places,
    read_trails,
    trail_places,
)
from controls.store.trails import TrailQuery
from controls.store.workspace import Needs, Workspace

_NOTHING: Final[Mapping[str, Any]] = {}


@dataclass(slots=True)
class Asked:
    """A request with what its properties say: first `prepare`, then what was named is loaded, then
    `situation`."""

    request: Request
    reading: FactReading
    _account: Account | None = field(default=None, init=False)  # the subject's, as of the lock
    _places: Places = field(default=(), init=False)  # on trails
    _their_places: Places = field(default=(), init=False)  # those of the person for whom it is asked
    _counter: Counter | None = field(default=None, init=False)
    _theirs: Counter | None = field(default=None, init=False)  # as of the person for whom it is asked

    def prepare(self, context: Context, needs: Needs) -> None:
        """Name everything that the situation reads."""
        request, active = self.request, context.active
        needs.resources.add((request.resource_type, request.resource_id))
        account = self._account = context.directory.account(request.subject_id, at=context.work.at)
        other = other_of(self._principal(context, account), account)
        kind = active.release.chains.get(request.resource_type)
        if kind is not None:
            needs.chains.add((kind.id, request.resource_id))
            if kind.id in active.trails:
                self._places = trail_places(context, request, self.reading, kind=kind, account=account)
                needs.trails.update(query for _, query in self._places)
                if other is not None:
                    self._their_places = trail_places(
                        context, request, self.reading, kind=kind, account=other
                    )
                    needs.trails.update(query for _, query in self._their_places)
                if context.active.ahead.reaching(kind.id):
                    needs.with_chains.append(partial(self._name_ahead, context, needs, kind))
                if may_move(context, kind):
                    needs.with_chains.append(partial(self._name_moves, context, needs, kind))
        if request.lineage:
            need_lineage(context, request, needs)
        watched = active.watched.get(f"{request.resource_type}.{request.action}")
        if watched is not None:
            facts = facts_of(request, values=self.reading.values, account=account)
            self._counter = Counter(watched, facts, request)
            self._counter.prepare(needs)
            if other is not None:
                theirs = facts_of(request, values=self.reading.values, account=other)
                self._theirs = Counter(watched, theirs, request)
                self._theirs.prepare(needs)

    def _name_ahead(self, context: Context, needs: Needs, kind: ChainKind) -> None:
        history = context.work.history(kind.id, self.request.resource_id)
        need_places(needs, self._places_ahead(context, history, kind))

    def _name_moves(self, context: Context, needs: Needs, kind: ChainKind) -> None:
        history = context.work.history(kind.id, self.request.resource_id)
        named = {query for _, query in earlier_places(context, history, self._places + self._their_places)}
        if self.request.action == AMEND:
            for _, _, queries in arrivals(context, history, self.reading, kind=kind):
                named.update(queries)
            for _, _, queries in places_of(context, history, kind=kind):
                named.update(queries)
            if not history.acts and self._account is not None:
                other = other_of(self._principal(context, self._account), self._account)
                persons = [item.person.id for item in (self._account, other) if item is not None]
                named.update(arrivals_at_once(context, self.reading, kind=kind, persons=persons))
        needs.trails |= named

    def situation(self, context: Context) -> Situation:
        """The situation now, what was recorded before in the same unit of work included."""
        work, active, request = context.work, context.active, self.request
        kind = active.release.chains.get(request.resource_type)
        history = ChainHistory("", request.resource_id)
        trails: Mapping[str, TrailReading] = _NOTHING
        profiles: Mapping[str, Profile] = _NOTHING
        arriving: Mapping[str, Arrival] = _NOTHING
        been: Mapping[str, tuple[TrailReading, ...]] = _NOTHING
        if kind is not None:
            history = work.history(kind.id, request.resource_id)
            if self._places:
                trails = self._read(context, history, self._places)
            if request.action == AMEND:
                arriving = {
                    trail.name: self._arrived(context, arrival, queries)
                    for trail, arrival, queries in arrivals(context, history, self.reading, kind=kind)
                }
                been = self._been(context, history, kind)
            if kind.id in active.related:
                profiles = context.directory.profiles(at=work.at)
        account = self._account
        principal = self._principal(context, account)
        return Situation(
            reading=self.reading,
            account=account,
            history=history,
            now=work.now,
            approvals=_approvals(context, request, account, other_of(principal, account)),
            trails=trails,
            profiles=profiles,
            aggregates=None if self._counter is None else self._counter.read(work),
            places=_NOTHING if kind is None else self._read_places(context, history, kind),
            crowd=None if kind is None else context.directory.crowd(at=work.at),
            lineage=read_lineage(context, request, kind=kind),
            principal=principal,
            mitigated=_mitigated(context, account, other_of(principal, account)),
            their_trails=self._read(context, history, self._their_places) if self._their_places else _NOTHING,
            arriving=arriving,
            been=been,
            their_aggregates=None if self._theirs is None else self._theirs.read(work),
        )

    def _places_ahead(self, context: Context, history: ChainHistory, kind: ChainKind) -> Places:
        material = material_of(kind, step=kind.step(self.request.action), forms=self.reading.forms)
        return places_ahead(context, history, material, kind=kind)

    def _read_places(
        self, context: Context, history: ChainHistory, kind: ChainKind
    ) -> Mapping[str, Sequence[TrailPlace]]:
        if not context.active.ahead.reaching(kind.id):
            return _NOTHING
        return read_places(context, self._places_ahead(context, history, kind))

    def _read(self, context: Context, history: ChainHistory, places: Places) -> Mapping[str, TrailReading]:
        """What was loaded, where the chain has been before included. A trail of which the chain was brought
        somewhere in this very unit of work is not known, unless somebody else asked for that place."""
        found = dict(read_trails(context, places))
        for trail, query in earlier_places(context, history, places):
            known = found.pop(trail.name, None)
            if known is not None and query in context.work.looked_up:
                there = read_trails(context, ((trail, query),))[trail.name]
                found[trail.name] = replace(known, elsewhere=(*known.elsewhere, there))
        return found

    def _arrived(self, context: Context, arrival: Arrival, queries: Sequence[TrailQuery]) -> Arrival:
        """What is there, unless somebody took a hand in the chain in this very unit of work, of whom nobody
        asked what is there."""
        if not context.work.looked_up.issuperset(queries):
            return arrival
        there = (item for query in queries for item in context.work.trail(query))
        return replace(arrival, there=tuple(there))

    def _been(
        self, context: Context, history: ChainHistory, kind: ChainKind
    ) -> Mapping[str, tuple[TrailReading, ...]]:
        """What is at each place of the chain; of a trail of which that was not loaded nothing."""
        found: dict[str, tuple[TrailReading, ...]] = {}
        unknown: set[str] = set()
        for trail, part, queries in places_of(context, history, kind=kind):
            there = (item for query in queries for item in context.work.trail(query))
            if context.work.looked_up.issuperset(queries):
                found[trail.name] = (*found.get(trail.name, ()), TrailReading(tuple(there), part))
            else:
                unknown.add(trail.name)
        return {name: readings for name, readings in found.items() if name not in unknown}

    def _principal(self, context: Context, account: Account | None) -> Principal | None:
        """Whom the request is made for; None when it names nobody."""
        request = self.request
        if not request.on_behalf_of:
            return None
        kind = context.active.release.chains.get(request.resource_type)
        return context.directory.principal(
            request.on_behalf_of,
            delegate="" if account is None else account.person.id,
            kind="" if kind is None else kind.id,
            step=request.action,
            at=context.work.at,
        )

    def counted(self, work: Workspace) -> tuple[datetime, ...]:
        """The moments of the first and the last request in each window that was loaded for this one."""
        return () if self._counter is None else self._counter.moments(work)

    def observe(self, context: Context, decision: Decision) -> None:
        """Count the decided request in what its action adds to, for each of two persons whose act it is."""
        if self._counter is not None:
            self._counter.observe(context.work, decision)
            if self._theirs is not None:
                self._theirs.observe(context.work, decision, besides=self._counter)


def _mitigated(context: Context, *accounts: Account | None) -> Mapping[str, Mapping[str, str]]:
    """The accepted conflicts of those whose act it would be; mostly there is none."""
    people, at = context.directory.people, context.work.at
    return {
        account.person.id: context.directory.mitigated(account.person.id, at=at)
        for account in accounts
        if account is not None and people[account.person.id].mitigations
    }


def _approvals(
    context: Context, request: Request, account: Account | None, other: Account | None
) -> tuple[Approval, ...]:
    """What was approved, by whom that was found to be, but not by the person who asks, or for whom."""
    found = context.work.approvals_for(request.resource_type, request.resource_id)
    directory = context.directory
    if not directory.survivors or account is None:
        return found
    own = {account.person.id} if other is None else {account.person.id, other.person.id}
    known = (replace(item, approver=directory.survivor(item.approver)) for item in found)
    return tuple(item for item in known if item.approver not in own)
