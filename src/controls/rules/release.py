"""Rule files -> an immutable release named by its digest. The public face of the loader.

Guarantees: all or nothing (every diagnostic at once, else a complete release); for any text never another
exception than `RuleFilesInvalid`; the same meaning gives the same digest whatever the comments, layout and
order; the release can be made again from its stored document alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controls.model.chain import ChainKind
from controls.model.duty import Constraint, Grant
from controls.model.finding import Text
from controls.rules.aggregates import Aggregate, aggregates_of
from controls.rules.calendar_files import calendars_of
from controls.rules.chains import chains_of
from controls.rules.condition import WholeCondition
from controls.rules.condition_files import ConditionScope
from controls.rules.constraints import built_in_constraints, duties_of
from controls.rules.datasets import DataList
from controls.rules.diagnostics import Diagnostics
from controls.rules.duty_examples import DutyExample
from controls.rules.nodes import MappingNode, Scalar
from controls.rules.regulatory import rules_of
from controls.rules.roles import roles_of
from controls.rules.rule import Rule
from controls.rules.scenario import Scenario
from controls.rules.scenario_files import ScenarioScope, scenarios_of
from controls.rules.sources import (
    Sources,
    digest_of,
    document_of,
    read_sources,
    sources_of_document,
)
from controls.rules.structure import FileKind
from controls.rules.vocabulary import Vocabulary, VocabularySource, vocabulary_of


@dataclass(frozen=True, slots=True)
class Release:
    """A compiled set of rule files.

    `document` is its canonical JSON and `digest` the SHA-256 of that. `roles` gives each role with all that
    it implies (itself included); `chains` is keyed by resource type; `actions` holds every
    `resource.action` that a grant or a chain step knows; `aggregates` is keyed by `aggregate.NAME`
    and `lists` by name.
    `scenarios` are tests that stood beside the files: no part of document and digest, and none where the
    release was made from its document.
    """

    digest: str
    document: bytes = field(repr=False)
    vocabulary: Vocabulary
    roles: Mapping[str, frozenset[str]]
    role_titles: Mapping[str, Text]
    grants: tuple[Grant, ...]
    chains: Mapping[str, ChainKind]
    constraints: tuple[Constraint, ...]
    rules: tuple[Rule, ...]
    actions: frozenset[str]
    aggregates: Mapping[str, Aggregate] = field(default_factory=dict)
    lists: Mapping[str, DataList] = field(default_factory=dict, compare=False)
    duty_examples: tuple[DutyExample, ...] = ()
    scenarios: tuple[Scenario, ...] = field(default=(), compare=False)

    @property
    def contents(self) -> str:
        """What is in it, in a few words."""
        return (
            f"{len(self.rules)} rules, {len(self.constraints)} duty constraints, "
            f"{len(self.chains)} chain kinds"
        )


@dataclass(frozen=True, slots=True)
class Compiled:
    """A release with the files it was made from and each condition's place in them."""

    release: Release
    sources: Sources
    conditions: tuple[tuple[Scalar, WholeCondition], ...]


def compile_release(files: Mapping[str, str]) -> Release:
    """The release that the files make.

    Args:
        files: path under the rules folder -> text, such as `chains/order.yaml`.

    Raises:
        RuleFilesInvalid: with everything that is wrong, at its file, line and column.
    """
    return compile_files(files).release


def compile_files(files: Mapping[str, str]) -> Compiled:
    """`compile_release` with what an analysis needs to say where something stands.

    Raises:
        RuleFilesInvalid: with everything that is wrong, at its file, line and column.
    """
    diagnostics = Diagnostics()
    return _compiled(read_sources(files, diagnostics), diagnostics)


def release_from_document(document: bytes) -> Release:
    """The release that `document` stores, with the same digest.

    Raises:
        RuleFilesInvalid: the bytes are not a canonical document, or this program does not take its rules.
    """
    return compile_document(document).release


def compile_document(document: bytes) -> Compiled:
    """`release_from_document` with its files; a condition stands at the first character of its own.

    Raises:
        RuleFilesInvalid: the bytes are not a canonical document, or this program does not take its rules.
    """
    diagnostics = Diagnostics()
    return _compiled(sources_of_document(document, diagnostics), diagnostics)


def _compiled(sources: Sources, diagnostics: Diagnostics) -> Compiled:
    vocabulary = _vocabulary(sources, diagnostics)
    chains = chains_of(
        sources.of(FileKind.CHAIN),
        vocabulary=vocabulary,
        complete=sources.clean(FileKind.CHAIN),
        diagnostics=diagnostics,
    )
    scope = ConditionScope(
        vocabulary=vocabulary,
        types=vocabulary.vocabulary.types,
        calendars=calendars_of(sources, diagnostics),
        chains_complete=chains.complete,
        diagnostics=diagnostics,
        data=sources.data,
    )
    roles = roles_of(
        sources.of(FileKind.ROLES), complete=sources.clean(FileKind.ROLES), chains=chains, scope=scope
    )
    duties = duties_of(sources.of(FileKind.DUTY), roles=roles, chains=chains, scope=scope)
    actions = frozenset(f"{grant.resource}.{action}" for grant in roles.grants for action in grant.actions)
    kinds = chains.by_resource.values()
    actions |= {f"{kind.resource}.{step.id}" for kind in kinds for step in kind.steps}
    aggregates = aggregates_of(
        sources.of(FileKind.AGGREGATE),
        readable=FileKind.AGGREGATE not in sources.unreadable,
        actions=actions if roles.complete and chains.complete else None,
        vocabulary=vocabulary,
        diagnostics=diagnostics,
    )
    rules = rules_of(
        sources.of(FileKind.RULE),
        actions=actions,
        actions_complete=roles.complete and chains.complete,
        chains=chains,
        scope=scope.with_aggregates(aggregates),
        decisions=sources.decisions(),
        complete=sources.clean(FileKind.RULE),
    )
    scenarios = scenarios_of(
        sources.of(FileKind.SCENARIO),
        scope=ScenarioScope(
            vocabulary=vocabulary,
            roles=roles,
            chains=chains.by_resource,
            actions=actions,
            complete=roles.complete and chains.complete,
            diagnostics=diagnostics,
        ),
    )
    diagnostics.raise_if_any()
    document = document_of(sources)
    release = Release(
        digest=digest_of(document),
        document=document,
        vocabulary=vocabulary.vocabulary,
        roles=roles.implied,
        role_titles=roles.titles,
        grants=roles.grants,
        chains=chains.by_resource,
        constraints=(*built_in_constraints(kinds), *duties.constraints),
        duty_examples=duties.examples,
        rules=rules,
        actions=actions,
        aggregates=aggregates.known,
        lists=sources.data.lists,
        scenarios=scenarios,
    )
    return Compiled(release, sources, tuple(scope.compiled))


def _vocabulary(sources: Sources, diagnostics: Diagnostics) -> VocabularySource:
    for file in sources.of(FileKind.VOCABULARY):
        if isinstance(file.node, MappingNode):
            return vocabulary_of(file.node, clean=file.clean, diagnostics=diagnostics)
        return VocabularySource(Vocabulary({}), complete=False)
    complete = FileKind.VOCABULARY not in sources.unreadable.values()
    return VocabularySource(Vocabulary({}), complete=complete)
