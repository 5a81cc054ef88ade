"""Break-glass: which denials a second person may lift, once, for one person, one step and some minutes.

Guarantees: only a duty constraint of the release in force that is not marked `absolute` is ever lifted, and
only where it is known to apply: never the whole chain, nor what is unknown or could not be computed, nor
anything that is no duty constraint (grants, order of steps, material facts, regulatory rules). What is lifted
is bound to the very findings that a supervisor saw, so that any change of them takes it away.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from controls.duties.findings import denial
from controls.duties.wording import names
from controls.model.duty import Constraint
from controls.model.finding import Cause, Effect, Finding, Origin, Text

# How long a permission may live at most, and does unless the request says less, from when it was asked for.
LONGEST_MINUTES: Final = 120
MINUTES: Final = 30
# By when somebody looks at what was done under an exception.
REVIEW_WITHIN: Final = timedelta(days=1)


def beyond_glass(findings: Iterable[Finding], constraints: Iterable[Constraint]) -> tuple[str, ...]:
    """The denials among the findings that break-glass never lifts, by their rules."""
    liftable = {(item.id, item.version) for item in constraints if not item.absolute}
    return tuple(
        dict.fromkeys(
            item.rule
            for item in findings
            if item.effect is Effect.DENY and not item.observed and not _lifted(item, liftable)
        )
    )


def _lifted(finding: Finding, liftable: set[tuple[str, str]]) -> bool:
    return (
        finding.origin is Origin.DUTY
        and finding.cause is Cause.FIRED
        and not finding.missing
        and (finding.rule, finding.version) in liftable
    )


def not_broken(rules: Sequence[str]) -> Finding:
    """Why nobody can lift this: it says which denials stand."""
    told = names(rules)
    return denial(
        "break_glass_refused",
        title=Text("Break-glass does not lift this", "La excepción de emergencia no levanta esto"),
        message=Text(
            f"Break-glass lifts duty constraints that are known to apply and not absolute, and nothing else; "
            f"these stand: {told.en}. Ask somebody else, or mend what they say.",
            f"La excepción de emergencia sólo levanta reglas de separación de funciones que se sabe que se "
            f"aplican y no son absolutas; siguen en pie: {told.es}. Pida el paso a otra persona o corrija lo "
            "que indican.",
        ),
        values={"rules": tuple(rules)},
    )


def no_step_to_break() -> Finding:
    """Break-glass is for one step of one chain."""
    return denial(
        "break_glass_without_step",
        origin=Origin.REQUEST,
        title=Text("Nothing to break the glass for", "No procede la excepción de emergencia"),
        message=Text(
            "Break-glass is asked for a step of a chain, and this action is none; leave break_glass out.",
            "La excepción de emergencia se pide para un paso de una cadena, y esta acción no lo es; no "
            "indique break_glass.",
        ),
    )
