"""`controls` as processes of their own, forked from one program that has imported what they need: importing
is nearly all that a short command costs, and most of what starting a service does.

Guarantees: each has files, environment and session of its own and ends as a program would; on Linux none
outlives this process, even when it is killed.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from tests.databases import PROJECT

_LIBC = ctypes.CDLL(None) if os.name == "posix" else None
_PR_SET_PDEATHSIG = 1
STOP_SECONDS = 30.0

# Children stay zombies until they are asked about, so that their numbers are nobody else's.
PROGRAM = """
import gc, json, os, sys
from controls.api import app
from controls.cli import main
from tests.forks import die_with_parent
gc.collect()
gc.freeze()
for line in sys.stdin:
    asked = json.loads(line)
    if "wait" in asked:
        child, status = os.waitpid(asked["wait"], os.WNOHANG)
        print(json.dumps(os.waitstatus_to_exitcode(status) if child else None), flush=True)
        continue
    child = os.fork()
    if child == 0:
        die_with_parent()
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for stream, path in ((1, asked["out"]), (2, asked["err"])):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), stream)
        os.environ.clear()
        os.environ.update(asked["environment"])
        sys.argv[1:] = asked["arguments"]
        main.main()
        raise AssertionError("it always exits")
    print(child, flush=True)
"""


def die_with_parent() -> None:
    """Linux: a process that calls this is killed when the one that started it is gone."""
    if _LIBC is not None and hasattr(_LIBC, "prctl"):
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Forks:
    """Forks `controls`; it may be asked by several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env={name: value for name, value in os.environ.items() if not name.startswith("CONTROLS_")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
            start_new_session=True,  # Ctrl-C is for the tests, which end it
        )
        atexit.register(self.end)

    def start(self, *arguments: str, env: Mapping[str, str], out: Path, err: Path) -> Fork:
        """Start a command; what it says is added to the files.

        Args:
            env: its whole environment.
        """
        asked = {"arguments": arguments, "environment": dict(env), "out": str(out), "err": str(err)}
        return Fork(self, self.ask(**asked))

    def ask(self, **asked: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        """End it, and with it whatever it has forked."""
        self._process.communicate(timeout=STOP_SECONDS)


@cache
def forks() -> Forks:
    """The one program of this process that forks; it ends with this process."""
    return Forks()


@dataclass(slots=True)
class Fork:
    """A process that was forked, with those methods of `subprocess.Popen` that tests use."""

    parent: Forks
    pid: int
    returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self.parent.ask(wait=self.pid)
        return self.returncode

    def wait(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("controls", timeout)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)
