"""YAML with comments: any tree is read back as it was, with and without its notes."""

import hypothesis
import pytest
import yaml
from hypothesis import strategies

from launcher.render.notation import Note, yaml_documents, yaml_text
from tests.support.decoded import JsonDict

TEXTS = strategies.text(
    strategies.characters(blacklist_categories=["Cs"], min_codepoint=32, max_codepoint=0x2FFF)
)
SCALARS = strategies.one_of(
    strategies.none(), strategies.booleans(), strategies.integers(), TEXTS,
    strategies.sampled_from(["yes", "No", "null", "~", "1e3", "0x1f", "- a", "a: b", "#", "", " "]),
)  # fmt: skip
KEYS = strategies.one_of(TEXTS, strategies.sampled_from(["y", "on", "a.b/c", "1"]))
TREES = strategies.recursive(
    SCALARS,
    lambda inner: strategies.one_of(
        strategies.lists(inner, max_size=4), strategies.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)


@hypothesis.given(strategies.dictionaries(KEYS, TREES, min_size=1, max_size=4))
def test_a_tree_is_read_back(tree: JsonDict) -> None:
    text = yaml_text(tree)
    hypothesis.note(text)
    assert yaml.safe_load(text) == tree


def test_notes_are_comments_where_they_stand() -> None:
    tree = {
        Note("first"): None,
        "a": {Note("inside"): None, "b": [Note("of an item"), {"c": 1}, "d"]},
        "text": "one\ntwo\n",
        "flow": [1, "two"],
    }
    text = yaml_text(tree)
    assert text == (
        "# first\na:\n  # inside\n  b:\n    # of an item\n    - c: 1\n    - d\n"
        "text: |\n  one\n  two\nflow: [1, two]\n"
    )
    assert yaml.safe_load(text) == {
        "a": {"b": [{"c": 1}, "d"]}, "text": "one\ntwo\n", "flow": [1, "two"],
    }  # fmt: skip


@pytest.mark.parametrize(
    "text", ["a\nb", "a\nb\n", "a\n\nb\n\n\n", " a\n  b\n", "\n\na\n", "a \n\tb\n", "a\r\nb\n"]
)
def test_lines_of_a_text_are_kept(text: str) -> None:
    assert yaml.safe_load(yaml_text({"a": {"b": text}})) == {"a": {"b": text}}


def test_documents_are_apart() -> None:
    assert list(yaml.safe_load_all(yaml_documents([{"a": 1}, {"b": 2}]))) == [{"a": 1}, {"b": 2}]
