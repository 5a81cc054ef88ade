"""The style of the page with an analysis of duties: no resource of any other place.

Guarantees: text on every level of the heat map has a contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3).
"""

from __future__ import annotations

from typing import Final

# Background and text by level: from nobody to most persons. One hue, so that lightness alone orders them.
HEAT: Final = (
    ("#ffffff", "#1b1f24"),
    ("#e3eefa", "#1b1f24"),
    ("#bcd7f2", "#1b1f24"),
    ("#86b6e4", "#1b1f24"),
    ("#2f6fb1", "#ffffff"),
    ("#123f73", "#ffffff"),
)
LEVELS: Final = len(HEAT)

_HEAT: Final = "\n".join(
    f".h{level} {{ background: {back}; color: {front}; }}" for level, (back, front) in enumerate(HEAT)
)

STYLE: Final = (
    """
body { font: 1rem/1.5 system-ui, sans-serif; color: #1b1f24; background: #ffffff; margin: 0 auto;
  max-width: 80rem; padding: 1rem; }
h1 { font-size: 1.6rem; }
h2 { font-size: 1.2rem; margin-top: 2rem; }
a.skip { position: absolute; left: -100rem; }
a.skip:focus { position: static; }
.wide { overflow-x: auto; }
.wide:focus, a:focus { outline: 3px solid #b45309; outline-offset: 2px; }
table { border-collapse: collapse; }
caption { text-align: left; color: #4b5563; padding: 0.25rem 0; }
th, td { border: 1px solid #9aa4b2; padding: 0.25rem 0.5rem; text-align: left; vertical-align: top; }
th { font-weight: 600; background: #f3f5f8; }
td.number, .heat td { text-align: right; }
.heat .turned span { writing-mode: vertical-rl; transform: rotate(180deg); white-space: nowrap; }
.heat .turned { vertical-align: bottom; }
.heat .alone { background: #f3f5f8; font-weight: 600; }
.apart { outline: 3px solid #b91c1c; outline-offset: -3px; }
.legend { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 0.5rem; }
.level { border: 1px solid #9aa4b2; padding: 0.1rem 0.5rem; display: inline-block; }
.heard { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
dl { display: flex; flex-wrap: wrap; gap: 2rem; }
dt { color: #4b5563; }
dd { margin: 0; font-size: 1.6rem; font-weight: 600; }
@media print {
  body { max-width: none; padding: 0; font-size: 9pt; }
  a.skip { display: none; }
  .wide { overflow: visible; }
  tr { break-inside: avoid; }
  thead { display: table-header-group; }
  td, .level { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
    + _HEAT
    + "\n"
)
