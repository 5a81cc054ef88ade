"""From a compiled release to what decides: enforcers, engines and indexes, built aside from those in use."""

from __future__ import annotations

from controls.decide import ActiveRelease
from controls.duties.enforcement import Enforcement
from controls.rules.engine import build_engine
from controls.rules.release import Release


def activate(release: Release, *, engine: str) -> ActiveRelease:
    """Build Casbin's enforcers and the rule engines of a release, aside from the one in use."""
    return ActiveRelease(
        release=release,
        enforcement=Enforcement(
            grants=release.grants,
            role_closure=release.roles,
            constraints=release.constraints,
            chains=release.chains.values(),
        ),
        engine=build_engine(engine, release.rules),
    )
