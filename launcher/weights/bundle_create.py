"""`bundle create`: collects engine, weights, profile and tool; the bundle gets its name last."""

from __future__ import annotations

import hashlib
import io
import platform
import re
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import yaml

from launcher import __version__, engines, files, paths
from launcher.environments import find, recipes
from launcher.environments import store as environments
from launcher.environments.find import constraint, environment_names
from launcher.environments.install import Options, unwind_on_signals
from launcher.environments.progress import Progress
from launcher.environments.steps import InstallPlan
from launcher.environments.wheel_folder import collect_dependencies, collect_wheels
from launcher.errors import DeployError, PreconditionError, Problem
from launcher.host import disk, gpus
from launcher.json_values import JsonValue, is_list
from launcher.profile.model import Profile
from launcher.weights import bundle, manifest, tool_wheel
from launcher.weights.bundle import ENGINE, MODEL, PROFILE, README, TOOL, Bundle, BundleFile
from launcher.weights.checksums import calculate
from launcher.weights.manifest import LOCAL, Manifest, ModelFile
from launcher.weights.meter import Meter, size_text
from launcher.weights.order import find_copy
from launcher.weights.payloads import BundleEngine, CreatedBundle

SUFFIX = "-bundle"
_NOT_TAKEN = ("python", "cache-dir")
"""Keys of a profile that name places of this machine."""
_TEXT = """A bundle of ernie-deploy {tool}: {profile} with {engine} {version} and {model}.

On a host with Linux {machine} and Python {minor} (with its venv module), without a network:

    python{minor} -m venv ernie-deploy
    ernie-deploy/bin/pip install --no-index --find-links {folder}/tool ernie-deploy
    ernie-deploy/bin/ernie-deploy bundle install {bundle}

Of a tar file only {folder}/tool has to be unpacked for that: tar xf {bundle} {folder}/tool
"""


@dataclass(frozen=True)
class Request:
    """What to bundle: the profile, before a pulled copy takes the place of its hub id."""

    profile: Profile
    output: Path
    options: Options

    @property
    def is_tar(self) -> bool:
        """Whether a tar file is to be made."""
        return self.output.suffix == ".tar"

    @property
    def folder(self) -> str:
        """The name of the bundle's folder, in a tar too."""
        return self.output.name.removesuffix(".tar")


@dataclass(frozen=True)
class _Weights:
    folder: Path
    manifest: Manifest


def default_output(profile: Profile) -> Path:
    """`NAME-bundle` in the current folder."""
    return Path(f"{profile.name}{SUFFIX}").absolute()


def create(request: Request, progress: Progress) -> CreatedBundle:
    """Make the bundle.

    Raises:
        PreconditionError: `output-exists`, `model-not-pulled`, `wrong-checksum`, `disk-full`, or
            what `engine install` says.
    """
    started = time.monotonic()
    if request.output.exists() or request.output.is_symlink():
        raise PreconditionError.of(
            "output-exists", f"{request.output} exists", "--output", "remove it, or name another"
        )
    engine = engines.get(request.profile.engine)
    if not engine.local:
        raise PreconditionError.of(
            "hosted", f"profile {request.profile.name} describes an endpoint that a third party "
            "runs: there is nothing to install", request.profile.where("engine"),
        )  # fmt: skip
    with unwind_on_signals():
        try:
            weights = _weights(request.profile, progress)
            requirement = _requirement(request.profile)
            _check_disk(request, weights, recipes.parse(requirement).recipe.disk)
            with _staging(request) as folder:
                plan = _collect(request, requirement, weights, folder, progress)
                new_bundle = _write(request, plan, weights, folder, progress)
        except OSError as error:
            raise _unwritable(error, request.output) from error
        finally:
            progress.close()
    return CreatedBundle(
        bundle=str(request.output),
        profile=request.profile.name,
        engine=new_bundle.engine,
        model=weights.manifest.model,
        commit=weights.manifest.commit,
        files=len(new_bundle.files) + 1,
        size_bytes=new_bundle.size,
        seconds=round(time.monotonic() - started, 3),
    )


