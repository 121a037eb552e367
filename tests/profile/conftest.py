"""A profile goes in, its value or its problems come out."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from launcher import profile
from launcher.errors import DeployError
from launcher.profile.model import Profile

HEAD = "name: ernie\nengine: fastdeploy\nmodel: baidu/ERNIE-4.5-0.3B-PT\n"
"""The least a profile says: three lines, so that what follows begins in line 4."""

Write = Callable[..., str]
Load = Callable[..., Profile]
More = Callable[..., Mapping[str, Any]]
Refused = Callable[..., list[tuple[str, ...]]]
"""What the fixtures of these names are."""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(text)`, or `write(text, "base.yaml")`: a file in the test's folder; its path."""

    def make(text: str | bytes, name: str = "p.yaml") -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else dedent(text).encode())
        return str(path)

    return make


@pytest.fixture
def load(write: Write) -> Load:
    """`load(text)`: the profile."""

    def read(text: str, environ: Mapping[str, str] | None = None, **options: Any) -> Profile:
        return profile.load(write(text), environ=environ or {}, **options)

    return read


@pytest.fixture
def more(load: Load) -> More:
    """`more(text)`: a profile's resolved values, `text` being what follows the least."""
    return lambda text, *args, **options: load(HEAD + text, *args, **options).resolved


@pytest.fixture
def refused(write: Write, tmp_path: Path) -> Refused:
    """`refused(text)`: (code, place, message, remedy) of everything wrong, folders cut off."""

    def read(
        text: str | bytes, environ: Mapping[str, str] | None = None, **options: Any
    ) -> list[tuple[str, ...]]:
        path = write(text)
        with pytest.raises(DeployError) as caught:
            profile.load(path, environ=environ or {}, **options)
        cut = f"{tmp_path}{os.sep}"
        return [
            (p.code, *((s or "").replace(cut, "") for s in (p.where, p.message, p.remedy)))
            for p in caught.value.problems
        ]

    return read


@pytest.fixture
def wrong(refused: Refused) -> Refused:
    """`wrong(text)`: (code, place) of everything wrong with the least and `text`."""
    return lambda text, *args, **options: [
        problem[:2] for problem in refused(HEAD + text, *args, **options)
    ]
