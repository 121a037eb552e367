"""Paths of a profile made absolute, as seen from the file that says them."""

from __future__ import annotations

import os

from launcher.profile.model import Origin


def absolute(path: str, origin: Origin) -> str:
    """`path` as seen from the file that says it, or from here for an option."""
    folder = os.path.dirname(origin.source) if origin.line is not None else ""
    joined = os.path.join(folder, os.path.expanduser(path))
    try:
        tidy = os.path.abspath(joined)
        # `a/../b` is not `b` where `a` is a link.
        is_same_path = ".." not in path or os.path.realpath(tidy) == os.path.realpath(joined)
        return tidy if is_same_path else os.path.join(os.getcwd(), joined)
    except OSError:  # the working directory is gone
        return joined


def absolute_reference(reference: str, origin: Origin) -> str:
    """A `file:` reference's path made absolute: the keeper works in another folder."""
    kind, _, value = reference.partition(":")
    return f"file:{absolute(value, origin)}" if kind == "file" else reference
