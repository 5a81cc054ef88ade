"""Texts in conditions that a fact can never be: misspelt words, identifiers of another form.

Guarantees: pure; what is found is proved by the vocabulary and the roles alone, whatever the sign between the
fact and the text, so that `!=` and `in` hide no typing error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from controls.rules.diagnostics import closest, listed, quoted
from controls.rules.domains import Domain
from controls.rules.tree import Choice, Comparison, Constant, FactRead, ListOf, Membership, Typed, walk

MAX_LISTED = 12  # values of a fact that one message names


def impossible_texts(
    tree: Typed, *, domains: Mapping[str, Domain], roles: Collection[str]
) -> Iterator[tuple[Constant, str]]:
    """Each text that is held against a fact which is never that text, with what to say about it."""
    for node in walk(tree):
        match node:
            case Comparison(operator="==" | "!=", left=one, right=other):
                pairs = ((one, other), (other, one))
            case Membership(item=one, source=other):
                pairs = ((one, other), (other, one))
            case _:
                continue
        for fact, against in pairs:
            if isinstance(fact, FactRead):
                yield from _wrong(fact.name, against, domains=domains, roles=roles)


def _wrong(
    name: str, against: Typed, *, domains: Mapping[str, Domain], roles: Collection[str]
) -> Iterator[tuple[Constant, str]]:
    domain = domains.get(name)
    known = tuple(sorted(roles)) if name == "person.roles" else domain.values if domain else ()
    for constant, text in _texts(against):
        if known and text not in known:
            more = ", ..." if len(known) > MAX_LISTED else ""
            reason = f"it is one of {listed(known[:MAX_LISTED])}{more}{closest(text, known)}"
        elif not known and domain is not None and domain.format and not domain.takes(text):
            reason = f"that is no {domain.format}"
        else:
            continue
        source = f" (parameter {listed(sorted(constant.parameters))})" if constant.parameters else ""
        yield constant, f"`{name}` is never {quoted(text)}{source}: {reason}"


def _texts(node: Typed) -> Iterator[tuple[Constant, str]]:
    """The texts that are written in `node`, in its parameters included."""
    match node:
        case Constant(value=str() as text):
            yield node, text
        case Constant(value=tuple() as items):
            yield from ((node, item) for item in items if isinstance(item, str))
        case ListOf(items=parts):
            for part in parts:
                yield from _texts(part)
        case Choice(yes=yes, no=no):
            yield from _texts(yes)
            yield from _texts(no)
