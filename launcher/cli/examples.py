"""The last lines of a verb's help: what its words stand for, and lines to copy."""

from __future__ import annotations

TARGET = "TARGET is an instance's name, or a profile: a path with a / or that ends in .yaml."
TARGET_OR_URL = (
    "TARGET is an instance's name, a profile (a path with a / or that ends in .yaml), or a URL"
    " (http://...)."
)
PROFILE = "PROFILE is the path of a YAML file; `ernie-deploy profiles list` shows those that ship."


def examples(*lines: str, arguments: str = "") -> str:
    r"""An epilog for click; `\b` keeps it from folding the lines."""
    text = "\n".join(f"  ernie-deploy {line}" for line in lines)
    return f"{arguments}\n\n\b\nExamples:\n{text}" if arguments else f"\b\nExamples:\n{text}"
