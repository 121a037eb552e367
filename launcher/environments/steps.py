"""What an install will run, as a value: shown by `--dry-run`, carried out by `install`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

from launcher.environments import recipes
from launcher.environments.commands import redact
from launcher.environments.pythons import Base
from launcher.environments.recipes import Recipe
from launcher.environments.wheels import TorchChoice

PIP = ("-m", "pip", "--no-input", "--disable-pip-version-check")


@dataclass(frozen=True)
class Sources:
    """Where packages come from, beside pip's own configuration.

    With `no_index` they come from `find_links` alone: no index is asked and no configuration read.
    """

    index_url: str | None = None
    find_links: tuple[str, ...] = ()
    no_index: bool = False


@dataclass(frozen=True)
class Step:
    """One command of an install. `env` is added to the environment (an index's credentials must
    not appear in a process list).
    """

    title: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)

    def shell(self) -> str:
        """The command as it can be pasted into a shell, without credentials."""
        variables = [f"{k}={shlex.quote(redact(v))}" for k, v in self.env.items()]
        return " ".join([*variables, redact(shlex.join(self.argv))])


@dataclass(frozen=True)
class InstallPlan:
    """An install: where, from which interpreter, which commands, how much room (bytes)."""

    recipe: Recipe
    version: str
    folder: Path
    base: Base
    disk: int
    steps: tuple[Step, ...]
    verify: tuple[Step, ...]
    notes: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


def plan(
    recipe: Recipe,
    version: str,
    folder: Path,
    base: Base,
    sources: Sources,
    *,
    torch: TorchChoice | None = None,
    arch: str | None = None,
    verify: bool = True,
) -> InstallPlan:
    """Everything an install will do; pure. `arch` is FastDeploy's wheel index."""
    python = str(folder / "bin" / "python")
    make = Step("making the environment", (base.python, "-m", "venv", str(folder)))
    if arch is not None:
        steps = _fastdeploy(recipe, version, python, sources, arch)
    else:
        steps = (_requirements(recipe, version, python, sources, torch),)
    if recipe.remove:
        argv = (python, *PIP, "uninstall", "--yes", *recipe.remove)
        steps = (*steps, Step(f"removing {', '.join(recipe.remove)}", argv))
    places = {"python": python, "bin": str(folder / "bin")}
    # Nothing of the engine may go to the network just to show that it starts.
    env = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", **recipe.verify_env}
    checks = tuple(
        Step(
            f"trying the engine ({number} of {len(recipe.verify)})",
            tuple(word.format(**places) for word in argv),
            env,
        )
        for number, argv in enumerate(recipe.verify, 1)
    )
    notes = [f"{name} is removed: {why}" for name, why in recipe.remove.items()]
    notes += [torch.note] if torch and torch.note else []
    if not verify:
        notes.append("the engine is not tried after the install: this machine has no GPU")
    facts = {"arch": arch} if arch else {}
    return InstallPlan(
        recipe,
        version,
        folder,
        base,
        recipe.disk + (torch.disk if torch else 0),
        (make, *steps),
        checks if verify else (),
        tuple(notes),
        facts,
    )


def question(python: str, distribution: str, sources: Sources) -> Step:
    """The command that lists a distribution's versions for `python`."""
    argv = (python, *PIP, "index", "versions", distribution, *_links(sources))
    return Step(f"asking for versions of {distribution}", argv, _variables(sources))


def to_wheels(step: Step, python: str, folder: Path) -> Step | None:
    """The same packages as wheels in `folder`; None where the step installs none.

    A requirement whose wheel is there already is that wheel: no index may answer for it again.
    """
    arguments = step.argv[1:]
    if arguments[: len(PIP) + 1] != (*PIP, "install"):
        return None
    there = {_pin_of(wheel): str(wheel) for wheel in sorted(folder.glob("*.whl"))}
    rest = (there.get(_canonical(word), word) for word in arguments[len(PIP) + 1 :])
    argv = (python, *PIP, "wheel", "--wheel-dir", str(folder), *rest)
    return Step(step.title.replace("installing", "downloading"), argv, step.env)


def _canonical(pin: str) -> str:
    """`NAME==VERSION` as it is compared; other words as they are."""
    name, equals, version = pin.partition("==")
    return f"{canonicalize_name(name)}=={version}" if equals else pin


def _pin_of(wheel: Path) -> str:
    name, version, *_ = wheel.name.split("-")
    return f"{canonicalize_name(name)}=={Version(version).public}"


def _requirements(
    recipe: Recipe, version: str, python: str, sources: Sources, torch: TorchChoice | None
) -> Step:
    filled = [
        line.format(version=version, torch=torch.version if torch else "")
        for line in recipe.data["requirements"]
    ]
    extra = ("--extra-index-url", torch.index) if torch and torch.index else ()
    return install_step(f"installing {recipe.name} {version}", python, sources, (*extra, *filled))


def _fastdeploy(
    recipe: Recipe, version: str, python: str, sources: Sources, arch: str
) -> tuple[Step, ...]:
    """FastDeploy and Paddle from their own index only, everything else from the user's.

    The wheels of all kinds have the same name and version, and on a public index anybody
    may take that name: so these two are never looked for where others are.
    """
    paddle = recipe.data["paddle"]
    pins = (
        f"{paddle['distribution']}=={recipe.data['releases'][version]['paddlepaddle-gpu']}",
        f"{recipe.distribution}=={version}",
    )
    index = recipes.builds(recipe, version)[arch]["index"]
    # From 2.5 on Paddle of a CUDA version and FastDeploy for it are in one index.
    by_cuda = arch not in recipe.data["architectures"]
    indexes = (index if by_cuda else paddle["index"], index)
    alone = []
    for pin, index in zip(pins, indexes, strict=True):
        only = sources.index_url or index
        argv = install_step("", python, sources, ("--no-deps", pin)).argv
        # pip ignores an empty variable, so the user's extra indexes are replaced by the same one.
        env = {"PIP_INDEX_URL": only, "PIP_EXTRA_INDEX_URL": only}
        env = _variables(sources) if sources.no_index else env
        alone.append(Step(f"installing {pin}", argv, env))
    rest = install_step(
        "installing what they need",
        python,
        sources,
        (*(() if sources.index_url else ("--extra-index-url", indexes[0])), *pins),
    )
    return (*alone, rest)


def install_step(title: str, python: str, sources: Sources, arguments: tuple[str, ...]) -> Step:
    """Pip's install of `arguments` (requirements, wheels, options) from `sources`."""
    argv = (python, *PIP, "install", "--progress-bar", "off", *_links(sources), *arguments)
    return Step(title, argv, _variables(sources))


def _links(sources: Sources) -> tuple[str, ...]:
    return tuple(word for link in sources.find_links for word in ("--find-links", link))


def _variables(sources: Sources) -> dict[str, str]:
    if sources.no_index:
        # pip ignores an empty variable: what the user has configured is not used here.
        empty = ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT")
        return {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": "/dev/null", **dict.fromkeys(empty, "")}
    return {"PIP_INDEX_URL": sources.index_url} if sources.index_url else {}
