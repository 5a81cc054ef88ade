"""Putting another release into force: by two administrators, or, on a demo's ledger, by a watched folder.

Guarantees: under the lock nothing is compiled; a release is put into force only by who has seen it work
(`prepared`), so that no head row ever names one that this program does not take.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from controls.ledger.envelope import EntryKind, blob_digest
from controls.model.errors import Conflict, Forbidden
from controls.model.values import Json
from controls.rules.release import Release, release_from_document
from controls.services.answers import encode, receipt
from controls.services.commands import Context, Render
from controls.services.counting import change_over
from controls.services.signing import DEMO_PREFIX
from controls.store.rows import Change
from controls.store.workspace import Needs

# Who published a release that no administrator did, as the entry and the list of releases say it.
WATCHER: Final = "watcher"

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(slots=True)
class ReleaseActivation:
    """Activate a release that was tried; what it decides from then on is its own.

    `document` is its stored form, `contents` what is in it, in words, and `aggregates` the versions of its
    aggregates. `against` is the release that it was compared with and is to replace.
    """

    document: bytes
    contents: str
    aggregates: tuple[str, ...]
    against: str
    digest: str = field(init=False)
    kind: ClassVar[str] = "release"
    scope: ClassVar[str] = "release"

    def __post_init__(self) -> None:
        self.digest = blob_digest(self.document)

    @classmethod
    def of(cls, release: Release, *, against: Release) -> ReleaseActivation:
        """The activation of `release` in the place of `against`. Takes a while: not for under the lock."""
        versions = tuple(sorted(item.version for item in release.aggregates.values()))
        return cls(release.document, release.contents, versions, against.digest)

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
        return f"activate {self.digest}: {self.contents}"

    def apply(self, context: Context, *, index: int) -> dict[str, Json]:
        work = context.work
        work.new_blobs[self.digest] = self.document
        before = work.head.release
        work.set_head(release=self.digest)
        change_over(work, before=context.active.release, after=self.aggregates)
        return {"release": self.digest, "replaces": before}

    def payload(self) -> dict[str, Json]:
        return {
            "against": self.against,
            "aggregates": list(self.aggregates),
            "contents": self.contents,
            "document": self.document.decode(),
        }

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> ReleaseActivation:
        return cls(
            payload["document"].encode(),
            payload["contents"],
            tuple(payload["aggregates"]),
            payload["against"],
        )


def activation(document: bytes, *, against: bytes) -> ReleaseActivation:
    """The same for releases in their stored form."""
    return ReleaseActivation.of(release_from_document(document), against=release_from_document(against))


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
        fields = self.change.apply(context, index=index)
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
