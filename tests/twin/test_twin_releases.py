"""Each release's command line, metadata and version file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.twin.conftest import Start
from tests.twin.driver import queue_exists, wait_for
from tests.twin.interpreter import PAIRS, make_impostor

RELEASES = sorted(PAIRS)
COUNTS = {
    "2.0": 65,
    "2.1": 76,
    "2.2": 83,
    "2.3": 97,
    "2.4": 104,
    "2.5": 110,
    "2.6": 116,
}
"""Options without --help of the releases that were dumped."""
CHAT = "/v1/chat/completions"
CARD = [
    "--model", "baidu/ERNIE-4.5-21B-A3B-Thinking", "--load-choices", "default_v1",
    "--tensor-parallel-size", "1", "--max-model-len", "131072", "--reasoning-parser", "ernie_x1",
    "--tool-call-parser", "ernie_x1", "--max-num-seqs", "32",
]  # fmt: skip
PARSE = """
import json, sys
from fastdeploy._twin.args import make_parser
print(json.dumps(vars(make_parser().parse_args(sys.argv[1:])), default=str))
"""


def parse(python: Path, *flags: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Only the parser: no server is started."""
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder), "TWIN_T0": "0"}
    return subprocess.run(
        [str(python), "-c", PARSE, *flags], capture_output=True, text=True, env=env, check=False
    )


@pytest.mark.parametrize("release", RELEASES)
def test_metadata(interpreter: Callable[[str], Path], release: str) -> None:
    script = (
        "import importlib.metadata as m; print(m.version('fastdeploy-gpu'), "
        "m.version('paddlepaddle-gpu'))"
    )
    python = interpreter(release)
    output = subprocess.check_output([str(python), "-c", script], text=True)
    assert tuple(output.split()) == PAIRS[release]
    (package,) = python.parents[1].glob("lib/python3.*/site-packages/fastdeploy")
    text = package / "version.txt"
    assert text.exists() == (release != "2.0")
    if release in ("2.3", "2.4"):
        assert f"fastdeploy version: {PAIRS[release][0]}" in text.read_text()


