"""Changes that would flip a decision, in plain English and Spanish."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from controls.duties.wording import step_title
from controls.model.chain import ChainKind
from controls.model.finding import Outcome, Text
from controls.model.values import Missing
from controls.rules.messages import shown
from controls.rules.release import Release
from controls.services.changed_worlds import (
    AnotherPerson,
    Change,
    Changes,
    Later,
    OtherFact,
    OtherRole,
)

_OUTCOMES: Final = {
    Outcome.PERMIT: Text("It would be permitted if", "Se permitiría si"),
    Outcome.REVIEW: Text(
        "It would be held for review and not denied if", "Quedaría retenida para revisión, sin denegarse, si"
    ),
}
NOTHING_NEEDED: Final = Text(
    "Asked now, it would be permitted as it is.", "Si se pidiera ahora, se permitiría tal cual."
)
NOTHING_FOUND: Final = Text(
    "No change that could be proposed flips it, neither one by itself nor two together.",
    "Ningún cambio que se pueda proponer la altera, ni uno solo ni dos juntos.",
)
GAVE_UP: Final = Text(
    "There were more changes than could be tried in the time there is.",
    "Había más cambios de los que se pueden probar en el tiempo disponible.",
)


def offered(changes: Changes, outcome: Outcome, *, release: Release, kind: ChainKind | None) -> Text:
    """What the changes would lead to, in one sentence."""
    begin = _OUTCOMES[outcome]
    clauses = [_clause(item, release=release, kind=kind) for item in changes]
    return Text(
        f"{begin.en} {' and '.join(item.en for item in clauses)}.",
        f"{begin.es} {' y '.join(item.es for item in clauses)}.",
    )


def found(count: int, *, complete: bool) -> Text:
    """What was found in all."""
    if not count:
        return NOTHING_FOUND if complete else GAVE_UP
    ways = Text(
        f"{count} {'way' if count == 1 else 'ways'} to flip it {'was' if count == 1 else 'were'} found, each "
        "by deciding with it.",
        f"{'Se ha encontrado' if count == 1 else 'Se han encontrado'} {count} "
        f"{'forma' if count == 1 else 'formas'} de cambiarla, cada una comprobada al decidir con ella.",
    )
    return ways if complete else Text(f"{ways.en} {GAVE_UP.en}", f"{ways.es} {GAVE_UP.es}")


def _clause(change: Change, *, release: Release, kind: ChainKind | None) -> Text:
    if isinstance(change, AnotherPerson):
        person = change.account.person.id
        return Text(
            f"{person} asked for it (steps held unfinished: {change.open})",
            f"lo pidiera {person} (pasos que tiene sin terminar: {change.open})",
        )
    if isinstance(change, OtherRole):
        title = release.role_titles.get(change.role, Text(change.role, change.role))
        if change.given:
            return Text(
                f"{change.person} also had the role {title.en} ({change.role})",
                f"{change.person} tuviera además el rol {title.es} ({change.role})",
            )
        return Text(
            f"{change.person} did not have the role {title.en} ({change.role})",
            f"{change.person} no tuviera el rol {title.es} ({change.role})",
        )
    if isinstance(change, OtherFact):
        return _fact(change, release=release)
    if isinstance(change, Later):
        return _both(
            lambda language: shown(change.at, language=language),
            Text("it were asked on {0}", "se pidiera el {0}"),
        )
    assert kind is not None
    step, person = step_title(change.step, kind=kind), change.account.person.id
    if change.held:
        return Text(
            f"{person} reported {step.en} ({change.step}) as performed first",
            f"{person} comunicara antes que ha realizado {step.es} ({change.step})",
        )
    return Text(
        f"{person} performed {step.en} ({change.step}) first",
        f"{person} realizara antes {step.es} ({change.step})",
    )


def _fact(change: OtherFact, *, release: Release) -> Text:
    label = release.vocabulary.facts[change.name].label
    named = Text(f"{label.en} ({change.name})", f"{label.es} ({change.name})")
    value = change.value
    if isinstance(value, Missing):
        return Text(f"{named.en} were left out", f"{named.es} no se indicara")
    if value == ():
        return Text(f"{named.en} were an empty list", f"{named.es} fuera una lista vacía")
    form = Text(f"{named.en} were {{0}}", f"{named.es} fuera {{0}}")
    if not change.stated:
        form = Text(f"{named.en} were stated, as {{0}}", f"{named.es} se indicara, como {{0}}")
    return _both(lambda language: shown(value, language=language), form)


def _both(value: Callable[[str], str], form: Text) -> Text:
    return Text(form.en.replace("{0}", value("en")), form.es.replace("{0}", value("es")))
