"""Releases that may be put into force soon: tried and built before the lock is taken.

Guarantees: what is here was built whole, aside from the release in use; it is built in a thread, after a
process of its own has shown that it can be (`services.trial`); few are kept, and what is given up is freed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from controls.decide import ActiveRelease
from controls.ledger.envelope import blob_digest
from controls.rules.release import release_from_document
from controls.services.activate import activate
from controls.services.trial import Tried, tried_document

# How many are kept built: one is confirmed soon, as a rule; a large one takes some ten megabytes.
MAX_BUILT: Final = 2
# How many digests are remembered as tried (going back and forth between releases need not try them again).
MAX_TRIED: Final = 100


@dataclass(slots=True)
class Candidates:
    """What was tried and built, by digest."""

    engine: str
    activate: Callable[..., ActiveRelease] = activate
    _built: dict[str, ActiveRelease] = field(default_factory=dict, init=False)  # oldest first
    _tried: dict[str, str] = field(default_factory=dict, init=False)  # digest -> contents
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _hand: threading.Lock = field(default_factory=threading.Lock, init=False)  # on `_built`: two threads take

    async def prepare(self, document: bytes) -> Tried:
        """Try a release and build it. One at a time: it takes a core for a while.

        Raises:
            ControlsError: it cannot be used, and why.
        """
        digest = blob_digest(document)
        async with self._turn:
            contents = self._tried.get(digest)
            found = await tried_document(document) if contents is None else Tried(digest, document, contents)
            self.passed(found)
            if digest not in self._built:
                await asyncio.to_thread(self.build, document)
        return found

    def passed(self, found: Tried) -> None:
        """Remember that this release was tried, here."""
        self._tried[found.digest] = found.contents
        while len(self._tried) > MAX_TRIED:
            self._tried.pop(next(iter(self._tried)))

    def build(self, document: bytes) -> None:
        """Build a release that need not be tried. Blocks.

        Raises:
            ControlsError: it cannot be built.
        """
        active = self.activate(release_from_document(document), engine=self.engine)
        with self._hand:
            given_up = [self._built.pop(active.release.digest, None)]
            self._built[active.release.digest] = active
            if len(self._built) > MAX_BUILT:
                given_up.append(self._built.pop(next(iter(self._built))))
        for item in given_up:
            if item is not None:
                item.engine.close()

    def take(self, digest: str) -> ActiveRelease | None:
        """The built release, which is the caller's to close from now on."""
        with self._hand:
            return self._built.pop(digest, None)

    def close(self) -> None:
        """Free all."""
        with self._hand:
            while self._built:
                self._built.popitem()[1].engine.close()
