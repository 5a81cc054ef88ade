"""Fixtures of the tests under pressure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import structlog


@pytest.fixture(autouse=True)
def _releases(releases_read_once: None) -> None:
    """Most tests here start services on the same rules."""


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    """What the services of this process log; not rendered, which takes seconds for a traceback."""
    with structlog.testing.capture_logs() as entries:
        yield entries
