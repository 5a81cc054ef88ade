"""Putting another release into force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from controls.model.errors import Conflict
from controls.model.values import Json
from controls.rules.release import Release, release_from_document
from controls.services.commands import Context
from controls.services.counting import change_over


@dataclass(slots=True)
class ReleaseActivation:
    """Activate a compiled release; what it decides from then on is its own."""

    release: Release
    kind: ClassVar[str] = "release"

    def check(self, context: Context) -> str:
        if self.release.digest == context.work.head.release:
            raise Conflict("release_active", "This release is active already", help="Nothing would change.")
        return (
            f"activate {self.release.digest}: {len(self.release.rules)} rules, "
            f"{len(self.release.constraints)} duty constraints, {len(self.release.chains)} chain kinds"
        )

    def apply(self, context: Context, *, index: int) -> dict[str, Json]:
        work = context.work
        work.new_blobs[self.release.digest] = self.release.document
        before = work.head.release
        work.set_head(release=self.release.digest)
        change_over(work, before=context.active.release, after=self.release)
        return {"release": self.release.digest, "replaces": before}

    def payload(self) -> dict[str, Json]:
        return {"document": self.release.document.decode()}

    @classmethod
    def from_payload(cls, payload: dict[str, str]) -> ReleaseActivation:
        return cls(release_from_document(payload["document"].encode()))
