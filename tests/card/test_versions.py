"""Versions and hashes: what a person can calculate again by hand."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

import launcher
from launcher.card import versions
from launcher.plan.model import LaunchPlan
from launcher.profile.model import Profile
from launcher.weights import manifest
from launcher.weights.manifest import Manifest, ModelFile


def profile(model: str) -> Profile:
    return Profile("one", "transformers", model)


def model_folder(folder: Path) -> Path:
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"w" * 1000)
    (folder / "sub" / "a.txt").write_text("a")
    return folder


def test_the_hash_of_a_folder_is_what_sha256sum_says(tmp_path: Path) -> None:
    """The line of docs/report.md."""
    folder = model_folder(tmp_path / "m")
    line = "find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
    printed = subprocess.run(
        ["/bin/sh", "-c", line], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    facts = versions.weights(profile(str(folder)))
    assert facts.sha256 == printed.split()[0]
    assert (facts.source, facts.note) == ("files", None)
    assert [one.path for one in facts.files] == ["config.json", "model.safetensors", "sub/a.txt"]


def test_a_large_model_without_a_manifest_is_not_read_for_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "MOST_HASHED", 500)
    facts = versions.weights(profile(str(model_folder(tmp_path / "m"))))
    hashed = {one.path: one.sha256 is not None for one in facts.files}
    assert hashed == {"config.json": True, "model.safetensors": False, "sub/a.txt": True}
    assert facts.sha256 is None
    assert facts.note is not None
    assert "1 files of 1000 bytes were not hashed" in facts.note


def test_a_pulled_model_is_told_by_its_manifest(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    listed = tuple(
        ModelFile(name, (folder / name).stat().st_size, "cd" * 32)
        for name in ("config.json", "model.safetensors")
    )
    known = Manifest(manifest.SCHEMA, "baidu/E", "huggingface", "baidu/E", None, "c0ffee",
                     "2027-01-01T00:00:00Z", listed)  # fmt: skip
    (folder / manifest.NAME).write_text(known.text())
    facts = versions.weights(profile(str(folder)))
    assert (facts.source, facts.commit, facts.size) == ("manifest", "c0ffee", 1002)
    assert facts.sha256 == versions.digest((one.path, one.sha256) for one in listed)
    (folder / "model.safetensors").write_bytes(b"w")
    note = versions.weights(profile(str(folder))).note
    assert note is not None
    assert "model.safetensors" in note


def test_what_the_engine_downloads_itself_has_no_hash(home: Path) -> None:
    facts = versions.weights(profile("baidu/ERNIE-4.5-0.3B"))
    assert facts.source == "unknown"
    assert facts.note is not None
    assert "`ernie-deploy model pull`" in facts.note


def test_a_model_that_is_gone_costs_no_card(tmp_path: Path) -> None:
    facts = versions.weights(profile(str(tmp_path / "gone")))
    assert (facts.files, facts.sha256) == ((), None)


def plan(program: Path) -> LaunchPlan:
    return LaunchPlan("one", "transformers", "5.0", (str(program),), "/", "/l", "/t")


def test_a_package_is_told_by_the_list_of_its_files(home: Path) -> None:
    folder = home / "engines" / "transformers-5.0"
    python = folder / "bin" / "python"
    info = folder / "lib/python3.11/site-packages/Hugging_Face.Hub-2.4.dist-info"
    info.mkdir(parents=True)
    python.parent.mkdir()
    python.touch()
    (info / "RECORD").write_text("a.py,sha256=x,1\n")
    marker = {"schema": "ernie-deploy/environment/1", "name": "transformers", "version": "5.0",
              "python_version": "3.11.7", "installed_at": "2027",
              "distributions": {"hugging-face-hub": "2.4", "gone": "1"}}  # fmt: skip
    (folder / "ernie-deploy.json").write_text(json.dumps(marker))
    facts = versions.engine(plan(python))
    assert (facts.python, facts.installed_at, facts.note) == ("3.11.7", "2027", None)
    hashes = {one.name: one.sha256 for one in facts.distributions}
    assert hashes == {
        "hugging-face-hub": hashlib.sha256(b"a.py,sha256=x,1\n").hexdigest(),
        "gone": None,
    }


def test_an_environment_of_others_is_named_as_such(home: Path) -> None:
    facts = versions.engine(plan(Path("/usr/bin/python3")))
    assert facts.distributions == ()
    assert facts.note is not None
    assert "not installed by `engine install`" in facts.note


def test_the_tool_has_one_hash_for_all_of_its_files() -> None:
    tool = versions.tool()
    assert tool.version == launcher.__version__
    assert tool.sha256 == versions.tool().sha256
    assert tool.files > 300


def test_the_host_is_told_with_why_no_gpu_is_known() -> None:
    host = versions.host()
    assert host.cores >= 1
    assert host.memory > 0
    assert host.gpus or host.note is not None or host.driver is not None
