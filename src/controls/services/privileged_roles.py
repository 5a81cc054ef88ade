"""Which roles are above the others: whoever holds them changes the service itself, or lifts what it found."""

from __future__ import annotations

from controls.rules.release import Release
from controls.rules.system import ADMINISTRATION_RESOURCE, REVIEW_RESOURCE


def privileged_roles(release: Release) -> frozenset[str]:
    """The roles that may act on changes or on review cases, themselves or by what they imply."""
    return _granted(release, {ADMINISTRATION_RESOURCE, REVIEW_RESOURCE})


def administering_roles(release: Release) -> frozenset[str]:
    """The roles that may act on changes."""
    return _granted(release, {ADMINISTRATION_RESOURCE})


def _granted(release: Release, resources: set[str]) -> frozenset[str]:
    direct = {grant.role for grant in release.grants if grant.resource in resources}
    return frozenset(role for role, implied in release.roles.items() if not direct.isdisjoint(implied))
