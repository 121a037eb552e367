"""From a file's name to a `Profile`, or to everything that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from launcher.errors import DeployError, PreconditionError, Problem, ProfileError
from launcher.profile import combine, nodes, types
from launcher.profile.check import Checker
from launcher.profile.layers import Layers, find_profile, set_value
from launcher.profile.model import (
    Health,
    Logs,
    Origin,
    Parsers,
    Profile,
    Restart,
    SecretRef,
    Stop,
)
from launcher.profile.nodes import Scalar, SourceError
from launcher.profile.schema import paths
from launcher.profile.types import ScalarError
from launcher.profile.variables import expand_tree

HOSTED_KEYS = ("base-url", "dialect", "headers", "body", "promises")


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
    checker = Checker()
    checker.read(expanded)
    named = _named(checker, name)
    combine.check(checker, profile_path)
    if not need_model:
        checker.problems = [p for p in checker.problems if p[1].code != "missing-model"]
    wrong = _wrong([*layers.problems, *problems], checker, layers.sources)
    if wrong is not None and not _judgeable(checker):
        raise wrong
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
        scalar = checker.scalar("name", value, types.name)
        problems += [problem for _, problem in checker.problems]
        if not problems:
            return str(scalar)
    raise ProfileError(problems or [_no_name(f"{layers.sources[0]}:1:1")])


def _named(checker: Checker, name: str | None) -> str:
    if name is not None:
        checker.values["name"] = _option_name(name)
        checker.origins["name"] = Origin("--name")
    return str(checker.values.get("name", ""))


def _option_name(name: str) -> str:
    try:
        return types.name(Scalar(name, True, Origin("--name")))
    except ScalarError as wrong:
        raise ProfileError(Problem(wrong.code, wrong.message, "--name", wrong.remedy)) from wrong


def _no_name(where: str) -> Problem:
    return Problem("missing-key", "name: is required", where, "add `name: ...`, or give --name")


def _wrong(problems: list[Problem], checker: Checker, sources: list[str]) -> DeployError | None:
    """What was found, in the order of files and lines."""
    problems_ = [*problems, *(problem for _, problem in checker.problems)]
    if not problems_:
        return None
    order = {source: index for index, source in enumerate(sources)}

    def key(problem: Problem) -> tuple[int, int, int]:
        source, line, column = _parts(problem.where or "")
        return order.get(source, len(order)), line, column

    problems_ = sorted(dict.fromkeys(problems_), key=key)
    only_model = all(problem.code == "missing-model" for problem in problems_)
    return (PreconditionError if only_model else ProfileError)(problems_)


def _judgeable(checker: Checker) -> bool:
    """True where an engine can say more: which one, what model and which releases are known."""
    stated = "engine-version" not in checker.origins or "engine-version" in checker.values
    return stated and {"engine", "model"} <= set(checker.values)


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
        values = checker.values
        if above:
            if checker.engine == "hosted":
                continue
            values = values.setdefault(above, {})
        if isinstance(key.default, dict):
            defaults = values.setdefault(name, {})
            for inner, value in key.default.items():
                if inner not in defaults:
                    defaults[inner] = value
                    checker.origins[f"{path}.{inner}"] = Origin("default")
            values[name] = {**dict.fromkeys(key.default), **defaults}
        elif name not in values:
            values[name] = list(key.default) if isinstance(key.default, list) else key.default
            checker.origins[path] = Origin("default")


def _profile(checker: Checker, name: str, path: str, text: str) -> Profile:
    top_level = [key for key, _ in paths() if "." not in key]
    values = {key: checker.values[key] for key in top_level if key in checker.values}
    parsers = values.get("parsers", {})
    reference = values.get("api-key")
    logs, stop, restart = (values.get(k, {}) for k in ("logs", "stop", "restart"))
    health = dict(values.get("health", {}))
    allowed = tuple(health.pop("allow-differences", ()))
    gpus = values.get("gpus")
    return Profile(
        name=name,
        engine=values["engine"],
        model=values.get("model", ""),
        description=values.get("description"),
        engine_version=values.get("engine-version"),
        revision=values.get("revision"),
        cache_dir=values.get("cache-dir"),
        served_model_name=values.get("served-model-name"),
        host=values.get("host", "127.0.0.1"),
        ports=values.get("ports", {}),
        gpus=None if gpus is None else tuple(gpus),
        max_model_len=values.get("max-model-len"),
        max_num_seqs=values.get("max-num-seqs"),
        tensor_parallel_size=values.get("tensor-parallel-size"),
        quantization=values.get("quantization"),
        parsers=Parsers(parsers.get("reasoning"), parsers.get("tool-call")),
        api_key=None if reference is None else _reference(reference),
        env=values.get("env", {}),
        python=values.get("python"),
        engine_args=values.get("engine-args", {}),
        health=Health(**_fields(health), allow_differences=allowed),
        restart=Restart(**_fields(restart)),
        stop=Stop(**_fields(stop)),
        smoke=values.get("smoke", {}),
        logs=Logs(**_fields(logs)),
        hosted={key: values[key] for key in HOSTED_KEYS if key in values},
        resolved=values,
        origins=checker.origins,
        path=os.path.join(os.getcwd(), path),
        text=text,
        notes=combine.notes(values, checker),
    )


def _fields(section: Mapping[str, Any]) -> dict[str, Any]:
    return {key.replace("-", "_"): value for key, value in section.items()}


def _reference(text: str) -> SecretRef:
    kind, _, value = text.partition(":")
    return SecretRef(kind, value)  # type: ignore[arg-type]  # the type `secret` allows three words
