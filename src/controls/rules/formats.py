"""Forms of identifiers that a text fact or a column of a list may have: `format: isin` in the vocabulary.

Guarantees: a text has a form or is refused, never mended, so that two spellings of one identifier never pass
for two: capitals and digits of ASCII only, the very length, and the check digits of the standard where it has
any, which find every single mistyped character. Checks are pure and take bounded time and memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from controls.model.finding import Text

_REMEMBERED: Final = 8_192  # identifiers that recur: a check takes ten times as long as a look


@dataclass(frozen=True, slots=True)
class Format:
    """One form of identifiers. `sample(n)` is the nth of many texts that have it, each another."""

    length: int
    has: Callable[[str], bool]
    sample: Callable[[int], str]
    wrong: Text


def _format(
    pattern: str, length: int, *, sample: Callable[[int], str], en: str, es: str,
    checked: Callable[[str], bool] = lambda text: True,
) -> Format:  # fmt: skip
    form = re.compile(pattern + r"\Z")

    @lru_cache(maxsize=_REMEMBERED)
    def has(text: str) -> bool:
        return form.match(text) is not None and checked(text)

    return Format(length, has, sample, Text(en=f"send {en}", es=f"envíe {es}"))


def _digits(text: str) -> str:
    """Letters count from A = 10 to Z = 35."""
    return "".join(str(int(letter, 36)) for letter in text)


def _luhn(text: str) -> int:
    """ISO 6166: every second digit from the right counts double, the last one not."""
    digits = [int(digit) for digit in reversed(_digits(text))]
    return sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])


def _isin(number: int) -> str:
    stem = f"XS{number:09d}"
    return f"{stem}{-_luhn(stem + '0') % 10}"


def _lei(number: int) -> str:
    stem = f"{number:018d}"
    return f"{stem}{98 - int(_digits(stem + '00')) % 97:02d}"


def _currency(number: int) -> str:
    return "".join(chr(ord("A") + number // power % 26) for power in (676, 26, 1))


FORMATS: Final[Mapping[str, Format]] = {
    "isin": _format(
        "[A-Z]{2}[A-Z0-9]{9}[0-9]",
        12,
        checked=lambda text: _luhn(text) % 10 == 0,
        sample=_isin,
        en="an ISIN (ISO 6166): 12 capitals and digits with the right check digit, such as ES0113900J37",
        es="un ISIN (ISO 6166): 12 mayúsculas y cifras con su dígito de control, por ejemplo ES0113900J37",
    ),
    "lei": _format(
        "[A-Z0-9]{18}[0-9]{2}",
        20,
        checked=lambda text: int(_digits(text)) % 97 == 1,
        sample=_lei,
        en="an LEI (ISO 17442), 20 capitals and digits with the right check digits: 959800R2X69K6Y6MX775",
        es="un LEI (ISO 17442), 20 mayúsculas y cifras con sus dígitos de control: 959800R2X69K6Y6MX775",
    ),
    "currency": _format(
        "[A-Z]{3}",
        3,
        sample=_currency,
        en="a currency (ISO 4217): three capitals, such as EUR",
        es="una divisa (ISO 4217): tres mayúsculas, por ejemplo EUR",
    ),
    "mic": _format(
        "[A-Z0-9]{4}",
        4,
        sample=lambda number: f"{number:04d}",
        en="a market (MIC, ISO 10383): four capitals and digits, such as XMAD",
        es="un mercado (MIC, ISO 10383): cuatro mayúsculas y cifras, por ejemplo XMAD",
    ),
}
