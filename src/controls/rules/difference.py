"""The difference between two rule sets by meaning: the public face of `controls rules diff`.

Guarantees: everything that can change an answer is among the changes; two sets without a change give every
request the same answer. For the class of a change see `controls.rules.changes`. Nothing depends on time.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from controls.model.values import Json
from controls.rules.changed_chains import changed_chains
from controls.rules.changed_duties import changed_duties
from controls.rules.changed_grants import Permission, changed_grants, permissions
from controls.rules.changed_rules import changed_rules
from controls.rules.changed_vocabulary import changed_vocabulary
from controls.rules.changes import Change, ChangeClass
from controls.rules.rule_sets import RuleSet, Where

_COMPARED: Final = ("vocabulary.yaml", "roles.yaml", "chains/", "duties/", "regulatory/", "system/")
_LOOKED_UP: Final = ("aggregates/", "calendars/", "decisions/", "lists/", "rates/", "tables/")


@dataclass(frozen=True, slots=True)
class Difference:
    """All changes from A to B, and who may do what on one side only."""

    a: str  # the digests
    b: str
    changes: tuple[Change, ...]
    permissions: tuple[Permission, ...]

    @property
    def counts(self) -> Mapping[str, int]:
        """How many changes there are of each class."""
        found = Counter(change.kind.value for change in self.changes)
        return {kind.value: found[kind.value] for kind in ChangeClass}

    @property
    def loosens(self) -> bool:
        return any(change.loosens for change in self.changes)

    def as_json(self) -> dict[str, Json]:
        return {
            "a": self.a,
            "b": self.b,
            "counts": dict(self.counts),
            "changes": [change.as_json() for change in self.changes],
            "permissions": [permission.as_json() for permission in self.permissions],
        }


def difference(one: RuleSet, other: RuleSet) -> Difference:
    """What changes from `one` to `other`."""
    if one.release.digest == other.release.digest:
        return Difference(one.release.digest, other.release.digest, (), ())
    return Difference(
        one.release.digest,
        other.release.digest,
        (
            *changed_vocabulary(one, other),
            *changed_chains(one, other),
            *changed_grants(one, other),
            *changed_duties(one, other),
            *changed_rules(one, other),
            *_changed_files(one, other),
        ),
        permissions(one, other),
    )


def _changed_files(one: RuleSet, other: RuleSet) -> Iterator[Change]:
    """Files that speak through rules only: data, calendars, aggregates and rows of decision tables."""
    ours, theirs = _other_files(one), _other_files(other)
    for path in sorted(ours.keys() | theirs.keys()):
        if ours.get(path) != theirs.get(path):
            known = path.startswith(_LOOKED_UP)
            act = "changed" if path in ours and path in theirs else "added" if path in theirs else "removed"
            yield Change(
                what="file",
                id=path,
                act=act,
                kind=ChangeClass.NEUTRAL if known else ChangeClass.NOT_PROVED,
                reason="by itself it answers nothing: what rests on it is compared where it is used"
                if known
                else "what such a file means for answers is not known here",
                where=(
                    Where(path, None) if path in ours else None,
                    Where(path, None) if path in theirs else None,
                ),
            )


def _other_files(rules: RuleSet) -> dict[str, Json]:
    files: dict[str, Json] = json.loads(rules.release.document)["files"]
    return {path: content for path, content in files.items() if not path.startswith(_COMPARED)}
