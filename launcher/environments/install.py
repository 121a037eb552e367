"""Makes an engine's environment: whole, tried and marked, or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from packaging.version import Version

from launcher import files, paths
from launcher.environments import pythons, recipes, steps, store, wheels
from launcher.environments.commands import Finished, run
from launcher.environments.progress import Progress
from launcher.environments.recipes import GIB, Recipe, Request
from launcher.environments.steps import InstallPlan, Sources, Step
from launcher.environments.store import Environment
from launcher.errors import DeadlineError, PreconditionError, Problem
from launcher.host import gpus
from launcher.host.interpreter import inspect

LOCK_DEADLINE = 3600.0
"""Seconds to wait for another install of the same engine."""

VERIFY_DEADLINE = 300.0
"""Seconds the engine may take to print its help; torch from a cold disk takes a minute."""


@dataclass(frozen=True)
class Options:
    """What `engine install` was told beside the engine."""

    python: str | None = None
    sources: Sources = field(default_factory=Sources)
    arch: str | None = None


def install(requirement: str, options: Options, progress: Progress) -> tuple[Environment, bool]:
    """Install what `requirement` names; returns the environment and whether it is new.

    Raises:
        UsageError: the request cannot be read.
        PreconditionError: interpreter, GPU, disk, index or the engine itself stand in the way.
        DeadlineError: another install of the engine does not end.
    """
    request = recipes.parse(requirement)
    _check_arch(request.recipe, options.arch)
    there = _installed(request, options)
    if there is not None:
        return there, False
    with unwind_on_signals(), _lock(request.recipe.name, progress):
        # The process that held the lock before may have made exactly this.
        there = _installed(request, options)
        if there is not None:
            return there, False
        return _carry_out(prepare(request, options, progress), progress), True


def prepare(request: Request, options: Options, progress: Progress) -> InstallPlan:
    """Decide everything an install needs; asks this machine and the indexes, changes nothing.

    Raises:
        PreconditionError: something needed is missing.
    """
    recipe, sources = request.recipe, options.sources
    _check_arch(recipe, options.arch)
    report = gpus.query()
    version = recipes.known_version(request)
    arch = None
    if "architectures" in recipe.data:
        arch = wheels.architecture(recipe, report, options.arch, version)
    if "needs-gpu" in recipe.data and not report.gpus:
        raise PreconditionError(
            Problem(
                "no-gpu",
                f"{recipe.name} needs an NVIDIA GPU, and none was found here ({report.error})",
                remedy=recipe.data["needs-gpu"],
            )
        )
    base = pythons.fitting(recipe.pythons, options.python)
    torch = None
    with with_pip(base.python) as asker:
        if version is None:
            progress.stage(f"asking for versions of {recipe.distribution}")
            offered = _versions(asker, recipe.distribution, sources, progress)
            version = recipes.choose(request, offered)
        if "torch" in recipe.data:
            progress.stage("asking for builds of torch")
            torch = wheels.torch_build(
                recipe,
                version=version,
                has_gpu=bool(report.gpus),
                offered=_versions(asker, "torch", sources, progress),
                own_index=sources.index_url is not None or sources.no_index,
                reach=wheels.reach,
            )
    return steps.plan(
        recipe,
        version,
        store.folder_of(recipe.name, version),
        base,
        sources,
        torch=torch,
        arch=arch,
        verify=bool(report.gpus) or not recipe.data.get("verify-needs-gpu", False),
    )


def _installed(request: Request, options: Options) -> Environment | None:
    """The environment that already is what was asked for."""
    pinned = recipes.known_version(request)
    for environment in store.complete(request.recipe.name):
        if pinned is not None and not len(request.specifier):
            fits = environment.version == Version(pinned)
        else:
            fits = request.specifier.contains(environment.version, prereleases=True)
        if not fits:
            continue
        arch = environment.facts.get("arch")
        if options.arch and arch != options.arch:
            raise PreconditionError(
                Problem(
                    "other-architecture",
                    f"{environment.folder} holds the wheels for {arch}, not for {options.arch}",
                    remedy=f"remove it first: rm -r {environment.folder}",
                )
            )
        return environment
    return None


def _check_arch(recipe: Recipe, arch: str | None) -> None:
    kinds = recipes.all_builds(recipe)
    if arch is not None and arch not in kinds:
        raise PreconditionError(
            Problem(
                "unsupported-gpu",
                f"{recipe.name} has no wheels for the architecture {arch!r}",
                "--arch",
                f"one of: {', '.join(kinds)}" if kinds else f"{recipe.name} takes no --arch",
            )
        )


def _carry_out(plan: InstallPlan, progress: Progress) -> Environment:
    recipe, folder = plan.recipe, plan.folder
    started = time.time()
    for unfinished in store.unfinished(recipe.name):
        progress.note(f"removing {unfinished}, which was never finished")
        store.remove(unfinished)
    _check_disk(plan)
    for note in plan.notes:
        progress.note(note)
    log = paths.private_folder(paths.home() / "logs") / f"install-{folder.name}.log"
    log.unlink(missing_ok=True)
    log.touch(mode=0o600)
    store.begin(folder)
    try:
        for step in plan.steps:
            progress.stage(step.title)
            check(run(list(step.argv), log=log, progress=progress, env=step.env), step, log)
        for step in plan.verify:
            progress.stage(step.title)
            done = run(
                list(step.argv), log=log, progress=progress, env=step.env, deadline=VERIFY_DEADLINE
            )
            _check_verified(done, step, log, recipe)
        installed = inspect(str(folder / "bin" / "python"), recipe.record)
        _check_found(plan, installed.distributions)
        store.finish(
            folder,
            {
                "name": recipe.name,
                "version": plan.version,
                "base_python": plan.base.python,
                "python_version": installed.python_version,
                "distributions": dict(installed.distributions),
                "removed": dict(recipe.remove),
                "verified": bool(plan.verify),
                "installed_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "seconds": round(time.time() - started, 1),
                "size_bytes": size_of(folder),
                "log": str(log),
                **plan.facts,
            },
        )
    except BaseException:
        progress.note(f"removing the unfinished {folder}")
        try:
            store.remove(folder)
        except OSError as error:
            # What went wrong before is the news; the next install removes what is left.
            progress.note(f"it could not be removed: {error}")
        raise
    finally:
        progress.close()
    (environment,) = [e for e in store.complete(recipe.name) if e.folder == folder]
    return environment


def check(done: Finished, step: Step, log: Path) -> None:
    """Judge a step of pip.

    Raises:
        PreconditionError: `install-failed`, with pip's own reason.
    """
    if done.rc == 0:
        return
    raise PreconditionError(
        Problem(
            "install-failed",
            f"{step.title} failed (exit code {done.rc}): {done.reason()}",
            remedy=f"the whole output is {log}; the command was: {step.shell()}",
        )
    )


def _check_verified(done: Finished, step: Step, log: Path, recipe: Recipe) -> None:
    if done.rc == 0:
        return
    what = f"gave no answer in {VERIFY_DEADLINE:g} s" if done.timed_out else done.reason()
    raise PreconditionError(
        Problem(
            "broken-engine",
            f"{recipe.name} was installed but does not start: {what}",
            remedy=f"the whole output is {log}; the command was: {step.shell()}",
        )
    )


def _check_found(plan: InstallPlan, installed: Any) -> None:
    recipe = plan.recipe
    have = installed.get(recipe.distribution)
    # A local part (`2.3.2+cu126`) is a build of the same release.
    if have is None or Version(Version(have).public) != Version(plan.version):
        raise PreconditionError(
            Problem(
                "broken-engine",
                f"pip said that all is well, but the environment has {recipe.distribution} "
                f"{have or 'not at all'} instead of {plan.version}",
            )
        )
    impostor = recipe.data.get("impostor", {}).get("distribution")
    if impostor in installed:
        raise PreconditionError(
            Problem(
                "wrong-engine",
                f"a package in the environment brought the distribution `{impostor}` "
                f"{installed[impostor]}: {recipe.data['impostor']['what']}",
            )
        )


def _check_disk(plan: InstallPlan) -> None:
    folder = paths.private_folder(paths.engines())
    free = shutil.disk_usage(folder).free
    if free < plan.disk:
        raise PreconditionError(
            Problem(
                "disk-full",
                f"{plan.recipe.name} needs {plan.disk / GIB:.1f} GiB in {folder}, "
                f"{free / GIB:.1f} GiB are free",
                remedy="make room, or set ERNIE_DEPLOY_HOME to a larger disk",
            )
        )


def size_of(folder: Path) -> int:
    """Bytes that a folder takes on disk."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(root, name)).st_blocks * 512
    return total


