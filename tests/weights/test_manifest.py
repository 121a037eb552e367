"""The manifest of a model, the checksums in it, and what may not be in a hub's list."""

import hashlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from launcher.errors import DeployError
from launcher.json_values import JsonObject
from launcher.weights import manifest
from launcher.weights.checksums import calculate
from launcher.weights.listing import read_listing
from launcher.weights.manifest import Manifest, ModelFile, path_problem
from tests.support import hub

SHA256 = "0" * 64


def made(*paths: str) -> Manifest:
    return Manifest(
        manifest.SCHEMA, "a/b", "huggingface", "a/b", None, "c0ffee", "2026-11-28T00:00:00Z",
        tuple(ModelFile(path, 1, SHA256) for path in paths),
    )  # fmt: skip


def test_a_manifest_is_read_back(tmp_path: Path) -> None:
    before = made("config.json", "a folder/文件.txt")
    (tmp_path / manifest.NAME).write_text(before.text())
    assert manifest.read(tmp_path) == before
    assert before.size == 2
    assert manifest.read(tmp_path / "elsewhere") is None


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "ernie-deploy/model/2"},
        {"commit": "../../x"},
        {"files": [{"path": "../x", "size": 1, "sha256": SHA256}]},
        {"files": [{"path": "x", "size": -1, "sha256": SHA256}]},
        {"files": [{"path": "x", "size": 1, "sha256": "none"}]},
        {"files": "x"},
    ],
)
def test_a_damaged_manifest_is_an_error_that_names_the_file(
    tmp_path: Path, change: dict[str, object]
) -> None:
    path = tmp_path / manifest.NAME
    path.write_text(json.dumps({**json.loads(made("x").text()), **change}))
    with pytest.raises(DeployError) as caught:
        manifest.read(tmp_path)
    (problem,) = caught.value.problems
    assert (problem.code, problem.where) == ("bad-manifest", str(path))


@pytest.mark.parametrize(
    "path", ["", "/x", "../x", "a/../x", "a/./x", "a//x", "a/", "a\\x", "a\nb", "x" * 256, ".."]
)
def test_a_path_that_is_refused(path: str) -> None:
    assert path_problem(path)


@pytest.mark.parametrize("path", ["x", "a/b/c.json", ".gitattributes", "模型.txt", "a b", "..x"])
def test_a_path_that_is_taken(path: str) -> None:
    assert path_problem(path) is None


@pytest.mark.parametrize("data", [b"", b"x", b"y" * 5_000_000])
def test_the_checksums_are_those_of_git_and_sha256sum(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    sums = calculate(path, git=True)
    assert sums.size == len(data)
    assert sums.sha256 == hashlib.sha256(data).hexdigest()
    named = subprocess.run(["git", "hash-object", str(path)], capture_output=True, text=True)
    assert sums.blob == named.stdout.strip()
    assert sums.pointer == hub.blob_of(hub.pointer_of(data))
    assert calculate(path).blob is None


def listed(*files: Mapping[str, object], commit: str = "c0ffee") -> JsonObject:
    event: JsonObject = json.loads(json.dumps({"commit": commit, "default": True, "files": files}))
    return event


def test_a_list_of_files() -> None:
    read = read_listing(
        listed(
            {"path": "a", "size": 3, "sha256": "A" * 64, "git": None},
            {"path": "b/c", "size": 4, "git": "b" * 40},
        ),
        "modelscope",
        "x/y",
    )
    assert (read.commit, read.is_default, read.size) == ("c0ffee", True, 7)
    assert [(one.sha256, one.git) for one in read.files] == [("a" * 64, None), (None, "b" * 40)]


@pytest.mark.parametrize(
    "event",
    [
        listed(),
        listed({"path": "a", "size": 1, "sha256": SHA256}, commit=""),
        listed({"path": "a", "size": 1}),
        listed({"path": "a", "size": None, "sha256": SHA256}),
        listed({"path": "a", "size": 1, "sha256": "short"}),
        listed(*[{"path": "a", "size": 1, "sha256": SHA256}] * 2),
        listed(*[{"path": path, "size": 1, "sha256": SHA256} for path in ("a", "a/b")]),
        listed({"path": "../a", "size": 1, "sha256": SHA256}),
    ],
)
def test_a_list_that_cannot_be_used(event: JsonObject) -> None:
    with pytest.raises(DeployError) as caught:
        read_listing(event, "huggingface", "a/b")
    assert caught.value.problems[0].code == "bad-listing"