def _weights(profile: Profile, progress: Progress) -> _Weights:
    """The whole copy of the model, or the folder that the profile names, with a manifest."""
    if not profile.model_is_path:
        copy = find_copy(profile)
        return _Weights(copy.folder, replace(copy.manifest, revision=profile.revision))
    folder = Path(profile.model)
    there = manifest.read(folder)
    if there is not None:
        return _Weights(folder, there)
    progress.stage(f"reading {folder}")
    paths_ = sorted(path for path in folder.rglob("*") if path.is_file())
    meter = Meter(progress, sum(path.stat().st_size for path in paths_))
    entries = []
    for path in paths_:
        sums = calculate(path.resolve(), on_bytes=meter.count)
        entries.append(ModelFile(str(path.relative_to(folder)), sums.size, sums.sha256))
    name = re.sub(r"[^A-Za-z0-9._-]+|-{2,}", "-", folder.name).strip("-.") or "model"
    listing = "".join(f"{one.sha256}  {one.path}\n" for one in entries)
    model = f"{LOCAL}/{name}"
    new_manifest = Manifest(
        schema=manifest.SCHEMA,
        model=model,
        hub=LOCAL,
        source=str(folder),
        revision=None,
        commit=_digest(listing),
        pulled_at=_now(),
        files=tuple(entries),
    )
    return _Weights(folder, new_manifest)


def _requirement(profile: Profile) -> str:
    """What `engine install` is to be given: the installed release, else the one that is pinned."""
    engine = engines.get(profile.engine)
    specifier = constraint(profile.engine_version)
    names = environment_names(engine)
    for name in names:
        for environment in environments.complete(name):
            if specifier.contains(environment.version, prereleases=True):
                return f"{name}=={environment.version}"
    if profile.python:
        installed = find(engine, profile)
        if installed.release is not None:
            return f"{names[0]}=={installed.release.version}"
    return f"{names[0]}{specifier}"


def _check_disk(request: Request, weights: _Weights, engine_bytes: int) -> None:
    # Wheels are packed: an installed engine is larger. Of a tar they are there twice for a while.
    needed = weights.manifest.size + engine_bytes
    free = disk.space(request.output.parent).free
    if free < needed:
        raise PreconditionError.of(
            "disk-full", f"the bundle may take {size_text(needed)}, and {size_text(free)} are free "
            f"in {request.output.parent}", "--output", "free space, or use --output",
        )  # fmt: skip


