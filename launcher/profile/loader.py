"""From a file's name to a `Profile`, or to everything that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from launcher.errors import DeployError, PreconditionError, Problem, ProfileError
from launcher.json_values import is_list, object_at
from launcher.profile import combine, nodes, scalars
from launcher.profile.build import build
from launcher.profile.checker import Checker
from launcher.profile.layers import Layers
from launcher.profile.model import Origin, Profile
from launcher.profile.nodes import Scalar, SourceError
from launcher.profile.profile_files import find_profile
from launcher.profile.scalars import ScalarError
from launcher.profile.schema import paths
from launcher.profile.set_option import set_value
from launcher.profile.types import read
from launcher.profile.variables import expand_tree


def load(
    path: str | os.PathLike[str],
    *,
    overlays: Sequence[str | os.PathLike[str]] = (),
    sets: Sequence[str] = (),
    name: str | None = None,
    environ: Mapping[str, str] | None = None,
    need_model: bool = True,
    resolved: bool = False,
) -> Profile:
    """The profile in `path`, or the shipped one of that file name if the file does not exist.

    `overlays` are files laid over it, `sets` are `KEY.PATH=VALUE` with VALUE in YAML, `name`
    replaces the profile's. Variables are taken from `environ`, else the process's environment.
    Without `need_model` a local model may be missing (a look at the profile needs no weights).
    `resolved` says that the file was written with everything put in: a dollar in it is text.

    Raises:
        ProfileError: everything that is wrong with the profile, in file order.
        PreconditionError: the profile is right, but its local model is not there.
    """
    layers = Layers()
    try:
        profile_path = find_profile(os.fspath(path))
    except SourceError as stopped:
        raise ProfileError(stopped.problems) from stopped
    tree = layers.profile(
        profile_path, [os.path.expanduser(os.fspath(o)) for o in overlays], resolved=resolved
    )
    if tree is None:
        raise ProfileError(layers.problems)
    problems: list[Problem] = []
    expanded = expand_tree(tree, os.environ if environ is None else environ, problems.append)
    assert isinstance(expanded, nodes.Mapping)  # noqa: S101  (expansion keeps the shape)
    for option in sets:
        try:
            expanded = set_value(expanded, option)
        except SourceError as stopped:
            problems += stopped.problems
    checker = read(expanded)
    named = _named(checker, name, problems)
    combine.check(checker, profile_path)
    if not need_model:
        checker.problems = [p for p in checker.problems if p[1].code != "missing-model"]
    wrong = _wrong([*layers.problems, *problems], checker, layers.sources)
    _defaults(checker)
    profile = _profile(checker, named, profile_path, layers.text)
    if wrong is not None:
        wrong.partial = profile
        raise wrong
    return profile


def instance_name(path: str | os.PathLike[str], name: str | None = None) -> str:
    """The name in a profile that need not be right otherwise: what `down` and `status` ask for.

    A profile whose model, variable or engine went away must not keep its instance from being
    stopped.

    Raises:
        ProfileError: the file cannot be read or has no valid name.
    """
    if name is not None:
        return _option_name(name)
    layers = Layers()
    try:
        tree = layers.profile(find_profile(os.fspath(path)), ())
    except SourceError as stopped:
        raise ProfileError(stopped.problems) from stopped
    if tree is None:
        raise ProfileError(layers.problems)
    entry = tree.entries.get("name")
    problems: list[Problem] = []
    if entry is not None:
        value = expand_tree(entry.value, os.environ, problems.append)
        checker = Checker()
        scalar = checker.scalar("name", value, scalars.name)
        problems += [problem for _, problem in checker.problems]
        if not problems:
            return str(scalar)
    raise ProfileError(problems or [_no_name(f"{layers.sources[0]}:1:1")])


def _named(checker: Checker, name: str | None, problems: list[Problem]) -> str:
    if name is not None:
        checker.values.pop("name", None)
        checker.origins["name"] = Origin("--name")
        try:
            checker.values["name"] = _option_name(name)
        except ProfileError as wrong:
            problems += wrong.problems
    return str(checker.values.get("name", ""))


def _option_name(name: str) -> str:
    try:
        return scalars.name(Scalar(name, True, Origin("--name")))
    except ScalarError as wrong:
        raise ProfileError(Problem(wrong.code, wrong.message, "--name", wrong.remedy)) from wrong


def _no_name(where: str) -> Problem:
    return Problem("missing-key", "name: is required", where, "add `name: ...`, or give --name")


def _wrong(problems: list[Problem], checker: Checker, sources: list[str]) -> DeployError | None:
    """What was found, in the order of files and lines."""
    all_problems = [*problems, *(problem for _, problem in checker.problems)]
    if not all_problems:
        return None
    order = {source: index for index, source in enumerate(sources)}

    def key(problem: Problem) -> tuple[int, int, int]:
        source, line, column = _parts(problem.where or "")
        return order.get(source, len(order)), line, column

    all_problems = sorted(dict.fromkeys(all_problems), key=key)
    only_model = all(problem.code == "missing-model" for problem in all_problems)
    return (PreconditionError if only_model else ProfileError)(all_problems)


def _parts(where: str) -> tuple[str, int, int]:
    head, _, column = where.rpartition(":")
    source, _, line = head.rpartition(":")
    if line.isdigit() and column.isdigit():
        return source, int(line), int(column)
    return where, 0, 0


def _defaults(checker: Checker) -> None:
    """Put in what holds where nothing was given, so that two profiles can be compared."""
    for path, key in paths():
        if key.default is None or not key.belongs(checker.engine):
            continue
        above, _, name = path.rpartition(".")
        if above and checker.engine == "hosted":
            continue
        values = dict(object_at(checker.values, above)) if above else checker.values
        if isinstance(key.default, Mapping):
            explicit = object_at(values, name)
            for inner in key.default:
                if inner not in explicit:
                    checker.origins[f"{path}.{inner}"] = Origin("default")
            values[name] = {**key.default, **explicit}
        elif name not in values:
            values[name] = list(key.default) if is_list(key.default) else key.default
            checker.origins[path] = Origin("default")
        if above:
            checker.values[above] = values


def _profile(checker: Checker, name: str, path: str, text: str) -> Profile:
    top_level = [key for key, _ in paths() if "." not in key]
    values = {key: checker.values[key] for key in top_level if key in checker.values}
    return replace(
        build(values),
        name=name,
        origins=checker.origins,
        path=os.path.join(os.getcwd(), path),
        text=text,
        notes=combine.notes(values, checker),
    )
