"""What libyaml does not take, with its place and in words that say what to do."""

from __future__ import annotations

from typing import Final, Protocol

from controls.rules.diagnostics import Place

DIRECTIVE: Final = ("directive", "remove the `%` line: files are YAML 1.2 without tags")
KEY_MISSING: Final = ("bad_key", "a key is missing before this colon")
IN_QUOTES: Final = "stands in quotes, or after `>` on a line of its own"
_NO_START: Final = "found character that cannot start any token"
_NO_COLON: Final = "could not find expected ':'"
# What libyaml says of the commonest mistakes, and what to do about them.
_IN_PLAIN_WORDS: Final = {
    _NO_COLON: "a colon is missing behind this key, or quotes around this text",
    "did not find expected '-' indicator": "a list goes on with `-` here: indent this like the items above",
    "did not find expected <document start>": "what stands before is complete: indent this, or quote it",
    "did not find expected key": "a key is expected here: indent it like those above, or quote this text",
    "mapping values are not allowed in this context": "no key may stand before this: indent or quote it",
    "did not find expected ',' or '}'": "a comma or } is missing before this, or quotes around the text",
    "did not find expected ',' or ']'": "a comma or ] is missing before this, or quotes around the text",
    "did not find expected node content": "a value is missing here, or the } or ] that closes what was begun",
    "found unexpected end of stream": "what begins here has no end: close the quotes",
    "found unknown escape character": "write \\\\ for a backslash, or single quotes around this text",
}
_AFTER_COLON: Final = ("", *" \t\n")


class Mark(Protocol):
    """A place in the text; all three count characters from 0."""

    index: int
    line: int
    column: int


class Error(Protocol):
    """What is known of an error: what was begun, and what went wrong then."""

    context: str | None
    context_mark: Mark | None
    problem: str | None
    problem_mark: Mark | None


def explained(file: str, text: str, error: Error) -> tuple[Place, str, str]:
    """Place, code and message for what libyaml does not take."""
    problem, context, opened = str(error.problem), error.context, error.context_mark
    mark = error.problem_mark or opened
    if mark is None:
        return Place(file, 1, 1), "bad_yaml", f"this is not YAML: {problem}"
    found = text[mark.index : mark.index + 1]
    if opened is not None and (not found or problem == _NO_COLON):
        mark = opened  # what was begun says more than where the file ends, or goes on
    place = Place(file, mark.line + 1, mark.column + 1)
    if text.startswith("%", mark.index - mark.column):
        return Place(file, mark.line + 1, 1), *DIRECTIVE
    if "invalid Unicode character" in problem:
        return place, "bad_character", "this escape names no character: remove it"
    if found == ":":
        if text[mark.index + 1 : mark.index + 2] not in _AFTER_COLON:
            # Readers of YAML differ on what `{a:}`, `[:a]` and `"a":b` mean, so that none of them will do.
            return place, "bad_yaml", "write a blank after this colon, or quotes around the text"
        if problem in ("did not find expected key", "did not find expected node content"):
            return place, *KEY_MISSING
    if context is not None and opened is not None and context.endswith(("an anchor", "an alias", "a tag")):
        opening = text[opened.index]
        message = f"text that begins with {opening} {IN_QUOTES}"
        return Place(file, opened.line + 1, opened.column + 1), "bad_yaml", message
    if problem == _NO_START and found != "\t":
        return place, "bad_yaml", f"text that begins with {found} {IN_QUOTES}"
    if problem in _IN_PLAIN_WORDS and found != "\t":
        return place, "bad_yaml", _IN_PLAIN_WORDS[problem]
    if found == "\t" or "tab character" in problem:
        return place, "bad_yaml", "indent with spaces: YAML knows no tabs here"
    return place, "bad_yaml", f"this is not YAML: {problem}" + (f" ({context})" if context else "")
