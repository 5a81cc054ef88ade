"""Trying rule files in a process of their own, before anything of them comes near a running service.

Guarantees: whatever the files do to the compiler or to durable-rules (which holds the interpreter's lock
while it loads a rule set, so that no time limit could stop it in this process), they do it to a process that
is given up after `TRIAL_SECONDS`; what comes back compiled without a diagnostic, was built on both engines,
and every example beside its rules gave what it promises.

    python -m controls.services.trial_process SECONDS < ASKED > ANSWER        (both JSON)
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from controls.model.errors import Diagnostic, InvalidInput, Level, RuleFilesInvalid

# The largest release that is taken (8 MiB of files) stays well below this on one slow core.
TRIAL_SECONDS: Final = 120.0
COMMAND: Final = (sys.executable, "-m", "controls.services.trial_process")


@dataclass(frozen=True, slots=True)
class Tried:
    """A release that passed: its stored form, and what is in it, in words."""

    digest: str
    document: bytes
    contents: str


class ExamplesFailed(InvalidInput):
    """Rules that compile, but do not what the examples and scenarios beside them say; `failures` has a line
    for each."""

    def __init__(self, failures: Sequence[str]) -> None:
        super().__init__(
            "examples_failed",
            "Examples or scenarios of the rules failed",
            detail="\n".join(failures),
            help="Mend the rule or its test; a release whose tests fail is not activated.",
        )
        self.failures = tuple(failures)


class ReleaseUnusable(InvalidInput):
    """The rule files compile or not, but trying them ended the process that tried them, or never ended."""


async def tried(files: Mapping[str, str], *, seconds: float = TRIAL_SECONDS) -> Tried:
    """The release that the files make.

    Args:
        files: path under the rules folder -> text.
        seconds: how long the trial may take.

    Raises:
        RuleFilesInvalid: with every diagnostic.
        ExamplesFailed: examples beside the rules gave something else than they promise.
        ReleaseUnusable: the trial crashed or did not end.
    """
    return await _try({"files": dict(files)}, seconds)


async def tried_document(document: bytes, *, seconds: float = TRIAL_SECONDS) -> Tried:
    """The same for a release in its stored form. Raises as `tried`."""
    return await _try({"document": document.decode()}, seconds)


async def _try(asked: Mapping[str, object], seconds: float) -> Tried:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        str(round(seconds)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(seconds):
            answer, _ = await process.communicate(json.dumps(asked).encode())
    except TimeoutError:
        raise _unusable(f"Trying it did not end within {seconds:g} seconds.") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise _unusable(f"The process that tried it ended with {process.returncode}.")
    return _read(json.loads(answer))


def _read(told: Mapping[str, Any]) -> Tried:
    if "diagnostics" in told:
        raise RuleFilesInvalid(
            tuple(Diagnostic(**{**item, "level": Level(item["level"])}) for item in told["diagnostics"])
        )
    if "failures" in told:
        raise ExamplesFailed(told["failures"])
    if "error" in told:
        raise _unusable(told["error"])
    return Tried(told["digest"], told["document"].encode(), told["contents"])


def _unusable(detail: str) -> ReleaseUnusable:
    return ReleaseUnusable(
        "release_unusable",
        "These rule files cannot be put into force",
        detail=detail,
        help="The release in force stays. Take back the last change of the rules, or split what is very "
        "large, and report what the files hold.",
    )
