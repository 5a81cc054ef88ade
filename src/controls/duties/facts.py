"""What conditions read of one request: the caller's facts, and the service's own that no caller can state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from controls.model.condition import Facts
from controls.model.people import Account
from controls.model.request import Request
from controls.model.values import Value
from controls.model.window import AggregateReading

_OF_WHO_ASKS: Final = ("person.", "subject.")


def facts_of(request: Request, *, values: Mapping[str, Value], account: Account | None) -> dict[str, Value]:
    """The facts of a request by their names."""
    facts = dict(values) | {
        "subject.type": request.subject_type,
        "subject.id": request.subject_id,
        "action.name": request.action,
        "resource.type": request.resource_type,
        "resource.id": request.resource_id,
    }
    return facts if account is None else facts | _person(account)


def facts_about(account: Account, facts: Facts, aggregates: AggregateReading | None) -> Facts:
    """The same facts where those about the person, and what is counted of a person, are another person's."""
    values = dict(facts.values) | _person(account)
    if aggregates is None:
        return replace(facts, values=values)
    return replace(facts, values=values | dict(aggregates.values), gaps=aggregates.gaps)


def _person(account: Account) -> dict[str, Value]:
    return {"person.id": account.person.id, "person.roles": tuple(sorted(account.person.roles))}


def facts_about_nobody(facts: Facts) -> Facts:
    """The same facts where nothing is told of who asks: for what the acts of others break."""
    others = {name: value for name, value in facts.values.items() if not name.startswith(_OF_WHO_ASKS)}
    return replace(facts, values=others)
