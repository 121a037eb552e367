"""Texts that are not a profile: each is refused with its place, never with a traceback."""

import os
from typing import Any

import pytest
import yaml

from launcher import profile
from launcher.errors import ExitCode, ProfileError
from launcher.profile import nodes
from tests.profile.conftest import More, Refused, Write


@pytest.mark.parametrize(
    ("text", "code", "location", "message"),
    [
        ("", "empty-profile", "1:1", "the file says nothing"),
        ("# only a comment\n", "empty-profile", "1:1", "the file says nothing"),
        ("null\n", "empty-profile", "1:1", "the file says nothing"),
        ("- name: x\n", "not-a-mapping", "1:1",
         "a profile is a mapping of keys to values, this is a list"),
        ("just text\n", "not-a-mapping", "1:1",
         "a profile is a mapping of keys to values, this is text"),
        ("name: a\n---\nname: b\n", "several-documents", "2:1",
         "a profile is one document, here begins another"),
        (b"name: a\ndescription: caf\xe9\n", "not-utf8", "2:17", "byte 0xe9 is not UTF-8"),
        (b"name: a\x07b\n", "control-character", "1:8",
         "the character U+0007 cannot stand in YAML"),
        ("name: a\nhealth:\n\tstartup-timeout: 3\n", "tab", "3:1", "a tab cannot indent YAML"),
        ("name: [a\n", "yaml", "2:1", "not YAML: did not find expected ',' or ']' (while parsing "
         "a flow sequence)"),
        ("name: a: b\n", "yaml", "1:8", "not YAML: mapping values are not allowed in this "
         "context"),
        ("name: *unknown\n", "unknown-alias", "1:7", "*unknown names nothing above it"),
        ("name: &a [*a]\n", "circular-alias", "1:11", "*a stands inside of what it names"),
        ("? [a, b]\n: c\n", "bad-key", "1:3", "a key is a word, not a list, a mapping or nothing"),
        ("description: !!python/object:os.system x\n", "tag", "1:14",
         "tags such as tag:yaml.org,2002:python/object:os.system are not used in profiles"),
    ],
)  # fmt: skip
def test_no_profile(refused: Refused, text: Any, code: str, location: str, message: str) -> None:
    found_problem = next(problem for problem in refused(text) if problem[0] != "missing-key")
    assert found_problem[:3] == (code, f"p.yaml:{location}", message)


def test_every_tab_is_said_at_once(refused: Refused) -> None:
    text = "name: a\nhealth:\n\tstartup-timeout: 3\n  \tprobe-timeout: 3\n"
    assert [p[:2] for p in refused(text)] == [("tab", "p.yaml:3:1"), ("tab", "p.yaml:4:3")]


def test_duplicate_keys_at_every_level(wrong: Refused, refused: Refused) -> None:
    text = "max-num-seqs: 1\nhealth:\n  startup-timeout: 1\n  startup-timeout: 2\nmax-num-seqs: 2\n"
    assert wrong(text) == [("duplicate-key", "p.yaml:7:3"), ("duplicate-key", "p.yaml:8:1")]
    (problem, _) = refused(f"name: a\nengine: vllm\nmodel: a/b\n{text}")
    assert problem[2].startswith("`startup-timeout` is given twice, first at ")
    assert problem[2].endswith("p.yaml:6:3")


def test_a_billion_laughs(refused: Refused) -> None:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    (problem,) = refused("\n".join(lines))
    assert problem[0] == "alias-bomb"
    assert problem[1].startswith("p.yaml:4:")


def test_nesting_that_is_too_deep(refused: Refused) -> None:
    (problem,) = refused("name: " + "[" * 40 + "]" * 40)
    assert problem[:2] == ("too-deep", f"p.yaml:1:{7 + nodes.MAX_DEPTH - 1}")


