"""What an engine's evaluators promise: the truth of every rule of one action from the truths of its leaves.

Guarantees: an evaluator answers for all its rules or raises an `EngineFailure`; it never answers for some.
A caller that catches one of these errors must deny: nothing is known about the request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from controls.model.errors import ControlsError


class Evaluator(Protocol):
    """Decides the rules of one action.

    Truths travel as bytes, one per leaf or rule, each 0 (false), 1 (unknown) or 2 (true).
    """

    def truths(self, leaves: bytes) -> bytes:
        """The truth of each rule, in the order of the rules it was built from.

        Raises:
            EngineFailure: no answer can be given.
        """
        ...

    def close(self) -> None:
        """Free what the evaluator holds; afterwards `truths` raises `EngineClosed`."""
        ...


class EngineFailure(ControlsError):
    """An engine could not evaluate the rules of an action: the request must be denied."""

    def __init__(
        self,
        detail: str,
        *,
        code: str = "engine_failure",
        title: str = "The rules could not be evaluated",
        help: str = "The request is denied. Try again; if it happens again, report it with this text.",
    ) -> None:
        super().__init__(code, title, detail=detail, help=help)


class EngineClosed(EngineFailure):
    """The engine was closed, because another release took its place: ask the engine in force."""

    def __init__(self) -> None:
        super().__init__(
            "the engine was closed after another release took its place",
            code="engine_closed",
            help="Evaluate with the engine of the release in force.",
        )


class EngineDisagreement(EngineFailure):
    """Two ways of evaluating the same rules gave different truths; `rules` names those rules."""

    def __init__(self, rules: Sequence[str], *, detail: str) -> None:
        self.rules = tuple(sorted(set(rules)))
        super().__init__(
            f"{detail}: {', '.join(self.rules)}",
            code="engine_disagreement",
            title="Two engines gave different answers",
            help="The request is denied. Report the rules named here with the release and the request.",
        )
