"""Conditions in words, English and Spanish, from their typed trees; see `explain` for whole rules.

Guarantees: every condition of the language has words, in which only names and values are quoted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from babel.dates import format_date
from babel.numbers import get_decimal_symbol, get_group_symbol

from controls.model.values import Money, Value, decimal_text
from controls.rules.tree import (
    CellRead,
    ChainRead,
    Choice,
    Comparison,
    Constant,
    Conversion,
    FactRead,
    FieldRead,
    ListOf,
    ListRead,
    Logic,
    Macro,
    Membership,
    Negation,
    Now,
    Operation,
    Presence,
    Typed,
    VariableRead,
)
from controls.rules.types import BOOL, Kind

LANGUAGES: Final = ("en", "es")

# English and Spanish; {0}, {1}, ... are the parts.
_PHRASES: Final[Mapping[str, tuple[str, str]]] = {
    "==": ("{0} is {1}", "{0} es {1}"),
    "!=": ("{0} is not {1}", "{0} no es {1}"),
    "<": ("{0} is less than {1}", "{0} es menor que {1}"),
    "<=": ("{0} is at most {1}", "{0} es como máximo {1}"),
    ">": ("{0} is more than {1}", "{0} es mayor que {1}"),
    ">=": ("{0} is at least {1}", "{0} es como mínimo {1}"),
    "time <": ("{0} is before {1}", "{0} es anterior a {1}"),
    "time <=": ("{0} is not after {1}", "{0} no es posterior a {1}"),
    "time >": ("{0} is after {1}", "{0} es posterior a {1}"),
    "time >=": ("{0} is not before {1}", "{0} no es anterior a {1}"),
    "same": ("these two agree: {0}; and {1}", "coinciden estas dos: {0}; y {1}"),
    "differ": ("exactly one of these two holds: {0}; or {1}", "se cumple sólo una de estas dos: {0}; o {1}"),
    "yes": ("{0} is yes", "{0} es sí"),
    "no": ("{0} is no", "{0} es no"),
    "given": ("{0} is given", "consta {0}"),
    "not given": ("{0} is not given", "no consta {0}"),
    "in": ("{0} is one of {1}", "{0} es uno de estos: {1}"),
    "not in": ("{0} is none of {1}", "{0} no es ninguno de estos: {1}"),
    "among": ("{0} is among {1}", "{0} figura entre {1}"),
    "not among": ("{0} is not among {1}", "{0} no figura entre {1}"),
    "not": ("it is not so that {0}", "no se cumple que {0}"),
    "performed": ("the step {0} has been performed", "el paso {0} se ha realizado"),
    "not performed": ("the step {0} has not been performed", "el paso {0} no se ha realizado"),
    "claimed": ("the step {0} has been begun or performed", "el paso {0} se ha iniciado o realizado"),
    "not claimed": ("the step {0} has not been begun", "el paso {0} no se ha iniciado"),
    "person": ("the person who took the step {0}", "la persona que dio el paso {0}"),
    "at": ("the moment of the step {0}", "el momento del paso {0}"),
    "steps": ("the steps taken so far", "los pasos dados hasta ahora"),
    "now": ("the moment of the decision", "el momento de la decisión"),
    "+": ("the sum of {0} and {1}", "la suma de {0} y {1}"),
    "-": ("the difference of {0} minus {1}", "la diferencia de {0} menos {1}"),
    "time -": ("the time from {1} to {0}", "el tiempo desde {1} hasta {0}"),
    "time +": ("the time {1} after {0}", "el momento {1} después de {0}"),
    "*": ("the product of {0} and {1}", "el producto de {0} y {1}"),
    "/": ("the quotient of {0} by {1}", "el cociente de {0} entre {1}"),
    "%": ("the remainder of {0} divided by {1}", "el resto de {0} entre {1}"),
    "minus": ("minus {0}", "menos {0}"),
    "abs": ("the size of {0} without its sign", "el valor absoluto de {0}"),
    "round": ("{0} rounded to {1} decimals", "{0} redondeado a {1} decimales"),
    "sum": ("the total of {0}", "el total de {0}"),
    "size": ("the number of elements of {0}", "el número de elementos de {0}"),
    "length": ("the number of characters of {0}", "el número de caracteres de {0}"),
    "min": ("the least of {0}", "el menor de {0}"),
    "max": ("the greatest of {0}", "el mayor de {0}"),
    "distinct": ("the different elements of {0}", "los elementos distintos de {0}"),
    "currency": ("the currency of {0}", "la divisa de {0}"),
    "amount": ("the amount of {0} without its currency", "el importe de {0} sin su divisa"),
    "startsWith": ("{0} begins with {1}", "{0} empieza por {1}"),
    "endsWith": ("{0} ends with {1}", "{0} termina en {1}"),
    "contains": ("{0} contains {1}", "{0} contiene {1}"),
    "matches": ("{0} matches the pattern {1}", "{0} se ajusta al patrón {1}"),
    "choice": ("({1} if {0}; otherwise {2})", "({1} si {0}; si no, {2})"),
    "exists": ("for at least one element of {0}, {1}", "para al menos un elemento de {0}, {1}"),
    "not exists": ("for no element of {0}, {1}", "para ningún elemento de {0} se da que {1}"),
    "all": ("for every element of {0}, {1}", "para cada elemento de {0}, {1}"),
    "exists_one": ("for exactly one element of {0}, {1}", "para un solo elemento de {0}, {1}"),
    "filter": ("those elements of {0} for which {1}", "los elementos de {0} para los que {1}"),
    "map": ("{1}, over all elements of {0}", "{1}, en todos los elementos de {0}"),
    "element 1": ("the element", "el elemento"),
    "element 2": ("the second element", "el segundo elemento"),
    "field 1": ("its {0}", "su {0}"),
    "field 2": ("the second element's {0}", "{0} del segundo elemento"),
    "field": ("{0} of {1}", "{0} de {1}"),
    "list": ("the list {0}", "la lista {0}"),
    "cell": ("{0} in the table {1} for {2}", "{0} en la tabla {1} para {2}"),
    "convert": (
        "{0} (converted into {1} at the rate of {2} in the table of rates {3})",
        "{0} (convertido a {1} al cambio de {2} según la tabla de cambios {3})",
    ),
    "business_days": (
        "the business days from {0} to {1} in the calendar {2}",
        "los días hábiles desde {0} hasta {1} en el calendario {2}",
    ),
    "add_business_days": (
        "the day {1} business days after {0} in the calendar {2}",
        "el día {1} días hábiles después de {0} en el calendario {2}",
    ),
    "is_business_day": (
        "{0} is a business day in the calendar {1}",
        "{0} es día hábil en el calendario {1}",
    ),
    "date_of": ("the day of {0} in {1}", "el día de {0} en {1}"),
    "today": ("today in {0}", "hoy en {0}"),
    "time_of_day": ("the time of day of {0} in {1}", "la hora del día de {0} en {1}"),
    "and": ("{0} and {1}", "{0} y {1}"),
    "or": ("{0} or {1}", "{0} o {1}"),
    "true": ("yes", "sí"),
    "false": ("no", "no"),
    "parameter": ("{0} (the parameter {1})", "{0} (el parámetro {1})"),
    "every": ("all of these hold:", "se cumple todo esto:"),
    "any": ("at least one of these holds:", "se cumple al menos una de estas condiciones:"),
    "not every": ("not all of these hold:", "no se cumple todo esto a la vez:"),
    "not any": ("none of these holds:", "no se cumple ninguna de estas condiciones:"),
    "days": ("{0} days", "{0} días"),
    "hours": ("{0} hours", "{0} horas"),
    "minutes": ("{0} minutes", "{0} minutos"),
    "seconds": ("{0} seconds", "{0} segundos"),
}  # fmt: skip
_LOCALES: Final = {"en": "en_GB", "es": "es_ES"}  # days before months
_UNGROUPED: Final = {"en": 3, "es": 4}  # digits; the Academy writes 1095 and 10.950
_OPPOSITES: Final = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_TIMES: Final = frozenset({Kind.DATE, Kind.TIMESTAMP})
_CONTRACTIONS: Final = re.compile(r"\b(de|a) el\b(?![^«»]*»)")
_UNITS: Final = (
    ("days", timedelta(days=1)), ("hours", timedelta(hours=1)), ("minutes", timedelta(minutes=1)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wording:
    """Words in one language. `label` and `step` give what people call a fact and a step."""

    language: str
    label: Callable[[str], str]
    step: Callable[[str], str]

    def phrase(self, key: str, *parts: str) -> str:
        """The phrase of that name with its parts."""
        text = _PHRASES[key][LANGUAGES.index(self.language)]
        return text.format(*parts)

    def contracted(self, sentence: str) -> str:
        """The sentence as it is spoken: Spanish joins `de el` and `a el` outside of names."""
        return _CONTRACTIONS.sub(r"\1l", sentence) if self.language == "es" else sentence

    def quoted(self, text: str) -> str:
        """In the language's own quotation marks."""
        return f"«{text}»" if self.language == "es" else f"“{text}”"

    def listed(self, parts: tuple[str, ...], word: str) -> str:
        """`a, b and c`."""
        if len(parts) < 2:
            return "".join(parts)
        return self.phrase(word, ", ".join(parts[:-1]), parts[-1])

    # Conditions

    def lines(self, node: Typed, *, opposite: bool = False) -> list[str]:
        """A condition as lines: the first one a sentence's end, deeper ones as an indented list."""
        if isinstance(node, Negation):
            return self.lines(node.part, opposite=not opposite)
        if not isinstance(node, Logic):
            return [self.condition(node, opposite=opposite)]
        found = [self.phrase(("not " if opposite else "") + ("every" if node.every else "any"))]
        for part in node.parts:
            first, *rest = self.lines(part)
            found += [f"- {first}", *(f"  {line}" for line in rest)]
        return found

    def condition(self, node: Typed, *, opposite: bool = False) -> str:
        """A condition within a sentence."""
        no = "not " if opposite else ""
        match node:
            case Negation(part=part):
                return self.condition(part, opposite=not opposite)
            case Logic(every=every, parts=parts):
                # Denied, it is the other word between the denied parts.
                word = "and" if every is not opposite else "or"
                inner = tuple(self._bracketed(part, opposite=opposite) for part in parts)
                return self.listed(inner, word)
            case Comparison():
                return self._comparison(node, opposite=opposite)
            case Presence(part=part):
                return self.phrase(f"{no}given", self.value(part))
            case Membership(item=item, source=source):
                word = "in" if isinstance(source, Constant | ListOf) else "among"
                return self.phrase(f"{no}{word}", self.value(item), self.value(source))
            case ChainRead(function="performed" | "claimed" as function, step=step):
                return self.phrase(f"{no}{function}", self.quoted(self.step(step)))
            case Macro(name="exists", source=source, body=body) if opposite:
                return self.phrase("not exists", self.value(source), self.condition(body))
            case FactRead() | FieldRead() | VariableRead():
                return self.phrase("no" if opposite else "yes", self.value(node))
            case _:
                text = self.value(node)
                return self.phrase("not", text) if opposite else text

    def _bracketed(self, node: Typed, *, opposite: bool) -> str:
        text = self.condition(node, opposite=opposite)
        return f"({text})" if isinstance(node, Logic) else text

    def _comparison(self, node: Comparison, *, opposite: bool) -> str:
        operator = _OPPOSITES[node.operator] if opposite else node.operator
        if node.left.type == BOOL:
            if isinstance(node.right, Constant):
                return self.condition(node.left, opposite=(operator == "==") is not node.right.value)
            parts = (self.condition(node.left), self.condition(node.right))
            return self.phrase("same" if operator == "==" else "differ", *parts)
        time = node.left.type.kind in _TIMES and operator not in ("==", "!=")
        return self.phrase(
            f"time {operator}" if time else operator, self.value(node.left), self.value(node.right)
        )

    # Values

    def value(self, node: Typed) -> str:
        """A value within a sentence."""
        match node:
            case Constant(value=value, parameters=parameters):
                text = self.constant(value)
                for name in sorted(parameters):
                    text = self.phrase("parameter", text, self.quoted(name))
                return text
            case FactRead(name=name):
                return self.quoted(self.label(name))
            case FieldRead(base=VariableRead(level=level), field=field):
                return self.phrase(f"field {min(level, 1) + 1}", self.quoted(field.replace("_", " ")))
            case FieldRead(base=base, field=field):
                return self.phrase("field", self.quoted(field.replace("_", " ")), self.value(base))
            case ListRead(data=data):
                return self.phrase("list", self.quoted(data.name))
            case CellRead(table=table, keys=keys, column=column):
                key = self.listed(tuple(self.value(part) for part in keys), "and")
                return self.phrase("cell", self.quoted(column.replace("_", " ")), self.quoted(table), key)
            case Conversion(money=money, currency=currency, day=day, rates=rates):
                parts = (self.value(money), self.value(currency), self.value(day))
                return self.phrase("convert", *parts, self.quoted(rates.name))
            case VariableRead(level=level):
                return self.phrase(f"element {min(level, 1) + 1}")
            case ChainRead(function=function, step=step) if node.type != BOOL:
                return self.phrase(function, self.quoted(self.step(step)))
            case Now():
                return self.phrase("now")
            case Operation(name="date_of", arguments=(Now(), zone)):
                return self.phrase("today", self.value(zone))
            case Operation(name=name, arguments=arguments):
                return self._operation(name, arguments)
            case Choice(test=test, yes=yes, no=no):
                return self.phrase("choice", self.condition(test), self._either(yes), self._either(no))
            case ListOf(items=items):
                return self.listed(tuple(self.value(item) for item in items), "or")
            case Macro(name=name, source=source, body=body):
                return self.phrase(name, self.value(source), self._either(body))
            case _:
                return self.condition(node)

    def _either(self, node: Typed) -> str:
        constant = isinstance(node, Constant)
        return self.condition(node) if node.type == BOOL and not constant else self.value(node)

    def _operation(self, name: str, arguments: tuple[Typed, ...]) -> str:
        kinds = [argument.type.kind for argument in arguments]
        key = name
        if name == "-" and len(arguments) == 1:
            key = "minus"
        elif name == "-" and kinds[0] in _TIMES and kinds[1] in _TIMES:
            key = "time -"
        elif name == "+" and kinds[0] in _TIMES:
            key = "time +"
        elif name == "size" and kinds[0] is Kind.STRING:
            key = "length"
        parts = tuple(self.value(argument) for argument in arguments)
        return (
            self.phrase(key, self.listed(parts, "and"))
            if name in ("min", "max")
            else self.phrase(key, *parts)
        )

    def constant(self, value: Value) -> str:
        """A value with the separators of the language; texts in quotes."""
        if isinstance(value, bool):
            return self.phrase("true" if value else "false")
        if isinstance(value, int | Decimal):
            return self._number(decimal_text(Decimal(value)))
        if isinstance(value, Money):
            return f"{self.constant(value.amount)} {value.currency}"
        if isinstance(value, str):
            return self.quoted(value)
        if isinstance(value, datetime):
            return (
                f"{format_date(value.date(), 'long', locale=_LOCALES[self.language])}, {value:%H:%M:%S} UTC"
            )
        if isinstance(value, date):
            return str(format_date(value, "long", locale=_LOCALES[self.language]))
        if isinstance(value, timedelta):
            return self._span(value)
        if isinstance(value, tuple):
            return self.listed(tuple(self.constant(item) for item in value), "or")
        raise TypeError("a record is no constant")

    def _number(self, text: str) -> str:
        """Every digit of a number (Babel's own formatting rounds), with the language's separators."""
        locale = _LOCALES[self.language]
        whole, _, fraction = text.partition(".")
        if len(whole) > _UNGROUPED[self.language]:
            whole = f"{int(whole):,}".replace(",", get_group_symbol(locale))
        return whole + (get_decimal_symbol(locale) + fraction if fraction else "")

    def _span(self, value: timedelta) -> str:
        for unit, length in _UNITS:
            if value and not value % length:
                return self.phrase(unit, self.constant(value // length))
        return self.phrase("seconds", self.constant(Decimal(value // timedelta(microseconds=1)).scaleb(-6)))