def _versions(
    python: str, distribution: str, sources: Sources, progress: Progress
) -> tuple[str, ...]:
    """What pip's sources offer for `python`, newest first; empty where there is nothing."""
    step = steps.question(python, distribution, sources)
    with tempfile.TemporaryDirectory() as folder:
        done = run(list(step.argv), log=Path(folder) / "log", progress=progress, env=step.env)
    for line in done.lines:
        head, _, versions = line.partition("Available versions:")
        if versions and not head.strip():
            return tuple(v.strip() for v in versions.split(",") if v.strip())
    if any("No matching distribution" in line for line in done.lines):
        return ()
    raise PreconditionError(
        Problem(
            "index-unreachable",
            f"pip cannot say which versions of {distribution} there are: {done.reason()}",
            remedy=f"try: {step.shell()}",
        )
    )


@contextlib.contextmanager
def with_pip(python: str) -> Iterator[str]:
    """An interpreter like `python` that has pip: itself, else a throw-away environment."""
    if "pip" in inspect(python, ("pip",)).distributions:
        yield python
        return
    with tempfile.TemporaryDirectory(prefix="ed-") as folder:
        step = Step("making an environment to ask with", (python, "-m", "venv", f"{folder}/venv"))
        log = Path(folder) / "log"
        check(run(list(step.argv), log=log, progress=Progress()), step, log)
        yield f"{folder}/venv/bin/python"


@contextlib.contextmanager
def _lock(name: str, progress: Progress) -> Iterator[None]:
    """At most one install of an engine at a time on this state directory."""
    path = paths.private_folder(paths.engines()) / f".lock-{name}"
    end = time.monotonic() + LOCK_DEADLINE
    announced = False
    with path.open("a+") as file:
        while True:
            if files.try_lock(file.fileno()):
                break
            if not announced:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                progress.stage(f"another install of {name} is at work (pid {holder}); waiting")
                announced = True
            if time.monotonic() > end:
                raise DeadlineError(
                    Problem(
                        "locked", f"another install of {name} has not ended in {LOCK_DEADLINE:g} s"
                    )
                )
            progress.tick()
            time.sleep(0.2)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextlib.contextmanager
def unwind_on_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind as Ctrl-C does, so that what was begun is taken back."""

    def leave(number: int, _: object) -> NoReturn:
        raise SystemExit(128 + number)

    before = {n: signal.signal(n, leave) for n in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
