"""Versions of engines as their packages have them (PEP 440)."""

from __future__ import annotations

from packaging.version import InvalidVersion, Version

from launcher.errors import PreconditionError


def parse_version(version: str, title: str) -> Version:
    """The version of the engine `title`.

    Raises:
        PreconditionError: `unknown-release`: it is not a version.
    """
    try:
        return Version(version)
    except InvalidVersion as error:
        raise PreconditionError.of(
            "unknown-release", f"{version!r} is not a version of {title}"
        ) from error
