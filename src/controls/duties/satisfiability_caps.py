"""What the caps of a problem say of steps in one hand.

Guarantees: depends on the caps alone, so that all parts of a problem can share one `Bearing`, and what it has
worked out.
"""

from __future__ import annotations

from collections.abc import Sequence

from controls.duties.satisfiability_problem import Cap
from controls.duties.satisfiability_staff import fewest


class Load:
    """What one cap makes of sets of steps."""

    def __init__(self, cap: Cap) -> None:
        self.cap = cap
        together = every = 0
        for part in cap.parts:
            together += part.bit_count()
            every |= part
        self._overlapping = together > every.bit_count()
        self._fewest: dict[int, int] = {}

    def size(self, steps: int) -> int:
        """What a set of the cap's steps counts."""
        parts = self.cap.parts
        if not parts:
            return steps.bit_count()
        if not self._overlapping:
            return sum([1 for part in parts if part & steps])
        if steps not in self._fewest:
            self._fewest[steps] = fewest(steps, parts)
        return self._fewest[steps]

    def barred(self, own: int) -> int:
        """The groups that may not have all of `own`, some of the cap's steps."""
        cap, found = self.cap, 0
        if self.size(own) > cap.most:
            return -1
        for past in cap.past:
            if self.size(own | past.held & cap.steps) + past.more > cap.most:
                found |= past.groups
        return found


class Bearing:
    """Which groups the caps of a problem let have which blocks of steps."""

    def __init__(self, caps: Sequence[Cap]) -> None:
        self.loads = [Load(cap) for cap in caps]
        self._kept: dict[int, int] = {}

    def groups(self, block: int) -> int:
        """All who may have all of `block`, as far as caps tell."""
        found = self._kept.get(block)
        if found is None:
            barred = 0
            for load in self.loads:
                own = block & load.cap.steps
                if own:
                    barred |= load.barred(own)
                    if barred == -1:
                        break
            found = self._kept[block] = ~barred
        return found
