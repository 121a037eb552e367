"""`ernie-deploy profiles ...` as a user runs it."""

import json
import re
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from launcher import profile
from tests.support import ROOT, cli
from tests.support.cli import RunCli

THINKING = "profiles/ernie-4.5-21b-a3b-thinking-vllm.yaml"


def test_list(run_cli: RunCli, tmp_path: Path) -> None:
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


def test_show_is_a_profile_that_says_the_same(run_cli: RunCli, tmp_path: Path) -> None:
    ran = run_cli("profiles", "show", THINKING, "--set", "engine-args.x=on")
    assert ran.rc == 0, ran.output()
    profile_copy = tmp_path / "shown.yaml"
    profile_copy.write_text(ran.stdout)
    expected = profile.load(ROOT / THINKING, sets=["engine-args.x=on"], environ={})
    assert profile.load(profile_copy, environ={}).resolved == expected.resolved
    assert yaml.safe_load(ran.stdout) == expected.resolved


def test_show_with_the_origin_of_every_value(run_cli: RunCli, tmp_path: Path) -> None:
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
    number = (ROOT / base).read_text().splitlines().index("max-model-len: 131072") + 1
    assert got["max-model-len: 131072"] == f"{base}:{number}:1"
    assert got["probe-timeout: 60"] == "default"
    assert yaml.safe_load(ran.stdout)["host"] == "0.0.0.0"


def test_show_says_what_is_wrong(run_cli: RunCli, tmp_path: Path) -> None:
    broken = tmp_path / "bad.yaml"
    broken.write_text("name: a\nengine: vlm\nmodel: a/b\nmax-num-seqs: no\n")
    ran = run_cli("profiles", "show", str(broken))
    assert ran.rc == 2
    assert ran.stdout == ""
    assert f"{broken}:2:9: engine: 'vlm' is not an engine" in ran.stderr
    assert f"{broken}:4:15: max-num-seqs: 'no' is not a whole number" in ran.stderr
    envelope = run_cli("profiles", "show", str(broken), "--json").json
    assert [e["code"] for e in envelope["errors"]] == ["unknown-engine", "wrong-type"]


def test_schema(run_cli: RunCli) -> None:
    ran = run_cli("profiles", "schema")
    jsonschema.Draft202012Validator.check_schema(json.loads(ran.stdout))
    assert ran.stdout == (ROOT / "profiles" / "profile.schema.json").read_text()
    assert run_cli("profiles", "schema", "--json").json["data"]["schema"] == json.loads(ran.stdout)


@pytest.mark.parametrize("engine", ["fastdeploy", "vllm", "transformers", "hosted"])
def test_init_writes_a_profile_that_validates(run_cli: RunCli, tmp_path: Path, engine: str) -> None:
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


def test_init_of_a_model_prints_a_profile_that_validates(run_cli: RunCli, tmp_path: Path) -> None:
    ran = run_cli("profiles", "init", "ERNIE-4.5-21B-A3B-Thinking", "--gpu", "A10", cwd=tmp_path)
    assert ran.rc == 0, ran.output()
    assert list(tmp_path.iterdir()) == [], "it is printed, not written"
    (tmp_path / "new.yaml").write_text(ran.stdout)
    valid = run_cli("validate", "new.yaml", cwd=tmp_path)
    assert valid.rc == 0, valid.output()
    plan = run_cli("plan", "--memory", "--gpu", "a10-24g", "new.yaml", cwd=tmp_path)
    assert plan.rc == 0, plan.output()
    # 8-bit weights of 21B do not fit on one A10.
    assert re.search(r"^tensor-parallel-size: 2\b", ran.stdout, re.MULTILINE)
    assert "fitted to NVIDIA A10 by the memory plan; documented: 1" in ran.stdout


