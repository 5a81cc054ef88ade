"""The shipped rule set at work in memory: a desk, an order, and what the rules say to each step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from controls.api.asked import read_decision
from controls.bootstrap import read_rule_files
from controls.decide import ActiveRelease, Situation, decide
from controls.duties.enforcement import Enforcement
from controls.duties.facts import facts_of
from controls.model.chain import Act, ActState, Capacity, ChainHistory
from controls.model.decision import Decision
from controls.model.people import Account, Person, Profile
from controls.model.request import Request
from controls.model.window import AggregateReading
from controls.rules.aggregates import nothing_counted, read_aggregates
from controls.rules.engine import build_engine
from controls.rules.release import Release, compile_release
from controls.rules.vocabulary import FactReading, read_facts
from controls.rules.watching import Watched
from controls.services.directory_file import read_directory

PROJECT = Path(__file__).parents[2]
RULES = PROJECT / "rules"
FIXTURES = PROJECT / "tests" / "fixtures"
KIND = "order_to_settlement"
STEPS = ("capture", "approve", "execute", "allocate", "confirm", "instruct", "settle", "reconcile")


@cache
def shipped_files() -> Mapping[str, str]:
    return read_rule_files(RULES)


@cache
def shipped_release() -> Release:
    return compile_release(shipped_files())


@cache
def active_release() -> ActiveRelease:
    release = shipped_release()
    enforcement = Enforcement(release.grants, release.roles, release.constraints, release.chains.values())
    return ActiveRelease(release, enforcement, build_engine("both", release.rules))


@cache
def profiles() -> Mapping[str, Profile]:
    """What the directory knows of the desk's people."""
    plans = read_directory((FIXTURES / "people.csv").read_text(encoding="utf-8"))
    return {
        plan.id: Profile(plan.id, **{name.value: value for name, value in plan.attributes.items()})
        for plan in plans
    }


@cache
def accounts() -> Mapping[str, Account]:
    """Every account of the desk by its login."""
    found = {}
    for plan in read_directory((FIXTURES / "people.csv").read_text(encoding="utf-8")):
        person = Person(plan.id, frozenset(line.role for line in plan.roles or ()))
        for account in plan.accounts:
            found[account.login] = Account(account.login, f"ref-{account.login}", person)
    return found


def a_request(name: str) -> dict[str, Any]:
    """A request as a caller sends it, from its file."""
    body: dict[str, Any] = json.loads((FIXTURES / "requests" / f"{name}.json").read_text(encoding="utf-8"))
    return body


def changed(body: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The request with some facts stated otherwise; null takes a fact out."""
    for fact, value in changes.items():
        word, _, name = fact.partition(".")
        resource = body["resource"]
        part = resource["properties"] if word == resource["type"] else body["context"].setdefault(word, {})
        if value is None:
            del part[name]
        else:
            part[name] = value
    return body


class Desk:
    """One order at the desk. What is permitted is taken as performed at once."""

    def __init__(self) -> None:
        self.history = ChainHistory(KIND, "O-1001")

    def ask(
        self,
        name: str,
        *,
        account: str = "",
        at: str = "",
        changes: Mapping[str, Any] | None = None,
        counted: Mapping[str, Any] | None = None,
        mistyped: bool = False,
    ) -> Decision:
        """The decision on the request in the file `name`, asked at `at` or at the time that it states.

        `counted` are aggregates that say something else than that nothing has been asked before; only what
        is `mistyped` may hold facts that cannot be read, or that nobody declared.
        """
        body = changed(a_request(name), changes or {})
        if account:
            body["subject"]["id"] = account
        if at:
            body["context"]["at"] = at
        request = read_decision(body, id=f"dec-{len(self.history.acts)}")
        assert request.asserted_at is not None
        active = active_release()
        reading = read_facts(active.release.vocabulary, request.properties)
        assert bool(reading.malformed or reading.undeclared) == mistyped, reading
        person = accounts().get(request.subject_id)
        situation = Situation(
            reading=reading,
            account=person,
            aggregates=_counted(request, reading, person, counted or {}),
            history=self.history,
            now=request.asserted_at,
            profiles=profiles(),
        )
        decision = decide(request, situation, active=active)
        if decision.claim is not None:
            self._perform(decision, situation)
        return decision

    def _perform(self, decision: Decision, situation: Situation) -> None:
        assert decision.claim is not None
        act = Act(
            claim=f"claim-{len(self.history.acts)}",
            decision=decision.request,
            chain=self.history.chain,
            step=decision.claim.step,
            person=decision.person,
            account=decision.account,
            capacity=Capacity.ACTOR,
            state=ActState.PERFORMED,
            at=situation.now,
            done_at=situation.now,
            valid_until=situation.now + timedelta(hours=24),
            index=len(self.history.acts),
            material=decision.claim.material,
        )
        self.history = ChainHistory(KIND, self.history.chain, (*self.history.acts, act))


def _counted(
    request: Request, reading: FactReading, person: Account | None, counted: Mapping[str, Any]
) -> AggregateReading:
    watched = active_release().watched.get(f"{request.resource_type}.{request.action}", Watched())
    facts = facts_of(request, values=reading.values, account=person)
    found = read_aggregates(watched.read, facts, nothing_counted)
    readers = {name: aggregate.reader for name, aggregate in shipped_release().aggregates.items()}
    said = {name: readers[name](value) for name, value in counted.items()}
    assert said.keys() <= found.values.keys(), "the step does not read it"
    return replace(found, values={**found.values, **said})


def findings_of(decision: Decision) -> list[str]:
    """The ids of what was found, without the obligations that come with a permit."""
    return sorted(item.rule for item in decision.findings if item.effect.value != "oblige")
