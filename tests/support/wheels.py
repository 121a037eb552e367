"""Small wheels made on the spot, so that a real pip can install an engine in a second."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def make(
    folder: Path,
    name: str,
    version: str,
    *,
    files: Mapping[str, str] | None = None,
    requires: Sequence[str] = (),
    extras: Sequence[str] = (),
    script: str | None = None,
) -> Path:
    """A wheel in `folder`; `files` maps paths to contents, `script` is `command = module:function`.

    Without files it holds an empty module of its own name.
    """
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        *(f"Provides-Extra: {extra}" for extra in extras),
        *(f"Requires-Dist: {requirement}" for requirement in requires),
    ]
    contents = {
        **(files if files is not None else {f"{module}/__init__.py": ""}),
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if script:
        contents[f"{info}/entry_points.txt"] = f"[console_scripts]\n{script}\n"
    contents[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in contents)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in contents.items():
            archive.writestr(inside, text)
    return path


def transformers(folder: Path, version: str = "5.24.0", main: str = "print('usage')") -> None:
    """A stand-in for transformers and what its server needs; `main` is what its command runs."""
    body = "\n".join(f"    {line}" for line in main.splitlines())
    make(
        folder,
        "transformers",
        version,
        files={"transformers/__init__.py": f"def main():\n{body}\n"},
        requires=('fastapi; extra == "serving"', 'uvicorn; extra == "serving"'),
        extras=("serving",),
        script="transformers = transformers:main",
    )
    for name in ("fastapi", "uvicorn"):
        make(folder, name, "1.0")
    make(folder, "torch", "2.13.0+cpu")


def offline(folder: Path) -> dict[str, str | None]:
    """The environment in which pip knows this folder and nothing else."""
    return {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(folder),
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_EXTRA_INDEX_URL": None,
        "PIP_INDEX_URL": None,
        "CUDA_VISIBLE_DEVICES": None,
    }
