"""What is wrong with a profile for `transformers serve`."""

from __future__ import annotations

from packaging.specifiers import InvalidSpecifier

from launcher.engines.base import Release
from launcher.engines.common import (
    admitted,
    check_env,
    check_hub_keys,
    check_options,
    check_ports,
    in_every,
    in_file_order,
    merged,
    problem,
)
from launcher.engines.model_checks import check_folder_name, check_gguf, check_layout
from launcher.engines.neutral import NeutralKeys, check_keys, check_values
from launcher.engines.options import canonical
from launcher.engines.transformers.catalogue import Serve, releases, serve_of
from launcher.engines.transformers.neutral import KEYS
from launcher.errors import Problem
from launcher.profile.model import Profile

TITLE = "transformers serve"

OWNED_FLAGS = {
    "host": "write it as `host`",
    "port": "write it as `ports: {api: NUMBER}`",
    "force-model": "write it as `model`",
}

OWNED_ENV = {
    "TMPDIR": "it is the instance's private folder",
    "PYTHONUNBUFFERED": "the keeper needs lines when they are printed",
    "CUDA_VISIBLE_DEVICES": "write it as `gpus`",
    "HF_HUB_OFFLINE": "it follows from `model`: a local folder is served offline",
    "TRANSFORMERS_OFFLINE": "it follows from `model`: a local folder is served offline",
}


def validate(profile: Profile, release: Release | None) -> list[Problem]:
    """Everything wrong with the profile for `release`, or for every release it admits."""
    if release is not None:
        return _validate(profile, serve_of(release.version))
    try:
        versions = admitted(profile.engine_version, [s.options.version for s in releases()])
    except InvalidSpecifier:
        wrong = problem(profile, "engine-version", "bad-version",
                        f"{profile.engine_version!r} is not a version constraint",
                        "write it like 5.23.0, or >=5.10")  # fmt: skip
        every = {server.options.version: _validate(profile, server) for server in releases()}
        return in_file_order([wrong, *in_every(every)])
    # A constraint between two releases that were read is judged by the newer of them.
    servers = [s for s in releases() if s.options.version in versions] or [releases()[-1]]
    return merged({server.options.version: _validate(profile, server) for server in servers})


def _validate(profile: Profile, server: Serve) -> list[Problem]:
    problems = check_keys(profile, TITLE, KEYS)
    problems += check_ports(profile, TITLE, ("api",))
    problems += check_hub_keys(profile)
    problems += check_env(profile, OWNED_ENV)
    problems += check_options(
        profile, server.options, OWNED_FLAGS, elsewhere=_elsewhere(server).get
    )
    problems += _values(profile, server)
    if profile.model_is_path and "@" in profile.model:
        problems.append(
            problem(profile, "model", "bad-model-path",
                    f"{TITLE} takes what follows `@` in {profile.model} for a revision",
                    "move or link the folder to a path without `@`")
        )  # fmt: skip
    problems += check_gguf(profile, TITLE)
    problems += check_layout(profile, TITLE)
    if any(canonical(k) == "trust-remote-code" and v for k, v in profile.engine_args.items()):
        version = tuple(int(n) for n in server.options.version.split(".")[:2] if n.isdigit())
        problems += check_folder_name(profile, version)
    if profile.model.startswith("-"):
        problems.append(problem(profile, "model", "bad-model", "a model cannot begin with `-`"))
    if profile.stop.drain:
        problems.append(
            problem(profile, "stop.drain", "key-not-supported",
                    f"{TITLE} cannot be told how long running requests may go on: after SIGTERM it "
                    "waits for them without a limit of its own",
                    "remove `stop.drain`; `stop.grace` bounds the wait")
        )  # fmt: skip
    return in_file_order(problems)


def _values(profile: Profile, server: Serve) -> list[Problem]:
    def lacking(key: str, option: str) -> Problem:
        return problem(profile, key, "key-not-supported",
                       f"{TITLE} {server.options.version} has no `{key}`: "
                       f"{_elsewhere(server).get(option, f'no release has --{option}')}",
                       f"remove `{key}`")  # fmt: skip

    keys = {key: name for key, name in KEYS.options.items() if key != "quantization"}
    problems = check_values(profile, NeutralKeys(keys), server.options, lacking)
    return [*_quantization(profile, server), *problems]


def _quantization(profile: Profile, server: Serve) -> list[Problem]:
    if profile.quantization is None:
        return []
    option = server.options.get("quantization")
    if option is None:
        return [
            problem(profile, "quantization", "key-not-supported",
                    f"{TITLE} {server.options.version} has no --quantization: it exists from 5.0",
                    "use `engine-args: {load-in-8bit: true}`, or transformers 5")
        ]  # fmt: skip
    if "quantization" in profile.engine_args:
        return [problem(profile, "engine-args.quantization", "duplicate-flag",
                        "quantization is given twice", "keep the one at the top")]  # fmt: skip
    if option.choices and profile.quantization not in option.choices:
        return [
            problem(profile, "quantization", "wrong-value",
                    f"{TITLE} knows no quantization {profile.quantization!r}",
                    f"one of: {', '.join(option.choices)}")
        ]  # fmt: skip
    return []


def _elsewhere(server: Serve) -> dict[str, str]:
    """For every option that this release lacks: the sentence that says which have it."""
    every = releases()
    here = every.index(server)
    release_names = {}
    for name in {option.name for entry in every for option in entry.options}:
        have = [i for i, entry in enumerate(every) if name in entry.options]
        if here in have:
            continue
        if have[0] > here:
            release_names[name] = f"it exists from {every[have[0]].options.version}"
        else:
            release_names[name] = f"it is gone since {every[have[-1] + 1].options.version}"
    return release_names
