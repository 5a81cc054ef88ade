"""From rule files to a release that may be activated.

Guarantees: a release that is handed on compiled without a diagnostic, and every example beside its rules
gave what it promises on both engines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controls.model.errors import InvalidInput
from controls.rules.engine import build_engine
from controls.rules.examples import ExampleResult, run_examples
from controls.rules.release import Release, compile_release, release_from_document


class ExamplesFailed(InvalidInput):
    """Rules that compile, but do not what the examples beside them say; `failures` has a line for each."""

    def __init__(self, failures: Sequence[str]) -> None:
        super().__init__(
            "examples_failed",
            "Examples of the rules failed",
            detail="\n".join(failures),
            help="Mend the rule or its example; a release whose examples fail is not activated.",
        )
        self.failures = tuple(failures)


@dataclass(frozen=True, slots=True)
class CheckedRelease:
    """A release with the results of its examples."""

    release: Release
    examples: tuple[ExampleResult, ...]

    @property
    def failed(self) -> tuple[ExampleResult, ...]:
        return tuple(item for item in self.examples if not item.passed)


def check_release(files: Mapping[str, str]) -> CheckedRelease:
    """Compile the files and run every example on durable-rules and on the reference engine.

    Raises:
        RuleFilesInvalid: with every diagnostic.
    """
    return _checked(compile_release(files))


def _checked(release: Release) -> CheckedRelease:
    engines = [build_engine(name, release.rules) for name in ("durable", "reference")]
    try:
        return CheckedRelease(release, run_examples(release, engines))
    finally:
        for engine in engines:
            engine.close()


def activatable(files: Mapping[str, str]) -> Release:
    """The release, if all its examples pass.

    Raises:
        RuleFilesInvalid: it does not compile.
        ExamplesFailed: examples failed.
    """
    return _passed(check_release(files))


def activatable_document(document: bytes) -> Release:
    """The same for a release in its stored form."""
    return _passed(_checked(release_from_document(document)))


def _passed(checked: CheckedRelease) -> Release:
    if checked.failed:
        raise ExamplesFailed([example_failure(item) for item in checked.failed])
    return checked.release


def example_failure(item: ExampleResult) -> str:
    """One failed example in a line: where, what was expected, what came out."""
    return (
        f"{item.file}:{item.line}: {item.rule}: example {item.example!r} on {item.engine}: "
        f"expected {item.expected}, got {item.got} ({item.detail})"
    )
