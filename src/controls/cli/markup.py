"""HTML from plain values: whatever is not made here is escaped.

Guarantees: text and attribute values cannot end the element that they stand in, whatever they hold.
"""

from __future__ import annotations

from html import escape
from typing import Final

_VOID: Final = frozenset({"meta"})


class Markup(str):
    """HTML that `element` made; any other string is text."""

    __slots__ = ()


def element(name: str, /, *children: str | int, **attributes: str | int) -> Markup:
    """`<name ...>children</name>`. `cls` stands for `class`, and `_` in an attribute's name for `-`."""
    said = "".join(
        f' {"class" if key == "cls" else key.replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value != ""
    )
    if name in _VOID:
        return Markup(f"<{name}{said}>")
    return Markup(f"<{name}{said}>{joined(*children)}</{name}>")


def joined(*children: str | int) -> Markup:
    """Several pieces after one another."""
    return Markup("".join(child if isinstance(child, Markup) else escape(str(child)) for child in children))
