"""The one root of all errors a user can meet. HTTP status is decided in `api`, exit codes in `cli`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with an input: where (RFC 6901 pointer, or file:line:column of a rule file), a stable
    code, and what to do."""

    pointer: str
    code: str
    message: str


class Level(StrEnum):
    """How grave a diagnostic is: an error refuses the rule files, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Diagnostic:
    """One thing wrong with a rule file; printed as `file:line:column: code: message` (1-based)."""

    file: str
    line: int
    column: int
    code: str
    message: str
    level: Level = Level.ERROR

    def __str__(self) -> str:
        mark = "" if self.level is Level.ERROR else f"{self.level.value}: "
        return f"{self.file}:{self.line}:{self.column}: {mark}{self.code}: {self.message}"


class ControlsError(Exception):
    """Root of every error with a stable `code`, a `title`, a `detail` and, in `help`, what to do next."""

    def __init__(
        self,
        code: str,
        title: str,
        *,
        detail: str = "",
        help: str = "",
        errors: tuple[FieldError, ...] = (),
    ) -> None:
        super().__init__(detail or title)
        self.code = code
        self.title = title
        self.detail = detail or title
        self.help = help
        self.errors = errors


class InvalidInput(ControlsError):
    """The request cannot be read; no decision exists."""


class Unauthenticated(ControlsError):
    """The caller did not show a valid credential."""


class Forbidden(ControlsError):
    """The caller's credential does not cover this."""


class NotFound(ControlsError):
    """The named thing does not exist in this tenant."""


class Conflict(ControlsError):
    """The request is well formed but what it asks for is refused in the present state."""


class Unavailable(ControlsError):
    """No answer could be recorded, so none is given; the caller may retry with the same key."""


class RuleFilesInvalid(ControlsError):
    """The rule files do not make a release; `diagnostics` holds everything that is wrong with them."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__(
            "rule_files_invalid",
            "The rule files are not valid",
            detail="\n".join(str(item) for item in diagnostics),
            help="Mend the listed places and load again; the last good release stays active.",
            errors=tuple(
                FieldError(f"{item.file}:{item.line}:{item.column}", item.code, item.message)
                for item in diagnostics
            ),
        )
        self.diagnostics = diagnostics


class VerificationFailed(ControlsError):
    """The ledger or its surroundings do not prove what they must."""
