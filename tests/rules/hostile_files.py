"""Rule files made to exhaust whoever reads them, and a program that reads them with little memory.

Run as a module it prints, as JSON, what the loader said to each case and the seconds of processor time that
it took. Past its memory it ends with a traceback.
"""

from __future__ import annotations

import json
import os
import random
import re
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from controls.model.chain import ChainHistory
from controls.model.condition import Facts
from controls.model.errors import RuleFilesInvalid
from controls.rules.condition import ConditionInvalid, Names, compile_condition
from controls.rules.files import decode_files
from controls.rules.release import compile_files
from controls.rules.types import BOOL, STRING, list_of
from tests.rules.rule_sets import desk_files
from tests.rules.strategies import NOW

SPARE: Final = 512 << 20  # bytes of address space beyond what the program has when it begins
MOST_DIAGNOSTICS: Final = 1_001
LONGEST_DIAGNOSTIC: Final = 1_000  # characters
MIB: Final = 1 << 20
LONG: Final = os.environ.get("CONTROLS_FUZZ") == "1"
# What is within the limits is read to its end, which takes its time: only the long run does so at full size.
FULL: Final = 8 if LONG else 1

YAML, CSV, RATES = "duties/more.yaml", "tables/more.csv", "rates/more.csv"
HEADER = "k:string key,v:int\n"
RATES_HEADER = "base:string key,quote:string key,from:date key,until:date,rate:decimal\n"

Files = Callable[[], Mapping[str, bytes]]


def _text(path: str, text: Callable[[], str]) -> Files:
    return lambda: {path: text().encode("utf-8", "surrogatepass")}


def _random_text(seed: int, letters: str, length: int) -> str:
    return "".join(random.Random(seed).choices(letters, k=length))


def _laughs() -> str:
    lines = [f"b{n}: &b{n} [{','.join([f'*b{n - 1}'] * 10)}]" for n in range(1, 30)]
    return "\n".join(["b0: &b0 [x]", *lines])


