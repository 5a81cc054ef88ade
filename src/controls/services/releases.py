"""From rule files to a release that may be activated.

Guarantees: a release that is handed on compiled without a diagnostic, no static check found an error in it,
every example beside its rules gave what it promises on both engines, every example beside its constraints did
too, and so did every step of its scenarios.
The functions block, and where there are scenarios they run an event loop of their own: from async code call
them in a thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controls.model.errors import RuleFilesInvalid
from controls.rules.analysis import Analysis, analyse
from controls.rules.branch_coverage import Coverage
from controls.rules.engine import build_engine
from controls.rules.examples import ExampleResult, run_examples
from controls.rules.release import Release, compile_files, release_from_document
from controls.services.duty_examples import run_duty_examples
from controls.services.trial import ExamplesFailed

if TYPE_CHECKING:
    from controls.services.scenarios import ScenarioResult


@dataclass(frozen=True, slots=True)
class CheckedRelease:
    """A release with what static checks warn of, its examples and scenarios, and what these covered."""

    release: Release
    analysis: Analysis
    examples: tuple[ExampleResult, ...]
    scenarios: tuple[ScenarioResult, ...]
    coverage: Coverage

    @property
    def failed(self) -> tuple[ExampleResult, ...]:
        return tuple(item for item in self.examples if not item.passed)

    @property
    def failed_scenarios(self) -> tuple[ScenarioResult, ...]:
        return tuple(item for item in self.scenarios if not item.passed)

    @property
    def failures(self) -> tuple[str, ...]:
        """Everything that failed, each in a line that begins with its place."""
        return (
            *(example_failure(item) for item in self.failed),
            *(item.failure for item in self.failed_scenarios),
        )


def check_release(files: Mapping[str, str]) -> CheckedRelease:
    """Compile and check the files, run every example (those of rules on durable-rules and on the reference
    engine), play the scenarios.

    Raises:
        RuleFilesInvalid: with every diagnostic; what the static checks only warn of is in the result.
    """
    compiled = compile_files(files)
    analysis = analyse(compiled)
    if analysis.errors:
        raise RuleFilesInvalid(analysis.diagnostics)
    return _checked(compiled.release, analysis)


def _checked(release: Release, analysis: Analysis) -> CheckedRelease:
    coverage = Coverage(release)
    engines = [build_engine(name, release.rules) for name in ("durable", "reference")]
    try:
        examples = run_examples(release, engines)
    finally:
        for engine in engines:
            engine.close()
    coverage.examples()
    examples += run_duty_examples(release, coverage=coverage)
    return CheckedRelease(release, analysis, examples, _scenarios(release, coverage), coverage)


def _scenarios(release: Release, coverage: Coverage) -> tuple[ScenarioResult, ...]:
    """The scenarios, played. Where there are none, the store is not even imported: it takes a trial longer to
    import that than to try a small release."""
    if not release.scenarios:
        return ()
    from controls.services.scenarios import play_scenarios

    return play_scenarios(release, coverage=coverage)


def activatable(files: Mapping[str, str]) -> Release:
    """The release, if all its examples and scenarios pass.

    Raises:
        RuleFilesInvalid: it does not compile.
        ExamplesFailed: examples or scenarios failed.
    """
    return _passed(check_release(files))


def activatable_document(document: bytes) -> Release:
    """The same for a release in its stored form. It was checked before it was stored, and no scenarios stand
    beside it."""
    return _passed(_checked(release_from_document(document), Analysis(())))


def _passed(checked: CheckedRelease) -> Release:
    if checked.failures:
        raise ExamplesFailed(checked.failures)
    return checked.release


def example_failure(item: ExampleResult) -> str:
    """One failed example in a line: where, what was expected, what came out."""
    return (
        f"{item.file}:{item.line}: {item.rule}: example {item.example!r} on {item.engine}: "
        f"expected {item.expected}, got {item.got} ({item.detail})"
    )
