"""What an amendment makes of what was done on a chain: rules that come to apply, persons that are missing.

Guarantees: no amendment makes a constraint apply that the acts on the chain break: one with a condition that
the facts in force do not meet and the amended ones do, or may. Each act is asked again as it was asked, with
those before it and by the same formulas, whoever amends; who amends is asked besides, as for any other step.
Nor does an amendment open again what a constraint `at_least` was kept by, or what kept who took the last step
from being the chain's only actor (`controls.duties.ending`), where nobody need come in its place.

What this amendment opens again, or one before did, is not asked: it was done about what is no more, and
whoever takes the step again is asked, with the facts as amended. What was abandoned or void counts as ever.

What looks beyond the chain is asked wherever the chain has been, with what was done there before the act; an
act on another chain was asked for by the facts of that one. Where an amendment brings the chain to another
place, `controls.duties.moving` asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace

from controls.duties.asked import Asked, Violation
from controls.duties.ballots import Ballots
from controls.duties.constraints import FORMULAS, applied, concerns
from controls.duties.ending import KEPT_BY_HOLDERS, fewer_holders
from controls.duties.findings import BUILT_IN
from controls.duties.trails import trail_name
from controls.duties.wording import acts, step_titles
from controls.model.chain import AMEND, Act, ActState, Capacity, ChainHistory, ChainKind
from controls.model.condition import Facts, Truth
from controls.model.duty import Constraint, ConstraintKind
from controls.model.finding import Cause, Effect, Finding, Origin, Text
from controls.model.people import Profile
from controls.model.record import record
from controls.model.trail import TrailAct, TrailReading
from controls.model.values import Value


@record
class Amending:
    """An amendment of the chain of `history` that may be made: `act`, by which `reopens` are opened again.

    `recorded` are the values of the facts in force, and `stated` those of the request, of which the amendment
    changes what `act.material` names. `lines` are the acts on the other chains of each line that the chain is
    part of; `ballots` are of the steps that take several persons (None: there are none). `places` are, by the
    name of the trail, what those who act on the chain did at each place where it has been (none: that cannot
    be told).
    """

    kind: ChainKind
    history: ChainHistory
    act: Act
    reopens: tuple[str, ...]
    recorded: Mapping[str, Value]
    stated: Mapping[str, Value]
    ballots: Ballots | None
    profiles: Mapping[str, Profile]
    lines: tuple[tuple[TrailAct, ...], ...] = ()
    places: Mapping[str, Sequence[TrailReading]] = field(default_factory=dict)

    def before(self) -> Facts:
        """What is known of the chain as it is: what is on record, and nothing that a request says besides."""
        return self._facts(self.recorded, self.history)

    def after(self) -> Facts:
        """What is known of it as amended; the amendment is the last act on it."""
        kept = {name: value for name, value in self.recorded.items() if name not in self.act.material}
        stated = {name: value for name, value in self.stated.items() if name in self.act.material}
        acts = tuple(
            replace(act, state=ActState.REOPENED) if act.step in self.reopens and act.stands() else act
            for act in self.history.acts
        )
        return self._facts(kept | stated, replace(self.history, acts=(*acts, self.act)))

    def _facts(self, values: Mapping[str, Value], history: ChainHistory) -> Facts:
        named = {"resource.type": self.kind.resource, "resource.id": history.chain}
        facts = Facts({**values, **named}, history, self.act.at)
        return facts if self.ballots is None else replace(facts, chain=self.ballots.counted(facts))


def amended_findings(constraints: Iterable[Constraint], amending: Amending) -> Iterator[Finding]:
    """What is broken by the amendment, and was not before it; the latest breach of each constraint."""
    kind, before, after = amending.kind, amending.before(), amending.after()
    for constraint in constraints:
        if constraint.chain not in ("", kind.id):
            continue
        if constraint.kind in KEPT_BY_HOLDERS:
            found = fewer_holders(constraint, kind=kind, before=before, after=after)
            if found is not None:
                yield _too_few(constraint, found, kind=kind, chain=after.chain.chain)
        elif not constraint.excludes_roles and _comes_to_apply(constraint, before=before, after=after):
            found = _latest(constraint, amending, after.chain)
            if found is not None:
                found = applied(constraint, found=found, facts=after)
            if found is not None:
                yield _broken(constraint, found, kind=kind, chain=after.chain.chain)


def _comes_to_apply(constraint: Constraint, *, before: Facts, after: Facts) -> bool:
    """Whether its condition is false as it is (else whoever acted was asked), and is not as amended."""
    when = constraint.when
    return when is not None and when.test(before) == Truth.FALSE and when.test(after) != Truth.FALSE


def _latest(constraint: Constraint, amending: Amending, chain: ChainHistory) -> Violation | None:
    """The latest act on an amended chain that breaks a constraint, with all those that it breaks it by."""
    kind = amending.kind
    done = [act for act in chain.acts[:-1] if act.state is not ActState.REOPENED]
    seen: set[tuple[str, str]] = set()
    for place, act in reversed([*enumerate(done)]):
        step = kind.steps[0].id if act.step == AMEND else act.step
        if not concerns(constraint, kind=kind, step=step):
            continue
        if constraint.kind is ConstraintKind.BIND and not act.stands():
            continue
        # What is counted only grows, unless times or orders matter: a person's last act on a step will do.
        if constraint.within is None and not constraint.ordered:
            if (act.person, step) in seen:
                continue
            seen.add((act.person, step))
        asked = Asked(
            person=act.person,
            step=step,
            kind=kind,
            history=replace(chain, acts=tuple(done[:place])),
            now=act.at,
            profiles=amending.profiles,
            beside=act.beside,
            principal=act.capacity is Capacity.PRINCIPAL,
            trails=_trails(trail_name(constraint), amending, act),
        )
        for line in amending.lines or ((),):
            earlier = tuple(item for item in line if item.act.index < act.index)
            found = FORMULAS[constraint.kind](constraint, asked=replace(asked, lineage=earlier))
            if found is not None:
                return replace(found, acts=(*found.acts, act))
        if constraint.kind is ConstraintKind.COALITION:
            return None  # said of all acts together: the last one with those before it
    return None


def _trails(name: str, amending: Amending, act: Act) -> Mapping[str, TrailReading]:
    """What was done before the act on other chains, wherever its own has been since."""
    own = (amending.kind.id, amending.history.chain)
    readings = [
        TrailReading(
            tuple(
                item
                for item in reading.acts
                if item.act.index < act.index and (item.kind, item.act.chain) != own
            ),
            reading.part,
        )
        for reading in amending.places.get(name, ())
    ]
    return {name: replace(readings[0], elsewhere=tuple(readings[1:]))} if readings else {}


def _too_few(constraint: Constraint, found: Violation, *, kind: ChainKind, chain: str) -> Finding:
    left, steps = acts(found.acts, kind=kind), step_titles(found.steps, kind=kind)
    rule, title = constraint.id, constraint.title
    told = Text(
        f"With what the amendment opens again on {chain}, too few persons would be left on {steps.en} for "
        f"{rule} ({title.en}), {found.count} where {found.limit} must be. Left: {left.en}. Have another "
        "person take a step first that is not opened again, or leave the facts as they are.",
        f"Con lo que la modificación vuelve a abrir en {chain}, quedarían muy pocas personas en {steps.es} "
        f"para {rule} ({title.es}), {found.count} cuando debe haber {found.limit}. Quedan: {left.es}. Que "
        "otra persona dé antes un paso que no se vuelva a abrir, o deje los datos como están.",
    )
    return _finding(constraint, found, told)


def _broken(constraint: Constraint, found: Violation, *, kind: ChainKind, chain: str) -> Finding:
    done = acts(found.acts, kind=kind, with_chain=any(act.chain != chain for act in found.acts))
    rule, title = constraint.id, constraint.title
    told = Text(
        f"As amended, {chain} comes under {rule} ({title.en}), and what was done on it breaks that: "
        f"{done.en}. Leave the facts as they are, or cancel {chain} and let other persons begin a new one.",
        f"Con la modificación, {chain} queda sujeta a {rule} ({title.es}), y lo hecho en ella lo incumple: "
        f"{done.es}. Deje los datos como están, o cancele {chain} y que otras personas empiecen una nueva.",
    )
    return _finding(constraint, found, told)


def _finding(constraint: Constraint, found: Violation, told: Text) -> Finding:
    if constraint.message is not None:
        told = Text(f"{told.en} {constraint.message.en}", f"{told.es} {constraint.message.es}")
    if found.missing or found.error:
        why = ", ".join(found.missing) or found.error
        told = Text(
            f"{told.en} Whether it applies could not be told ({why}), so it does.",
            f"{told.es} No se ha podido saber si se aplica ({why}), así que se aplica.",
        )
    persons = dict.fromkeys(act.person for act in found.acts)
    return Finding(
        rule="amended_history",
        version=BUILT_IN,
        origin=Origin.DUTY,
        effect=Effect.REVIEW if found.error and constraint.then is not Effect.DENY else constraint.then,
        title=Text(
            "As amended, what was done breaks a rule", "Con la modificación, lo hecho incumple una regla"
        ),
        message=told,
        cause=Cause.MISSING if found.missing else Cause.ERROR if found.error else Cause.FIRED,
        values={
            "rule": constraint.id,
            "persons": tuple(persons),
            "steps": tuple(dict.fromkeys(act.step for act in found.acts)),
            "count": found.count,
            "limit": found.limit,
        },
        missing=found.missing,
        sources=constraint.sources,
    )
