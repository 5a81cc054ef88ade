"""Ctrl-C and SIGTERM as one exception, which does not come where it would leave something running."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """SIGTERM as Ctrl-C, also where a shell has it ignored: nothing is left running, and no folder behind."""

    def __init__(self) -> None:
        self._holding = False
        self._came = False

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        self._came = True
        if not self._holding:
            raise KeyboardInterrupt

    @contextmanager
    def raised(self) -> Iterator[None]:
        """As KeyboardInterrupt in the block, whatever happened to these signals before."""
        before = {
            number: signal.signal(number, self._interrupt) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Only at the end of the block."""
        self._holding, self._came = True, False
        try:
            yield
        finally:
            self._holding = False
        if self._came:
            raise KeyboardInterrupt