@contextmanager
def _staging(request: Request) -> Iterator[Path]:
    """A folder beside the output, which is gone afterwards unless it became the output."""
    if not request.output.parent.is_dir():
        raise PreconditionError.of(
            "folder-not-writable", f"{request.output.parent} is not a folder", "--output"
        )
    folder = Path(tempfile.mkdtemp(prefix=f".{request.folder}.", dir=request.output.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _collect(
    request: Request, requirement: str, weights: _Weights, folder: Path, progress: Progress
) -> InstallPlan:
    """Wheels, profile and texts in `folder`."""
    for name in (TOOL, ENGINE):
        (folder / name).mkdir()
    log = paths.private_folder(paths.home() / "logs") / f"bundle-{request.profile.name}.log"
    log.unlink(missing_ok=True)
    log.touch(mode=0o600)
    plan = collect_wheels(requirement, request.options, folder / ENGINE, log, progress)
    progress.stage("packing ernie-deploy itself")
    wheel = tool_wheel.pack(folder / TOOL)
    collect_dependencies(wheel, plan.base.python, request.options.sources, log, progress)
    (folder / PROFILE).write_text(_profile_text(request.profile, plan.version, weights.manifest))
    minor = ".".join(plan.base.version.split(".")[:2])
    text = _TEXT.format(
        tool=__version__, profile=request.profile.name, engine=plan.recipe.name,
        version=plan.version, model=weights.manifest.model, machine=platform.machine(),
        minor=minor, folder=request.folder, bundle=request.output.name,
    )  # fmt: skip
    (folder / README).write_text(text)
    (folder / MODEL).mkdir()
    (folder / MODEL / manifest.NAME).write_text(weights.manifest.text())
    return plan


def _write(
    request: Request, plan: InstallPlan, weights: _Weights, folder: Path, progress: Progress
) -> Bundle:
    """The manifest, the weights, and the name."""
    progress.stage("reading the wheels")
    own = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    sums = [(str(path.relative_to(folder)), calculate(path)) for path in own]
    entries = [BundleFile(inside, one.size, one.sha256) for inside, one in sums]
    model = [
        BundleFile(f"{MODEL}/{one.path}", one.size, one.sha256) for one in weights.manifest.files
    ]
    new_bundle = Bundle(
        schema=bundle.SCHEMA,
        created_at=_now(),
        tool=__version__,
        profile=request.profile.name,
        engine=BundleEngine(
            name=plan.recipe.name,
            version=plan.version,
            python_version=plan.base.version,
            machine=platform.machine(),
            arch=plan.facts.get("arch"),
        ),
        gpu=bool(gpus.query().gpus),
        files=(*entries, *model),
    )
    progress.stage(f"writing {request.output.name}")
    meter = Meter(progress, new_bundle.size)
    if request.is_tar:
        _write_tar(request, new_bundle, weights, folder, meter)
        return new_bundle
    (folder / bundle.NAME).write_text(new_bundle.text())
    for one in model:
        inside = one.path.removeprefix(f"{MODEL}/")
        target = folder / one.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as stream:
            _copy(weights, inside, one, stream, meter.count)
    folder.chmod(0o755)
    folder.rename(request.output)
    return new_bundle


def _write_tar(
    request: Request, package: Bundle, weights: _Weights, folder: Path, meter: Meter
) -> None:
    path = folder / "bundle.tar.partial"
    now = int(time.time())
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        text = package.text().encode()
        tar.addfile(_member(request, bundle.NAME, len(text), now), io.BytesIO(text))
        for one in package.files:
            member = _member(request, one.path, one.size, now)
            own = folder / one.path
            if own.is_file():
                with own.open("rb") as source:
                    tar.addfile(member, source)
                meter.count(one.size)
                continue
            inside = one.path.removeprefix(f"{MODEL}/")
            with (weights.folder / inside).open("rb") as source:
                reader = _Hashing(source, meter.count)
                tar.addfile(member, reader)
            if reader.digest() != one.sha256:
                raise _damaged(weights, inside)
    path.rename(request.output)


class _Hashing:
    """A file that is read once, by tarfile, and hashed on the way."""

    def __init__(self, source: IO[bytes], on_bytes: Callable[[int], None]) -> None:
        self._source, self._on_bytes, self._hash = source, on_bytes, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self._hash.update(data)
        self._on_bytes(len(data))
        return data

    def digest(self) -> str:
        return self._hash.hexdigest()


def _member(request: Request, path: str, size: int, now: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(f"{request.folder}/{path}")
    member.size, member.mtime, member.mode = size, now, 0o644
    return member


def _copy(
    weights: _Weights, inside: str, one: BundleFile, target: IO[bytes],
    on_bytes: Callable[[int], None],
) -> None:  # fmt: skip
    with (weights.folder / inside).open("rb") as source:
        digest = bundle.copy_stream(source, target, on_bytes)
    if digest != one.sha256:
        raise _damaged(weights, inside)


def _profile_text(profile: Profile, version: str, weights: Manifest) -> str:
    content = {key: value for key, value in profile.resolved.items() if key not in _NOT_TAKEN}
    content["engine-version"] = f"=={version}"
    content["model"] = weights.model if weights.hub != LOCAL else f"./{MODEL}"
    head = f"# From a bundle of {profile.path or profile.name}, made on {_now()}.\n"
    return head + yaml.safe_dump(_escaped(content), sort_keys=False, allow_unicode=True)


def _escaped(value: JsonValue) -> object:
    """Profiles have variables: a dollar sign that is none is doubled."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if is_list(value):
        return [_escaped(one) for one in value]
    if isinstance(value, dict):
        return {key: _escaped(one) for key, one in value.items()}
    return value


def _damaged(weights: _Weights, inside: str) -> DeployError:
    return PreconditionError(
        Problem(
            "wrong-checksum", f"{weights.folder / inside} is not what its manifest says",
            str(weights.folder), f"ernie-deploy model verify {weights.folder}",
        )
    )  # fmt: skip


def _unwritable(error: OSError, output: Path) -> DeployError:
    code = "disk-full" if files.is_full(error) else "folder-not-writable"
    text = f"{error.filename or output}: {error.strerror or error}"
    return PreconditionError.of(code, text, "--output", "free space, or use --output")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
