"""`bundle install`: verifies a bundle, then puts its engine, weights and profile in place."""

from __future__ import annotations

import json
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from launcher import files, paths
from launcher.environments import pythons, recipes
from launcher.environments import store as environments
from launcher.environments.install import Options, install, unwind_on_signals
from launcher.environments.progress import Progress
from launcher.environments.steps import Sources
from launcher.environments.store import Environment
from launcher.errors import DeployError, PreconditionError
from launcher.host import disk, gpus
from launcher.json_values import JsonValue
from launcher.weights import bundle, manifest, store
from launcher.weights.bundle import ENGINE, MODEL, PROFILE, Bundle, Source
from launcher.weights.manifest import LOCAL, Manifest
from launcher.weights.meter import Meter, size_text
from launcher.weights.partial import Partial
from launcher.weights.payloads import InstalledBundle
from launcher.weights.pull import Order, locked
from launcher.weights.store import Home

_DEFAULTS = (None, "main", "master")
"""Revisions that a profile without one means too."""


@dataclass(frozen=True)
class Placement:
    """Where things go: the interpreter for the engine, the folder of profiles."""

    python: str | None = None
    profiles: Path | None = None
    force: bool = False

    def profile(self, name: str) -> Path:
        """The profile's place; by default in the state directory."""
        return (self.profiles or paths.home() / "profiles") / f"{name}.yaml"


def install_bundle(path: Path, placement: Placement, progress: Progress) -> InstalledBundle:
    """Verify the bundle at `path` and install it; what is there already is left as it is.

    Raises:
        PreconditionError: `bad-bundle`, `bundle-damaged`, `bundle-other-machine`, `profile-exists`,
            `disk-full`: nothing was changed then. Also what `engine install` says.
    """
    started = time.monotonic()
    with unwind_on_signals(), bundle.open_source(path) as source:
        try:
            package = bundle.read(source)
            progress.stage(f"verifying {path.name}")
            bundle.check(source, package, Meter(progress, package.size).count)
            model = _model_of(source, package)
            python = _check_machine(package, placement)
            profile = placement.profile(package.profile)
            home = Home(store.default_root() / model.hub, model.model)
            text = _profile_text(source, home, model)
            _check_profile(profile, text, placement)
            _check_disk(package, model, home)
            environment, new_engine = _engine(source, package, python, progress)
            new_model = _weights(source, package, model, home, progress)
            paths.private_folder(profile.parent)
            files.write_atomically(profile, text)
        except OSError as error:
            raise _unwritable(error) from error
        finally:
            progress.close()
    return InstalledBundle(
        bundle=str(path),
        created_at=package.created_at,
        profile=str(profile),
        engine=package.engine,
        engine_folder=str(environment.folder),
        new_engine=new_engine,
        model=model.model,
        model_folder=str(home.snapshot(model.commit)),
        new_model=new_model,
        seconds=round(time.monotonic() - started, 3),
    )


def _model_of(source: Source, package: Bundle) -> Manifest:
    """The weights' manifest, which must list what the bundle's does."""
    inside = f"{MODEL}/{manifest.NAME}"
    if inside not in source.sizes():
        raise bundle.bad(source.path, f"it has no {inside}")
    with source.open(inside) as stream:
        data: JsonValue = json.loads(stream.read())
    model = manifest.of_json(data, source.path / inside)
    store.check_id(model.model)
    listed = {(one.path, one.sha256) for one in package.below(MODEL) if one.path != inside}
    if model.hub not in store.KINDS or listed != {
        (f"{MODEL}/{one.path}", one.sha256) for one in model.files
    }:
        raise bundle.bad(source.path, f"{inside} lists other files than {bundle.NAME}")
    return model


def _check_machine(package: Bundle, placement: Placement) -> str:
    """The interpreter for the engine, of the version that the wheels are for."""
    engine = package.engine
    if platform.machine() != engine.machine:
        raise _other_machine(
            package, f"its wheels are for {engine.machine}, this machine is {platform.machine()}"
        )
    recipe = recipes.get(engine.name)
    torch = recipe.data.get("torch")
    if torch and not torch.get("cpu-only") and package.gpu != bool(gpus.query().gpus):
        kinds = ("for a GPU, and there is none", "for a CPU, and this machine has a GPU")
        raise _other_machine(package, f"its wheels of torch are {kinds[not package.gpu]}")
    minor = ".".join(engine.python_version.split(".")[:2])
    try:
        return pythons.fitting((minor,), placement.python).python
    except PreconditionError as error:
        raise _other_machine(package, error.problems[0].message) from error


