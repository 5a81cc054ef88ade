"""Running `controls`: in this process where words and exit codes matter, else as a program of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import typer.testing
from typer.testing import CliRunner

from controls.cli.main import app
from tests.databases import PROJECT
from tests.forks import Fork, die_with_parent, forks

START_SECONDS = 60.0
STOP_SECONDS = 30.0

# Typer makes every command anew for each call of one: a seventh of what these tests took.
typer.testing._get_command = cache(typer.testing._get_command)


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output, which must be one JSON document."""
        return json.loads(self.out)


def controls(*arguments: str | Path, env: Mapping[str, str] | None = None) -> Said:
    """`controls` in this process; an error that is no message of the command's own is raised."""
    result = CliRunner().invoke(app, [str(item) for item in arguments], env=env)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Said(result.exit_code, result.stdout, result.stderr)


def well(*arguments: str | Path, env: Mapping[str, str] | None = None) -> Said:
    """`controls`, which must end with 0."""
    said = controls(*arguments, env=env)
    assert said.code == 0, said
    return said


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """For a program: this one's environment without what is said of another ledger."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONTROLS_")}
    return {**kept, **env}


def program(*arguments: str | Path, env: Mapping[str, str], module: str = "controls.cli.main") -> Said:
    """`controls` as a program, to its end."""
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        env=environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=PROJECT,
        timeout=START_SECONDS,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def forked(*arguments: str | Path, env: Mapping[str, str]) -> Said:
    """`controls` as a process of its own that need not import anything, to its end."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        fork = forks().start(*map(str, arguments), env=environment(env), out=out, err=err)
        return Said(fork.wait(START_SECONDS), out.read_text(), err.read_text())


def verify(export: Path, vkey: str, *more: str | Path) -> Said:
    """The stand-alone verifier as a program."""
    return program(export, "--key", vkey, *more, env={}, module="controls.ledger.verifier")


@dataclass(slots=True)
class Running:
    """A program that stays up; what it says goes to two files."""

    process: subprocess.Popen[bytes] | Fork
    folder: Path
    name: str
    url: str = field(default="")

    @property
    def out(self) -> str:
        return (self.folder / f"{self.name}.out").read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        return (self.folder / f"{self.name}.err").read_text(encoding="utf-8")

    def until(self, pattern: str) -> re.Match[str]:
        """Wait until it has said this on either stream."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            ended = self.process.poll()
            found = re.search(pattern, self.out + self.err)
            if found is not None:
                return found
            assert ended is None, f"it ended with {ended} and said:\n{self.out}\n{self.err}"
            assert time.monotonic() < deadline, f"it never said {pattern}:\n{self.out}\n{self.err}"
            time.sleep(0.02)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)


@contextmanager
def starting(
    *arguments: str | Path, env: Mapping[str, str], folder: Path, name: str = "program"
) -> Iterator[Running]:
    """Any Python program (its arguments), killed at the latest with the block."""
    with (folder / f"{name}.out").open("wb") as out, (folder / f"{name}.err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            env=environment(env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=PROJECT,
            preexec_fn=die_with_parent,  # noqa: PLW1509  # makes one system call only
        )
    running = Running(process, folder, name)
    try:
        yield running
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@contextmanager
def serving(env: Mapping[str, str], folder: Path) -> Iterator[Running]:
    """`controls serve` on a free port, ready; as a process of its own that need not import anything."""
    out, err = folder / "service.out", folder / "service.err"
    out.touch()
    err.touch()
    process = forks().start("serve", "--port", "0", env=environment(env), out=out, err=err)
    running = Running(process, folder, "service")
    try:
        running.url = running.until(r"Serving on (http://127\.0\.0\.1:\d+) ")[1]
        assert httpx2.get(f"{running.url}/readyz", timeout=30).json() == {"status": "ready"}
        yield running
    finally:
        process.kill()
        process.wait(STOP_SECONDS)
