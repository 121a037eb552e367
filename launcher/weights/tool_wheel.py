"""Packs the running ernie-deploy as a wheel: no build tool and no source tree is needed for it."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from launcher import __version__, paths
from launcher.errors import PreconditionError

DISTRIBUTION = "ernie-deploy"
SHIPPED = ("profiles", "deploy/requirements", "deploy/runbooks")
"""What setup.py puts into `launcher/_shipped/`; in a checkout it lies beside the package."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_WHEEL = "Wheel-Version: 1.0\nGenerator: ernie-deploy\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def pack(folder: Path) -> Path:
    """Write the wheel of this release into `folder` (PEP 427).

    Raises:
        PreconditionError: `no-metadata`: it runs without being installed.
    """
    name = f"{DISTRIBUTION.replace('-', '_')}-{__version__}"
    info = f"{name}.dist-info"
    contents = {**dict(_code()), **_metadata(info)}
    record = [f"{path},sha256={_digest(data)},{len(data)}\n" for path, data in contents.items()]
    contents[f"{info}/RECORD"] = "".join([*record, f"{info}/RECORD,,\n"]).encode()
    path = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for inside, data in contents.items():
            entry = zipfile.ZipInfo(inside, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return path


def _code() -> Iterator[tuple[str, bytes]]:
    package = Path(paths.__file__).resolve().parent
    yield from _files(package, package.name)
    if not (package / "_shipped").is_dir():
        for part in SHIPPED:
            yield from _files(paths.shipped(part), f"{package.name}/_shipped/{part}")


def _files(folder: Path, inside: str) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"{inside}/{path.relative_to(folder)}", path.read_bytes()


def _metadata(info: str) -> dict[str, bytes]:
    try:
        distribution = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        raise PreconditionError.of(
            "no-metadata", "ernie-deploy runs from a folder and is not installed, so it cannot be "
            "put into a bundle", None, "pip install it, then create the bundle again",
        ) from None  # fmt: skip
    texts = {
        name: distribution.read_text(name) for name in ("METADATA", "PKG-INFO", "entry_points.txt")
    }
    return {
        f"{info}/METADATA": (texts["METADATA"] or texts["PKG-INFO"] or "").encode(),
        f"{info}/WHEEL": _WHEEL.encode(),
        f"{info}/entry_points.txt": (texts["entry_points.txt"] or "").encode(),
    }


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
