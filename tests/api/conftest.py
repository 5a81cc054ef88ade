"""A running application on each kind of database, shared by all tests of the API: orders have ids of their
own, so tests do not disturb each other. Tests that need a ledger to themselves start one (`own_api`)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog
from starlette.testclient import TestClient

from controls.api.app import create_app
from tests.databases import PostgresServer, database_on
from tests.desk import Desk, ask, start_desk


@dataclass(frozen=True, slots=True)
class Api:
    """A desk behind HTTP."""

    desk: Desk
    client: TestClient

    def post(
        self,
        path: str,
        body: Any = None,
        *,
        key: str = "caller",
        token: str | None = None,
        raw: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> httpx2.Response:
        """POST `body` as JSON (or `raw` as it is); a header given as None is left out."""
        sent: dict[str, str | None] = {
            **self.desk.headers(key, token=token),
            "Content-Type": "application/json",
            **(headers or {}),
        }
        content = raw if raw is not None else json.dumps(body).encode()
        kept = {name: value for name, value in sent.items() if value is not None}
        return self.client.post(path, content=content, headers=kept)

    def get(self, path: str, *, key: str = "caller") -> httpx2.Response:
        return self.client.get(path, headers={"Authorization": f"Bearer {self.desk.keys[key]}"})

    def ask(self, action: str, login: str, order: Any = None, *, key: str = "caller", **more: Any) -> Any:
        """The answer to one decision request, which must be a decision."""
        told = self.post("/v1/decisions", ask(action, login, order, **more), key=key)
        assert told.status_code == 200, told.text
        return told.json()

    def perform(self, action: str, login: str, order: Any, **more: Any) -> Any:
        """Ask, be permitted, and report the step as performed."""
        answer = self.ask(action, login, order, **more)
        assert answer["outcome"] == "permit", answer
        report = self.post(f"/v1/decisions/{answer['id']}/outcome", {"outcome": "performed"})
        assert report.status_code == 200, report.text
        return answer

    def size(self) -> int:
        """How many entries the ledger has."""
        return int(self.get("/v1/ledger/checkpoint").text.splitlines()[1])

    def last_entry(self) -> Any:
        """The newest entry's fields."""
        return self.get(f"/v1/ledger/entries/{self.size() - 1}").json()["entry"]


StartApi = Callable[..., Api]


@contextmanager
def running_api(desk: Desk) -> Iterator[Api]:
    """The desk's application, started, for the length of the block."""
    app = create_app(desk.build(), settings=desk.settings)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Api(desk, client)


def copy_of(template: Path, folder: Path) -> str:
    """The address of a copy of a migrated SQLite file."""
    for part in template.parent.iterdir():
        shutil.copy(part, folder / part.name)
    return f"sqlite+aiosqlite:///{folder / template.name}"


@pytest.fixture(autouse=True)
def _trials(trials_here: None) -> None:
    """A process for each trial would be most of what a change of release costs here."""


@pytest.fixture(scope="package", autouse=True)
def _plain_log() -> Iterator[None]:
    """Log lines as the service writes them: structlog's own default draws tracebacks for seconds."""
    before = structlog.get_config()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    )
    yield
    structlog.configure(**before)


@pytest.fixture(scope="session")
def sqlite_api(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("api-sqlite")
    with running_api(start_desk(folder, database_url=copy_of(sqlite_template, folder))) as api:
        yield api


@pytest.fixture(scope="session")
def postgres_api(
    postgres_server: PostgresServer, postgres_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("api-postgresql")
    with database_on(postgres_server, template=postgres_template) as name:
        desk = start_desk(folder, database_url=postgres_server.url(name))
        with running_api(desk) as api:
            yield api


@pytest.fixture
def api(sqlite_api: Api) -> Api:
    """The desk over HTTP, on SQLite."""
    return sqlite_api


@pytest.fixture(params=["sqlite", "postgresql"])
def either_api(request: pytest.FixtureRequest) -> Api:
    """The desk over HTTP: the test runs once on each kind of database."""
    found: Api = request.getfixturevalue("sqlite_api" if request.param == "sqlite" else "postgres_api")
    return found


@pytest.fixture
def own_api(sqlite_template: Path, tmp_path: Path) -> Iterator[StartApi]:
    """Starts a desk of the test's own on SQLite; takes what `start_desk` takes."""
    with ExitStack() as stack:

        def start(**more: Any) -> Api:
            desk = start_desk(tmp_path, database_url=copy_of(sqlite_template, tmp_path), **more)
            return stack.enter_context(running_api(desk))

        yield start
