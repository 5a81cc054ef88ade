"""A decision's question as it can be asked again: read from its ledger entry and what discloses it.

Guarantees: the question is the recorded one, property by property; where a private value was erased there is
no question any more, and that is said. What the caller said about time drives nothing and is left out, and so
is the wish to break glass: what is asked is what would be permitted without an exception.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from controls.ledger.envelope import EntryKind
from controls.model.errors import Conflict, NotFound
from controls.model.lineage import Relation, StatedLink
from controls.model.request import Request
from controls.model.values import Json
from controls.store.connection import StoreConnection
from controls.store.directory import Directory
from controls.store.ledger_reads import entry_named

# What stands among an entry's properties and is none.
_BESIDES: Final = frozenset({"subject.id", "undeclared", "on_behalf_of", "break_glass.reason"})


@dataclass(frozen=True, slots=True)
class RecordedQuestion:
    """What was asked, and what was answered."""

    request: Request
    outcome: str


async def decision_entry_named(connection: StoreConnection, tenant: str, decision: str) -> Any:
    """The row of a decision's entry, with its disclosure.

    Raises:
        NotFound: there is no such decision.
    """
    row = await entry_named(connection, tenant, decision)
    if row is None or row.kind != EntryKind.DECISION:
        raise NotFound(
            "decision_unknown",
            "There is no such decision",
            help="Use the id of a decision's answer.",
        )
    return row


def recorded_question(row: Any, *, directory: Directory) -> RecordedQuestion:
    """The question of a decision entry.

    Args:
        row: the entry with its disclosure.
        directory: tells the login of the account that asked.

    Raises:
        Conflict: a private value was erased, or the account is not known any more.
    """
    entry = json.loads(bytes(row.bytes), parse_float=Decimal)
    disclosed = {} if row.disclosure is None else json.loads(row.disclosure, parse_float=Decimal)
    asked = entry["request"]
    malformed = {
        name
        for finding in entry.get("findings", ())
        if finding["rule"] == "malformed_fact"
        for name in finding.get("missing", ())
    }
    properties: dict[str, Json] = {}
    if any(finding["rule"] == "misspelt_fact" for finding in entry.get("findings", ())):
        properties |= json.loads(str(_disclosed("undeclared", disclosed)), parse_float=Decimal)
    for name, value in asked.get("properties", {}).items():
        if name in _BESIDES:
            continue
        told = _disclosed(name, disclosed) if isinstance(value, dict) else value
        properties[name] = json.loads(str(told), parse_float=Decimal) if name in malformed else told
    return RecordedQuestion(
        Request(
            id=entry["id"],
            subject_type=asked["subject_type"],
            subject_id=_login(entry.get("account"), "subject.id", disclosed, directory),
            action=asked["action"],
            resource_type=asked["resource"]["type"],
            resource_id=asked["resource"]["id"],
            properties=properties,
            lineage=_links(asked),
            on_behalf_of=_principal(entry, disclosed, directory),
        ),
        entry["outcome"],
    )


def recorded_links(row: Any) -> tuple[StatedLink, ...]:
    """What the question of a decision entry says that its resource comes from; nobody ever erases that."""
    return _links(json.loads(bytes(row.bytes))["request"])


def _links(asked: Mapping[str, Any]) -> tuple[StatedLink, ...]:
    return tuple(
        StatedLink(Relation(link["relation"]), link["type"], link["id"]) for link in asked.get("lineage", ())
    )


def _principal(entry: Mapping[str, Any], disclosed: Mapping[str, Any], directory: Directory) -> str:
    """The login for whom it was asked; empty when it was for nobody else."""
    known = entry.get("on_behalf_of")
    if known is None and "on_behalf_of" not in entry["request"].get("properties", {}):
        return ""
    return _login(None if known is None else known["account"], "on_behalf_of", disclosed, directory)


def _login(reference: str | None, name: str, disclosed: Mapping[str, Any], directory: Directory) -> str:
    """The login of an account on record; of one that nobody knew the name that was disclosed."""
    if reference is None:
        return str(_disclosed(name, disclosed))
    known = directory.references.get(reference)
    if known is None:
        raise Conflict(
            "account_unknown",
            "The account that asked is not in the directory any more",
            help="Ask again for an account that is.",
        )
    return known.login


def _disclosed(name: str, disclosed: Mapping[str, Any]) -> Json:
    if name not in disclosed:
        raise Conflict(
            "values_erased",
            "What was asked is not known any more",
            detail=f"The value of {name} was erased from the records of this decision.",
            help="Ask again with the value, and for the counterfactuals of that decision.",
        )
    value: Json = disclosed[name]["value"]
    return value
