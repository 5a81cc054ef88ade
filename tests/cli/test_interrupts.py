"""Signals come as one exception, and not in the middle of what must not be torn apart."""

from __future__ import annotations

import signal

import pytest

from controls.cli.interrupts import Interrupts

BOTH = (signal.SIGTERM, signal.SIGINT)


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_is_an_interrupt_in_the_block_and_what_it_was_after_it(number: signal.Signals) -> None:
    """Also where a shell has it ignored."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with pytest.raises(KeyboardInterrupt), Interrupts().raised():
            signal.raise_signal(number)
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_that_is_held_back_comes_at_the_end(number: signal.Signals) -> None:
    """What was begun is finished first, and the interrupt is not lost."""
    interrupts = Interrupts()
    finished = []

    def spawn() -> None:
        with interrupts.held_back():
            signal.raise_signal(number)
            finished.append(number)

    with interrupts.raised():
        with pytest.raises(KeyboardInterrupt):
            spawn()
        with interrupts.held_back():
            pass  # it came once
    assert finished == [number]
