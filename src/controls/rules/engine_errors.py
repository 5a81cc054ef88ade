"""How engines fail. An evaluator answers for all rules of an action or raises one of these, never for some.

A caller that catches one of these errors must deny: nothing is known about the request.
"""

from __future__ import annotations

from collections.abc import Sequence

from controls.model.errors import ControlsError


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
