"""The folders of an engine: nothing that another user prepared is used."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.keeper.engine_process import prepare_folders
from launcher.plan.model import LaunchPlan


def plan(folder: Path) -> LaunchPlan:
    temporary = folder / "ed-abcdefgh"
    return LaunchPlan(
        "one", "scripted", "1.0", ("x",), str(temporary), str(folder / "logs"), str(temporary),
        folders=(str(temporary / "prometheus"),),
    )  # fmt: skip


def link_to_ours(path: Path) -> None:
    (path.parent / "precious").mkdir(mode=0o700)
    path.symlink_to(path.parent / "precious")


def dangling_link(path: Path) -> None:
    path.symlink_to(path.parent / "precious")


def open_folder(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def another_users(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    path.mkdir(mode=0o700)
    os.chown(path, 65533, 65533)


@pytest.mark.parametrize(
    "attack", [link_to_ours, dangling_link, open_folder, pipe, another_users, Path.touch]
)
def test_a_temporary_folder_that_is_not_ours_is_not_used(
    tmp_path: Path, attack: Callable[[Path], None]
) -> None:
    attack(tmp_path / "ed-abcdefgh")
    with pytest.raises(OSError, match="ed-abcdefgh"):
        prepare_folders(plan(tmp_path))
    assert not list(tmp_path.rglob("prometheus"))
    assert not list(tmp_path.glob("precious/*"))


def test_what_is_kept_for_a_restart_is_used_again(tmp_path: Path) -> None:
    for _ in range(2):
        prepare_folders(plan(tmp_path))
    for path in (tmp_path / "ed-abcdefgh", tmp_path / "ed-abcdefgh" / "prometheus"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
