"""Small wheels made on the spot, so that a real pip can install an engine in a second."""

import email
import zipfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement


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


def of_installed(folder: Path, *names: str) -> None:
    """The distributions `names` of the running interpreter as wheels, and what they require."""
    for name in names:
        distribution = metadata.distribution(name)
        info = next(file.parts[0] for file in distribution.files or () if file.name == "WHEEL")
        tags = email.message_from_string(distribution.read_text("WHEEL") or "").get_all("Tag", [])
        python, abi, _ = tags[0].split("-")
        platforms = ".".join(dict.fromkeys(tag.split("-")[2] for tag in tags))
        path = folder / f"{info.removesuffix('.dist-info')}-{python}-{abi}-{platforms}.whl"
        if path.exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            for file in distribution.files or ():
                own = file.parts[0] not in ("..", "/") and file.suffix != ".pyc"
                if own and file.name not in ("INSTALLER", "REQUESTED", "direct_url.json"):
                    archive.write(str(distribution.locate_file(file)), str(file))
        needed = [Requirement(text) for text in distribution.requires or ()]
        of_installed(folder, *(one.name for one in needed if one.marker is None))
