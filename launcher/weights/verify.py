"""`model verify` and `model list`."""

from __future__ import annotations

import os
import time
from pathlib import Path

from launcher.environments.progress import Progress
from launcher.errors import DeployError, ExitCode, PreconditionError, Problem
from launcher.result import Result
from launcher.weights import manifest, store
from launcher.weights.checksums import calculate
from launcher.weights.manifest import LOCAL, Manifest
from launcher.weights.meter import Meter
from launcher.weights.payloads import ListedModel, ModelList, VerifiedModel
from launcher.weights.store import Home


def read_folder(folder: Path) -> Manifest:
    """The manifest of a folder that the user named.

    Raises:
        PreconditionError: `no-manifest`, `bad-manifest`.
    """
    read = manifest.read(folder)
    if read is None:
        raise PreconditionError.of(
            "no-manifest", f"{folder} has no {manifest.NAME}: it was not made by `model pull`",
            str(folder), "ernie-deploy model pull MODEL --to ANOTHER-FOLDER",
        )  # fmt: skip
    return read


def verify(folder: Path, expected: Manifest, progress: Progress) -> Result[VerifiedModel]:
    """Read every file of a copy and compare it with the manifest; changes nothing."""
    started = time.monotonic()
    progress.stage(f"reading {expected.model}")
    meter = Meter(progress, expected.size)
    damaged = []
    for one in expected.files:
        try:
            sums = calculate(folder / one.path, on_bytes=meter.count)
        except OSError as error:
            damaged.append(f"{one.path}: {error.strerror or error}")
            continue
        if sums.size != one.size:
            damaged.append(f"{one.path}: {sums.size} bytes, {one.size} expected")
        elif sums.sha256 != one.sha256:
            damaged.append(f"{one.path}: SHA-256 {sums.sha256}, {one.sha256} expected")
    progress.close()
    data = VerifiedModel(
        model=expected.model,
        hub=expected.hub,
        commit=expected.commit,
        folder=str(folder),
        size_bytes=expected.size,
        files=len(expected.files),
        damaged=tuple(damaged),
        extra=tuple(_others(folder, expected)),
        seconds=round(time.monotonic() - started, 3),
    )
    if not damaged:
        return Result("model verify", data)
    problem = Problem(
        "model-damaged",
        f"{len(damaged)} of {len(expected.files)} files of {expected.model} are damaged: "
        + "; ".join(damaged[:5]),
        str(folder),
        _remedy(folder, expected),
    )
    return Result("model verify", data, None, ExitCode.NEGATIVE, (problem,))


def _remedy(folder: Path, expected: Manifest) -> str:
    if expected.hub == LOCAL:
        return "install the bundle again, or copy the model again"
    arguments = ["ernie-deploy model pull", expected.model, "--hub", expected.hub, "--repair"]
    if expected.revision:
        arguments += ["--revision", expected.revision]
    if folder.parent.name != "snapshots":
        arguments += ["--to", str(folder)]
    return " ".join(arguments)


def _others(folder: Path, expected: Manifest) -> list[str]:
    listed = {one.path for one in expected.files} | {manifest.NAME}
    paths = (
        str(Path(base, name).relative_to(folder))
        for base, _, names in os.walk(folder)
        for name in names
    )
    return sorted(path for path in paths if path not in listed)


def listing(roots: tuple[Path, ...]) -> ModelList:
    """Every model below `roots`, whole or not.

    Raises:
        PreconditionError: a folder may not be read.
    """
    rows = [
        row
        for root in roots
        for home in store.homes(root)
        for row in (*_copies(home), *_unfinished(home))
    ]
    return ModelList(tuple(str(root) for root in roots), tuple(rows))


def _copies(home: Home) -> list[ListedModel]:
    rows = []
    for commit in store.snapshots(home):
        folder = home.snapshot(commit)
        try:
            read = manifest.read(folder)
        except DeployError:
            read = None
        complete = read is not None and not store.differing(folder, read)
        rows.append(
            ListedModel(
                model=home.model,
                hub=home.hub,
                state="whole" if complete else "damaged",
                revisions=home.revisions_of(commit),
                commit=commit,
                folder=str(folder),
                size_bytes=read.size if read else size_on_disk(folder),
                files=len(read.files) if read else None,
                pulled_at=read.pulled_at if read else None,
            )
        )
    return rows


def _unfinished(home: Home) -> list[ListedModel]:
    if not home.partial.is_dir():
        return []
    return [
        ListedModel(
            model=home.model,
            hub=home.hub,
            state="unfinished",
            revisions=(),
            commit=None,
            folder=str(home.partial),
            size_bytes=size_on_disk(home.partial),
        )
    ]


def size_on_disk(folder: Path) -> int:
    """Bytes of all files below `folder`."""
    total = 0
    for base, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(base, name)).st_size
            except OSError:
                continue
    return total
