"""Scenarios from files: `scenarios/*.yaml`.

They are tests: read and checked with the rest of the set, so that a mistake in one refuses the set, but no
part of the release. Neither its document nor its digest knows them, and a release made from its document
has none: a better test must not need an approval of its own, nor be able to change what is in force.

Guarantees: nobody asks who is not among the people and nothing is asked that no rule file knows, so that a
typing mistake can never be the reason of an expected denial; every fact is of its declared type; time never
goes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from controls.model.chain import ChainKind
from controls.model.finding import Text
from controls.model.people import Attribute
from controls.model.values import Json
from controls.rules.common_shapes import DEFAULT_LIST, MAX_STRING
from controls.rules.diagnostics import Diagnostics, Place, closest, listed, quoted
from controls.rules.literals import parse_duration
from controls.rules.nodes import Entry, MappingNode, Scalar, as_json, mappings_of
from controls.rules.readers import FIRST_MOMENT, LAST_MOMENT, MalformedValue, reader_of
from controls.rules.roles import Roles
from controls.rules.scenario import (
    Expectation,
    ExpectedObligation,
    Report,
    Scenario,
    ScenarioDelegation,
    ScenarioPerson,
    ScenarioStep,
)
from controls.rules.scenario_structure import SCENARIO
from controls.rules.shapes import is_sound
from controls.rules.sources import SourceFile
from controls.rules.system import ADMINISTRATION_RESOURCE, ANYONE, REVIEW_RESOURCE
from controls.rules.types import TIMESTAMP
from controls.rules.vocabulary import VocabularySource

_read_moment = reader_of(TIMESTAMP, max_length=MAX_STRING, max_items=DEFAULT_LIST)
# The service's own resources are changed by commands, never by a plain question.
_ADMINISTERED: Final = frozenset({ADMINISTRATION_RESOURCE, REVIEW_RESOURCE})


@dataclass(frozen=True, slots=True)
class ScenarioScope:
    """What scenarios may name. Where `complete` is false nobody knows all actions and roles."""

    vocabulary: VocabularySource
    roles: Roles
    chains: Mapping[str, ChainKind]  # by resource type
    actions: frozenset[str]
    complete: bool
    diagnostics: Diagnostics


def scenarios_of(files: Iterable[SourceFile], *, scope: ScenarioScope) -> tuple[Scenario, ...]:
    """The scenarios of all files, in the order of files and lines."""
    found: dict[str, Scenario] = {}
    for file in files:
        for node in mappings_of(file.node):
            if not file.clean and not is_sound(SCENARIO, node):
                continue
            id_ = node.text("id")
            if id_ in found:
                scope.diagnostics.add(
                    node.place_of("id"),
                    "duplicate_id",
                    f"the scenario {quoted(id_)} is already in {found[id_].file}: rename one",
                )
                continue
            found[id_] = _Reader(node, file.path, scope).scenario()
    return tuple(found.values())


class _Reader:
    """Reads one scenario whose structure has been checked."""

    def __init__(self, node: MappingNode, file: str, scope: ScenarioScope) -> None:
        self._node = node
        self._file = file
        self._scope = scope
        self._diagnostics = scope.diagnostics

    def scenario(self) -> Scenario:
        node = self._node
        start = self._moment(node, "start") or FIRST_MOMENT
        people = self._people()
        logins = {login for person in people for login in person.accounts}
        resource = self._resource()
        facts = self._facts(node)
        steps: list[ScenarioStep] = []
        now = start
        for item in node.items("steps"):
            assert isinstance(item, MappingNode)
            step = self._step(item, resource, facts, logins, start=start, now=now)
            now = step.at
            steps.append(step)
        return Scenario(
            id=node.text("id"),
            title=node.bilingual("title") or Text("", ""),
            start=start,
            resource_type=resource,
            people=people,
            steps=tuple(steps),
            delegations=tuple(self._delegations({person.id for person in people}, start=start)),
            file=self._file,
            line=node.place.line,
        )

    def _delegations(self, people: set[str], *, start: datetime) -> Iterator[ScenarioDelegation]:
        for item in self._node.items("delegations"):
            assert isinstance(item, MappingNode)
            for key in ("from", "to"):
                if item.text(key) not in people and self._scope.complete:
                    self._add(
                        item.place_of(key),
                        "unknown_person",
                        f"{quoted(item.text(key))} is nobody: declare the person under `people`, or use one "
                        f"of those called like a role{closest(item.text(key), people)}",
                    )
            yield ScenarioDelegation(
                person=item.text("from"),
                delegate=item.text("to"),
                steps=item.texts("steps"),
                until=self._time(item, "until", start=start, now=start),
                line=item.place.line,
            )

    def _step(
        self,
        node: MappingNode,
        resource: str,
        facts: Mapping[str, Json],
        logins: set[str],
        *,
        start: datetime,
        now: datetime,
    ) -> ScenarioStep:
        action = node.text("asks")
        self._check_action(node, resource, action)
        for key in ("who", "on_behalf_of", "approved_by", "not_approved_by"):
            if key in node and node.text(key) not in logins and self._scope.complete:
                self._add(
                    node.place_of(key),
                    "unknown_account",
                    f"{quoted(node.text(key))} is nobody's account: declare the person under `people`, or "
                    f"use one of those called like a role{closest(node.text(key), logins)}",
                )
        without = set(node.texts("without"))
        for item in node.scalars("without"):
            if str(item.value) not in facts:
                self._add(
                    item.place,
                    "unknown_fact",
                    f"the scenario does not state {quoted(str(item.value))}{closest(str(item.value), facts)}",
                )
        expect = self._expectation(node)
        for key in ("approved_by", "not_approved_by"):
            lifted = expect.outcome == "deny" and "break_glass" in node
            if key in node and expect.outcome != "review" and not lifted:
                told = "only a review can be approved, and what is denied where `break_glass` is asked for"
                self._add(node.place_of(key), "misplaced_key", told)
        if "report" in node and expect.outcome != "permit":
            self._add(node.place_of("report"), "misplaced_key", "only a permitted step is reported")
        kept = {name: value for name, value in facts.items() if name not in without}
        return ScenarioStep(
            who=node.text("who"),
            action=action,
            at=self._time(node, "at", start=start, now=now),
            resource_id=node.text("resource_id") or self._node.text("id"),
            facts={**kept, **self._facts(node)},
            expect=expect,
            claim=node.flag("claim", default=True),
            approved_by=node.text("approved_by"),
            not_approved_by=node.text("not_approved_by"),
            on_behalf_of=node.text("on_behalf_of"),
            break_glass=node.text("break_glass"),
            report=Report(node.text("report", Report.PERFORMED)),
            line=node.place.line,
        )

    def _people(self) -> tuple[ScenarioPerson, ...]:
        """Those declared, and two for every role, called like it, where no declared one is called so."""
        roles = self._scope.roles
        people: list[ScenarioPerson] = []
        owners: dict[str, str] = {}
        declared = self._node.mapping("people")
        for id_, entry in declared.entries.items() if declared is not None else ():
            node = entry.value
            holder = (
                node
                if isinstance(node, MappingNode)
                else MappingNode(node.source, node.line, node.column, {"roles": entry})
            )
            for role in holder.scalars("roles"):
                if str(role.value) not in roles.implied and self._scope.complete:
                    self._add(
                        role.place,
                        "unknown_role",
                        f"{quoted(str(role.value))} is not among the roles"
                        f"{closest(str(role.value), roles.implied)}",
                    )
            accounts = holder.texts("accounts") or (id_,)
            for login in accounts:
                if owners.setdefault(login, id_) != id_:
                    self._add(
                        entry.key.place,
                        "account_of_two",
                        f"the account {quoted(login)} belongs to {quoted(owners[login])} already",
                    )
            people.append(ScenarioPerson(id_, holder.texts("roles"), accounts, _attributes(holder)))
        self._check_superiors(people)
        taken = owners.keys() | {person.id for person in people}
        people += [
            ScenarioPerson(name, (role,), (name,), _unrelated(name, department=role))
            for role in roles.implied
            for name in (role, f"{role}.2")
            if role != ANYONE and name not in taken
        ]
        return tuple(people)

    def _check_superiors(self, people: list[ScenarioPerson]) -> None:
        """Superiors are among the people declared; the directory itself refuses circles."""
        declared = self._node.mapping("people")
        names = {person.id for person in people}
        for person in people:
            superior = person.attributes.get(Attribute.REPORTS_TO, "")
            if superior and superior not in names and declared is not None:
                holder = declared.mapping(person.id)
                assert holder is not None
                self._add(
                    holder.place_of("reports_to"),
                    "unknown_account",
                    f"{quoted(superior)} is not declared under `people`{closest(superior, names)}",
                )

    def _resource(self) -> str:
        if "resource" in self._node:
            return self._node.text("resource")
        known = [resource for resource in self._scope.chains if resource not in _ADMINISTERED]
        if len(known) == 1:
            return known[0]
        if self._scope.complete:
            self._add(
                self._node.place,
                "missing_key",
                f"say with `resource` what is asked about: {listed(known) or 'no chain kind is known'}",
            )
        return ""

    def _check_action(self, node: MappingNode, resource: str, action: str) -> None:
        if not self._scope.complete or not resource:
            return
        if resource in _ADMINISTERED:
            place = self._node.place_of("resource")
            self._add(place, "reserved_name", f"{quoted(resource)} belongs to the service itself")
        elif f"{resource}.{action}" not in self._scope.actions:
            known = {
                name.partition(".")[2] for name in self._scope.actions if name.startswith(f"{resource}.")
            }
            self._add(
                node.place_of("asks"),
                "unknown_action",
                f"no grant and no chain step knows {quoted(f'{resource}.{action}')}{closest(action, known)}",
            )

    def _facts(self, node: MappingNode) -> Mapping[str, Json]:
        stated: dict[str, Json] = {}
        for item in node.items("facts"):
            assert isinstance(item, MappingNode)
            for name, entry in item.entries.items():
                self._check_fact(name, entry)
                stated[name] = as_json(entry.value)
        return stated

    def _check_fact(self, name: str, entry: Entry) -> None:
        vocabulary = self._scope.vocabulary
        reader = vocabulary.vocabulary.readers.get(name)
        if reader is None:
            if vocabulary.complete and name not in vocabulary.broken:
                self._add(
                    entry.key.place,
                    "unknown_fact",
                    f"{quoted(name)} is not in vocabulary.yaml{closest(name, vocabulary.vocabulary.readers)}",
                )
            return
        try:
            reader(as_json(entry.value))
        except MalformedValue as problem:
            self._add(entry.value.place, "bad_value", problem.message.en.replace("send ", "write ", 1))

    def _expectation(self, node: MappingNode) -> Expectation:
        told = node.mapping("expect")
        if told is None:
            return Expectation(node.text("expect"))
        obligations: list[ExpectedObligation] = []
        for item in told.items("obligations"):
            if isinstance(item, MappingNode):
                obligations.append(ExpectedObligation(item.text("id"), self._moment(item, "due")))
            elif isinstance(item, Scalar):
                obligations.append(ExpectedObligation(str(item.value)))
        if told.items("obligations") and told.text("outcome") != "permit":
            self._add(told.place_of("obligations"), "misplaced_key", "duties come with a permit only")
        return Expectation(
            outcome=told.text("outcome"),
            findings=frozenset(told.texts("findings")) if "findings" in told else None,
            contains=frozenset(told.texts("contains")),
            obligations=tuple(obligations) if "obligations" in told else None,
        )

    def _time(self, node: MappingNode, key: str, *, start: datetime, now: datetime) -> datetime:
        """A moment, or a duration after the start; `now` is what it cannot be before."""
        if key not in node:
            return now
        text = node.text(key)
        if text.startswith("P"):
            try:
                at = start + parse_duration(text)
            except (ValueError, OverflowError):
                at = LAST_MOMENT
            if at >= LAST_MOMENT:
                self._add(
                    node.place_of(key), "bad_value", "write a duration after `start`, such as PT2H or P1D"
                )
                return now
        else:
            at = self._moment(node, key) or now
        if at < now:
            before = "the step above" if key == "at" else "`start`"
            self._add(node.place_of(key), "out_of_range", f"this is before {before}: time never goes back")
            return now
        return at

    def _moment(self, node: MappingNode, key: str) -> datetime | None:
        try:
            moment = _read_moment(node.text(key))
        except MalformedValue as problem:
            self._add(node.place_of(key), "bad_value", problem.message.en.replace("send ", "write ", 1))
            return None
        assert isinstance(moment, datetime)
        return moment

    def _add(self, place: Place, code: str, message: str) -> None:
        self._diagnostics.add(place, code, message)


def _attributes(node: MappingNode) -> dict[Attribute, str]:
    """What the directory is to know of a person."""
    return {attribute: node.text(attribute) for attribute in Attribute if attribute in node}


def _unrelated(name: str, *, department: str) -> dict[Attribute, str]:
    """What the directory knows of somebody who is related to nobody."""
    return {
        Attribute.DEPARTMENT: department,
        Attribute.DESK: name,
        Attribute.HOUSEHOLD: name,
        Attribute.REPORTS_TO: name,
    }
