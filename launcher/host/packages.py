"""What lies in an interpreter's site-packages, read as files: nothing is imported or run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(r"^\s*(?P<name>[A-Za-z][\w \t.-]*)[:=]\s*(?P<value>\S.*)$")


@dataclass(frozen=True)
class BuildNote:
    """`fastdeploy/version.txt` of a wheel: what the operators were compiled with.

    `values` maps its keys in lower case ("paddle version", "cuda version") to their text. Written
    by FastDeploy's build from 2.1 on; the same file for every GPU architecture.
    """

    path: str
    values: dict[str, str]

    def find(self, *texts: str) -> str | None:
        """The value of the first key that holds every one of `texts`."""
        for name, value in self.values.items():
            if all(word in name for word in texts):
                return value
        return None


def site_packages(python: str) -> tuple[Path, ...]:
    """The site-packages folders that belong to the interpreter at `python`, by its layout."""
    prefix = Path(python).absolute().parent.parent
    folders = [
        *prefix.glob("lib*/python3*/site-packages"),
        *prefix.glob("lib/python3/dist-packages"),
    ]
    return tuple(dict.fromkeys(f for f in folders if f.is_dir()))


def has_module(python: str, *parts: str) -> Path | None:
    """The file or folder `parts` below one of the interpreter's site-packages, None if absent."""
    for folder in site_packages(python):
        path = folder.joinpath(*parts)
        if path.exists():
            return path
    return None


def build_note(python: str) -> BuildNote | None:
    """FastDeploy's version.txt in the interpreter at `python`, None where there is none."""
    path = has_module(python, "fastdeploy", "version.txt")
    if path is None:
        return None
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    values = {m["name"].strip().lower(): m["value"].strip() for m in map(_LINE.match, lines) if m}
    return BuildNote(str(path), values)
