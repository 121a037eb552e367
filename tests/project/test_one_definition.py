"""Each fact and mechanism has one home: a second definition anywhere in launcher/ is noticed here."""

import ast

import pytest

from launcher.nearest import LONGEST_NAME, did_you_mean, nearest
from tests.support.imports import imported, modules

HOMES = {
    "difflib": {"launcher.nearest"},
}
"""Module of the standard library, and the modules that may import it."""


@pytest.mark.parametrize("library", HOMES)
def test_a_mechanism_is_imported_at_its_home_only(library: str) -> None:
    users = {
        module
        for module, path in modules()
        for name, _ in imported(path)
        if name.split(".")[0] == library
    }
    assert users == HOMES[library]


def test_the_hint_names_what_was_probably_meant() -> None:
    assert nearest("chta", ["health", "chat"]) == "chat"
    assert did_you_mean("chta", ["health", "chat"]) == "; did you mean 'chat'?"
    assert did_you_mean("entirely-else", ["health", "chat"]) == ""
    assert did_you_mean(7, ["health", "chat"]) == ""


def test_a_very_long_name_costs_no_time() -> None:
    assert nearest("a" * (LONGEST_NAME + 1), ["a" * LONGEST_NAME]) is None
    assert nearest("a" * 100_000_000, ["b" * 1000] * 1000) is None


def test_no_message_builds_the_hint_by_hand() -> None:
    """`; did you mean` stands in the text of one module; others ask it."""
    texts = {
        module
        for module, path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.JoinedStr) and "; did you mean {near" in ast.unparse(node)
    }
    assert texts <= {
        "launcher.nearest",
        "launcher.diagnose.pages",  # without quotes: a page is named as it is typed
        "launcher.engines.fastdeploy.checks",  # the parser of another release comes first
    }
