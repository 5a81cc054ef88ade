"""Fixtures for all tests: shared data, databases, Hypothesis profiles.

Databases: `sqlite_url` and `postgres_url` are new and EMPTY for each test; `migrated_sqlite_url` and
`migrated_postgres_url` are copies of one that was migrated once per session, without a row. `database_url`
and `migrated_database_url` run the test once on each kind. PostgreSQL is the server that
CONTROLS_TEST_DATABASE_URL names (an account that may create databases), else one started from a wheel
(see `databases.py`), else the test is skipped with the reason.

The store is imported where it is needed: the tests of the pure layers must run without SQLAlchemy.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.databases import (
    PROJECT,
    PostgresServer,
    PostgresUnavailableError,
    database_on,
    start_postgres,
)
from tests.reused_databases import ReusedDatabases

LONG_RUN = os.environ.get("CONTROLS_FUZZ") == "1"

settings.register_profile("ci", deadline=None, max_examples=60, print_blob=True)
settings.register_profile(
    "fuzz",
    deadline=None,
    max_examples=5_000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fuzz" if LONG_RUN else "ci")


# Few tests that take long: begun last, they would leave all workers but one idle at the end.
BEGUN_FIRST = (
    "tests/test_readme.py",
    "tests/machine/",
    "tests/pressure/test_kill.py",
    "tests/pressure/test_reloads.py",
    "tests/cli/test_demo.py",
    "tests/cli/test_bench.py",
    "tests/cli/test_reload.py",
    "tests/cli/test_rule_tests.py",
    "tests/services/test_release_candidates.py",
    "tests/rules/test_difference_laws.py",
    "tests/rules/test_condition_laws.py",
)


def interrupted(number: int, frame: object) -> None:
    """What Python itself does on Ctrl-C."""
    raise KeyboardInterrupt


# Whenever it runs something, asyncio takes the place of Python's own handler, for which it spells out the
# task and all that it holds: some milliseconds each time. Another handler it leaves alone.
own_handler = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if own_handler and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, interrupted)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: those named here, then by how many tests they have."""
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (not item.nodeid.startswith(BEGUN_FIRST), -tests[item.path]))


# What is imported and collected stays: looking through it for garbage was a third of the collection's time
# and a tenth of the tests'.
gc.disable()


def pytest_collection_finish() -> None:
    """From here on there is garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


@pytest.fixture
def releases_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What services of this process read of a stored release is read once for the same bytes: a quarter of
    what starting one costs. Engine and enforcement are each service's own."""
    from controls.services import candidates
    from tests.trials import read_release

    monkeypatch.setattr(candidates, "release_from_document", read_release)


@pytest.fixture
def trials_here(monkeypatch: pytest.MonkeyPatch, releases_read_once: None) -> None:
    """Releases are tried in this process (see `trials.py`)."""
    from controls.services import trial
    from tests.trials import tried_here

    monkeypatch.setattr(trial, "_try", tried_here)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets that lies beside the checkout; the test is skipped without it."""
    named = os.environ.get("CONTROLS_SHARED_DATA")
    folder = Path(named) if named else PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no shared data: {folder} is no folder; name one with CONTROLS_SHARED_DATA")
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL: CONTROLS_TEST_DATABASE_URL, else our own, else the test is skipped."""
    named = os.environ.get("CONTROLS_TEST_DATABASE_URL")
    if named:
        # psycopg knows no SQLAlchemy drivers.
        yield PostgresServer(conninfo=named.replace("postgresql+asyncpg://", "postgresql://", 1))
        return
    with ExitStack() as stack:
        try:
            server = stack.enter_context(start_postgres())
        except PostgresUnavailableError as reason:
            pytest.skip(f"NOT TESTED ON POSTGRESQL: {reason}")
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> Iterator[str]:
    """The name of a migrated database, to be copied and never connected to."""
    from controls.store.migrate import migrate
    from tests.shared_statements import share_statements

    share_statements()
    with database_on(postgres_server) as name:
        migrate(postgres_server.url(name))
        yield name


@pytest.fixture(scope="session")
def reused_databases(postgres_server: PostgresServer, postgres_template: str) -> Iterator[ReusedDatabases]:
    """Migrated databases, each for one test after the other."""
    reused = ReusedDatabases(postgres_server, template=postgres_template)
    yield reused
    reused.drop_all()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied and never opened."""
    from controls.store.migrate import migrate
    from tests.shared_statements import share_statements

    share_statements()
    path = tmp_path_factory.mktemp("sqlite-template") / "controls.db"
    migrate(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A new, empty PostgreSQL database."""
    with database_on(postgres_server) as name:
        yield postgres_server.url(name)


@pytest.fixture
def migrated_postgres_url(
    postgres_server: PostgresServer, reused_databases: ReusedDatabases
) -> Iterator[str]:
    """A PostgreSQL database with all tables, as good as new."""
    with reused_databases.one() as name:
        yield postgres_server.url(name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A new, empty SQLite database."""
    return f"sqlite+aiosqlite:///{tmp_path / 'controls.db'}"


@pytest.fixture
def migrated_sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A new SQLite database with all tables."""
    # Side files too: a template in WAL mode may keep its pages there.
    for part in sqlite_template.parent.iterdir():
        shutil.copy(part, tmp_path / part.name)
    return f"sqlite+aiosqlite:///{tmp_path / sqlite_template.name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A new, empty database: the test runs once on each kind."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_database_url(request: pytest.FixtureRequest) -> str:
    """A new database with all tables: the test runs once on each kind."""
    kind = "sqlite" if request.param == "sqlite" else "postgres"
    url: str = request.getfixturevalue(f"migrated_{kind}_url")
    return url