def test_init_as_json(run_cli: RunCli, tmp_path: Path) -> None:
    ran = run_cli("profiles", "init", "ERNIE-4.5-300B-A47B", "--gpu", "h800", "--gpus", "4",
                  "-o", "big.yaml", "--json", cwd=tmp_path)  # fmt: skip
    data = ran.json["data"]
    assert (data["file"], data["fits"], data["documented"]) == ("big.yaml", True, True)
    assert data["text"] == (tmp_path / "big.yaml").read_text()
    assert data["gpu"] == {"name": "NVIDIA H800 80GB", "count": 4, "source": "--gpus 4"}
    settings = {entry["key"]: entry["value"] for entry in data["settings"]}
    assert settings["tensor-parallel-size"] == 4
    assert settings["model"] == "baidu/ERNIE-4.5-300B-A47B-Paddle"
    assert all(entry["source"] for entry in data["settings"])


def test_init_of_a_local_model(run_cli: RunCli, tmp_path: Path) -> None:
    (tmp_path / "My_Weights").mkdir()
    ran = run_cli("profiles", "init", "./My_Weights", "-o", "sub.yaml", cwd=tmp_path)
    assert "note: GUESSED: FastDeploy's documentation has no settings for" in ran.stdout
    loaded = profile.load(tmp_path / "sub.yaml", environ={})
    assert loaded.model == str(tmp_path / "My_Weights")
    assert loaded.name == "my-weights"
    (tmp_path / "My Weights $1").mkdir()
    # FastDeploy puts the path into a shell command; vLLM does not.
    for engine, code in (("fastdeploy", 2), ("vllm", 0)):
        ran = run_cli("profiles", "init", "./My Weights $1", "--engine", engine, "-o",
                      f"{engine}.yaml", cwd=tmp_path)  # fmt: skip
        assert ran.rc == code, ran.output()
        assert (tmp_path / f"{engine}.yaml").exists() == (code == 0)
    loaded = profile.load(tmp_path / "vllm.yaml", environ={})
    assert loaded.model == str(tmp_path / "My Weights $1")


def test_init_never_overwrites_and_leaves_nothing_wrong(run_cli: RunCli, tmp_path: Path) -> None:
    (tmp_path / "profile.yaml").write_text("precious\n")
    init = ("profiles", "init", "ERNIE-4.5-0.3B", "--gpu", "a10", "-o", "profile.yaml")
    ran = run_cli(*init, cwd=tmp_path)
    assert ran.rc == 2
    assert "profile.yaml exists and is left as it is" in ran.stderr
    assert (tmp_path / "profile.yaml").read_text() == "precious\n"
    assert run_cli(*init, "--force", cwd=tmp_path).rc == 0
    assert profile.load(tmp_path / "profile.yaml", environ={}).quantization == "wint4"
    ran = run_cli("profiles", "init", "--engine", "vlm", "-o", "x.yaml", cwd=tmp_path)
    assert ran.rc == 2
    assert "did you mean 'vllm'?" in ran.stderr
    assert not (tmp_path / "x.yaml").exists()
    assert run_cli("profiles", "init", "-o", "no/such/folder.yaml", cwd=tmp_path).rc == 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("ERNIE-4.5-21B-A3B-Thinkin",), "did you mean 'ernie-4.5-21b-a3b-thinking'?"),
        (("ERNIE-4.5-0.3B", "--gpu", "a1000"), "did you mean"),
        (("ERNIE-4.5-0.3B", "--gpu", "h20"), "did you mean 'h20-96g' or 'h20-141g'?"),
        (("ERNIE-4.5-0.3B", "--gpu", "a10", "--gpus", "0"), "--gpus"),
    ],
)
def test_init_names_what_is_nearest(
    run_cli: RunCli, tmp_path: Path, args: tuple[str, ...], message: str
) -> None:
    ran = run_cli("profiles", "init", *args, cwd=tmp_path)
    assert ran.rc == 2
    assert message in ran.stderr
    assert ran.stdout == ""


def test_diff_release(run_cli: RunCli) -> None:
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
