"""Chain kinds from files: `chains/*.yaml`.

Guarantees: step names are unique, `after` has no cycle, at least two steps are mandatory (else one person
always handles the whole chain), and a resource type has one chain kind at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from controls.model.chain import AMEND, ChainKind, Repeats, Step
from controls.model.finding import Text
from controls.model.trail import compared_facts
from controls.rules.diagnostics import Diagnostics, Place, closest, listed, quoted
from controls.rules.literals import parse_duration
from controls.rules.nodes import MappingNode, Scalar, mappings_of
from controls.rules.shapes import is_sound
from controls.rules.sources import SourceFile
from controls.rules.structure import CHAIN
from controls.rules.types import Kind
from controls.rules.vocabulary import RESERVED_WORDS, VocabularySource

RESERVED_RESOURCES: Final = RESERVED_WORDS | {"subject", "action", "context"}

_LONGEST_CLAIM: Final = timedelta(days=3_660)
# A working week: who enters an order anew does so soon; what comes every month is no order entered anew.
_RESEMBLES: Final = "P5D"
_LONGEST_MEMORY: Final = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Chains:
    """The chain kinds by id and by resource type. `complete` is false when one could not be loaded."""

    by_id: Mapping[str, ChainKind] = field(default_factory=dict)
    by_resource: Mapping[str, ChainKind] = field(default_factory=dict)
    complete: bool = True

    @property
    def steps(self) -> frozenset[str]:
        """Every step of every kind."""
        return frozenset(step.id for kind in self.by_id.values() for step in kind.steps)

    def steps_of(self, resources: Iterable[str]) -> frozenset[str]:
        """The steps that a condition may name: those that the chains of all the resources have."""
        kinds = [self.by_resource.get(resource) for resource in resources]
        shared = [frozenset(step.id for step in kind.steps) if kind else frozenset[str]() for kind in kinds]
        return frozenset.intersection(*shared) if shared else frozenset()


def chains_of(
    files: Iterable[SourceFile], *, vocabulary: VocabularySource, complete: bool, diagnostics: Diagnostics
) -> Chains:
    """The chain kinds of all files; `complete` says that all chain files could be read."""
    by_id: dict[str, ChainKind] = {}
    by_resource: dict[str, ChainKind] = {}
    places: dict[str, str] = {}
    for file in files:
        for node in mappings_of(file.node):
            if not file.clean and not is_sound(CHAIN, node):
                complete = False
                continue
            before = diagnostics.count
            kind = _chain(node, vocabulary, diagnostics)
            complete = complete and diagnostics.count == before
            if kind.id in by_id:
                diagnostics.add(
                    node.place_of("chain"),
                    "reserved_id" if kind.id == "administration" else "duplicate_id",
                    f"the chain kind {quoted(kind.id)} is already in {places[kind.id]}: rename one",
                )
                continue
            by_id[kind.id] = kind
            places[kind.id] = file.path
            if not file.system and kind.resource in RESERVED_RESOURCES:
                diagnostics.add(
                    node.place_of("resource"),
                    "reserved_resource",
                    f"{quoted(kind.resource)} belongs to the service: choose another resource type",
                )
            elif kind.resource in by_resource:
                other = by_resource[kind.resource]
                diagnostics.add(
                    node.place_of("resource"),
                    "duplicate_resource",
                    f"{quoted(kind.resource)} already goes through the chain kind {quoted(other.id)}",
                )
            else:
                by_resource[kind.resource] = kind
    return Chains(by_id, by_resource, complete)


def _chain(node: MappingNode, vocabulary: VocabularySource, diagnostics: Diagnostics) -> ChainKind:
    step_nodes = [item for item in node.items("steps") if isinstance(item, MappingNode)]
    steps: dict[str, Step] = {}
    for step_node in step_nodes:
        step = _step(step_node, vocabulary, diagnostics)
        if step.id in steps:
            diagnostics.add(
                step_node.place_of("id"), "duplicate_id", f"the step {quoted(step.id)} is already there"
            )
        if step.id == AMEND:
            diagnostics.add(
                step_node.place_of("id"),
                "reserved_id",
                f"{quoted(AMEND)} changes the material facts of every chain kind and is no step: grant it as "
                "an action",
            )
        steps.setdefault(step.id, step)
    for step_node in step_nodes:
        _check_after(step_node, steps, diagnostics)
    _check_cycles(step_nodes, steps, diagnostics)
    if sum(1 for step in steps.values() if not step.optional) < 2:
        diagnostics.add(
            node.place_of("steps"),
            "too_few_steps",
            "at least two steps must be mandatory: a chain of one step would always be handled by one person",
        )
    _check_facts(node, "material", vocabulary, diagnostics)
    _check_facts(node, "if_stated", vocabulary, diagnostics)
    kind = ChainKind(
        id=node.text("chain"),
        title=node.bilingual("title") or Text("", ""),
        resource=node.text("resource"),
        steps=tuple(steps.values()),
        material=node.texts("material"),
        if_stated=node.texts("if_stated"),
        free_order=node.text("order") == "free",
        progress_claimed=node.text("progress") == "claimed",
        sole_actor_allowed=node.text("sole_actor") == "allowed",
        claim_valid_for=_claim_valid_for(node, diagnostics),
        resembles=_resembles(node, diagnostics),
    )
    for step_node in step_nodes:
        votes = step_node.scalar("votes")
        if votes is not None and votes.value != 1:
            check_votable(kind, step_node.text("id"), votes.place, diagnostics)
    return kind


def check_votable(kind: ChainKind, name: str, place: Place, diagnostics: Diagnostics) -> None:
    """Note why a step cannot take several votes: it repeats, or keeps votes on facts that were amended."""
    step = kind.step(name)
    if step is None:
        return
    if step.repeats is not Repeats.NEVER:
        diagnostics.add(
            place,
            "not_votable",
            f"{quoted(name)} repeats, and each person votes once: remove `repeats`",
        )
    if kind.material_of(step) and not step.reapprove:
        diagnostics.add(
            place,
            "not_votable",
            f"the step {quoted(name)} must say `reapprove: true`, so that an amendment opens its votes again "
            "and all are given on the same facts",
        )


def _step(node: MappingNode, vocabulary: VocabularySource, diagnostics: Diagnostics) -> Step:
    step = node.text("id")
    plain = step.replace("_", " ")
    title = plain[:1].upper() + plain[1:]
    _check_facts(node, "material", vocabulary, diagnostics)
    lines = node.scalar("lines")
    if lines is not None and _is_declared(lines, vocabulary, diagnostics):
        fact = vocabulary.vocabulary.facts[str(lines.value)]
        element = fact.type.element
        if element is None or element.kind is not Kind.RECORD:
            diagnostics.add(
                lines.place,
                "not_a_list",
                f"`lines` must be a fact of type list with fields, not {fact.type}",
            )
    return Step(
        id=step,
        title=node.bilingual("title") or Text(title, title),
        office=node.text("office"),
        after=node.texts("after"),
        optional=node.flag("optional", default=False),
        repeats=Repeats(node.text("repeats", Repeats.NEVER)),
        reapprove=node.flag("reapprove", default=False),
        material=node.texts("material") if "material" in node else None,
        lines=node.text("lines"),
        votes=node.integer("votes", 1),
    )


def _check_after(node: MappingNode, steps: Mapping[str, Step], diagnostics: Diagnostics) -> None:
    for before in node.scalars("after"):
        name = str(before.value)
        if name not in steps:
            diagnostics.add(
                before.place,
                "unknown_step",
                f"{quoted(name)} is no step of this chain{closest(name, steps)}",
            )


def _check_cycles(nodes: Iterable[MappingNode], steps: Mapping[str, Step], diagnostics: Diagnostics) -> None:
    """Take away steps whose predecessors are gone until none is left; what remains waits for itself."""
    waiting = {step.id: {name for name in step.after if name in steps} for step in steps.values()}
    while True:
        ready = {name for name, before in waiting.items() if before.isdisjoint(waiting)}
        if not ready:
            break
        for name in ready:
            del waiting[name]
    stuck = frozenset(waiting)
    for node in nodes:
        if waiting.pop(node.text("id"), None) is not None:
            names = listed(name for name in node.texts("after") if name in stuck)
            diagnostics.add(
                node.place_of("after"),
                "cycle",
                f"{quoted(node.text('id'))} can never be taken: it comes after {names}, which waits for it",
            )


def _check_facts(node: MappingNode, key: str, vocabulary: VocabularySource, diagnostics: Diagnostics) -> None:
    for fact in node.scalars(key):
        _is_declared(fact, vocabulary, diagnostics)


def _is_declared(fact: Scalar, vocabulary: VocabularySource, diagnostics: Diagnostics) -> bool:
    name = str(fact.value)
    facts = vocabulary.vocabulary.facts
    if name in facts:
        return True
    if name not in vocabulary.broken and vocabulary.complete:
        diagnostics.add(
            fact.place, "unknown_fact", f"{quoted(name)} is not in vocabulary.yaml{closest(name, facts)}"
        )
    return False


def _claim_valid_for(node: MappingNode, diagnostics: Diagnostics) -> timedelta:
    span = _span(node, "claim_valid_for", "PT24H", diagnostics, most=_LONGEST_CLAIM)
    return timedelta(hours=24) if span is None else span


def _resembles(node: MappingNode, diagnostics: Diagnostics) -> timedelta | None:
    """For how long chains are remembered as ones that a new one may be the same as."""
    compared = compared_facts(node.text("resource"))
    missing = [name for name in compared if name not in node.texts("material")]
    if node.text("resembles") == "never" or ("resembles" not in node and missing):
        return None
    if missing:
        diagnostics.add(
            node.place_of("resembles"),
            "not_comparable",
            f"chains are compared by {listed(compared)}: add to `material` what is not there, or remove "
            "`resembles`",
        )
    return _span(node, "resembles", _RESEMBLES, diagnostics, most=_LONGEST_MEMORY)


def _span(
    node: MappingNode, key: str, default: str, diagnostics: Diagnostics, *, most: timedelta
) -> timedelta | None:
    """The span of time under `key`, from a minute to `most`; None once it was found to be none."""
    try:
        span = parse_duration(node.text(key, default))
    except ValueError as error:
        diagnostics.add(node.place_of(key), "bad_duration", str(error))
        return None
    if not timedelta(minutes=1) <= span <= most:
        diagnostics.add(
            node.place_of(key), "out_of_range", f"write a duration between PT1M and P{most.days}D"
        )
    return span
