"""Message templates: `{order.notional}` becomes the value that made a rule speak.

Guarantees: rendering never fails, is bounded, and prints numbers with their exact digits and nothing that a
terminal or a log could take for its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from controls.model.values import Value, canonical

MAX_RENDERED: Final = 2_000
_MAX_VALUE: Final = 300
_BLANKS: Final = "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
_UNPRINTABLE: Final = "\N{REPLACEMENT CHARACTER}"
_PART: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def placeholders(template: str) -> tuple[tuple[int, str], ...]:
    """The names in braces with their offsets. `{{` and `}}` stand for braces; a lone brace has the name "{"
    or "}", which no fact has.
    """
    found: list[tuple[int, str]] = []
    for part in _PART.finditer(template):
        if part.group() in ("{{", "}}"):
            continue
        found.append((part.start(), part.group(1) if part.group(1) is not None else part.group()))
    return tuple(found)


def render(template: str, values: Mapping[str, Value]) -> str:
    """The template with each `{name}` filled in; `?` for what is not there. At most 2,000 characters."""

    def filled(part: re.Match[str]) -> str:
        if part.group() in ("{{", "}}"):
            return part.group()[0]
        name = part.group(1)
        if name is None:
            return part.group()
        return shown(values[name]) if name in values else "?"

    return _shortened(_PART.sub(filled, template), MAX_RENDERED)


def shown(value: Value) -> str:
    """A value as people read it: lists joined with commas, everything else in its canonical text."""
    if isinstance(value, tuple) and not any(isinstance(item, Mapping | tuple) for item in value):
        text = ", ".join(shown(item) for item in value[:50])
    else:
        plain = canonical(value)
        text = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
    text = _shortened(text, _MAX_VALUE)
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in _BLANKS else _UNPRINTABLE for letter in text)


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
