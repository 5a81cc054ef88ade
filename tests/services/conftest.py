"""Fixtures of the tests of services."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.services.seats import Seat, seated


@pytest.fixture(autouse=True)
def _trials(trials_here: None) -> None:
    """A process for each trial would be most of what a change of release costs here."""


@pytest.fixture
async def seat(tmp_path: Path, migrated_database_url: str) -> AsyncIterator[Seat]:
    """A service on the tests' desk, on each database."""
    async with seated(tmp_path, migrated_database_url) as made:
        yield made