# Case -> the files, and a code that is among the diagnostics; empty: any will do.
FILES: Mapping[str, tuple[Files, str]] = {
    # Random bytes and letters
    "random bytes": (lambda: {YAML: random.Random(1).randbytes(MIB)}, "not_utf8"),
    "random bytes in a CSV": (lambda: {CSV: random.Random(2).randbytes(8 * MIB)}, "not_utf8"),
    "any characters": (
        _text(YAML, lambda: "".join(chr(n) for n in random.Random(3).choices(range(0xD7FF), k=MIB // 4))),
        "bad_character",
    ),
    "printable letters": (
        _text(YAML, lambda: _random_text(4, "".join(map(chr, range(32, 127))), MIB // 8)),
        "",
    ),
    "signs of YAML": (_text(YAML, lambda: _random_text(5, " \n-:[]{}&*!|>'\"%@`#,?ab0", MIB // 8)), ""),
    "signs of CSV": (_text(CSV, lambda: HEADER + _random_text(6, ',;"\n ab1=\t', MIB)), "bad_csv"),
    # Deep nesting
    "open brackets": (_text(YAML, lambda: "[" * (MIB - 10)), "too_deep"),
    "open braces": (_text(YAML, lambda: "{a: " * (MIB // 5)), "too_deep"),
    "closed brackets": (_text(YAML, lambda: "[" * 500_000 + "]" * 500_000), "too_deep"),
    "dashes in a row": (_text(YAML, lambda: "- " * (MIB // 2 - 10)), "too_deep"),
    "indented keys": (_text(YAML, lambda: "".join(f"{' ' * n}a:\n" for n in range(1_400))), "too_deep"),
    "question marks": (_text(YAML, lambda: "? " * (MIB // 2 - 10)), ""),
    # Anchors and aliases
    "a billion laughs": (_text(YAML, _laughs), "too_many_aliases"),
    "an alias of itself": (_text(YAML, lambda: "a: &a [*a]\n"), "unknown_alias"),
    "a merge of itself": (_text(YAML, lambda: "a: &a {<<: *a}\n"), "unknown_alias"),
    "many aliases": (_text(YAML, lambda: "- &a x\n" + "- *a\n" * 200_000), "too_many_aliases"),
    "many anchors": (
        _text(YAML, lambda: "".join(f"- &a{n} x\n" for n in range(10_000 * FULL))),
        "wrong_type",
    ),
    # A million entries
    "a million items": (_text(YAML, lambda: "- a\n" * 1_000_000), "file_too_large"),
    "half a million items": (_text(YAML, lambda: "-\n" * (MIB // 2 - 1)), "file_too_large"),
    "many keys": (_text(YAML, lambda: "".join(f"k{n}: 1\n" for n in range(11_000 * FULL))), ""),
    "one key many times": (_text(YAML, lambda: "k: 1\n" * (11_000 * FULL)), "duplicate_key"),
    "a quarter of a million documents": (_text(YAML, lambda: "---\n" * (MIB // 4 - 1)), "several_documents"),
    "half a million comments": (_text(YAML, lambda: "#\n" * (MIB // 2 - 1)), "empty_file"),
    "blanks": (_text(YAML, lambda: " " * (MIB - 1)), "empty_file"),
    "a long text": (_text(YAML, lambda: "- " + "x" * (MIB - 10)), "wrong_type"),
    "a long folded text": (_text(YAML, lambda: "- >\n" + "  x\n" * (MIB // 4 - 10)), "wrong_type"),
    "a quote without end": (_text(YAML, lambda: '"' + "a " * (MIB // 2 - 10)), "bad_yaml"),
    "a million rows": (
        _text(CSV, lambda: HEADER + "".join(f"{n},1\n" for n in range(700_000))),
        "wrong_length",
    ),
    "a million equal rows": (_text(CSV, lambda: HEADER + "a,1\n" * 99_999), "duplicate_key"),
    "a million columns": (_text(CSV, lambda: "k:string key" + ",v:int" * 1_000_000), "too_long"),
    "a million cells": (_text(CSV, lambda: HEADER + "," * 8_000_000), "too_long"),
    "a million quotes": (_text(CSV, lambda: HEADER + '"' * 8_000_000), "too_long"),
    "lines of one quote": (_text(CSV, lambda: HEADER + '"\n' * 4_000_000), "wrong_length"),
    "lines of one quote, within the limits": (_text(CSV, lambda: HEADER + '"\n' * 290_000), "bad_csv"),
    "empty lines": (_text(CSV, lambda: HEADER + "\n" * 8_000_000), "wrong_length"),
    "a million rates": (
        _text(RATES, lambda: RATES_HEADER + "EUR,USD,2026-01-01,2026-01-02,1\n" * 99_999),
        "duplicate_key",
    ),
    "a million files": (lambda: {f"lists/n{n}.csv": b"n:int\n" for n in range(100_000)}, "too_many_files"),
}
DEEP: Mapping[str, str] = {
    "brackets": "(" * 3_000 + "flag" + ")" * 3_000,
    "negations": "!" * 3_900 + "flag",
    "signs": "size(tags) > " + "-" * 3_900 + "1",
    "lists": "text in " + "[" * 1_900 + "text" + "]" * 1_900,
    "choices": "flag ? " * 500 + "flag" + " : flag" * 500,
    "choices to the right": "flag ? flag : " * 280 + "flag",
    "calls": "size(" * 700 + "tags" + ")" * 700 + " > 1",
    "macros": "tags.exists(x, " * 250 + "flag" + ")" * 250,
    "alternatives": " || ".join(["flag"] * 480),
    "dots": "a" + ".a" * 1_900,
    "indexes": "table.a" + "[text" * 700 + "]" * 700 + ".b",
    "a mebibyte": "flag && " * (MIB // 8) + "flag",
}
# Ways to make a backtracking engine try for ever, and ones to make any engine's program large.
PATTERNS: Mapping[str, str] = {
    "nested stars": "^(a*)*b$",
    "nested pluses": "^((a+)+)+b$",
    "alternatives that overlap": "^(a|aa|aaa)+b$",
    "optional letters": "a?" * 100 + "a" * 100 + "b",
    "many dots": ".*" * 200 + "b",
    "repeated a thousand times": "(a{1,1000}){1,1000}",
    "repeated thrice a thousand times": "(((a{1000}){1000}){1000})",
    "repetitions side by side": "x{0,1000}" * 50,
    "classes": "\\pL{500}" * 40,
    "open groups": "(" * 490,
    "groups": "(" * 240 + "a" + ")" * 240,
    "looks ahead": "(?=a)(?!b)a",
    "refers back": "(a+)\\1b",
    "too long": "a" * 100_000,
}
NAMES = Names(facts={"text": STRING, "tags": list_of(STRING), "flag": BOOL})


def loaded(files: Mapping[str, bytes]) -> list[str]:
    """The codes of what is wrong with the files beside those of the small desk."""
    try:
        compile_files({**desk_files(), **decode_files(files)})
    except RuleFilesInvalid as invalid:
        longest = max(len(str(item)) for item in invalid.diagnostics)
        if len(invalid.diagnostics) > MOST_DIAGNOSTICS or longest > LONGEST_DIAGNOSTIC:
            return ["too_much_said"]
        return sorted({item.code for item in invalid.diagnostics})
    return []


def tried(source: str) -> list[str]:
    """The codes of what is wrong with a condition; one that is right is evaluated on long texts."""
    try:
        condition = compile_condition(source, names=NAMES)
    except ConditionInvalid as invalid:
        return sorted({error.code for error in invalid.errors})
    tags = ("a" * 1_024,) * 1_000
    condition.test(Facts({"text": "a" * 1_024, "tags": tags, "flag": False}, ChainHistory("", "c"), NOW))
    return []


def _matching(pattern: str) -> str:
    quoted = json.dumps(pattern)
    return f"text.matches({quoted}) || tags.exists(tag, tag.matches({quoted}))"


def _timed(cases: Mapping[str, Callable[[], list[str]]]) -> dict[str, tuple[list[str], float]]:
    found = {}
    for name, case in cases.items():
        before = time.process_time()
        codes = case()
        found[name] = (codes, time.process_time() - before)
    return found


def main() -> None:
    compile_files(desk_files())  # what is loaded once counts for nothing
    tried(_matching("a"))
    held = int(re.findall(r"VmSize:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) << 10
    resource.setrlimit(resource.RLIMIT_AS, (held + SPARE, held + SPARE))
    cases: dict[str, Callable[[], list[str]]] = {
        name: lambda files=files: loaded(files()) for name, (files, _) in FILES.items()
    }
    cases |= {f"condition: {name}": lambda text=text: tried(text) for name, text in DEEP.items()}
    cases |= {f"pattern: {name}": lambda text=text: tried(_matching(text)) for name, text in PATTERNS.items()}
    json.dump(_timed(cases), sys.stdout)


if __name__ == "__main__":
    main()
