"""`ernie-deploy profiles ...` as a user runs it."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from launcher import profile
from tests.support import ROOT, cli

THINKING = "profiles/ernie-4.5-21b-a3b-thinking-vllm.yaml"


def test_list(run_cli: Any, tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "mine.yaml").write_text("name: mine\nengine: vllm\nmodel: a/b\n")
    (tmp_path / "profiles" / "over.yaml").write_text("max-num-seqs: 8\n")
    ran = run_cli("profiles", "list", "--json", cwd=tmp_path)
    rows = {row["file"]: row for row in ran.json["data"]["profiles"]}
    assert rows["profiles/mine.yaml"]["model"] == "a/b"
    assert rows["profiles/over.yaml"]["problem"] == "name: is required"
    assert rows["ernie-tiny-cpu.yaml"]["engine"] == "transformers"
    assert rows["ernie-tiny-cpu.yaml"]["description"]
    text = run_cli("profiles", "list", cwd=tmp_path)
    assert text.rc == 0
    assert re.search(r"^profiles/mine.yaml +vllm +a/b", text.stdout, re.MULTILINE), text.output()
    assert "over.yaml: no profile by itself: name: is required" in text.stdout


def test_show_is_a_profile_that_says_the_same(run_cli: Any, tmp_path: Path) -> None:
    ran = run_cli("profiles", "show", THINKING, "--set", "engine-args.x=on")
    assert ran.rc == 0, ran.output()
    profile_copy = tmp_path / "shown.yaml"
    profile_copy.write_text(ran.stdout)
    expected = profile.load(ROOT / THINKING, sets=["engine-args.x=on"], environ={})
    assert profile.load(profile_copy, environ={}).resolved == expected.resolved
    assert yaml.safe_load(ran.stdout) == expected.resolved


def test_show_with_the_origin_of_every_value(run_cli: Any, tmp_path: Path) -> None:
    over = tmp_path / "over.yaml"
    over.write_text("host: ${WHERE:-0.0.0.0}\n")
    ran = run_cli("profiles", "show", THINKING, "--origins", "--overlay", str(over),
                  "--set", "max-num-seqs=4", "--name", "other")  # fmt: skip
    assert ran.rc == 0, ran.output()
    lines = [line for line in ran.stdout.splitlines() if not line.endswith(":")]
    got = {}
    for line in lines:
        text, _, origin = line.partition("  # ")
        assert origin, f"no origin: {line}"
        got[text.strip()] = origin
    assert got["name: other"] == "--name"
    assert got["max-num-seqs: 4"] == "--set"
    assert got["host: 0.0.0.0"] == f"{over}:1:1 (variable WHERE)"
    assert got["engine: vllm"] == f"{THINKING}:6:1"
    base = "profiles/ernie-4.5-21b-a3b-thinking.yaml"
    line = (ROOT / base).read_text().splitlines().index("max-model-len: 131072") + 1
    assert got["max-model-len: 131072"] == f"{base}:{line}:1"
    assert got["probe-timeout: 60"] == "default"
    assert yaml.safe_load(ran.stdout)["host"] == "0.0.0.0"


def test_show_says_what_is_wrong(run_cli: Any, tmp_path: Path) -> None:
    broken = tmp_path / "bad.yaml"
    broken.write_text("name: a\nengine: vlm\nmodel: a/b\nmax-num-seqs: no\n")
    ran = run_cli("profiles", "show", str(broken))
    assert ran.rc == 2
    assert ran.stdout == ""
    assert f"{broken}:2:9: engine: 'vlm' is not an engine" in ran.stderr
    assert f"{broken}:4:15: max-num-seqs: 'no' is not a whole number" in ran.stderr
    envelope = run_cli("profiles", "show", str(broken), "--json").json
    assert [e["code"] for e in envelope["errors"]] == ["unknown-engine", "wrong-type"]


def test_schema(run_cli: Any) -> None:
    ran = run_cli("profiles", "schema")
    jsonschema.Draft202012Validator.check_schema(json.loads(ran.stdout))
    assert ran.stdout == (ROOT / "profiles" / "profile.schema.json").read_text()
    assert run_cli("profiles", "schema", "--json").json["data"]["schema"] == json.loads(ran.stdout)


@pytest.mark.parametrize("engine", ["fastdeploy", "vllm", "transformers", "hosted"])
def test_init_writes_a_profile_that_validates(run_cli: Any, tmp_path: Path, engine: str) -> None:
    ran = run_cli("profiles", "init", "--engine", engine, "-o", "new.yaml", cwd=tmp_path)
    assert ran.rc == 0, ran.output()
    text = (tmp_path / "new.yaml").read_text()
    assert profile.load(tmp_path / "new.yaml", environ={}).engine == engine
    # Every commented example is right as well; a hosted endpoint does not extend a local server.
    uncommented = re.sub(r"^#(?=[a-z]|  )", "", text, flags=re.MULTILINE)
    if engine == "hosted":
        uncommented = uncommented.replace("extends:", "#extends:")
    (tmp_path / "all.yaml").write_text(uncommented)
    loaded = profile.load(tmp_path / "all.yaml", environ={})
    assert loaded.max_model_len == 131072
    assert loaded.smoke["tags"] == ["quick"]


def test_init_of_a_local_model(run_cli: Any, tmp_path: Path) -> None:
    (tmp_path / "My Weights $1").mkdir()
    run_cli("profiles", "init", "--model", "./My Weights $1", "-o", "sub.yaml", cwd=tmp_path)
    loaded = profile.load(tmp_path / "sub.yaml", environ={})
    assert loaded.model == str(tmp_path / "My Weights $1")
    assert loaded.name == "my-weights-1"


def test_init_never_overwrites_and_leaves_nothing_wrong(run_cli: Any, tmp_path: Path) -> None:
    (tmp_path / "profile.yaml").write_text("precious\n")
    ran = run_cli("profiles", "init", cwd=tmp_path)
    assert ran.rc == 2
    assert "profile.yaml exists and is left as it is" in ran.stderr
    assert (tmp_path / "profile.yaml").read_text() == "precious\n"
    ran = run_cli("profiles", "init", "--engine", "vlm", "-o", "x.yaml", cwd=tmp_path)
    assert ran.rc == 2
    assert "did you mean 'vllm'?" in ran.stderr
    assert not (tmp_path / "x.yaml").exists()
    assert run_cli("profiles", "init", "-o", "no/such/folder.yaml", cwd=tmp_path).rc == 2


def test_diff_release(run_cli: Any) -> None:
    card = "ernie-4.5-21b-a3b-thinking.yaml"
    ran = run_cli("profiles", "diff-release", card, "2.2", "2.4")
    assert ran.rc == 0, ran.output()
    assert ran.stdout.startswith("ernie-4.5-21b-a3b-thinking: FastDeploy 2.2 to 2.4:\n")
    assert "spelled differently: engine-args.load-choices: --load_choices in 2.2" in ran.stdout
    data = run_cli("profiles", "diff-release", card, "2.2", "2.4", "--json").json["data"]
    assert (data["old"], data["new"]) == ("2.2", "2.4")
    assert run_cli("profiles", "diff-release", "ernie-tiny-cpu.yaml", "2.2", "2.4").rc == 2


def test_reading_a_profile_imports_nothing_that_talks_http() -> None:
    program = (
        "import sys; from launcher import profile\n"
        "profile.load('profiles/ernie-4.5-21b-a3b-thinking.yaml')\n"
        "print([m for m in ('requests', 'http.client', 'urllib3', 'socket', 'ssl',"
        " 'importlib.metadata', 'paddle', 'torch', 'asyncio') if m in sys.modules])"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True,
                          env=cli.environment(None), timeout=600, check=True)  # fmt: skip
    assert done.stdout.strip() == "[]"


def test_the_keeper_s_imports_carry_no_yaml() -> None:
    program = "import sys, launcher.profile.model; print('yaml' in sys.modules)"
    import subprocess

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True,
                          env=cli.environment(None), timeout=600, check=True)  # fmt: skip
    assert done.stdout.strip() == "False"
