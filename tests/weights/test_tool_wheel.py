"""The running ernie-deploy as a wheel: the same files as a built one, and pip takes it."""

import subprocess
import sys
import zipfile
from pathlib import Path

from launcher import __version__
from launcher.weights import tool_wheel
from tests.support import ROOT, venvs


def test_it_has_the_code_and_what_ships_with_it(tmp_path: Path) -> None:
    wheel = tool_wheel.pack(tmp_path)
    assert wheel.name == f"ernie_deploy-{__version__}-py3-none-any.whl"
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "launcher").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    for part in tool_wheel.SHIPPED:
        expected |= {
            f"launcher/_shipped/{path.relative_to(ROOT)}"
            for path in (ROOT / part).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
    info = f"ernie_deploy-{__version__}.dist-info"
    about = {f"{info}/{one}" for one in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
    assert names == expected | about
    assert tool_wheel.SHIPPED == ("profiles", "deploy/requirements", "deploy/runbooks")
    assert all(f'"{part}"' in (ROOT / "setup.py").read_text() for part in tool_wheel.SHIPPED)


def test_two_of_the_same_code_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = tool_wheel.pack(tmp_path / "a"), tool_wheel.pack(tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()


def test_pip_installs_it_and_an_installed_one_packs_itself_again(tmp_path: Path) -> None:
    wheel = tool_wheel.pack(tmp_path)
    python = venvs.make(tmp_path / "venv")
    site = venvs.packages(tmp_path / "venv")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
         "--target", str(site), str(wheel)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    borrowed = [path for path in sys.path if path.endswith("site-packages")]
    (site / "borrowed.pth").write_text("\n".join(borrowed) + "\n")
    (tmp_path / "again").mkdir()
    code = (
        "import pathlib, sys; from launcher.weights import tool_wheel;"
        "print(tool_wheel.__file__, tool_wheel.pack(pathlib.Path(sys.argv[1])))"
    )
    ran = subprocess.run(
        [str(python), "-I", "-c", code, str(tmp_path / "again")],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert str(site) in ran.stdout
    first, second = (set(zipfile.ZipFile(one).namelist()) for one in (
        wheel, tmp_path / "again" / wheel.name))  # fmt: skip
    assert first == second
