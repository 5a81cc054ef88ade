"""The typed values of facts of which only the canonical texts are on record, as acts keep them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal

from controls.model.values import Value
from controls.rules.vocabulary import Vocabulary, read_facts


def values_on_record(vocabulary: Vocabulary, material: Mapping[str, str]) -> dict[str, Value]:
    """The values of facts of which the canonical texts are on record; one that cannot be read is unknown."""
    found: dict[str, Value] = {}
    for name, text in material.items():
        found |= read_facts(vocabulary, {name: text}).values
        if name not in found:
            with suppress(ValueError):  # a text itself, which is of no use here
                found |= read_facts(vocabulary, {name: json.loads(text, parse_float=Decimal)}).values
    return found
