"""The constraints that every chain kind has, whatever the files say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from controls.model.chain import ChainKind
from controls.model.duty import Constraint, ConstraintKind, Period
from controls.model.finding import Effect, Text

ALWAYS: Final = Period()


def built_in(kind: ChainKind) -> tuple[Constraint, ...]:
    """The constraints that every chain kind has, whatever the files say."""
    whole = Constraint(
        id="whole_chain",
        version="1",
        kind=ConstraintKind.WHOLE_CHAIN,
        chain=kind.id,
        then=Effect.DENY,
        title=Text("Nobody handles a whole chain", "Nadie lleva una cadena entera"),
        absolute=True,
    )
    if kind.sole_actor_allowed:
        return (whole,)
    return (
        whole,
        Constraint(
            id="sole_actor",
            version="1",
            kind=ConstraintKind.SOLE_ACTOR,
            chain=kind.id,
            then=Effect.DENY,
            title=Text(
                "The last step is not for the chain's only actor",
                "El último paso no es para quien ha actuado solo en la cadena",
            ),
            absolute=True,
        ),
    )


def with_built_in(
    constraints: Iterable[Constraint], *, chains: Iterable[ChainKind]
) -> tuple[Constraint, ...]:
    """The constraints of a release with the built-in ones of every chain kind that it does not carry itself.

    Raises:
        ValueError: a built-in kind is there in a weaker form (another effect, a condition, a period).
    """
    given = tuple(constraints)
    own = [item for item in given if item.kind in (ConstraintKind.WHOLE_CHAIN, ConstraintKind.SOLE_ACTOR)]
    for item in own:
        if item.then is not Effect.DENY or item.when is not None or item.effective != ALWAYS:
            raise ValueError(
                f"constraint {item.id!r} weakens {item.kind.value}: that one is built in, so leave it out"
            )
    present = {(item.kind, item.chain) for item in own}
    added = [
        item
        for kind in chains
        for item in built_in(kind)
        if (item.kind, kind.id) not in present and (item.kind, "") not in present
    ]
    return (*added, *given)
