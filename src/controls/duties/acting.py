"""Acting for somebody else: a delegate for who delegated the step, a bot for the person it belongs to.

Guarantees: nobody acts for somebody unknown, nor for another person without a delegation in force of that
very step; what was done for another person is an act of both, wherever acts are counted. The person for whom
it was done is accountable and named in the answer and in the entry. A delegation is an exception: each use is
told to a supervisor; a bot that acts for the person it belongs to is none.

Delegates do not delegate further: a request names one person to act for, by whose own grants it is decided.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from controls.duties.findings import BUILT_IN, denial
from controls.duties.wording import moment
from controls.model.chain import Act, ActState, Capacity
from controls.model.decision import ClaimIntent
from controls.model.finding import Effect, Finding, Origin, Text
from controls.model.people import Account, Delegation, Principal
from controls.model.request import Request

DELEGATED: Final = "delegation"  # what the use of one is called where it is told


def other_of(principal: Principal | None, account: Account | None) -> Account | None:
    """The account of another person for whom `account` acts; None where that is nobody else."""
    if principal is None or principal.account is None or account is None:
        return None
    return None if principal.account.person.id == account.person.id else principal.account


def acting_findings(principal: Principal | None, account: Account, *, action: str) -> Iterator[Finding]:
    """Why `account` may not act for whom the request names; nothing when it may, or names nobody."""
    if principal is None:
        return
    if principal.account is None:
        yield denial(
            "unknown_principal",
            origin=Origin.REQUEST,
            title=Text("Nobody known is acted for", "No se conoce a quien se representa"),
            message=Text(
                "The directory holds no account of the name in on_behalf_of that is valid now; name an "
                "account in force of the person who is accountable, or leave it out.",
                "El directorio no contiene ninguna cuenta vigente con el nombre de on_behalf_of; indique "
                "una cuenta vigente de la persona responsable, o no indique ninguna.",
            ),
        )
        return
    actor, accountable = account.person.id, principal.account.person.id
    if actor != accountable and principal.delegation is None:
        yield denial(
            "no_delegation",
            origin=Origin.GRANT,
            title=Text("Not delegated", "Sin delegación"),
            message=Text(
                f"{accountable} has not delegated {action} to {actor}, or no longer: no delegation of this "
                "step is in force. Two administrators can make one (controls directory delegate).",
                f"{accountable} no ha delegado {action} en {actor}, o ya no: no hay ninguna delegación "
                "vigente de este paso. Pueden hacerla dos administradores (controls directory delegate).",
            ),
            values={"action": action, "person": actor, "on_behalf_of": accountable},
        )


def accountable(person: str, actor: str, given: Delegation | None) -> Text:
    """Who is accountable for what `actor` asks on behalf of `person`, and why, in words for who asks."""
    if actor == person:
        return Text(
            f"The acts of this account are those of {person}, who is accountable for them.",
            f"Los actos de esta cuenta son los de {person}, que responde de ellos.",
        )
    if given is None:
        return Text(
            f"{actor} asks on behalf of {person}, who has not delegated this.",
            f"{actor} pregunta en nombre de {person}, que no se lo ha delegado.",
        )
    until = moment(given.until)
    return Text(
        f"{actor} acts on behalf of {person}, who is accountable, by delegation {given.id} until {until}. "
        "The act counts for both.",
        f"{actor} actúa en nombre de {person}, que responde de ello, por la delegación {given.id} hasta el "
        f"{until}. El acto cuenta para ambas personas.",
    )


def use_of_delegation(person: str, actor: str, given: Delegation, *, action: str) -> Finding:
    """What a supervisor is told of a step that `actor` takes for `person`, by a delegation in force."""
    until = moment(given.until)
    return Finding(
        rule=DELEGATED,
        version=BUILT_IN,
        origin=Origin.GRANT,
        effect=Effect.FLAG,
        title=Text("A delegation was used", "Se ha usado una delegación"),
        message=Text(
            f"{actor} takes {action} on behalf of {person} by delegation {given.id}, in force until {until}. "
            "The act counts for both; somebody who is neither of them must look at it.",
            f"{actor} realiza {action} en nombre de {person} por la delegación {given.id}, vigente hasta el "
            f"{until}. El acto cuenta para ambas personas; debe revisarlo alguien que no sea ninguna de las "
            "dos.",
        ),
        values={
            "action": action,
            "person": actor,
            "on_behalf_of": person,
            "delegation": given.id,
            "until": given.until,
        },
    )


def claimed_act(
    request: Request, account: Account, *, claim: ClaimIntent, now: datetime, other: Account | None
) -> Act:
    """The act that a permit would put on record, as far as it is known already; `other`: for whom."""
    return Act(
        claim=claim.shared,
        decision=request.id,
        chain=request.resource_id,
        step=claim.step,
        person=account.person.id,
        account=account.ref,
        capacity=Capacity.ACTOR,
        state=ActState.CLAIMED,
        at=now,
        done_at=None,
        valid_until=claim.valid_until,
        index=-1,
        material=claim.material,
        beside="" if other is None else other.person.id,
    )


def principal_act(act: Act, principal: Account) -> Act:
    """The act of whom `act` was done for: it counts against that person for ever, and holds nothing. It is
    done with when `act` is."""
    return replace(
        act,
        claim=f"{act.claim}:for",
        person=principal.person.id,
        account=principal.ref,
        capacity=Capacity.PRINCIPAL,
        state=ActState.PERFORMED,
        beside=act.person,
    )
