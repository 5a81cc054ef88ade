"""What is in force, kept compiled in memory and checked against the head row under every lock.

Guarantees: a decision uses exactly the release, directory and keys that the locked head row names; a
replica that missed a change reloads before it decides. Nothing is built under the lock: a release that is
not ready yet is `ReleaseAhead`, to be built by `catch_up` while nobody is kept waiting for the lock. The
release that was in force stays whole until the next one is; then its C memory is freed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from controls.decide import ActiveRelease
from controls.model.errors import ControlsError, Unavailable, VerificationFailed
from controls.services.candidates import Candidates
from controls.services.metrics import Metrics
from controls.store.connection import StoreConnection
from controls.store.directory import Directory, keys_index, load_directory, load_keys
from controls.store.ledger_reads import blob
from controls.store.rows import ApiKey, Head

_log = structlog.get_logger("controls.state")


class ReleaseAhead(Unavailable):
    """The head row names a release that this process has not built yet; see `StateCache.catch_up`."""

    def __init__(self, digest: str, document: bytes) -> None:
        super().__init__(
            "release_ahead",
            "Another release was put into force",
            detail=f"This service is not ready yet to decide by {digest}.",
            help="Nothing was permitted. Retry with the same Idempotency-Key in a second.",
        )
        self.digest = digest
        self.document = document


@dataclass(slots=True)
class StateCache:
    """The compiled release, the directory and the keys of one tenant."""

    candidates: Candidates
    metrics: Metrics
    _active: ActiveRelease | None = field(default=None, init=False)
    _retired: list[ActiveRelease] = field(default_factory=list, init=False)
    _directory: Directory | None = field(default=None, init=False)
    _keys: tuple[int, Mapping[str, ApiKey]] | None = field(default=None, init=False)
    trouble: str = field(default="", init=False)  # why the release in force cannot be used here

    async def current(
        self, connection: StoreConnection, head: Head
    ) -> tuple[ActiveRelease, Directory, Mapping[str, ApiKey]]:
        """What the head row names, loaded when it changed.

        Raises:
            ReleaseAhead: its release is not built yet.
        """
        active = self._active
        if active is None or active.release.digest != head.release:
            active = await self._swap(connection, head)
        directory = self._directory
        if directory is None or directory.index != head.directory_index:
            directory = await load_directory(
                connection, head.tenant, index=head.directory_index, known=directory
            )
            self._directory = directory
            concealed = sum(person.concealed for person in directory.people.values())
            if concealed:
                _log.warning("persons_concealed", persons=concealed, directory=directory.index)
        keys = self._keys
        if keys is None or keys[0] != head.keys_index:
            keys = (head.keys_index, await load_keys(connection, head.tenant))
            self._keys = keys
        return active, directory, keys[1]

    async def _swap(self, connection: StoreConnection, head: Head) -> ActiveRelease:
        active = self.candidates.take(head.release)
        if active is not None:
            if self._active is not None:
                self._retired.append(self._active)
            self._active = active
            self.trouble = ""
            self.metrics.release(head.release)
            return active
        document = await blob(connection, head.tenant, head.release)
        if document is None:
            raise VerificationFailed(
                "release_missing",
                "The active release is not in the database",
                detail=f"The head row names {head.release}, and no such blob is stored.",
                help="Restore the database from a backup and verify its export.",
            )
        raise ReleaseAhead(head.release, document)

    async def catch_up(self, ahead: ReleaseAhead) -> None:
        """Build the release that is in force; to be called without the lock, and then tried again.

        Raises:
            Unavailable: it cannot be built here, so nothing can be decided.
        """
        try:
            await asyncio.to_thread(self.candidates.build, ahead.document)
        except ControlsError as error:
            self.trouble = f"{ahead.digest} cannot be built: {error.detail}"
            raise Unavailable(
                "release_unusable",
                "The release in force cannot be used by this service",
                detail=self.trouble,
                help="Nothing was permitted. See that this service is of the version that released it.",
            ) from error

    def take(self, active: ActiveRelease) -> None:
        """Use a release that is built already, where the head row names it: nothing is loaded then."""
        self._active = active

    def holds(self, release: str, directory: int, keys: int) -> bool:
        """Whether this is what is loaded: the active release, and the entries of directory and keys."""
        return (
            self._active is not None
            and self._active.release.digest == release
            and self._directory is not None
            and self._directory.index == directory
            and self._keys is not None
            and self._keys[0] == keys
        )

    def committed(self) -> None:
        """Free releases that no unit of work can be using any more: those that began with one have ended,
        for the next one was loaded under the lock that they held."""
        while self._retired:
            self._retired.pop().engine.close()

    def close(self) -> None:
        """Free everything that was built."""
        self.committed()
        if self._active is not None:
            self._active.engine.close()
        self.candidates.close()

    async def refresh_keys(self, connection: StoreConnection, tenant: str) -> None:
        """Load the keys if another process changed them since; a unit of work does so by itself."""
        index = await keys_index(connection, tenant)
        if self._keys is None or self._keys[0] < index:
            self._keys = (index, await load_keys(connection, tenant))

    def key(self, id: str) -> ApiKey | None:
        """A key as last loaded; the writer checks it again under the lock."""
        return None if self._keys is None else self._keys[1].get(id)

    @property
    def active(self) -> ActiveRelease | None:
        return self._active

    @property
    def directory(self) -> Directory | None:
        return self._directory
