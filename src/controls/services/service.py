"""One running service: its writer, its reads, and the background work that keeps the ledger in order.

Guarantees: it starts only when the database, its guards, the head and the kept checkpoint agree; `close`
leaves no answer unsent and no task behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import structlog

from controls.decide import ActiveRelease
from controls.duties.backstop import step_limits
from controls.model.errors import ControlsError
from controls.model.values import Json, microseconds
from controls.services.change_queries import ChangeQueries
from controls.services.metrics import Metrics
from controls.services.queries import Queries
from controls.services.refusals import Refuse
from controls.services.release_candidates import ReleaseCandidates
from controls.services.reviews import SweepExpired
from controls.services.signing import CheckpointSigner
from controls.services.state import ReleaseAhead, StateCache
from controls.services.writer import Writer
from controls.store.database import Database
from controls.store.directory import Directory
from controls.store.guards import self_test
from controls.store.ledger_reads import latest_checkpoint
from controls.store.limits import keep_limits
from controls.store.listings import in_force, open_review_count
from controls.store.observations import forget_observations
from controls.store.unit import forget_answers, lock_head

SWEEP_SECONDS: Final = 30.0
# How soon a replica that decides nothing hears of what others changed.
WATCH_SECONDS: Final = 2.0
# How often SQLite's log is moved into its file, away from the path of a decision.
SETTLE_SECONDS: Final = 0.5
# How often one sweep takes the lock to purge what has left every window.
PURGES_AT_MOST: Final = 10
ANSWERS_KEPT_FOR: Final = timedelta(hours=24)

_T = TypeVar("_T")

_log = structlog.get_logger("controls.service")


@dataclass(slots=True)
class Service:
    """What routes and commands talk to."""

    database: Database
    writer: Writer
    queries: Queries
    changes: ChangeQueries
    releases: ReleaseCandidates
    state: StateCache
    signer: CheckpointSigner
    metrics: Metrics
    new_id: Callable[[str], str]
    sweep_seconds: float = SWEEP_SECONDS
    builds_ahead: bool = False  # what is proposed, so that it is ready once confirmed
    _background: list[asyncio.Task[None]] = field(default_factory=list, init=False)
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    @property
    def tenant(self) -> str:
        return self.queries.tenant

    async def start(self) -> None:
        """Check everything, load what is in force, and begin to take commands.

        Raises:
            VerificationFailed: the database does not hold the ledger that it should.
        """
        kept = self.signer.kept()
        async with self.database.read() as connection:
            await self_test(connection, self.tenant, verify_note=self.signer.verify, kept_checkpoint=kept)
        self.metrics.ledger_size.set(await self._load())
        self.writer.start()
        for work, seconds in (
            (self._tidy, self.sweep_seconds),
            (self._watch, WATCH_SECONDS),
            (self.database.settle, SETTLE_SECONDS),
        ):
            self._background.append(asyncio.create_task(self._forever(work, seconds)))

    async def _load(self) -> int:
        """Load what is in force, and see that the database keeps to it; the size of the ledger."""
        while True:
            try:
                async with self.database.write() as connection:
                    head, _ = await lock_head(connection, self.tenant)
                    active, _, _ = await self.state.current(connection, head)
                    release = active.release
                    limits = step_limits(release.constraints, chains=release.chains.values())
                    await keep_limits(connection, tenant=self.tenant, release=release.digest, limits=limits)
            except ReleaseAhead as ahead:
                await self.state.catch_up(ahead)
            else:
                self.state.committed()
                return head.frontier.size

    async def _forget(self) -> None:
        """Purge answers that are too old to be asked for again, and what has left every window."""
        clock = self.writer.settings.clock
        async with self.database.write() as connection:
            _, now = await lock_head(connection, self.tenant, clock=clock)
            await forget_answers(connection, self.tenant, before=microseconds(now - ANSWERS_KEPT_FOR))
        for _ in range(PURGES_AT_MOST):
            async with self.database.write() as connection:
                head, now = await lock_head(connection, self.tenant, clock=clock)
                active, _, _ = await self.state.current(connection, head)
                windows = [aggregate.within for aggregate in active.release.aggregates.values()]
                before = microseconds(now - max(windows, default=timedelta()))
                if not await forget_observations(connection, self.tenant, before=before):
                    break

    async def close(self) -> None:
        """Stop taking commands and give everything back."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        self._background.clear()
        await self.writer.close()
        try:
            self.signer.flush()
        except OSError as error:
            _log.exception("checkpoint_not_kept", error=type(error).__name__)
        finally:
            self.state.close()
            await self.database.close()

    async def _forever(self, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except ControlsError as error:
                _log.warning("background_failed", code=error.code, detail=error.detail)
            except Exception as error:  # noqa: BLE001  # logged; a full disk today must not end it for good
                _log.exception("background_failed", error=type(error).__name__)

    async def _tidy(self) -> None:
        """Open cases for expired claims, purge old answers, keep the checkpoint, count what is open."""
        await self.writer.submit(SweepExpired(id=self.new_id("swp")))
        self.signer.flush()
        await self._forget()
        async with self.database.read() as connection:
            self.metrics.open_reviews.set(await open_review_count(connection, self.tenant))

    async def _watch(self) -> None:
        """Load what another replica has put into force. Decisions look under the lock anyway; reads do not,
        and a key that was revoked elsewhere must not go on reading here (nor a new one be unknown)."""
        await self.snapshot()
        if self.builds_ahead:
            await self.releases.build_proposed()

    async def snapshot(self) -> tuple[ActiveRelease, Directory]:
        """Release and directory in force, with what another process changed meanwhile."""
        async with self.database.read() as connection:
            known = self.state.holds(*await in_force(connection, self.tenant))
        if not known:
            await self._load()
        active, directory = self.state.active, self.state.directory
        assert active is not None
        assert directory is not None
        return active, directory

    def now(self) -> int:
        """The time for what is only read, in microseconds; what is decided has the database's."""
        clock = self.writer.settings.clock
        return microseconds(clock() if clock is not None else datetime.now(UTC))

    async def reload(self) -> dict[str, Json]:
        """Load what is in force now; what that is, and whether the release is another one than before.

        Raises:
            Unavailable: it could not be loaded; what was loaded before stays.
        """
        before = self.state.active
        active, directory = await self.snapshot()
        return {
            "release": active.release.digest,
            "contents": active.release.contents,
            "changed": before is not active,
            "directory": directory.index,
        }

    async def on_record(self, asked: Awaitable[_T], *, key: str, act: Mapping[str, Json]) -> _T:
        """What `asked` gives; if that is refused, the refusal is in the ledger before it is told."""
        try:
            return await asked
        except ControlsError as refused:
            await self.writer.submit(Refuse(self.new_id("ref"), key, refused, act))
            raise

    async def refresh_keys(self) -> None:
        """Take over API keys that another process gave out or revoked; one look at a time."""
        async with self._looking, self.database.read() as connection:
            await self.state.refresh_keys(connection, self.tenant)

    async def ready(self) -> dict[str, str]:
        """What is wrong, by part; empty when decisions can be taken."""
        problems: dict[str, str] = {}
        if not self.writer.running:
            problems["writer"] = "not running"
        if self.state.active is None or self.state.trouble:
            problems["release"] = self.state.trouble or "none loaded"
        try:
            async with self.database.read() as connection:
                await latest_checkpoint(connection, self.tenant)
        except ControlsError as error:
            problems["database"] = error.detail
        return problems