def test_the_impostor_of_the_same_name(tmp_path: Path) -> None:
    python = make_impostor(tmp_path / "env")
    server = [str(python), "-m", "fastdeploy.entrypoints.openai.api_server"]
    done = subprocess.run(server, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "No module named 'fastdeploy.entrypoints'" in done.stderr


@pytest.mark.parametrize(("release", "accepted"), [("2.1", False), ("2.2", False), ("2.3", True),
                                                   ("2.4", True)])  # fmt: skip
def test_the_model_cards_command(
    interpreter: Callable[[str], Path], tmp_path: Path, release: str, accepted: bool
) -> None:
    done = parse(interpreter(release), *CARD, folder=tmp_path)
    if accepted:
        assert json.loads(done.stdout)["max_model_len"] == 131072
    else:
        assert done.returncode == 2
        assert "unrecognized arguments: --load-choices default_v1" in done.stderr
        spelled = [word.replace("--load-choices", "--load_choices") for word in CARD]
        assert parse(interpreter(release), *spelled, folder=tmp_path).returncode == 0


@pytest.mark.parametrize("release", COUNTS)
def test_every_flag_of_the_release_is_known(
    interpreter: Callable[[str], Path], tmp_path: Path, release: str
) -> None:
    done = parse(interpreter(release), "--help", folder=tmp_path)
    assert done.returncode == 0
    table = json.loads((Path(__file__).parent / "releases" / "flags.json").read_text())
    rows = table["releases"][release]
    assert len(rows) == COUNTS[release]
    assert not [flag for row in rows for flag in row[0] if flag not in done.stdout]
    assert "--config" not in done.stdout, "it belongs to the hidden first stage"


@pytest.mark.parametrize(
    ("flags", "name", "value"),
    [
        (["-tp", "2"], "tensor_parallel_size", 2),
        (["--max-model", "77"], "max_model_len", 77),
        (["--api-key", "a", "--api-key", "b"], "api_key", ["a", "b"]),
        (["--port", "1", "--port", "2"], "port", 2),
        (["--no-enable-prefix-caching"], "enable_prefix_caching", False),
        (["--quantization", "wint4"], "quantization", {"quantization": "wint4"}),
        (["--limit-mm-per-prompt", '{"image": 3}'], "limit_mm_per_prompt", {"image": 3}),
        (["--cache-queue-port", "1,2"], "cache_queue_port", [1, 2]),
        (["--engine-worker-queue-port", "8,9"], "engine_worker_queue_port", ["8", "9"]),
        (["--served-model-name", ""], "served_model_name", None),
        ([], "metrics_port", None),
    ],
)
def test_values(
    interpreter: Callable[[str], Path], tmp_path: Path, flags: list[str], name: str, value: object
) -> None:
    done = parse(interpreter("2.4"), *flags, folder=tmp_path)
    assert json.loads(done.stdout)[name] == value


def test_underscores_are_not_dashes(interpreter: Callable[[str], Path], tmp_path: Path) -> None:
    done = parse(interpreter("2.4"), "--max_model_len", "5", folder=tmp_path)
    assert done.returncode == 2


def test_the_hidden_config_file(interpreter: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("max_model_len: 99\nmax-num-seqs: 3\nnonsense: 1\nport: '9000'\n")
    done = parse(interpreter("2.4"), "--conf", str(path), "--port", "7", folder=tmp_path)
    values = json.loads(done.stdout)
    assert (values["max_model_len"], values["max_num_seqs"], values["port"]) == (99, 8, 7)
    path.write_text("")
    done = parse(interpreter("2.4"), "--config", str(path), folder=tmp_path)
    assert "AttributeError: 'NoneType' object has no attribute 'items'" in done.stderr
    done = parse(interpreter("2.4"), "--config", "/nowhere.yaml", folder=tmp_path)
    assert "FileNotFoundError" in done.stderr


@pytest.mark.parametrize("release", RELEASES)
def test_every_release_starts_and_stops(start: Start, release: str) -> None:
    twin = start(release=release).wait_ready()
    assert twin.says("Say OK.") == "OK"
    assert twin.stop() == 0


def test_a_hub_id_counts_as_downloaded(start: Start) -> None:
    twin = start("--max-model-len", "131072", model="baidu/ERNIE-4.5-21B-A3B-Thinking")
    models = json.loads(twin.wait_ready().http("GET", "/v1/models")[1])
    assert models["data"][0]["id"] == "baidu/ERNIE-4.5-21B-A3B-Thinking"
    assert models["data"][0]["max_model_len"] == 131072


@pytest.mark.parametrize("release", ["2.0", "2.1"])
def test_the_oldest_releases_name_by_pid_and_take_a_queue_for_each_rank(
    start: Start, release: str
) -> None:
    """gpu_model_runner.py adds the rank to Q; sockets and segments bear the api_server's pid."""
    twin = start("--tensor-parallel-size", "2", release=release).wait_ready()
    main, queue = twin.process.pid, twin.ports.queue
    assert queue_exists(queue)
    assert queue_exists(queue + 1)
    names = set(os.listdir("/dev/shm"))
    assert {f"{main}.socket", f"router_{main}.ipc", f"worker_ready_signal.{main}"} <= names
    assert not [name for name in names if name.endswith(f".{queue}")]
    assert twin.says("Say OK.") == "OK"
    assert twin.stop() == 0
    assert queue_exists(queue + 1), "it is not removed"


def test_one_metrics_folder_for_all_servers_of_the_host_up_to_2_2(start: Start) -> None:
    """metrics.py: it is removed and made anew under a server that runs already."""
    first = start(release="2.2").wait_ready()
    second = start(release="2.2").wait_ready()
    assert Path("/tmp/prom_main").is_dir()
    assert first.stop() == 0
    assert second.stop() == 0
    assert Path("/tmp/prom_main").is_dir()


def test_nobody_watches_the_worker_before_2_3(start: Start) -> None:
    """A monitor came with 2.3; before it a dead worker shows as a missing heartbeat only."""
    twin = start(release="2.2").wait_ready()
    os.kill(twin.worker, signal.SIGKILL)
    wait_for("the heartbeat to be missed", lambda: twin.health() == 404)
    assert twin.process.poll() is None
    assert "died in the background" not in twin.output


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("2.0", "Waitting worker processes ready..."),
        ("2.2", "Waiting worker processes ready..."),
        ("2.3", "Waiting for worker processes to be ready..."),
    ],
)
def test_the_spellings_of_waiting(start: Start, release: str, expected: str) -> None:
    assert expected in start(release=release).wait_ready().output


@pytest.mark.parametrize(
    ("release", "status", "trace"),
    [("2.0", 400, False), ("2.1", 400, False), ("2.2", 400, True), ("2.3", 500, True),
     ("2.4", 500, True)],
)  # fmt: skip
def test_the_refusal_of_a_long_prompt(start: Start, release: str, status: int, trace: bool) -> None:
    """The prompt is cut to 2047 of 2048 tokens, and 2047 are one too many: 2046 are the most."""
    twin = start(release=release).wait_ready()
    got, raw = twin.http(
        "POST", CHAT, {"messages": [{"role": "user", "content": "word " * 3000}], "max_tokens": 1}
    )
    text = raw.decode()
    assert got == status
    assert "input_ids_len (2047) + min_tokens(1) >= max_model_len(2048)" in text
    assert ("Traceback (most recent call last)" in text) == trace

    def prompt(tokens: int) -> int:
        body = {"messages": [], "prompt_token_ids": [5] * tokens, "max_tokens": 1}
        return twin.http("POST", CHAT, body)[0]

    if release == "2.4":
        assert [prompt(tokens) for tokens in (2046, 2047, 2048, 2049)] == [200, 500, 500, 500]
