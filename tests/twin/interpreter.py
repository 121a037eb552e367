"""An interpreter with the twin installed, made in milliseconds.

A real virtual environment as far as Python and importlib.metadata can tell, without pip: the
launcher starts ``<interpreter> -m fastdeploy.entrypoints.openai.api_server`` unmodified.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent / "package"
#: Versions as PaddlePaddle's index pairs them (docs/get_started/installation/nvidia_gpu.md).
PAIRS = {
    "2.0": ("2.0.0", "3.1.0"),
    "2.1": ("2.1.1", "3.1.1"),
    "2.2": ("2.2.1", "3.2.0"),
    "2.3": ("2.3.2", "3.2.1"),
    "2.4": ("2.4.0", "3.3.0"),
    "2.5": ("2.5.0", "3.3.1"),
    "2.6": ("2.6.0", "3.3.1"),
    "2.7": ("2.7.0", "3.3.1"),  # not released: one flag more and one less than 2.6
}


def make_interpreter(
    directory: Path,
    release: str = "2.4",
    *,
    extra_site: Path | None = None,
    version: str | None = None,
    paddle: str | None = None,
) -> Path:
    """Create the environment in ``directory`` and return its python.

    Args:
        directory: where to create it; created if missing.
        release: 2.0 to 2.6, or 2.7, which no catalogue knows.
        extra_site: another folder for its path, before the one of the running interpreter, whose
            setproctitle, tokenizers and jinja2 the twin uses.
        version: the exact version in the metadata, else the release's newest known one.
        paddle: the version of paddlepaddle-gpu, else the paired one.
    """
    fastdeploy, paired = PAIRS[release]
    fastdeploy, paddle = version or fastdeploy, paddle or paired
    site = _skeleton(directory)
    _link_package(site, fastdeploy, paddle)
    _metadata(site, "fastdeploy_gpu", "fastdeploy-gpu", fastdeploy)
    _metadata(site, "paddlepaddle_gpu", "paddlepaddle-gpu", paddle)
    paths = [str(extra_site)] if extra_site else []
    paths.append(sysconfig.get_paths()["purelib"])
    (site / "twin.pth").write_text("\n".join(paths) + "\n", encoding="utf-8")
    return directory / "bin" / "python"


def make_impostor(directory: Path) -> Path:
    """An environment with the unrelated PyPI project that is also named fastdeploy.

    Its module is importable and has no api_server (notAI-tech/fastDeploy).
    """
    site = _skeleton(directory)
    (site / "fastdeploy").mkdir()
    (site / "fastdeploy" / "__init__.py").write_text("", encoding="utf-8")
    (site / "fastdeploy" / "__main__.py").write_text(
        "import argparse\n"
        "parser = argparse.ArgumentParser()\n"
        "for flag in ('--recipe', '--loop', '--rest', '--build'):\n"
        "    parser.add_argument(flag)\n"
        "parser.parse_args()\n",
        encoding="utf-8",
    )
    _metadata(site, "fastdeploy", "fastdeploy", "3.1.1")
    return directory / "bin" / "python"


def _skeleton(directory: Path) -> Path:
    base = Path(os.path.realpath(sys.executable))
    short = f"{sys.version_info.major}.{sys.version_info.minor}"
    site = directory / "lib" / f"python{short}" / "site-packages"
    site.mkdir(parents=True)
    (directory / "bin").mkdir()
    for name in ("python", "python3", f"python{short}"):
        (directory / "bin" / name).symlink_to(base)
    (directory / "pyvenv.cfg").write_text(
        f"home = {base.parent}\ninclude-system-site-packages = false\n"
        f"version = {sys.version.split()[0]}\nexecutable = {base}\n",
        encoding="utf-8",
    )
    return site


def _link_package(site: Path, version: str, paddle: str) -> None:
    """Links, so that version.txt can differ per environment and __file__ lies inside of it."""
    package = site / "fastdeploy"
    package.mkdir()
    for entry in (PACKAGE / "fastdeploy").iterdir():
        if entry.name != "__pycache__":
            (package / entry.name).symlink_to(entry)
    (site / "paddle").symlink_to(PACKAGE / "paddle")
    number = tuple(int(part) for part in version.split(".")[:2])
    if number >= (2, 1):
        lines = [
            "fastdeploy GIT COMMIT ID: cba7b29100000000000000000000000000000000",
            f"Paddle version: {paddle}",
            "Paddle GIT COMMIT ID: 0000000000000000000000000000000000000000",
            "CUDA version: 12.6",
            "CXX compiler version: g++ (GCC) 12.2.0",
        ]
        if number >= (2, 3):
            lines.append(f"fastdeploy version: {version}")
        (package / "version.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _metadata(site: Path, folder: str, name: str, version: str) -> None:
    info = site / f"{folder}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8"
    )
    (info / "INSTALLER").write_text("pip\n", encoding="utf-8")
    (info / "RECORD").write_text("", encoding="utf-8")
