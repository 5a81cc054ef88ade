"""Putting another release into force: by two administrators, or, on a demo's ledger, by a watched folder.

Guarantees: under the lock nothing is compiled; a release is put into force only by who has seen it work
(`prepared`), so that no head row ever names one that this program does not take. One that is known to loosen
a parameter whose basis is `law` is refused; where nobody can tell, the change says so to whoever confirms it.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, ClassVar, Final

from controls.duties.backstop import step_limits
from controls.duties.trails import RESEMBLES, trails_of
from controls.ledger.envelope import EntryKind, blob_digest
from controls.model.duty import StepLimit
from controls.model.errors import Conflict, FieldError, Forbidden
from controls.model.trail import Trail
from controls.model.values import Json
from controls.rules.changed_rules import changed_law_parameters
from controls.rules.changes import Change as RuleChange
from controls.rules.changes import ChangeClass
from controls.rules.release import Release, release_from_document
from controls.rules.rule_sets import bare_rule_set
from controls.services.answers import encode, receipt
from controls.services.commands import Context, Render
from controls.services.counting import change_over
from controls.services.signing import DEMO_PREFIX
from controls.store.limits import keep_limits
from controls.store.rows import Change
from controls.store.trails import change_of_trails, change_trails
from controls.store.workspace import Needs

# Who published a release that no administrator did, as the entry and the list of releases say it.
WATCHER: Final = "watcher"

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(slots=True)
class ReleaseActivation:
    """Activate a release that was tried; what it decides from then on is its own.

    `document` is its stored form, `contents` what is in it, in words, `aggregates` the versions of its
    aggregates, `trails` what its constraints look at beyond a chain, and `limits` what the database keeps to
    by itself. `against` is the release that it was compared with and is to replace, and `about_law` what
    whoever confirms it must look at; mostly nothing.
    """

    document: bytes
    contents: str
    aggregates: tuple[str, ...]
    trails: tuple[Trail, ...]
    limits: tuple[StepLimit, ...]
    against: str
    about_law: str
    digest: str = field(init=False)
    kind: ClassVar[str] = "release"
    scope: ClassVar[str] = "release"

    def __post_init__(self) -> None:
        self.digest = blob_digest(self.document)

    @classmethod
    def of(cls, release: Release, *, against: Release) -> ReleaseActivation:
        """The activation of `release` in the place of `against`. Takes a while: not for under the lock.

        Raises:
            Conflict: a parameter whose basis is law is loosened.
        """
        versions = tuple(sorted(item.version for item in release.aggregates.values()))
        leading = trails_of(release.constraints, chains=release.chains.values()).values()
        about_law = _about_law(release, against=against)
        return cls(
            release.document,
            release.contents,
            versions,
            tuple(trail for trails in leading for trail in trails),
            step_limits(release.constraints, chains=release.chains.values()),
            against.digest,
            about_law,
        )

    def check(self, context: Context) -> str:
        if self.digest == context.work.head.release:
            raise Conflict("release_active", "This release is active already", help="Nothing would change.")
        if self.against != context.work.head.release:
            raise Conflict(
                "release_replaced",
                "Another release was put into force meanwhile",
                detail=f"This change was compared with {self.against}.",
                help="Propose the release again: it is compared with what is in force then.",
            )
        about_law = f"; {self.about_law}" if self.about_law else ""
        return f"activate {self.digest}: {self.contents}{about_law}"

    def apply(self, context: Context, *, index: int) -> tuple[dict[str, Json], dict[str, str]]:
        work = context.work
        work.new_blobs[self.digest] = self.document
        before = work.head.release
        work.set_head(release=self.digest)
        change_over(work, before=context.active.release, after=self.aggregates)
        before_them = (trail for trails in context.active.trails.values() for trail in trails)
        begun, ended = change_of_trails(before_them, self.trails)
        if begun or ended:
            work.later(partial(change_trails, tenant=work.head.tenant, begun=begun, ended=ended))
        limits = partial(keep_limits, tenant=work.head.tenant, release=self.digest, limits=self.limits)
        work.later(limits)
        return {"release": self.digest, "replaces": before}, {}

    def payload(self) -> dict[str, Json]:
        return {
            "about_law": self.about_law,
            "against": self.against,
            "aggregates": list(self.aggregates),
            "contents": self.contents,
            "document": self.document.decode(),
            "limits": [dict[str, Json](asdict(limit)) for limit in self.limits],
            "trails": [_trail_json(trail) for trail in self.trails],
        }

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> ReleaseActivation:
        return cls(
            payload["document"].encode(),
            payload["contents"],
            tuple(payload["aggregates"]),
            tuple(map(_trail_from, payload["trails"])),
            # Proposed to an older program: whoever loads the release then writes its limits.
            tuple(StepLimit(**limit) for limit in payload.get("limits", ())),
            payload["against"],
            payload["about_law"],
        )


def _trail_from(told: dict[str, Any]) -> Trail:
    # An older program did not say it, and made all marks alike.
    latest = told.get("latest", told["name"] == RESEMBLES)
    return Trail(**{**told, "steps": frozenset(told["steps"]), "latest": latest})


def _trail_json(trail: Trail) -> dict[str, Json]:
    return {
        "latest": trail.latest,
        "name": trail.name,
        "kind": trail.kind,
        "fact": trail.fact,
        "part": trail.part,
        "steps": list[Json](sorted(trail.steps)),
        "first": trail.first,
        "anybody": trail.anybody,
    }


def activation(document: bytes, *, against: bytes) -> ReleaseActivation:
    """The same for releases in their stored form."""
    return ReleaseActivation.of(release_from_document(document), against=release_from_document(against))


def _about_law(release: Release, *, against: Release) -> str:
    """Which parameters whose basis is law may be looser than before; empty when none is.

    Raises:
        Conflict: one of them is looser.
    """
    changed = list(changed_law_parameters(bare_rule_set(against), bare_rule_set(release)))
    loosened = [item for item in changed if item.loosens]
    if loosened:
        raise Conflict(
            "law_loosened",
            "This release loosens what a law asks for",
            detail="; ".join(f"{_told(item)}: {item.reason}" for item in loosened),
            help="Leave these parameters as they are. Where the law itself has changed, end this version "
            "of the rule with `effective: {to: ...}` and add the new one from that day on.",
            errors=tuple(FieldError("", item.id, _told(item)) for item in loosened),
        )
    unsure = [_told(item) for item in changed if item.kind is ChangeClass.NOT_PROVED]
    return f"not proved that these keep what a law asks for: {', '.join(unsure)}" if unsure else ""


def _told(change: RuleChange) -> str:
    return f"{change.id} (basis law): {change.before} -> {change.after}"


def digest_named(summary: str) -> str:
    """The release that a change is about, from the sentence that `ReleaseActivation.check` made of it."""
    found = _DIGEST.search(summary)
    assert found is not None, summary
    return found[0]


@dataclass(slots=True)
class Publish:
    """Put a watched folder's release into force at once, as nobody's act. Demo ledgers only: their name says
    so in every entry and signature, production refuses their key, and the verifier counts such releases."""

    id: str
    change: ReleaseActivation
    key: str = ""
    alone: bool = True
    weight: int = field(default=1, init=False)

    def prepare(self, context: Context, needs: Needs) -> None:
        """Nothing is read."""

    def execute(self, context: Context) -> Render:
        work = context.work
        if not work.head.origin.startswith(DEMO_PREFIX):
            raise Forbidden(
                "not_a_demo",
                "Only a demo's ledger takes releases from a watched folder",
                help="Propose the release: controls release activate FOLDER.",
            )
        summary = self.change.check(context)
        index = work.next_index
        fields, _ = self.change.apply(context, index=index)
        work.append(EntryKind.RELEASE, self.id, {**fields, "published_by": WATCHER})
        leaf = work.entries[-1].leaf
        work.add_change(
            Change(
                id=self.id,
                kind=self.change.kind,
                state="confirmed",
                summary=summary,
                payload=json.dumps(self.change.payload(), ensure_ascii=False, sort_keys=True),
                proposed_by=WATCHER,
                proposed_at=work.at,
                confirmed_by=WATCHER,
                confirmed_at=work.at,
            )
        )
        return lambda sealed: encode(
            {"release": self.change.digest, "summary": summary, "receipt": receipt(index, leaf, sealed)}
        )

    def refused_act(self) -> dict[str, Json]:
        return {"act": "publish"}
