"""What is in force, kept compiled in memory and checked against the head row under every lock.

Guarantees: a decision uses exactly the release, directory and keys that the locked head row names; a
replica that missed a change reloads before it decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from controls.decide import ActiveRelease
from controls.duties.enforcement import Enforcement
from controls.model.errors import VerificationFailed
from controls.rules.engine import build_engine
from controls.rules.release import Release, release_from_document
from controls.services.metrics import Metrics
from controls.store.connection import StoreConnection
from controls.store.directory import Directory, keys_index, load_directory, load_keys
from controls.store.ledger_reads import blob
from controls.store.rows import ApiKey, Head


def activate(release: Release, *, engine: str) -> ActiveRelease:
    """Build Casbin's enforcers and the rule engines of a release, aside from the one in use."""
    return ActiveRelease(
        release=release,
        enforcement=Enforcement(
            grants=release.grants,
            role_closure=release.roles,
            constraints=release.constraints,
            chains=release.chains.values(),
        ),
        engine=build_engine(engine, release.rules),
    )


@dataclass(slots=True)
class StateCache:
    """The compiled release, the directory and the keys of one tenant."""

    engine: str
    metrics: Metrics
    build: Callable[..., ActiveRelease] = activate
    _active: ActiveRelease | None = field(default=None, init=False)
    _retired: list[ActiveRelease] = field(default_factory=list, init=False)
    _directory: Directory | None = field(default=None, init=False)
    _keys: tuple[int, Mapping[str, ApiKey]] | None = field(default=None, init=False)

    async def current(
        self, connection: StoreConnection, head: Head
    ) -> tuple[ActiveRelease, Directory, Mapping[str, ApiKey]]:
        """What the head row names, loaded when it changed."""
        active = self._active
        if active is None or active.release.digest != head.release:
            active = await self._load_release(connection, head)
        directory = self._directory
        if directory is None or directory.index != head.directory_index:
            directory = await load_directory(connection, head.tenant, index=head.directory_index)
            self._directory = directory
        keys = self._keys
        if keys is None or keys[0] != head.keys_index:
            keys = (head.keys_index, await load_keys(connection, head.tenant))
            self._keys = keys
        return active, directory, keys[1]

    async def _load_release(self, connection: StoreConnection, head: Head) -> ActiveRelease:
        document = await blob(connection, head.tenant, head.release)
        if document is None:
            raise VerificationFailed(
                "release_missing",
                "The active release is not in the database",
                detail=f"The head row names {head.release}, and no such blob is stored.",
                help="Restore the database from a backup and verify its export.",
            )
        active = self.build(release_from_document(document), engine=self.engine)
        if self._active is not None:
            self._retired.append(self._active)
        self._active = active
        self.metrics.release(head.release)
        return active

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
        """Free releases that no unit of work can be using any more."""
        while self._retired:
            self._retired.pop().engine.close()

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
