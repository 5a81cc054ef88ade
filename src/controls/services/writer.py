"""The writer: one at a time per process, it takes what is waiting and commits it as one unit of work.

Guarantees: no caller gets an answer before the transaction that records it is durably committed, and what
happens after the commit cannot take the answer back; a batch that failed for what is in it is retried one
command at a time, so that one bad command cannot fail its neighbours; one that failed for the database's
trouble is retried once and then given up, so that nobody waits behind it; when the fate of a COMMIT is
unknown, the ids are looked up under the lock before anything is retried; a lone command is not delayed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import Final, TypeAlias

import structlog

from controls.ledger.envelope import EntryKind
from controls.model.errors import ControlsError, Unauthenticated, Unavailable
from controls.model.values import Json
from controls.services.commands import Command, Context, Render
from controls.services.identifiers import NewId
from controls.services.metrics import Metrics
from controls.services.refusals import Refuse
from controls.services.state import ReleaseAhead, StateCache
from controls.store.connection import StoreConnection
from controls.store.database import CommitUnknown, Database, StoreUnavailable
from controls.store.unit import flush, load, lock_head, recorded
from controls.store.workspace import Needs, Sealed, Workspace

MAX_BATCH: Final = 64
# How many decisions one unit of work may hold, unless a single list is longer: it keeps the lock meanwhile.
MAX_DECISIONS: Final = 1_000
MAX_WAITING: Final = 4096
ANSWER_SECONDS: Final = 30
# How long `close` waits for the unit of work in hand.
CLOSE_SECONDS: Final = 20
LOOK_UP_ATTEMPTS: Final = 5
LOOK_UP_PAUSE_SECONDS: Final = 0.4

Outcome: TypeAlias = "bytes | ControlsError"


class _Spoiled(Exception):
    """A command was refused after it had changed the workspace, so its unit of work must not be written."""

    def __init__(self, refused: ControlsError) -> None:
        super().__init__(refused.code)
        self.refused = refused


_log = structlog.get_logger("controls.writer")


@dataclass(slots=True)
class _Waiting:
    command: Command
    answer: asyncio.Future[bytes]


@dataclass(frozen=True, slots=True)
class WriterSettings:
    """What the writer is given: whose ledger, how to sign, and where ids, salts and time come from."""

    tenant: str
    sign: Callable[[int, bytes], str]
    new_id: NewId
    entropy: Callable[[int], bytes]
    clock: Callable[[], datetime] | None = None
    published: Callable[[int, str], None] | None = None  # size and note of each committed checkpoint
    max_batch: int = MAX_BATCH


@dataclass(slots=True)
class Writer:
    """Runs commands against one tenant's ledger. Start with `start`, end with `close`."""

    database: Database
    state: StateCache
    settings: WriterSettings
    metrics: Metrics
    _queue: asyncio.Queue[_Waiting] = field(init=False)
    _held: _Waiting | None = field(default=None, init=False)  # taken from the queue, not yet served
    _task: asyncio.Task[None] | None = field(default=None, init=False)
    _turn: asyncio.Lock = field(init=False)  # held while a unit of work is in hand
    _closing: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._queue = asyncio.Queue(MAX_WAITING)
        self._turn = asyncio.Lock()

    def start(self) -> None:
        self._closing = False
        self._task = asyncio.create_task(self._run(), name="controls-writer")

    async def close(self) -> None:
        """Stop taking commands. The unit of work in hand is ended; who still waits is told that nothing was
        recorded."""
        self._closing = True
        if self._task is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS), self._turn:
                    self._task.cancel()
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._held is not None:
            _settle(self._held, _stopping())
        while not self._queue.empty():
            _settle(self._queue.get_nowait(), _stopping())

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done() and not self._closing

    async def submit(self, command: Command) -> bytes:
        """The answer to `command`, once it is on record.

        Raises:
            ControlsError: the command was refused (and the refusal recorded), or nothing could be recorded.
        """
        if not self.running:
            raise _stopping()
        loop = asyncio.get_running_loop()
        waiting = _Waiting(command, loop.create_future())
        try:
            self._queue.put_nowait(waiting)
        except asyncio.QueueFull:
            raise Unavailable(
                "overloaded",
                "Too many requests are waiting",
                detail=f"{MAX_WAITING} requests are waiting for the ledger.",
                help="Nothing was permitted. Retry with the same Idempotency-Key in a second.",
            ) from None
        late = loop.call_later(ANSWER_SECONDS, _too_late, waiting)
        try:
            return await waiting.answer
        finally:
            late.cancel()

    async def _run(self) -> None:
        while True:
            batch = await self._next_batch()
            begun = False
            try:
                async with self._turn:
                    begun = True
                    await self._serve(batch)
            except asyncio.CancelledError:
                for waiting in batch:
                    _settle(waiting, _interrupted() if begun else _stopping())
                raise
            except Exception as error:  # noqa: BLE001  # logged with its traceback, and everybody is told
                # Nobody may wait for ever because of a defect here; it is logged with its traceback.
                _log.exception("writer_defect", error=type(error).__name__)
                for waiting in batch:
                    _settle(waiting, _defect(error))

    async def _next_batch(self) -> list[_Waiting]:
        """What is waiting, in order of arrival; a command that changes what is in force stands alone."""
        first = self._held or await self._queue.get()
        self._held = None
        batch = [first]
        weight = first.command.weight
        while not first.command.alone and len(batch) < self.settings.max_batch and not self._queue.empty():
            following = self._queue.get_nowait()
            weight += following.command.weight
            if following.command.alone or weight > MAX_DECISIONS:
                self._held = following
                break
            batch.append(following)
        return batch

    async def _serve(self, batch: Sequence[_Waiting]) -> None:
        started = perf_counter()
        commands = [waiting.command for waiting in batch]
        answers = await self._answers(commands)
        self.metrics.batch(len(batch), perf_counter() - started)
        for waiting, answer in zip(batch, answers, strict=True):
            _settle(waiting, answer)

    async def _answers(self, commands: Sequence[Command]) -> list[Outcome]:
        """The answers of a batch in order, whatever happens to it."""
        try:
            return await self._attempt_twice(commands)
        except Unavailable as error:
            return [error] * len(commands)
        except Exception as error:  # noqa: BLE001  # whatever it was, the neighbours are tried alone
            if len(commands) == 1:
                return [await self._failed(commands[0], error)]
            _log.warning("batch_rolled_back", size=len(commands), error=type(error).__name__)
        answers: list[Outcome] = []
        for command in commands:
            try:
                answers += await self._attempt_twice([command])
            except Unavailable as error:
                # The database is gone meanwhile; the others need not find that out one by one.
                rest = len(commands) - len(answers) - 1
                return [*answers, error, *([StoreUnavailable(error)] * rest)]
            except Exception as error:  # noqa: BLE001  # the next one is still served
                answers.append(await self._failed(command, error))
        return answers

    async def _attempt_twice(self, commands: Sequence[Command]) -> list[Outcome]:
        """One more try when the database failed: a lost connection heals so. Raises as `_attempt` does."""
        try:
            return await self._attempt(commands)
        except CommitUnknown:
            raise  # a retry could record twice what may be recorded already
        except ReleaseAhead as ahead:
            await self.state.catch_up(ahead)  # without the lock
            return await self._attempt_twice(commands)
        except Unavailable:
            return await self._attempt(commands)

    async def _failed(self, command: Command, error: Exception) -> Outcome:
        """The answer to a command that failed by itself; a refusal gets a unit of work of its own."""
        refused = error.refused if isinstance(error, _Spoiled) else error
        if not isinstance(refused, ControlsError):
            return _logged_defect(error)
        try:
            refusal = Refuse(command.id, command.key, refused, command.refused_act())
            return (await self._attempt_twice([refusal]))[0]
        except ControlsError as again:
            return again
        except Exception as again:  # noqa: BLE001  # logged with its traceback
            return _logged_defect(again)

    async def _attempt(self, commands: Sequence[Command]) -> list[Outcome]:
        """One transaction for all of `commands`; raises when it was certainly rolled back."""
        done: tuple[Workspace, Sealed, list[Outcome]] | None = None
        try:
            async with self.database.write() as connection:
                done = await self._transact(connection, commands)
        except CommitUnknown as error:
            _log.warning("commit_unknown", size=len(commands))
            if done is None:
                raise
            ids = [entry.id for entry in done[0].entries]
            if ids and not await self._look_up(ids):
                raise StoreUnavailable(error) from error
        work, sealed, answers = done
        self._committed(work, sealed)
        return answers

    def _committed(self, work: Workspace, sealed: Sealed) -> None:
        """What follows a commit. Nothing here can undo it, so a failure is logged and the answers stand."""
        try:
            if work.entries and self.settings.published is not None:
                self.settings.published(sealed.tree.frontier.size, sealed.checkpoint)
            self.state.committed()
        except Exception as error:  # noqa: BLE001  # logged with its traceback
            _log.exception("after_commit_failed", error=type(error).__name__)

    async def _transact(
        self, connection: StoreConnection, commands: Sequence[Command]
    ) -> tuple[Workspace, Sealed, list[Outcome]]:
        head, now = await lock_head(connection, self.settings.tenant, clock=self.settings.clock)
        active, directory, keys = await self.state.current(connection, head)
        work = Workspace(head, now=now, entropy=self.settings.entropy, marked=active.trails.keys())
        context = Context(work, active, directory, keys, self.settings.new_id)
        needs = Needs()
        live = [
            Refuse(command.id, command.key, _revoked(), command.refused_act())
            if command.key and not _alive(context, command.key)
            else command
            for command in commands
        ]
        for command in live:
            command.prepare(context, needs)
        await load(connection, work, needs)
        renders: list[Render | ControlsError] = []
        for command in live:
            before = work.revision
            try:
                renders.append(command.execute(context))
            except ControlsError as refused:
                if work.revision != before:
                    raise _Spoiled(refused) from refused
                _record_refusal(context, command, refused)
                renders.append(refused)
        sealed = work.seal(self.settings.sign)
        answers: list[Outcome] = [
            render if isinstance(render, ControlsError) else render(sealed) for render in renders
        ]
        if work.entries:
            await flush(connection, work, sealed)
        return work, sealed, answers

    async def _look_up(self, ids: Sequence[str]) -> bool:
        """Whether a transaction whose COMMIT went unanswered was written.

        Raises:
            CommitUnknown: the database did not answer that either.
        """
        for attempt in range(LOOK_UP_ATTEMPTS):
            try:
                async with self.database.write() as connection:
                    await lock_head(connection, self.settings.tenant)
                    return await recorded(connection, self.settings.tenant, ids)
            except Unavailable as error:
                if attempt == LOOK_UP_ATTEMPTS - 1:
                    raise CommitUnknown(error) from error
                await asyncio.sleep(LOOK_UP_PAUSE_SECONDS)
        raise AssertionError("unreachable")


