"""The one place where findings become an outcome.

Guarantees: pure (same request, same situation, same answer to the byte); whatever is missing, malformed,
unknown or broken leads to a finding that does not permit; the strictest finding wins; an approval clears
exactly the findings it names, and only when they are all that is found: never a deny but those that
`controls.duties.breaking` lets a second person lift, where the request asks for that.
"""

from controls.decide.approved import (
    cleared_finding,
    holding,
    material_digest,
    material_of_approval,
)
from controls.decide.decision import ASSERTED_TIME_TOLERANCE, MAX_LINES, REVIEW, decide, facts_in, material_of
from controls.decide.situation import ActiveRelease, ReviewedChain, Situation

__all__ = [
    "ASSERTED_TIME_TOLERANCE",
    "MAX_LINES",
    "REVIEW",
    "ActiveRelease",
    "ReviewedChain",
    "Situation",
    "cleared_finding",
    "decide",
    "facts_in",
    "holding",
    "material_digest",
    "material_of",
    "material_of_approval",
]
