"""The cases that finding two persons to be one opens: what they broke together, told in both languages."""

from __future__ import annotations

from dataclasses import dataclass

from controls.model.chain import ChainKind
from controls.model.duty import Constraint
from controls.model.finding import Text
from controls.model.values import Json
from controls.store.rows import ReviewCase

_HERE = Text("", "")


@dataclass(frozen=True, slots=True)
class Broken:
    """An open chain on which, or near which, the two together break constraints, each by acts on steps.

    `last` is the last step of it that they acted on; `where` says which other chains count (nothing: none);
    `untold` are the constraints of which it could not be told whether their condition holds.
    """

    kind: ChainKind
    chain: str
    last: str
    constraints: tuple[tuple[Constraint, tuple[str, ...]], ...]
    where: Text = _HERE
    untold: frozenset[str] = frozenset()


def on_line(chain: str) -> Text:
    """That what a chain comes from, or what has come of it, counts."""
    return Text(
        f", on {chain} and the chains that hang together with it",
        f", en {chain} y las cadenas enlazadas con ella",
    )


def at_places(chain: str) -> Text:
    """That other chains count which the constraint counts together with this one."""
    return Text(
        f", on {chain} and other chains of the same account, instrument, desk or conflict class",
        f", en {chain} y otras cadenas de la misma cuenta, instrumento, mesa o clase de conflicto",
    )


def case_of_merge(case: str, broken: Broken, *, person: str, into: str, entry: str, at: int) -> ReviewCase:
    """The case about one chain: `person` was found to be `into` by the entry of that id."""
    return ReviewCase(
        id=case,
        kind="merge",
        state="open",
        decision=entry,
        claim="",
        person=into,
        action=broken.last,
        resource_type=broken.kind.resource,
        resource_id=broken.chain,
        chain_kind=broken.kind.id,
        material="",
        findings=(),
        reasons=tuple(_reason(*item, broken=broken, person=person, into=into) for item in broken.constraints),
        opened_at=at,
    )


def _reason(
    constraint: Constraint, steps: tuple[str, ...], *, broken: Broken, person: str, into: str
) -> dict[str, Json]:
    acted, rule, where = ", ".join(steps), constraint.id, broken.where
    untold = Text(
        " Whether its condition held could not be told from the record, so it is taken to apply.",
        " No se ha podido saber por el registro si se cumplía su condición, así que se da por aplicable.",
    )
    condition = untold if constraint.id in broken.untold else _HERE
    return {
        "rule": rule,
        "effect": constraint.then.value,
        "title": dict(constraint.title.as_json()),
        "message": {
            "en": f"{person} was found to be {into}, who with that has acted on "
            f"{acted}{where.en}: {rule} does not allow it of one person.{condition.en} Either resolution "
            "closes the case; say in the reason what was done.",
            "es": f"Se ha visto que {person} es {into}, que con ello ha actuado en "
            f"{acted}{where.es}: {rule} no lo permite a una sola persona.{condition.es} Cualquier "
            "resolución cierra el caso; indique en el motivo lo que se ha hecho.",
        },
    }
