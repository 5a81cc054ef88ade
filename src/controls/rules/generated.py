"""The formulas of one action as one Python function, written out from them and compiled once.

Guarantees: the function says what `controls.rules.reference` says of each formula (Kleene's tables), computes
every leaf once at most, and no leaf on which no truth depends: "and" stops at a false part, "or" at a true
one. Its text is made of numbers and of the texts of `controls.rules.inlined`; nothing of a rule file gets
into it.

A truth is two bits inside the function, so that "and" is `&` and "or" is `|`: 0 false, 1 unknown, 3 true. It
gives and takes the truths of everybody else: 0, 1 and 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Final, TypeAlias, cast

from controls.model.condition import Condition, Facts, Truth
from controls.rules.condition import BAD_FACTS, CompiledTest
from controls.rules.engine_errors import EngineFailure
from controls.rules.formula import And, Constant, Formula, Leaf, Not, Or
from controls.rules.reading import Run, Unknown

_NOT_ASKED: Final = 4
_BITS: Final = {Truth.FALSE: 0, Truth.UNKNOWN: 1, Truth.TRUE: 3}
_TRUTHS: Final = bytes.maketrans(b"\3", b"\2")
_KNOWN: Final = bytes.maketrans(b"\3\4", b"\2\1")  # what was not asked is told as unknown

# The truths of the formulas, and those of the leaves, unknown where not computed.
Evaluated: TypeAlias = "tuple[bytes, bytes]"


class GeneratedEvaluator:
    """All formulas of an action over one request at a time."""

    def __init__(self, formulas: Sequence[Formula], *, leaves: Sequence[Leaf]) -> None:
        self._formulas = formulas
        self._leaves = leaves
        self._quick = _function(formulas, leaves, [_quick(leaf) for leaf in leaves], inline=True)

    @cached_property
    def _careful(self) -> Callable[[Facts], Evaluated]:
        runs = [_careful(leaf) for leaf in self._leaves]
        return _function(self._formulas, self._leaves, runs, inline=False)

    def evaluate(self, facts: Facts) -> Evaluated:
        """The truths of the formulas and of the leaves.

        Raises:
            EngineFailure: a leaf is neither false, unknown nor true.
        """
        try:
            return self._quick(facts)
        except BAD_FACTS:
            # Elements of lists are not of the vocabulary's types: each leaf by itself says unknown then.
            return self._careful(facts)


def _function(
    formulas: Sequence[Formula], leaves: Sequence[Leaf], runs: Sequence[Run], *, inline: bool
) -> Callable[[Facts], Evaluated]:
    """The function. `runs` compute the leaves, where they are not written into it."""
    writer = _Writer(leaves, inline=inline)
    lines = [f"        f{number} = {writer.text(formula)}" for number, formula in enumerate(formulas)]
    variables = [f"l{number}" for number in range(len(leaves))]
    found = "".join(f"f{number}, " for number in range(len(formulas)))
    source = "\n".join(
        [
            f"def make(runs, {''.join(f'{name}, ' for name in writer.values)}):",
            *(f"    r{number} = runs[{number}]" for number in range(len(leaves))),
            "    def evaluate(facts):",
            "        stated = facts.values",
            "        get = stated.get",
            "        plain = not facts.gaps and not facts.later",
            "        now = None if facts.later else facts.now",
            *([f"        {' = '.join(variables)} = {_NOT_ASKED}"] if variables else []),
            *lines,
            f"        return bytes(({found})).translate(TRUTHS), "
            f"bytes(({''.join(f'{leaf}, ' for leaf in variables)})).translate(KNOWN)",
            "    return evaluate",
        ]
    )
    names: dict[str, object] = {"TRUTHS": _TRUTHS, "KNOWN": _KNOWN, "unknown": _unknown, "NOT": (3, 1, 0, 0)}
    exec(compile(source, "<rules of one action>", "exec"), names)  # noqa: S102  # nothing of a rule, see above
    # Taken out of its own globals: a retired release must not wait for the collector of cycles.
    make = cast("Callable[..., Callable[[Facts], Evaluated]]", names.pop("make"))
    return make(runs, *writer.values.values())


class _Writer:
    """Formulas as expressions. Each part of a connective is kept in a variable of its own.

    `values` are those that the texts of leaves name.
    """

    def __init__(self, leaves: Sequence[Leaf], *, inline: bool) -> None:
        self._index = {leaf.key: number for number, leaf in enumerate(leaves)}
        self._inline = inline
        self.values: dict[str, object] = {}
        self._parts = 0
        self._written: set[int] = set()

    def text(self, formula: Formula) -> str:
        match formula:
            case Leaf(key=key, condition=condition):
                number = self._index[key]
                asked = f"(l{number} := {self._leaf(number, condition)})"
                if number not in self._written:
                    self._written.add(number)
                    return asked  # nothing that stands before can have asked
                return f"(l{number} if l{number} != {_NOT_ASKED} else {asked})"
            case Constant(truth=truth):
                return str(_BITS[truth])
            case Not(part=part):
                return f"NOT[{self.text(part)}]"
            case And(parts=parts):
                names = self._names(parts)
                if not names:
                    return "3"
                tests = " and ".join(f"({name} := {text})" for name, text in names.items())
                return f"({' & '.join(names)} if {tests} else 0)"
            case Or(parts=parts):
                names = self._names(parts)
                if not names:
                    return "0"
                tests = " or ".join(f"({name} := {text}) == 3" for name, text in names.items())
                return f"(3 if {tests} else {' | '.join(names)})"

    def _leaf(self, number: int, condition: Condition) -> str:
        slow = f"(3 if (v := r{number}(facts, ())) is True else 0 if v is False else unknown(v))"
        inline = condition.inline if self._inline and isinstance(condition, CompiledTest) else None
        if inline is None:
            return slow
        names = [f"v{number}_{at}" for at in range(len(inline.values))]
        self.values.update(zip(names, inline.values, strict=True))
        return inline.text.format(*names, slow=slow)

    def _names(self, parts: Sequence[Formula]) -> dict[str, str]:
        named = {}
        for part in parts:
            self._parts += 1
            name = f"p{self._parts}"
            named[name] = self.text(part)
        return named


def _unknown(found: object) -> int:
    if not isinstance(found, Unknown):
        raise EngineFailure("a condition is neither false, unknown nor true")
    return 1


def _quick(leaf: Leaf) -> Run:
    condition = leaf.condition
    return condition.run if isinstance(condition, CompiledTest) else _careful(leaf)


def _careful(leaf: Leaf) -> Run:
    test = leaf.condition.test

    def run(facts: Facts, _variables: object) -> object:
        truth = test(facts)
        return Unknown() if truth == 1 else False if truth == 0 else True if truth == 2 else truth

    return run
