"""Fixtures of the tests of services."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _trials(trials_here: None) -> None:
    """A process for each trial would be most of what a change of release costs here."""
