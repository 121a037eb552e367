"""Versions and hashes: of this tool, of the engine's environment, of the weights, of the host."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable
from pathlib import Path

from packaging.utils import canonicalize_name

import launcher
from launcher.card.payloads import (
    Distribution,
    EngineFacts,
    HostFacts,
    Tool,
    WeightFacts,
    WeightFile,
)
from launcher.environments import store as environments
from launcher.errors import DeployError
from launcher.host import gpus, kernel, memory, packages
from launcher.plan.model import LaunchPlan
from launcher.profile.model import Profile
from launcher.weights import manifest, store
from launcher.weights.checksums import calculate
from launcher.weights.manifest import Manifest
from launcher.weights.places import hub_of, roots_of

MOST_HASHED = 1024**3
"""Bytes of a model that are read to hash it: what has no manifest is not read for minutes."""
MOST_FILES = 500
"""Files of a model that are listed."""
LARGEST_RECORD = 64 * 1024 * 1024
"""Bytes of a distribution's RECORD that are read; torch's has 1.5 MiB."""


def tool() -> Tool:
    """Version and hash of ernie-deploy itself."""
    folder = Path(launcher.__file__).parent
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    )
    hashes = ((str(path.relative_to(folder)), calculate(path).sha256) for path in files)
    return Tool(launcher.__version__, digest(hashes), len(files), platform.python_version())


def engine(plan: LaunchPlan) -> EngineFacts:
    """The engine of a plan, from what its installer noted and what lies in its environment."""
    program = plan.argv[0]
    facts = next((e.facts for e in environments.complete() if e.python == program), None)
    if facts is None:
        note = "it was not installed by `engine install`: its packages are not recorded"
        return EngineFacts(plan.engine, plan.release, program, note=note)
    folders = packages.site_packages(program)
    distributions = tuple(
        Distribution(str(name), str(version), _record(folders, str(name), str(version)))
        for name, version in sorted(facts.get("distributions", {}).items())
    )
    return EngineFacts(
        plan.engine, plan.release, program, _text(facts.get("python_version")),
        _text(facts.get("installed_at")), distributions,
    )  # fmt: skip


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _record(folders: Iterable[Path], name: str, version: str) -> str | None:
    """The SHA-256 of the list of an installed package's files (PEP 627)."""
    for folder in folders:
        for info in folder.glob("*.dist-info"):
            installed, _, release = info.name.removesuffix(".dist-info").rpartition("-")
            record = info / "RECORD"
            if canonicalize_name(installed) != canonicalize_name(name) or release != version:
                continue
            if record.is_file() and record.stat().st_size <= LARGEST_RECORD:
                return calculate(record).sha256
    return None


def weights(profile: Profile) -> WeightFacts:
    """The model's files with their hashes, as far as they can be had at once."""
    model = profile.served_model_name or profile.model
    try:
        if not profile.model_is_path:
            copies = store.find_all(profile.model, profile.revision, roots_of(profile))
            if not copies:
                note = (
                    "the engine downloads it itself: `ernie-deploy model pull` pins a commit and "
                    "hashes every file"
                )
                return WeightFacts(model, None, "unknown", note=note)
            copy = copies[0] if len(copies) == 1 else store.preferred(copies, hub_of(profile))
            return _of_manifest(model, copy.folder, copy.manifest)
        folder = Path(profile.model)
        listed = manifest.read(folder)
        if listed is not None:
            return _of_manifest(model, folder, listed)
        return _of_files(model, folder)
    except (DeployError, OSError) as error:
        return WeightFacts(model, None, "unknown", note=str(error))


def _of_manifest(model: str, folder: Path, pulled: Manifest) -> WeightFacts:
    listed = tuple(WeightFile(one.path, one.size, one.sha256) for one in pulled.files)
    different = store.differing(folder, pulled)
    note = f"differs from the manifest: {', '.join(different[:5])}" if different else None
    return WeightFacts(
        model, str(folder), "manifest", pulled.hub, pulled.commit, pulled.pulled_at, pulled.size,
        digest((one.path, one.sha256) for one in pulled.files), listed[:MOST_FILES], note,
    )  # fmt: skip


def _of_files(model: str, folder: Path) -> WeightFacts:
    """Hash the files of a folder, the smallest first, until `MOST_HASHED` bytes were read."""
    sizes = sorted(
        (path.stat().st_size, str(path.relative_to(folder)))
        for path in folder.rglob("*")
        if path.is_file()
    )
    left, files = MOST_HASHED, []
    for size, name in sizes:
        left -= size
        sha256 = calculate((folder / name).resolve()).sha256 if left >= 0 else None
        files.append(WeightFile(name, size, sha256))
    hashed = [(one.path, one.sha256) for one in files if one.sha256 is not None]
    complete = len(hashed) == len(files)
    skipped = [one for one in files if one.sha256 is None]
    note = (
        f"{len(skipped)} files of {sum(one.size for one in skipped)} bytes were not hashed: "
        "`ernie-deploy model pull` keeps a manifest"
    )
    return WeightFacts(
        model, str(folder), "files", size=sum(size for size, _ in sizes),
        sha256=digest(hashed) if complete and hashed else None,
        files=tuple(sorted(files, key=lambda one: one.path)[:MOST_FILES]),
        note=None if complete else note,
    )  # fmt: skip


def digest(hashes: Iterable[tuple[str, str]]) -> str:
    """One SHA-256 for many files: of the lines `HASH  NAME`, sorted by name, as sha256sum has."""
    lines = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(hashes))
    return hashlib.sha256(lines.encode()).hexdigest()


def host() -> HostFacts:
    """The machine that the report is made on."""
    report = gpus.query()
    return HostFacts(
        name=platform.node(),
        system=f"{platform.system()} {platform.release()}",
        cpu=kernel.processor(),
        cores=os.cpu_count() or 1,
        memory=memory.read().total,
        gpus=tuple(f"{one.name}, {one.memory_total / 1024**3:.0f} GiB" for one in report.gpus),
        driver=report.driver,
        note=report.error,
    )
