"""An analysis of duties as one HTML page: tables and heat maps, in English or Spanish.

Guarantees: one file without script, link, image or font of any other place, under a content security policy
that allows none; every text of the data is escaped; each cell of a heat map says its number, so that colour
adds and never carries; it reads with a keyboard, a screen reader, and on paper.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

from controls.cli.duty_style import LEVELS, STYLE
from controls.cli.duty_words import WORDS, Words
from controls.cli.markup import Markup, element, joined
from controls.duties.access import Item
from controls.duties.analysis import Collusion, Matrix, Separation
from controls.duties.collusion import Group
from controls.model.chain import Act
from controls.model.finding import Text
from controls.model.values import utc_text
from controls.services.duty_report import ConstraintRow, Report

LANGUAGES: Final = tuple(WORDS)
ROWS: Final = 500  # of one table; the CSV has all


def page(report: Report, *, language: str) -> str:
    """The whole page; `language` is one of `LANGUAGES`."""
    return _Page(report, WORDS[language]).whole()


class _Page:
    def __init__(self, report: Report, words: Words) -> None:
        self._report = report
        self._words = words

    def whole(self) -> str:
        words = self._words
        policy = (
            f"default-src 'none'; style-src 'sha256-{_digest(STYLE)}'; base-uri 'none'; form-action 'none'"
        )
        head = element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", http_equiv="Content-Security-Policy", content=policy),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="referrer", content="no-referrer"),
            element("title", words.title),
            element("style", Markup(STYLE)),
        )
        sections = [
            self._summary(),
            self._grants(),
            self._constraints(),
            *(self._matrix(matrix, number) for number, matrix in enumerate(self._report.matrices, start=1)),
            self._collusion(),
            self._people(),
            self._roles(),
            self._violations(),
            self._notes(),
        ]
        body = element(
            "body",
            element("a", words.skip, href="#findings", cls="skip"),
            element("header", element("h1", words.title), element("p", self._source())),
            element("main", *sections, id="findings"),
        )
        return f"<!DOCTYPE html>\n{element('html', head, body, lang=words.language)}\n"

    def _text(self, text: Text) -> str:
        return text.es if self._words.language == "es" else text.en

    def _item(self, item: Item) -> str:
        title = self._report.examined.titles.get(item)
        return item.name if title is None else self._text(title)

    def _person(self, person: str) -> str:
        name = self._report.name(person)
        return f"{person} ({name})" if name else person

    def _source(self) -> str:
        source = self._report.examined.source
        said = self._words.source[str(source["kind"])].format(
            people=source["people"], assignments=source["assignments"]
        )
        return f"{said} {source['release']}" if "release" in source else said

    def _summary(self) -> Markup:
        words, report = self._words, self._report
        facts = [
            (words.in_conflict, str(report.examined.analysis.in_conflict.bit_count())),
            (words.broken, str(sum(1 for row in report.constraints if row.could))),
            (
                words.violations,
                words.not_read if report.examined.breaches is None else str(len(report.breaches)),
            ),
        ]
        listed = [element("div", element("dt", name), element("dd", value)) for name, value in facts]
        return _section(words.summary, element("dl", *listed), id="summary")

    def _grants(self) -> Markup:
        words = self._words
        if not self._report.examined.grants:
            return Markup()
        rows = [
            [
                self._person(grant.person),
                grant.item.name,
                _lines(
                    f"{item.separation.id}: {self._text(item.separation.title)} "
                    f"({words.effect[item.separation.then]}, {words.kept[item.separation.standing]})"
                    for item in grant.conflicts
                )
                or words.nothing,
                _lines(
                    f"{_where(after.separation)}: {self._size(before)} → {self._size(after)}"
                    for before, after in grant.collusion
                )
                or words.unchanged,
            ]
            for grant in self._report.examined.grants
        ]
        return self._table(words.grants, words.grant_heads, rows, id="grants")

    def _constraints(self) -> Markup:
        return self._table(
            self._words.constraints,
            self._words.constraint_heads,
            [self._constraint(row) for row in self._report.constraints],
            id="constraints",
        )

    def _constraint(self, row: ConstraintRow) -> list[str | int]:
        words = self._words
        separation = row.separation
        asks: list[str] = [self._text(row.title)]
        if separation is not None:
            asks.append(", ".join(self._item(item) for item in separation.items))
            asks.append(words.kept[separation.standing])
        if row.unchecked is not None:
            asks.append(f"{words.not_told}: {self._text(row.unchecked)}")
        if row.when:
            asks.append(f"{words.condition}: {row.when}")
        if row.unknown:
            asks.append(f"{words.unknown}: {', '.join(item.name for item in row.unknown)}")
        could: str | int = words.nothing if row.could is None else row.could
        if row.could is None and row.collusion is not None and row.collusion.conflict:
            could = words.together.format(count=len(row.collusion.group.members))
        elif row.could is None and row.collusion is not None:
            could = words.not_proved if row.collusion.open else 0
        elif row.could != row.unconditionally:
            could = words.always.format(could=row.could, always=row.unconditionally)
        then = (
            separation.severity if separation is not None and separation.severity else words.effect[row.then]
        )
        return [
            f"{row.id} {row.chain}".strip(),
            then,
            _lines(asks),
            could,
            words.nothing if row.did is None else row.did,
        ]

    def _matrix(self, matrix: Matrix, number: int) -> Markup:
        words = self._words
        pairs = [
            count
            for row, counts in enumerate(matrix.counts)
            for column, count in enumerate(counts)
            if row != column
        ]
        most = max(pairs, default=0)
        names = [self._item(item) for item in matrix.items]
        corner = element("td", "")
        heads = [element("th", element("span", name), scope="col", cls="turned") for name in names]
        body: list[Markup] = []
        for row, counts in enumerate(matrix.counts):
            cells = [
                self._cell(count, most, alone=row == column, apart=_pair(row, column) in matrix.apart)
                for column, count in enumerate(counts)
            ]
            body.append(element("tr", element("th", names[row], scope="row"), *cells))
        title = f"{words.matrix}: {self._text(matrix.title)}"
        table = element(
            "table",
            element("caption", words.matrix_caption),
            element("thead", element("tr", corner, *heads)),
            element("tbody", *body),
            cls="heat",
        )
        legend = [element("li", element("span", words.level, cls="level h0"))]
        bounds = [most * level // (LEVELS - 1) for level in range(LEVELS)]
        legend += [
            element("li", element("span", f"≤ {bounds[level]}", cls=f"level h{level}"))
            for level in range(1, LEVELS)
            if bounds[level] > bounds[level - 1]
        ]
        legend.append(element("li", element("span", f"✕ {words.apart}", cls="level h0 apart")))
        return _section(
            title,
            _wide(table, f"matrix-{number}"),
            element("ul", *legend, cls="legend"),
            id=f"matrix-{number}",
        )

    def _cell(self, count: int, most: int, *, alone: bool, apart: bool) -> Markup:
        if alone:
            return element("td", count, cls="alone")
        level = 0 if not count else 1 + (count * (LEVELS - 1) - 1) // most
        if not apart:
            return element("td", count, cls=f"h{level}")
        mark = element("span", "✕ ", aria_hidden="true")
        return element(
            "td", mark, count, element("span", f" {self._words.apart}", cls="heard"), cls=f"h{level} apart"
        )

    def _collusion(self) -> Markup:
        words = self._words
        rows = [
            [
                _where(item.separation),
                self._size(item),
                words.proved[item.group.proved],
                _lines(
                    f"{self._person(member.person)}: {', '.join(self._item(one) for one in member.items)}"
                    for member in item.group.members
                )
                or f"{words.nobody}: {', '.join(self._item(one) for one in item.group.nobody)}",
            ]
            for item in self._report.examined.analysis.collusion
        ]
        return self._table(words.collusion, words.collusion_heads, rows, id="collusion") if rows else Markup()

    def _size(self, found: Collusion) -> str:
        said, always = self._number(found.group), self._number(found.unconditional)
        return said if said == always else self._words.always.format(could=said, always=always)

    def _number(self, group: Group) -> str:
        if group.nobody:
            return self._words.nothing
        return str(len(group.members)) if group.proved else f"{group.at_least}-{len(group.members)}"

    def _people(self) -> Markup:
        report, words = self._report, self._words
        shown = {row.person for row in report.people[:ROWS]}
        behind: dict[str, dict[str, None]] = {}
        for conflict in report.conflicts():
            if conflict.person in shown:
                behind.setdefault(conflict.person, {})[conflict.separation.id] = None
        rows = [
            [
                self._person(row.person),
                row.conflicts,
                words.nothing if report.examined.breaches is None else row.breaches,
                ", ".join(behind.get(row.person, ())),
            ]
            for row in report.people
        ]
        return self._table(words.people, words.people_heads, rows, id="people")

    def _roles(self) -> Markup:
        words = self._words
        rows: list[list[str | int]] = [
            [row.role, row.holders, row.in_conflict, ", ".join(item.id for item in row.alone)]
            for row in self._report.roles
        ]
        return self._table(words.roles, words.role_heads, rows, id="roles")

    def _violations(self) -> Markup:
        words, report = self._words, self._report
        if report.examined.breaches is None:
            return Markup()
        rows = [
            [
                breach.constraint.id + (f" ({words.conditional})" if breach.conditional else ""),
                self._person(breach.person),
                breach.chain or ", ".join(dict.fromkeys(act.chain for act in breach.acts)),
                _lines(
                    f"{act.step}, {_moments(act, words)}, {words.entry} {act.index}" for act in breach.acts
                ),
            ]
            for breach in report.breaches
        ]
        return self._table(words.violations, words.violation_heads, rows, id="violations")

    def _notes(self) -> Markup:
        notes = [element("li", self._text(note)) for note in self._report.examined.notes]
        return _section(self._words.notes, element("ul", *notes), id="notes") if notes else Markup()

    def _table(
        self, title: str, heads: Sequence[str], rows: Sequence[Sequence[str | int]], *, id: str
    ) -> Markup:
        """A section with a table of the first rows; it says how many there are."""
        if not rows:
            return _section(title, element("p", self._words.none), id=id)
        body = [
            element(
                "tr",
                element("th", row[0], scope="row"),
                *(element("td", cell, cls="number" if isinstance(cell, int) else "") for cell in row[1:]),
            )
            for row in rows[:ROWS]
        ]
        cut = self._words.cut.format(shown=ROWS, there=len(rows)) if len(rows) > ROWS else ""
        table = element(
            "table",
            element("caption", cut or self._words.rows.format(there=len(rows))),
            element("thead", element("tr", *(element("th", head, scope="col") for head in heads))),
            element("tbody", *body),
        )
        return _section(title, _wide(table, id), id=id)


def _section(title: str, *children: Markup, id: str) -> Markup:
    return element(
        "section", element("h2", title, id=f"{id}-title"), *children, aria_labelledby=f"{id}-title"
    )


def _wide(table: Markup, id: str) -> Markup:
    """A table that may be wider than the window: it scrolls by itself, with the keyboard too."""
    return element("div", table, cls="wide", role="region", tabindex=0, aria_labelledby=f"{id}-title")


def _lines(texts: Iterable[str]) -> str:
    """Several short texts, one below the other; nothing if there are none."""
    said = [element("div", text) for text in texts if text]
    return joined(*said) if said else ""


def _moments(act: Act, words: Words) -> str:
    """When it was claimed and, if that was in another second, when it was done."""
    at = utc_text(act.at)[:19]
    done = at if act.done_at is None else utc_text(act.done_at)[:19]
    return f"{at}Z" if done == at else f"{at}Z, {words.done} {done}Z"


def _where(separation: Separation) -> str:
    return f"{separation.id} {separation.chain}".strip()


def _pair(row: int, column: int) -> tuple[int, int]:
    return min(row, column), max(row, column)


def _digest(text: str) -> str:
    return b64encode(sha256(text.encode()).digest()).decode()
