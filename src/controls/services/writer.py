"""The writer: one at a time per process, it takes what is waiting and commits it as one unit of work.

Guarantees: no caller gets an answer before the transaction that records it is durably committed; a batch
that certainly failed is retried one command at a time, so that one bad command cannot fail its neighbours;
when the fate of a COMMIT is unknown, the ids are looked up under the lock before anything is retried; a
lone command is not delayed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
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
from controls.services.state import StateCache
from controls.store.database import CommitUnknown, Database, StoreConnection, StoreUnavailable
from controls.store.unit import flush, load, lock_head, recorded
from controls.store.workspace import Needs, Sealed, Workspace

MAX_BATCH: Final = 64
MAX_WAITING: Final = 4096
ANSWER_SECONDS: Final = 30
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

    def __post_init__(self) -> None:
        self._queue = asyncio.Queue(MAX_WAITING)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="controls-writer")

    async def close(self) -> None:
        """Stop taking commands; those still waiting are told that nothing was recorded."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._held is not None:
            _settle(self._held, _stopping())
        while not self._queue.empty():
            _settle(self._queue.get_nowait(), _stopping())

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    async def submit(self, command: Command) -> bytes:
        """The answer to `command`, once it is on record.

        Raises:
            ControlsError: the command was refused (and the refusal recorded), or nothing could be recorded.
        """
        if not self.running:
            raise _stopping()
        waiting = _Waiting(command, asyncio.get_running_loop().create_future())
        try:
            self._queue.put_nowait(waiting)
        except asyncio.QueueFull:
            raise Unavailable(
                "overloaded",
                "Too many requests are waiting",
                detail=f"{MAX_WAITING} requests are waiting for the ledger.",
                help="Nothing was permitted. Retry with the same Idempotency-Key in a second.",
            ) from None
        try:
            return await asyncio.wait_for(asyncio.shield(waiting.answer), ANSWER_SECONDS)
        except TimeoutError:
            raise Unavailable(
                "timeout",
                "The ledger did not answer in time",
                detail=f"No answer within {ANSWER_SECONDS} seconds; it may still be recorded.",
                help="Do not proceed. Retry with the same Idempotency-Key to learn what was recorded.",
            ) from None

    async def _run(self) -> None:
        while True:
            batch = await self._next_batch()
            try:
                await self._serve(batch)
            except asyncio.CancelledError:
                for waiting in batch:
                    _settle(waiting, _stopping())
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
        while not first.command.alone and len(batch) < self.settings.max_batch and not self._queue.empty():
            following = self._queue.get_nowait()
            if following.command.alone:
                self._held = following
                break
            batch.append(following)
        return batch

    async def _serve(self, batch: Sequence[_Waiting]) -> None:
        started = perf_counter()
        try:
            answers = await self._attempt([waiting.command for waiting in batch])
        except CommitUnknown as error:
            answers = [error] * len(batch)  # a retry could record twice what may be recorded already
        except Exception as error:  # noqa: BLE001  # whatever it was, the neighbours are tried alone
            if len(batch) == 1:
                answers = [await self._retry_alone(batch[0].command, error)]
            else:
                _log.warning("batch_rolled_back", size=len(batch), error=type(error).__name__)
                answers = []
                for waiting in batch:
                    try:
                        answers += await self._attempt([waiting.command])
                    except CommitUnknown as unknown:
                        answers.append(unknown)
                    except Exception as alone:  # noqa: BLE001  # the next one is still served
                        answers.append(await self._retry_alone(waiting.command, alone))
        self.metrics.batch(len(batch), perf_counter() - started)
        for waiting, answer in zip(batch, answers, strict=True):
            _settle(waiting, answer)

    async def _retry_alone(self, command: Command, error: Exception) -> Outcome:
        """One more try when the database failed (a lost connection heals so); else the error itself."""
        if isinstance(error, _Spoiled):
            command = Refuse(command.id, command.key, error.refused, command.refused_act())
        elif not isinstance(error, Unavailable):
            return error if isinstance(error, ControlsError) else _logged_defect(error)
        try:
            return (await self._attempt([command]))[0]
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
        if work.entries and self.settings.published is not None:
            self.settings.published(sealed.tree.frontier.size, sealed.checkpoint)
        self.state.committed()
        return answers

    async def _transact(
        self, connection: StoreConnection, commands: Sequence[Command]
    ) -> tuple[Workspace, Sealed, list[Outcome]]:
        head, now = await lock_head(connection, self.settings.tenant, clock=self.settings.clock)
        active, directory, keys = await self.state.current(connection, head)
        work = Workspace(head, now=now, entropy=self.settings.entropy)
        context = Context(work, active, directory, keys, self.settings.new_id)
        needs = Needs()
        live: list[Command | ControlsError] = []
        for command in commands:
            if command.key and not _alive(context, command.key):
                live.append(_revoked())
            else:
                command.prepare(context, needs)
                live.append(command)
        await load(connection, work, needs)
        renders: list[Render | ControlsError] = []
        for item in live:
            if isinstance(item, ControlsError):
                renders.append(item)
                continue
            before = len(work.entries)
            try:
                renders.append(item.execute(context))
            except ControlsError as refused:
                if len(work.entries) != before:
                    raise _Spoiled(refused) from refused
                _record_refusal(context, item, refused)
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
    fields: dict[str, Json] = {"key": command.key, "code": refused.code, **command.refused_act()}
    context.work.append(EntryKind.REFUSAL, context.new_id("ref"), fields)


def _alive(context: Context, key: str) -> bool:
    known = context.keys.get(key)
    return known is not None and (known.revoked_at is None or context.work.at < known.revoked_at)


def _revoked() -> Unauthenticated:
    return Unauthenticated(
        "key_revoked", "This API key has been revoked", help="Ask an administrator for a new one."
    )


def _stopping() -> Unavailable:
    return Unavailable(
        "stopping",
        "The service is not taking decisions",
        help="Nothing was permitted. Retry with the same Idempotency-Key in a few seconds.",
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
