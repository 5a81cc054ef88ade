"""Aggregates at work: which series a request reads and which it adds to.

Guarantees: what is read and what is added stand in the same transaction as the decision, under the tenant's
lock, so they are exact across replicas; an opinion (`claim: false`) and a replayed answer add nothing.

An aggregate counts from the moment at which a release brought it: before that nobody observed for it. Until
its window lies wholly after that moment it is an error to whoever reads it, and so at least a review: an
order must not pass a limit because the service was not counting yet. A ledger begins with nothing before it,
so the aggregates of its first release are complete at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from controls.model.decision import Decision
from controls.model.request import Request
from controls.model.values import Value, from_microseconds, utc_text
from controls.model.window import AggregateReading, Gap, Window
from controls.rules.aggregates import Aggregate, Counting, read_aggregates
from controls.rules.release import Release
from controls.rules.watching import Watched
from controls.store.observations import SALT_SIZE, CountedAggregate, Series, begin_aggregates, end_aggregates
from controls.store.workspace import Needs, Workspace


@dataclass(frozen=True, slots=True)
class Counter:
    """One request as the aggregates of its action see it; `facts` include the service's own."""

    watched: Watched
    facts: Mapping[str, Value]
    request: Request
    # By aggregate: the requests of the group, and those of them about the same resource where these are left
    # out. An aggregate whose group the request does not say is not there.
    series: Mapping[str, tuple[Series, ...]] = field(init=False)

    def __post_init__(self) -> None:
        found: dict[str, tuple[Series, ...]] = {}
        for aggregate in (*self.watched.read, *self.watched.observed):
            group = None if aggregate.version in found else aggregate.group(self.facts)
            if group is not None:
                found[aggregate.version] = _series(aggregate, group, self.request)
        object.__setattr__(self, "series", found)

    def prepare(self, needs: Needs) -> None:
        """Name the windows of everything that is read or added to."""
        for aggregate in (*self.watched.read, *self.watched.observed):
            for series in self.series.get(aggregate.version, ()):
                needs.series[series] = aggregate.within

    def read(self, work: Workspace) -> AggregateReading | None:
        """What the rules of the action will read; None when they read no aggregate."""
        if not self.watched.read:
            return None
        return read_aggregates(self.watched.read, self.facts, partial(self._windows, work))

    def moments(self, work: Workspace) -> tuple[datetime, ...]:
        """When the first and the last request were made in each window, of those that hold any."""
        windows = [work.windows[series] for found in self.series.values() for series in found]
        ends = [end for window in windows for end in (window.first, window.last) if end is not None]
        return tuple(from_microseconds(end.at) for end in ends)

    def observe(self, work: Workspace, decision: Decision, *, besides: Counter | None = None) -> None:
        """Add the decided request to what counts it, but not to what another counter has added it to. One
        that does not say its group is in none."""
        if not self.request.claim:
            return
        claim = decision.claim
        granted = decision.permitted and (claim is None or not claim.shared)
        for aggregate in self.watched.observed:
            counts = granted or aggregate.counting is Counting.ASKED
            if counts and aggregate.version in work.counted:
                counted = () if besides is None else besides.series.get(aggregate.version, ())
                for series in self.series.get(aggregate.version, ()):
                    if series not in counted:
                        work.observe(series, aggregate.amount_of(self.facts))

    def _windows(self, work: Workspace, aggregate: Aggregate) -> tuple[Window, Window] | Gap:
        counted = work.counted.get(aggregate.version)
        if counted is None:
            return Gap(error=f"{aggregate.name} is not being counted: activate the release again")
        if not counted.complete(at=work.at, within=aggregate.within):
            since = from_microseconds(counted.since)
            return Gap(
                error=f"{aggregate.name} is counted since {utc_text(since)} and complete from "
                f"{utc_text(since + aggregate.within)} on"
            )
        windows = [work.windows[series] for series in self.series[aggregate.version]]
        return windows[0], windows[1] if aggregate.others_only else Window()


def _series(aggregate: Aggregate, group: str, request: Request) -> tuple[Series, ...]:
    every = Series(aggregate.version, group)
    if not aggregate.others_only:
        return (every,)
    return every, replace(every, resource=f"{request.resource_type}/{request.resource_id}")


def begin_all(work: Workspace, release: Release) -> None:
    """Count the aggregates of a ledger's first release, before which there was nothing."""
    _begin(work, (item.version for item in release.aggregates.values()), since=0)


def change_over(work: Workspace, *, before: Release, after: Iterable[str]) -> None:
    """Begin with what the new release brings and end what it drops; what both have goes on.

    Args:
        before: the release in force.
        after: the versions of the aggregates of the release that takes its place.
    """
    old = {item.version for item in before.aggregates.values()}
    new = set(after)
    _begin(work, sorted(new - old), since=work.at)
    if old - new:
        work.later(partial(end_aggregates, tenant=work.head.tenant, versions=sorted(old - new)))


def _begin(work: Workspace, versions: Iterable[str], *, since: int) -> None:
    begun = [CountedAggregate(version, since, work.new_salt(SALT_SIZE)) for version in versions]
    if begun:
        work.later(partial(begin_aggregates, tenant=work.head.tenant, begun=begun))
