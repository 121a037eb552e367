"""Whatever a file holds, the answer is a profile or an error that says so."""

import json
import string
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from launcher import profile
from launcher.errors import DeployError, Problem
from launcher.profile import schema
from launcher.profile.model import Profile

KEYS = [path.rpartition(".")[2] for path, _ in schema.paths()]
FIXTURE = [HealthCheck.function_scoped_fixture]

any_text = st.one_of(
    st.sampled_from(["auto", "on", "1:30", "010", "2.10", "~", "null", "env:A", "file:x", "cmd:",
                     "${A}", "${A:-1}", "${", "$$", "*a", "&a", "!!x", "fastdeploy", "hosted",
                     "./x", "~x", "/", "-x", "64MiB", "1h", "<<", "\0", ".inf", "1e999", "0,1"]),
    st.text(max_size=12),
)  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | any_text, inner, max_size=4)
    ),
    max_leaves=12,
)
profiles = st.dictionaries(st.sampled_from(KEYS) | any_text, values, max_size=8)
HEAD = {"name": "a", "engine": "fastdeploy", "model": "a/b"}


def outcome(path: Path, **options: Any) -> Profile | None:
    """The profile, or None for an expected error that has a place and a message."""
    problems: tuple[Problem, ...] = ()
    try:
        got = profile.load(path, environ={"A": "1"}, **options)
    except DeployError as error:
        got, problems = None, error.problems
    for problem in problems:
        assert problem.code
        assert problem.message
        assert problem.where
        problem.text().encode()
    if got is None:
        assert problems
        return None
    json.dumps(got.resolved, allow_nan=False).encode()
    for key in got.origins:
        assert got.where(key)
    return got


@given(data=st.binary(max_size=200))
@settings(suppress_health_check=FIXTURE)
@example(data=b"\xff\xfe")
@example(data=b"a: &a [*a]")
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(data)
    outcome(path)


@given(
    text=st.text(alphabet=string.ascii_lowercase + " \n\t:-[]{}&*!|>'\"%@`#,?$<~0", max_size=120)
)
@settings(suppress_health_check=FIXTURE, max_examples=300)
def test_any_text_that_looks_like_yaml(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    outcome(path)


@given(data=profiles)
@settings(suppress_health_check=FIXTURE, max_examples=300)
def test_any_keys_with_any_values(tmp_path: Path, data: dict[str, object]) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump({**HEAD, **data}, allow_unicode=True), encoding="utf-8")
    outcome(path)


@given(key=st.sampled_from([p for p, _ in schema.paths()]) | any_text, value=any_text)
@settings(suppress_health_check=FIXTURE, max_examples=300)
def test_any_set(tmp_path: Path, key: str, value: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(json.dumps(HEAD))
    outcome(path, sets=[f"{key}={value}"])


@given(data=profiles)
@settings(suppress_health_check=FIXTURE, max_examples=100)
def test_what_is_resolved_resolves_to_itself(tmp_path: Path, data: dict[str, object]) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump({**HEAD, **data}, allow_unicode=True), encoding="utf-8")
    got = outcome(path)
    if got is None:
        return
    # Text of the profile may hold dollars that were escaped.
    again = json.dumps(got.resolved).replace("$", "$$")
    path.write_text(again)
    second = outcome(path)
    assert second is not None
    assert second.resolved == got.resolved
