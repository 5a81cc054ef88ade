"""Wiring: the only module that knows every other. Clock, randomness and files come in here."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TextIO, cast

import structlog

from controls.model.errors import InvalidInput
from controls.rules.files import MAX_CSV_BYTES, MAX_FILE_BYTES, MAX_FILES, decode_files, is_rule_file
from controls.services.candidates import Candidates
from controls.services.change_queries import ChangeQueries
from controls.services.identifiers import new_id
from controls.services.metrics import Metrics
from controls.services.queries import Queries
from controls.services.release_candidates import ReleaseCandidates
from controls.services.service import Service
from controls.services.signing import DEMO_PREFIX, CheckpointSigner, create_key_file, read_key_file
from controls.services.state import StateCache
from controls.services.writer import MAX_BATCH, Writer, WriterSettings
from controls.settings import Mode, Settings
from controls.store.database import Database


def open_signer(settings: Settings) -> CheckpointSigner:
    """The ledger's signer from its key file."""
    signer = read_key_file(settings.signing_key_file, production=settings.mode is Mode.PRODUCTION)
    return CheckpointSigner(signer, settings.checkpoint_file)


def new_ledger_signer(settings: Settings, *, origin: str) -> CheckpointSigner:
    """The signer of a new ledger: a new key in the settings' key file.

    Raises:
        InvalidInput: there is a key file already, or production was given a demo's origin.
    """
    if settings.mode is Mode.PRODUCTION and origin.startswith(DEMO_PREFIX):
        raise InvalidInput(
            "demo_origin",
            f"{origin!r} is a demo's origin",
            help="Name the ledger after what it is for, such as bank.example/orders.",
        )
    create_key_file(settings.signing_key_file, origin=origin, entropy=os.urandom(32))
    return open_signer(settings)


def writer_settings(
    settings: Settings,
    signer: CheckpointSigner,
    metrics: Metrics,
    *,
    clock: Callable[[], datetime] | None = None,
) -> WriterSettings:
    """What the writer is given."""

    def published(size: int, note: str) -> None:
        metrics.ledger_size.set(size)
        metrics.checkpoint_at.set_to_current_time()
        signer.keep(note)

    return WriterSettings(
        tenant=settings.tenant,
        sign=signer.sign,
        new_id=new_id,
        entropy=os.urandom,
        clock=clock,
        published=published,
        max_batch=MAX_BATCH,
    )


def build_service(
    settings: Settings, *, clock: Callable[[], datetime] | None = None, builds_ahead: bool = False
) -> Service:
    """A service that is ready to `start`; one that stays up should build proposed releases ahead."""
    signer = open_signer(settings)
    metrics = Metrics()
    database = Database(settings.database_url, pool_size=settings.pool_size)
    candidates = Candidates(engine=settings.engine)
    state = StateCache(candidates=candidates, metrics=metrics)
    writer = Writer(
        database=database,
        state=state,
        settings=writer_settings(settings, signer, metrics, clock=clock),
        metrics=metrics,
    )
    return Service(
        database=database,
        writer=writer,
        queries=Queries(database, settings.tenant),
        changes=ChangeQueries(database, settings.tenant),
        releases=ReleaseCandidates(database, settings.tenant, candidates),
        state=state,
        signer=signer,
        metrics=metrics,
        new_id=new_id,
        builds_ahead=builds_ahead,
    )


def build_app(service: Service, settings: Settings) -> Callable[..., Awaitable[None]]:
    """The HTTP application (ASGI) over a service, which it starts and closes."""
    from controls.api.app import create_app  # other commands do without FastAPI

    return create_app(service, settings=settings)


def read_rule_files(folder: Path) -> Mapping[str, str]:
    """All rule files below `folder`: path with forward slashes -> text.

    Raises:
        InvalidInput: there is no such folder, or far too much in it.
        RuleFilesInvalid: a file is not UTF-8 text.
    """
    if not folder.is_dir():
        raise InvalidInput(
            "rules_missing", f"There is no rules folder {folder}", help="Name a folder with rule files."
        )
    files: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or not is_rule_file(name):
            continue
        most = MAX_CSV_BYTES if name.endswith(".csv") else MAX_FILE_BYTES
        if len(files) >= MAX_FILES or path.stat().st_size > most:
            raise InvalidInput(
                "rules_too_large",
                f"{path} is one file too many or too large",
                help=f"A rules folder holds at most {MAX_FILES} files, of at most "
                f"{MAX_FILE_BYTES >> 20} MiB of YAML or {MAX_CSV_BYTES >> 20} MiB of CSV each.",
            )
        files[name] = path.read_bytes()
    return decode_files(files)


def shipped(name: str) -> Path:
    """A folder that comes with the product (`rules`, `migrations`): in the package, or in the checkout."""
    installed = Path(__file__).parent / f"_{name}"
    return installed if installed.is_dir() else Path(__file__).parents[2] / name


_LOG_LINE = json.JSONEncoder(separators=(",", ":"), default=str).encode


def _log_line(event: object, **_: object) -> str:
    """One encoder for all lines: `json.dumps` would make a new one for each."""
    return _LOG_LINE(event)


class _Stderr:
    """stderr, whichever it is when a line is written.

    A line that it does not take (whoever reads it is gone, the disk is full) is lost, and nothing else is:
    no decision depends on a log, for what must never be lost is in the ledger.
    """

    def write(self, line: str) -> None:
        with suppress(OSError, ValueError):  # a closed file is a ValueError
            sys.stderr.write(line)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()


def configure_logging(level: str) -> None:
    """structlog as JSON lines on stderr; ids and codes, never a payload."""
    levels = {"debug": 10, "info": 20, "warning": 30, "error": 40}
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_log_line),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(levels[level]),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Stderr())),
        cache_logger_on_first_use=True,
    )
