"""Every code that the loader and the static checks can give: what it means, how it comes about, what to do.

Pure data. The tests make each example and see that its code comes out, and that no code is given anywhere
that is not in here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from controls.rules.catalogue_of_files import OF_FILES
from controls.rules.catalogue_of_rules import OF_RULES
from controls.rules.catalogue_of_tables import OF_TABLES
from controls.rules.explanations import Explanation

CATALOGUE: Final[Mapping[str, Explanation]] = {item.code: item for item in (*OF_FILES, *OF_RULES, *OF_TABLES)}
