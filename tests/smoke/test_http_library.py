"""The bound of urllib3 in pyproject.toml is what the reader of answers needs."""

from __future__ import annotations

import importlib.metadata
import re

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.support import ROOT

WITHOUT_READ1 = ("1.26.20", "2.0.0", "2.0.7", "2.1.0")
"""Releases whose HTTPResponse has no `read1`: looked at in their wheels."""


def bound() -> SpecifierSet:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    line = re.search(r'"(urllib3[^"]*)"', text)
    assert line
    return Requirement(line[1]).specifier


@pytest.mark.parametrize("release", WITHOUT_READ1)
def test_no_release_without_read1_is_allowed(release: str) -> None:
    assert release not in bound()


@pytest.mark.parametrize("release", ["2.2.0", "2.2.3", importlib.metadata.version("urllib3")])
def test_releases_with_it_are_allowed(release: str) -> None:
    assert release in bound()


def test_requests_allows_what_we_need() -> None:
    """Both bounds have to be met by one release, and none of ours is one that requests refuses."""
    needed = [Requirement(one) for one in importlib.metadata.requires("requests") or ()]
    (theirs,) = [one.specifier for one in needed if one.name == "urllib3"]
    assert "2.2.0" in theirs & bound()
    assert "3.0.0" not in bound()
