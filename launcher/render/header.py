"""The first lines of a rendered file: who made it, of which profile, and how to make it again."""

from __future__ import annotations

import json
from dataclasses import dataclass

from launcher import __version__
from launcher.codec import decode, encode_object
from launcher.render.notation import comment
from launcher.render.subject import Subject

_MARK = "# ernie-deploy-render: "
LONGEST_HEAD = 20
"""Lines among which the mark is looked for."""


@dataclass(frozen=True)
class Header:
    """What a rendered file says of itself: `file` is its path in the folder of its target.

    `release` is the engine's, `fingerprint` that of the profile (`sha256:...`).
    """

    tool: str
    target: str
    file: str
    name: str
    engine: str
    release: str
    replicas: int
    fingerprint: str


def with_header(subject: Subject, target: str, file: str, text: str) -> str:
    """The text of a file with its header; a first line `#!...` stays the first."""
    header = Header(
        tool=__version__, target=target, file=file, name=subject.name,
        engine=subject.profile.engine, release=subject.release, replicas=subject.replicas,
        fingerprint=subject.fingerprint,
    )  # fmt: skip
    lines = comment(
        f"Rendered by `ernie-deploy render {target}`. Do not edit it: change the profile and "
        "render again. `ernie-deploy diff PROFILE --rendered DIR` shows what differs."
    )
    lines.append(f"{_MARK}{json.dumps(encode_object(header))}")
    first, _, rest = text.partition("\n")
    if first.startswith("#!"):
        return "\n".join([first, *lines, rest])
    return "\n".join([*lines, text])


def parse_header(text: str) -> Header | None:
    """The header of a file's text; None where it was not rendered."""
    for line in text.split("\n", LONGEST_HEAD)[:LONGEST_HEAD]:
        if line.startswith(_MARK):
            try:
                return decode(Header, json.loads(line.removeprefix(_MARK)), tolerant=True)
            except (ValueError, RecursionError):
                return None
    return None