def test_nesting_without_end(refused: Refused) -> None:
    """Some releases of libyaml give up by themselves, and further to the right."""
    (problem,) = refused("name: " + "[" * 10_000 + "]" * 10_000)
    assert problem[0] == "too-deep"
    assert problem[1].startswith("p.yaml:1:")
    assert "deeper than 32 levels" in problem[2]


def test_more_than_a_profile_can_be(refused: Refused) -> None:
    (problem,) = refused("name: a\n" + "#" * nodes.MAX_BYTES)
    assert problem[:2] == ("too-large", "p.yaml")
    (problem,) = refused("gpus: [" + "0," * nodes.MAX_NODES + "0]")
    assert problem[0] == "too-large"


def test_anchors_and_merge_keys(more: More) -> None:
    got = more(
        """health: &times {startup-timeout: 2h, probe-timeout: 9}
engine-args:
  one: &one {a: 1, b: 2}
  two: {<<: *one, b: 3}
  three: {<<: [*one, {c: 4}], a: 5}
"""
    )
    assert got["engine-args"]["two"] == {"a": 1, "b": 3}
    assert got["engine-args"]["three"] == {"a": 5, "b": 2, "c": 4}


def test_a_merge_key_takes_a_mapping(wrong: Refused) -> None:
    assert wrong("engine-args: {<<: [1, 2]}") == [
        ("bad-merge", "p.yaml:4:20"),
        ("bad-merge", "p.yaml:4:23"),
    ]


def test_a_byte_order_mark_and_windows_line_ends(write: Write) -> None:
    text = "\ufeffname: a\r\nengine: vllm\r\nmodel: a/b\r\nmax-num-seqs: 7\r\n"
    loaded = profile.load(write(text.encode()), environ={})
    assert loaded.max_num_seqs == 7
    assert loaded.where("max-num-seqs") == f"{loaded.path}:4:1"


def test_a_file_that_cannot_be_read(write: object, tmp_path: object) -> None:
    with pytest.raises(ProfileError) as caught:
        profile.load(str(tmp_path))
    assert caught.value.problems[0].code == "unreadable-profile"
    with pytest.raises(ProfileError) as caught:
        profile.load("nothing/here.yaml")
    assert caught.value.problems[0].code == "missing-profile"
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_misspelled_file_name(write: Write) -> None:
    path = write("name: x\n", "served.yaml")
    with pytest.raises(ProfileError) as caught:
        profile.load(path.replace("served", "serverd"))
    assert caught.value.problems[0].remedy == f"did you mean {path}?"
    with pytest.raises(ProfileError) as caught:
        profile.load("ernie-tiny-cpo.yaml")
    assert caught.value.problems[0].remedy == "did you mean ernie-tiny-cpu.yaml?"


def test_a_named_pipe_is_read_like_a_file(tmp_path: object) -> None:
    # Process substitution hands over a pipe: `ernie-deploy plan <(generate-profile)`.
    reader, writer = os.pipe()
    os.write(writer, b"name: a\nengine: vllm\nmodel: a/b\n")
    os.close(writer)
    try:
        assert profile.load(f"/dev/fd/{reader}", environ={}).name == "a"
    finally:
        os.close(reader)


def test_the_parser_in_python_says_the_same(
    refused: Refused, more: More, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where PyYAML was built without libyaml.
    texts = ["name: a\nname: b\n", "a: &a [*a]\n", "a:\n\tb: 1\n", "a: !!x y\n", "a: b: c\n"]
    fast = [[p[:2] for p in refused(text)] for text in texts]
    value = more("engine-args: {a: on, b: [1, 2.10]}\n")
    monkeypatch.setattr(nodes, "_Loader", yaml.SafeLoader)
    assert [[p[:2] for p in refused(text)] for text in texts] == fast
    assert more("engine-args: {a: on, b: [1, 2.10]}\n") == value
    (problem,) = refused("name: " + "[" * 10_000)
    assert problem[0] == "too-deep"
    assert "yaml" in {p[0] for p in refused('name: "\\ud800"\n')}