def _record_refusal(context: Context, command: Command, refused: ControlsError) -> None:
    hidden, disclosure = context.work.conceal(command.private if isinstance(command, Refuse) else {})
    fields: dict[str, Json] = {"key": command.key, "code": refused.code, **command.refused_act(), **hidden}
    context.work.append(EntryKind.REFUSAL, context.new_id("ref"), fields, disclosure=disclosure)


def _alive(context: Context, key: str) -> bool:
    known = context.keys.get(key)
    return known is not None and (known.revoked_at is None or context.work.at < known.revoked_at)


def _revoked() -> Unauthenticated:
    return Unauthenticated(
        "key_revoked", "This API key has been revoked", help="Ask an administrator for a new one."
    )


def _too_late(waiting: _Waiting) -> None:
    late = Unavailable(
        "timeout",
        "The ledger did not answer in time",
        detail=f"No answer within {ANSWER_SECONDS} seconds; it may still be recorded.",
        help="Do not proceed. Retry with the same Idempotency-Key to learn what was recorded.",
    )
    _settle(waiting, late)


def _stopping() -> Unavailable:
    return Unavailable(
        "stopping",
        "The service is not taking decisions",
        help="Nothing was permitted. Retry with the same Idempotency-Key in a few seconds.",
    )


def _interrupted() -> Unavailable:
    return Unavailable(
        "interrupted",
        "The service stopped before the ledger answered",
        detail="The service was stopped while it was recording; it may be recorded.",
        help="Do not proceed. Retry with the same Idempotency-Key to learn what was recorded.",
    )


def _defect(error: Exception) -> ControlsError:
    return ControlsError(
        "internal_error",
        "The service failed",
        detail=f"An error of the service itself ({type(error).__name__}); nothing was permitted.",
        help="Report it with the request id; the log holds the traceback.",
    )


def _logged_defect(error: Exception) -> ControlsError:
    _log.error("command_defect", error=type(error).__name__, exc_info=error)
    return _defect(error)


def _settle(waiting: _Waiting, answer: Outcome) -> None:
    if waiting.answer.done():
        return
    if isinstance(answer, ControlsError):
        waiting.answer.set_exception(answer)
    else:
        waiting.answer.set_result(answer)
