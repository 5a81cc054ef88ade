"""Trials of releases without a process for each, for tests of what comes before and after them.

Guarantees: what is answered is what the process answers, read from the same JSON; the same files are tried
once. The process itself is tested where it is the subject (tests/services/test_release_candidates.py) and
wherever a service runs as a program. A test that puts another command in the process's place gets that.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import lru_cache

from controls.rules.release import Release, release_from_document
from controls.services import trial
from controls.services.trial_process import answer

_IN_A_PROCESS = trial._try
_COMMAND = trial.COMMAND


async def tried_here(asked: Mapping[str, object], seconds: float) -> trial.Tried:
    """In place of `trial._try`."""
    if trial.COMMAND is not _COMMAND:
        return await _IN_A_PROCESS(asked, seconds)
    return trial._read(json.loads(await asyncio.to_thread(_answer, json.dumps(asked))))


@lru_cache(maxsize=64)
def _answer(asked: str) -> str:
    return json.dumps(answer(json.loads(asked)))


@lru_cache(maxsize=64)
def read_release(document: bytes) -> Release:
    """In place of `release_from_document`; a release never changes."""
    return release_from_document(document)
