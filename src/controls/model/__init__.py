"""Frozen values that every layer shares. Guarantees: no I/O, no clock, no randomness, no third party."""
