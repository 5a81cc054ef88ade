"""From decisions to ledger entries: what is written in clear, what as a commitment.

Guarantees: a fact that the vocabulary does not mark public, an unknown subject's id and all free text are
in the entry only as commitments; what opens them is in the one deletable disclosure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final

from controls.model.decision import Decision
from controls.model.finding import Cause, Finding
from controls.model.request import Request
from controls.model.values import Json, canonical, utc_text
from controls.model.window import AggregateReading, Gap
from controls.rules.release import Release
from controls.rules.vocabulary import FactReading
from controls.store.workspace import Workspace

# Version of the rule language that an entry's release was evaluated with.
LANGUAGE: Final = 1

_PRIVATE_OF_SERVICE: Final = frozenset({"subject.id"})


def is_private(release: Release, name: str) -> bool:
    """Whether a finding's value of this name may only stand in an entry as a commitment."""
    aggregate = release.aggregates.get(name)
    if aggregate is not None:
        return not aggregate.public
    plain = name.removeprefix("recorded.")
    if plain in release.vocabulary.facts:
        return plain not in release.vocabulary.public
    # A cell of a table may be a limit or a name, and tells which key was looked up; a rate tells a currency.
    return name in _PRIVATE_OF_SERVICE or name.startswith(("table.", "rate."))


def private_text(value: Json | Mapping[str, Json]) -> str:
    """What the caller sent, as one text: for values that no declaration gives a type."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def decision_entry(
    work: Workspace,
    release: Release,
    *,
    request: Request,
    decision: Decision,
    reading: FactReading,
    key: str,
    aggregates: AggregateReading | None = None,
) -> tuple[dict[str, Json], dict[str, str]]:
    """Fields and disclosure of the entry for one decision; the caller adds claim, review and lines."""
    private: dict[str, Json] = {}
    stated: dict[str, Json] = {}
    public = release.vocabulary.public
    for name, form in reading.forms.items():
        if name in public:
            stated[name] = form
        else:
            private[name] = form
    for problem in reading.malformed:
        private[problem.name] = private_text(request.properties[problem.name])
    if reading.undeclared:
        private["undeclared"] = private_text({name: request.properties[name] for name in reading.undeclared})
    counted = {} if aggregates is None else aggregates.values
    for name, value in counted.items():
        if is_private(release, name):
            private[name] = canonical(value)
    if not decision.account:
        private["subject.id"] = request.subject_id
    glass = request.break_glass
    if glass is not None:
        private["break_glass.reason"] = glass.reason
    principal = decision.principal
    if request.on_behalf_of and (principal is None or principal.account is None):
        private["on_behalf_of"] = request.on_behalf_of
    findings = decision.findings + decision.cleared
    for finding in findings:
        for name, value in finding.values.items():
            if name not in private and is_private(release, name):
                private[name] = canonical(value)
    if findings:
        private["messages"] = [dict(finding.message.as_json()) for finding in findings]
    hidden, disclosure = work.conceal(private)
    properties = stated | {
        name: item for name, item in hidden.items() if name in request.properties and name not in counted
    }
    for extra in ("undeclared", "subject.id", "on_behalf_of", "break_glass.reason"):
        if extra in hidden:
            properties[extra] = hidden[extra]
    asked: dict[str, Json] = {
        "subject_type": request.subject_type,
        "action": request.action,
        "resource": {"type": request.resource_type, "id": request.resource_id},
        "properties": properties,
    }
    if request.asserted_at is not None:
        asked["at"] = utc_text(request.asserted_at)
    if request.lineage:
        asked["lineage"] = [
            {"relation": link.relation.value, "type": link.type, "id": link.id} for link in request.lineage
        ]
    if not request.claim:
        asked["claim"] = False
    if glass is not None:
        asked["break_glass"] = {"minutes": glass.minutes}
    fields: dict[str, Json] = {
        "key": key,
        "request": asked,
        "outcome": decision.outcome.value,
        "language": LANGUAGE,
        "engine": decision.engine,
    }
    if aggregates is not None:
        fields["aggregates"] = {
            **{name: hidden.get(name, canonical(value)) for name, value in counted.items()},
            **{name: _gap_json(gap) for name, gap in aggregates.gaps.items()},
        }
    if decision.account:
        fields["account"] = decision.account
        fields["person"] = decision.person
    if principal is not None and principal.account is not None:
        fields["on_behalf_of"] = {
            "person": principal.account.person.id,
            "account": principal.account.ref,
            **({} if principal.delegation is None else {"delegation": principal.delegation.id}),
        }
    if decision.chain_kind:
        fields["chain"] = {"kind": decision.chain_kind, "id": request.resource_id}
    if findings:
        fields["findings"] = [finding_json(finding, hidden) for finding in decision.findings]
        fields["messages"] = hidden["messages"]
    if decision.cleared:
        fields["cleared"] = [finding_json(finding, hidden) for finding in decision.cleared]
    if decision.obligations:
        fields["obligations"] = [item.as_json() for item in decision.obligations]
    return fields, disclosure


def _gap_json(gap: Gap) -> dict[str, Json]:
    return {"error": True} if gap.error else {"missing": list(gap.missing)}


def finding_json(finding: Finding, hidden: Mapping[str, Json]) -> dict[str, Json]:
    """A finding as an entry holds it: no message, and commitments for private values."""
    found: dict[str, Json] = {
        "rule": finding.rule,
        "version": finding.version,
        "effect": finding.effect.value,
    }
    if finding.cause is not Cause.FIRED:
        found["cause"] = finding.cause.value
    if finding.values:
        found["values"] = {
            name: hidden[name] if name in hidden else canonical(value)
            for name, value in finding.values.items()
        }
    if finding.missing:
        found["missing"] = list(finding.missing)
    if finding.observed:
        found["observed"] = True
    return found


def titles(findings: Iterable[Finding]) -> list[Json]:
    """Findings as a supervisor's list shows them: rule, effect and both languages."""
    return [
        {
            "rule": finding.rule,
            "effect": finding.effect.value,
            "title": dict(finding.title.as_json()),
            "message": dict(finding.message.as_json()),
        }
        for finding in findings
    ]