def _check_profile(path: Path, text: str, placement: Placement) -> None:
    try:
        there = files.read_text(path)
    except FileNotFoundError:
        return
    if _content(there) != _content(text) and not placement.force:
        raise PreconditionError.of(
            "profile-exists", f"{path} is there already, with another content", str(path),
            "--force replaces it, --profiles DIR uses another folder",
        )  # fmt: skip


def _content(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def _check_disk(package: Bundle, model: Manifest, home: Home) -> None:
    needed = 0 if store.copy_of(home, model.commit) else model.size
    if not _installed(package):
        needed += recipes.get(package.engine.name).disk + sum(
            one.size for one in package.below(ENGINE)
        )
    free = disk.space(paths.home()).free
    if free < needed:
        raise PreconditionError.of(
            "disk-full", f"{size_text(needed)} are needed in {paths.home()}, and {size_text(free)} "
            "are free", None, "free space, or set ERNIE_DEPLOY_HOME to a larger file system",
        )  # fmt: skip


def _installed(package: Bundle) -> bool:
    return any(
        str(one.version) == package.engine.version
        for one in environments.complete(package.engine.name)
    )


def _engine(
    source: Source, package: Bundle, python: str, progress: Progress
) -> tuple[Environment, bool]:
    """Install the engine from the bundle's wheels and from nowhere else."""
    requirement = f"{package.engine.name}=={package.engine.version}"
    with _wheels(source, package) as folder:
        sources = Sources(find_links=(str(folder),), no_index=True)
        return install(requirement, Options(python, sources, package.engine.arch), progress)


@contextmanager
def _wheels(source: Source, package: Bundle) -> Iterator[Path]:
    """The engine's wheels in a folder of their own, verified once more as they are copied."""
    home = paths.private_folder(paths.home())
    with tempfile.TemporaryDirectory(prefix="bundle-", dir=home) as name:
        if not _installed(package):
            for one in package.below(ENGINE):
                source.copy(one, Path(name) / one.path.removeprefix(f"{ENGINE}/"))
        yield Path(name)


def _weights(
    source: Source, package: Bundle, model: Manifest, home: Home, progress: Progress
) -> bool:
    """Put the weights into the store; False where they are there already."""
    with locked(Order(home)):
        new = store.copy_of(home, model.commit) is None
        if new:
            _copy_weights(source, package, model, home, progress)
        home.point(model.revision, model.commit, is_default=model.revision in _DEFAULTS)
    return new


def _copy_weights(
    source: Source, package: Bundle, model: Manifest, home: Home, progress: Progress
) -> None:
    target = home.snapshot(model.commit)
    if target.exists():
        raise PreconditionError.of(
            "folder-exists", f"{target} is there and not whole", None, f"rm -r {target}"
        )
    progress.stage(f"copying {model.model}")
    meter = Meter(progress, model.size)
    partial = Partial(home.partial)
    by_path = {one.path: one for one in package.below(MODEL)}
    for one in model.files:
        copied = partial.folder / one.path
        paths.private_folder(copied.parent)
        copied.unlink(missing_ok=True)
        source.copy(by_path[f"{MODEL}/{one.path}"], copied, meter.count)
    partial.finish(model, target)


def _profile_text(source: Source, home: Home, model: Manifest) -> str:
    """The profile; a model that came from a folder is named by its new one."""
    with source.open(PROFILE) as stream:
        text = stream.read().decode()
    if model.hub != LOCAL:
        return text
    folder = str(home.named(model.commit)).replace("$", "$$")
    lines = [
        f"model: {json.dumps(folder)}" if line == f"model: ./{MODEL}" else line
        for line in text.splitlines()
    ]
    return "\n".join(lines) + "\n"


def _other_machine(package: Bundle, message: str) -> DeployError:
    engine = package.engine
    return PreconditionError.of(
        "bundle-other-machine", f"the bundle is for another machine: {message}", None,
        f"it needs Linux {engine.machine} and Python {engine.python_version}; --python names an "
        "interpreter; or create it again on a machine like this one",
    )  # fmt: skip


def _unwritable(error: OSError) -> DeployError:
    code = "disk-full" if files.is_full(error) else "folder-not-writable"
    return PreconditionError.of(
        code, f"{error.filename or paths.home()}: {error.strerror or error}", None,
        "free space, or set ERNIE_DEPLOY_HOME to another folder",
    )  # fmt: skip
