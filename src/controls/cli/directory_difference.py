"""What a change of the directory does, in words: `+` begins, `-` ends, `~` changes."""

from __future__ import annotations

from typing import Any

from controls.cli.output import ERR, OUT
from controls.model.people import Attribute

_ATTRIBUTES = frozenset(attribute.value for attribute in Attribute)


def print_differences(told: dict[str, Any]) -> None:
    """Print `effect` and `differences` as a change is told with them."""
    for one in told["differences"]:
        named = f"{one['person']} ({one['name']})" if one["name"] else one["person"]
        OUT.print(f"{named}: {'new' if one['change'] == 'added' else 'changed'}", markup=False)
        if "name_before" in one:
            OUT.print(f"  ~ name, was {one['name_before']}", markup=False)
        for sign, words in _lines(one):
            OUT.print(f"  {sign} {words}", markup=False)
    ERR.print(f"{told['effect']}.", markup=False)


def _lines(one: dict[str, Any]) -> list[tuple[str, str]]:
    """The records of a person; an attribute that another value replaces is one line."""
    before, after = _values(one["ended"]), _values(one["added"])
    replaced = sorted(before.keys() & after.keys())

    def lines(sign: str, records: list[dict[str, Any]]) -> list[tuple[str, str]]:
        return [(sign, _words(item)) for item in records if item.keys().isdisjoint(replaced)]

    changes = [("~", f"{name} {before[name]} -> {after[name]}") for name in replaced]
    return [*lines("+", one["added"]), *lines("~", one["changed"]), *changes, *lines("-", one["ended"])]


def _values(records: list[dict[str, Any]]) -> dict[str, str]:
    return {name: item[name] for item in records for name in _ATTRIBUTES.intersection(item)}


def _words(record: dict[str, Any]) -> str:
    """A record without its begin, which mostly is the moment of the change."""
    until = "" if record["to"] is None else f" until {record['to']}"
    if "account" in record:
        return f"account {record['account']}{' (bot)' if record['kind'] == 'bot' else ''}{until}"
    if "absence" in record:
        return f"away from {record['from']}{until}"
    name = next(name for name in ("role", *sorted(_ATTRIBUTES)) if name in record)
    return f"{name} {record[name]}{until}"
