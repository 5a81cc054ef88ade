"""From what an administrator sends, or proposed before, to a release that is ready to be put into force.

Guarantees: what is handed on was tried in a process of its own and is built here, so that proposing and
confirming it takes the lock for moments only; nothing here changes what is in force.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from controls.model.errors import Conflict, NotFound, RuleFilesInvalid
from controls.services.administration import read_change
from controls.services.candidates import MAX_BUILT, Candidates
from controls.services.release_changes import ReleaseActivation, activation
from controls.services.trial import ExamplesFailed, ReleaseUnusable, tried
from controls.store.database import Database
from controls.store.ledger_reads import blob
from controls.store.listings import change_named, changes_page, in_force

_log = structlog.get_logger("controls.releases")


@dataclass(slots=True)
class ReleaseCandidates:
    """Releases of one tenant that are on their way."""

    database: Database
    tenant: str
    candidates: Candidates
    _seen: frozenset[str] = field(default=frozenset(), init=False)  # proposed changes, looked at already

    async def of_files(self, files: Mapping[str, str]) -> ReleaseActivation:
        """The release that rule files make (path under the rules folder -> text), ready to be proposed.

        Raises:
            RuleFilesInvalid, ExamplesFailed, ReleaseUnusable: it cannot be put into force.
        """
        found = await tried(files)
        self.candidates.passed(found)
        return await self._ready(found.document)

    async def of_digest(self, digest: str) -> ReleaseActivation:
        """A release that was in force once, ready to be proposed again.

        Raises:
            NotFound: there is none of this digest.
            RuleFilesInvalid, ExamplesFailed, ReleaseUnusable: this program does not take it any more.
        """
        async with self.database.read() as connection:
            document = await blob(connection, self.tenant, digest)
        if document is None or not is_release(document):
            raise NotFound(
                "release_unknown",
                "No release of this digest was ever in force",
                help="List them: controls release list, or GET /v1/releases.",
            )
        return await self._ready(document)

    async def _ready(self, document: bytes) -> ReleaseActivation:
        await self.candidates.prepare(document)
        async with self.database.read() as connection:
            against, *_ = await in_force(connection, self.tenant)
            replaced = await blob(connection, self.tenant, against)
        assert replaced is not None, against
        return await asyncio.to_thread(activation, document, against=replaced)

    async def prepared(self, change: str) -> str:
        """Make ready what a proposed change would put into force: the release's digest, or nothing when the
        change is not about a release (or there is none, which confirming it will tell).

        Raises:
            RuleFilesInvalid, ExamplesFailed, ReleaseUnusable: it cannot be put into force.
        """
        async with self.database.read() as connection:
            row = await change_named(connection, self.tenant, change)
        if row is None or row.state != "proposed" or row.kind != ReleaseActivation.kind:
            return ""
        activation = read_change(row.kind, row.payload)
        assert isinstance(activation, ReleaseActivation)
        return (await self.candidates.prepare(activation.document)).digest

    async def build_proposed(self) -> None:
        """Build the newest proposed releases ahead of their confirmation; one that fails is logged, once."""
        async with self.database.read() as connection:
            rows = await changes_page(
                connection, self.tenant, kind=ReleaseActivation.kind, state="proposed", limit=MAX_BUILT
            )
        newest, seen = [row.id for row in rows], self._seen
        self._seen = frozenset(newest)
        for change in reversed(newest):
            if change not in seen:
                try:
                    release = await self.prepared(change)
                except (RuleFilesInvalid, ExamplesFailed, ReleaseUnusable, Conflict) as error:
                    _log.warning("release_refused", change=change, code=error.code, detail=error.detail)
                else:
                    _log.info("release_built", change=change, release=release)


def is_release(document: bytes) -> bool:
    """Whether a blob is a release; the others are directories."""
    return document.startswith(b'{"files":')
