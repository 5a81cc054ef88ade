"""What an approval binds, and whether it clears what holds an action up.

Guarantees: an approval holds for one person, action, resource and material facts, once; it clears exactly the
findings that it names, by their rule, version and values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

from controls.decide.situation import Situation
from controls.ledger.canonical import canonical_bytes
from controls.model.decision import Approval, ClearedFinding
from controls.model.finding import Effect, Finding
from controls.model.lineage import StatedLink
from controls.model.people import Principal
from controls.model.request import Request
from controls.model.values import Json, canonical


def cleared_finding(finding: Finding) -> ClearedFinding:
    """The finding as an approval names it; the digest changes with any value that made it speak."""
    values = {name: canonical(value) for name, value in finding.values.items()}
    told = canonical_bytes([finding.effect.value, finding.cause.value, values, list(finding.missing)])
    return ClearedFinding(finding.rule, finding.version, sha256(told).hexdigest())


def material_digest(
    material: Mapping[str, str], *, lineage: Sequence[StatedLink] = (), on_behalf_of: str = ""
) -> str:
    """What an approval binds the material facts by, and what the resource was said to come from."""
    told: dict[str, Json] = dict(material)
    if on_behalf_of:
        told["request.on_behalf_of"] = on_behalf_of
    if lineage:
        told["resource.lineage"] = list[Json](
            sorted(f"{link.relation.value}:{link.type}:{link.id}" for link in lineage)
        )
    return sha256(canonical_bytes(told)).hexdigest()


def material_of_approval(request: Request, material: Mapping[str, str], principal: Principal | None) -> str:
    """What an approval binds a request by: its facts, what it comes from, and for whom it is made."""
    known = None if principal is None else principal.account
    return material_digest(
        material, lineage=request.lineage, on_behalf_of="" if known is None else known.person.id
    )


def holding(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings that hold an action up, of which an approval must name each."""
    stopping = (Effect.REVIEW, Effect.DENY)
    return tuple(item for item in findings if item.effect in stopping and not item.observed)


def clears(
    offered: Approval,
    request: Request,
    situation: Situation,
    *,
    material: Mapping[str, str],
    held: Sequence[Finding],
) -> bool:
    """Whether an approval is for this request of this person, and names all that holds it up and no more."""
    return (
        not offered.used
        and situation.account is not None
        and offered.person == situation.account.person.id
        and offered.action == request.action
        and offered.resource_type == request.resource_type
        and offered.resource_id == request.resource_id
        and situation.now < offered.expires_at
        and offered.material == material_of_approval(request, material, situation.principal)
        and not _party_to_line(offered.approver, situation)
        and not _is_principal(offered.approver, situation)
        and set(offered.findings) == {cleared_finding(item) for item in held}
    )


def _party_to_line(person: str, situation: Situation) -> bool:
    """Whether somebody had a hand in what the chain comes from, or in what has come of it."""
    lines = () if situation.lineage is None else situation.lineage.lines
    return any(item.act.person == person for line in lines for item in line)


def _is_principal(person: str, situation: Situation) -> bool:
    """Whether the request is made for this person."""
    principal = situation.principal
    known = None if principal is None else principal.account
    return known is not None and known.person.id == person
