"""`render` and `diff` as commands: what is written, what is refused, and what counts as drift."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.cli.render import NAMES
from launcher.render.header import parse_header
from launcher.render.targets import TARGETS
from tests.support import ROOT
from tests.support.cli import Ran
from tests.support.rig import Rig, rig

__all__ = ["rig"]
TINY = str(ROOT / "profiles" / "ernie-tiny-cpu.yaml")
LARGE = str(ROOT / "profiles" / "ernie-4.5-300b-a47b.yaml")
HOSTED = str(ROOT / "profiles" / "hosted" / "modelslab-ernie-4.5-21b-a3b.yaml")
Run = Callable[..., Ran]


def test_the_command_has_every_target() -> None:
    assert list(TARGETS) == list(NAMES)


@pytest.mark.parametrize("target", NAMES)
def test_files_are_written_with_a_header_and_are_no_drift(
    target: str, run_cli: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    ran = run_cli("render", target, LARGE, "-o", str(folder), "--json")
    assert ran.rc == 0, ran.output()
    for one in ran.json["data"]["files"]:
        text = (folder / one["path"]).read_text()
        header = parse_header(text)
        assert header is not None
        assert (header.target, header.file, header.release) == (target, one["path"], "2.5.0")
        assert text == one["text"]
    again = run_cli("diff", LARGE, "--rendered", str(folder))
    assert again.rc == 0, again.output()


def test_no_engine_no_port_and_no_state_is_needed(run_cli: Run, tmp_path: Path) -> None:
    """Port 8180 is another's, and FastDeploy is not installed: a rendering does not care."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for target in ("compose", "systemd"):
            ran = run_cli("render", target, LARGE, "--set", f"ports.api={port}")
            assert ran.rc == 0, ran.output()
    home = Path(str(run_cli("version", "--json").json["data"]["home"]))
    assert not (home / "instances").exists()


def test_another_release_can_be_named(run_cli: Run) -> None:
    ran = run_cli("render", "compose", LARGE, "--engine-version", "2.4", "--json")
    assert ran.json["data"]["release"].startswith("2.4")
    ran = run_cli("render", "compose", LARGE, "--engine-version", "1.0", "--json")
    assert ran.rc in (2, 3), ran.output()


def test_a_hosted_profile_is_refused(run_cli: Run) -> None:
    ran = run_cli("render", "kubernetes", HOSTED, "--json")
    assert (ran.rc, ran.json["errors"][0]["code"]) == (3, "hosted")


def test_a_wrong_profile_is_refused_at_its_line(run_cli: Run, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("name: a\nengine: fastdeploy\nmodel: a/b\nmax-num-sqes: 3\n")
    ran = run_cli("render", "systemd", str(path), "-o", str(tmp_path / "out"), "--json")
    assert ran.rc == 2
    assert ran.json["errors"][0]["where"].endswith("p.yaml:4:1")
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_ours_is_not_replaced(run_cli: Run, tmp_path: Path) -> None:
    (tmp_path / "profile.yaml").write_text("mine\n")
    ran = run_cli("render", "compose", TINY, "-o", str(tmp_path), "--json")
    assert (ran.rc, ran.json["errors"][0]["code"]) == (3, "file-not-rendered")
    assert [one.name for one in tmp_path.iterdir()] == ["profile.yaml"], "nothing half done"
    assert (tmp_path / "profile.yaml").read_text() == "mine\n"


def test_a_link_is_not_followed(run_cli: Run, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("mine\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "profile.yaml").symlink_to(target)
    assert run_cli("render", "compose", TINY, "-o", str(tmp_path / "out")).rc == 3
    assert target.read_text() == "mine\n"


def test_a_folder_that_cannot_be_made_is_one_message(run_cli: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = run_cli("render", "compose", TINY, "-o", str(tmp_path / "file" / "out"), "--json")
    assert (ran.rc, ran.json["errors"][0]["code"]) == (3, "folder-not-writable")


def rows(ran: Ran) -> dict[str, str]:
    return {row["subject"]: row["state"] for row in ran.json["data"]["rows"]}


def test_drift_is_found_and_explained(run_cli: Run, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    run_cli("render", "kubernetes", TINY, "-o", str(folder))
    workload, policy = folder / "base" / "workload.yaml", folder / "base" / "network.yaml"
    workload.write_text(workload.read_text().replace("replicas: 1", "replicas: 7"))
    policy.unlink()
    ran = run_cli("diff", TINY, "--rendered", str(folder), "--json")
    assert (ran.rc, ran.json["data"]["drift"]) == (1, True)
    states = rows(ran)
    assert states.pop(str(workload)) == "differs"
    assert states.pop(str(policy)) == "missing"
    assert states.pop("instance ernie-tiny-cpu") == "not-running"
    assert set(states.values()) == {"same"}
    text = run_cli("diff", TINY, "--rendered", str(folder)).stdout
    assert "the file was edited" in text
    assert "replicas: 7" in text


def test_a_changed_profile_is_drift_of_every_file_that_shows_it(
    run_cli: Run, tmp_path: Path
) -> None:
    run_cli("render", "systemd", TINY, "-o", str(tmp_path))
    changed = ("--set", "stop.grace=77s")
    ran = run_cli("diff", TINY, *changed, "--rendered", str(tmp_path), "--json")
    assert ran.rc == 1
    assert "the profile has changed since it was rendered" in json.dumps(ran.json["data"])
    run_cli("render", "systemd", TINY, *changed, "-o", str(tmp_path))
    assert run_cli("diff", TINY, *changed, "--rendered", str(tmp_path)).rc == 0


def test_replicas_and_release_are_those_of_the_rendering(run_cli: Run, tmp_path: Path) -> None:
    options = ("--replicas", "3", "--engine-version", "2.4")
    run_cli("render", "kubernetes", LARGE, *options, "-o", str(tmp_path))
    assert run_cli("diff", LARGE, "--rendered", str(tmp_path)).rc == 0


def test_several_targets_lie_below_one_folder(run_cli: Run, tmp_path: Path) -> None:
    for target in ("compose", "slurm"):
        run_cli("render", target, TINY, "-o", str(tmp_path / target))
    run_cli("render", "compose", LARGE, "-o", str(tmp_path / "large"))
    ran = run_cli("diff", TINY, "--rendered", str(tmp_path), "--json")
    assert ran.rc == 0
    assert not [subject for subject in rows(ran) if "/large/" in subject], "another profile's"


def test_an_empty_folder_is_no_answer(run_cli: Run, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "gone"):
        ran = run_cli("diff", TINY, "--rendered", str(folder), "--json")
        assert ran.rc == 3
        code = ran.json["errors"][0]["code"]
        assert code in ("nothing-rendered", "folder-not-readable")


def test_an_instance_that_runs_with_something_else_is_drift(rig: Rig) -> None:
    rig.up()
    unchanged = rig.run("diff", rig.profile(), "--json")
    assert (unchanged.rc, rows(unchanged)) == (0, {"instance one": "same"}), unchanged.output()
    second = rig.run("diff", rig.profile(max_model_len=4096), "--json")
    assert (second.rc, rows(second)) == (1, {"instance one": "differs"})
    only_rendering = rig.run("diff", rig.profile(render={"image": "x:1"}), "--json")
    assert only_rendering.rc == 0, "what only `render` reads does not count as a difference"
    rig.down()


def test_an_engine_without_a_pinned_release_must_be_told(rig: Rig) -> None:
    ran = rig.run("render", "systemd", rig.profile(), "--json")
    assert (ran.rc, ran.json["errors"][0]["code"]) == (3, "release-not-known")
