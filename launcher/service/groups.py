"""Which instances a replica consists of, and in which order they start."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.profile.model import Profile
from launcher.service.model import Member
from launcher.service.revision import replica_profile


def stages(members: Sequence[tuple[Member, Profile]]) -> list[list[Profile]]:
    """The profiles to start together, stage after stage."""
    return [[replica_profile(profile, member) for member, profile in members]]
