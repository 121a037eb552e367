"""Which setting to try next: each of a small space in turn, else the generator's own search."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from launcher.bench.result import Trial
from launcher.codec import encode
from launcher.environments.commands import clean_environment
from launcher.json_values import JsonValue

Space = Mapping[str, tuple[JsonValue, ...]]
"""Key of the profile (`engine-args.continuous-batching`) to the values that may be tried."""
ASK_SECONDS = 120.0
SCRIPT = Path(__file__).with_name("ask_optuna.py")
EVERY = "every setting in turn"
OPTUNA = "optuna's TPE in the load generator's environment, which its own search uses, too"


def size_of(space: Space) -> int:
    """The number of different settings."""
    size = 1
    for values in space.values():
        size *= len(values)
    return size


def next_settings(
    space: Space, done: Sequence[Trial], most: int, python: str, seed: int
) -> Mapping[str, JsonValue] | None:
    """A setting that was not tried; None where `most` were, or there is no other.

    `done` begins with the profile's own setting, which is not of the space. `python` is the
    interpreter of the generator's environment.
    """
    tried = [one.settings for one in done[1:]]
    if len(tried) >= most:
        return None
    left = [
        settings
        for values in itertools.product(*space.values())
        if (settings := dict(zip(space, values, strict=True))) not in tried
    ]
    if not left:
        return None
    if size_of(space) <= most:
        return left[0]
    asked = _ask(space, done[1:], python, seed)
    if asked in left:
        return asked
    # It asks for what it knows already where it is sure; what is left is worth more.
    return random.Random(seed + len(tried)).choice(left)  # noqa: S311  (no secret)


def _ask(
    space: Space, done: Sequence[Trial], python: str, seed: int
) -> Mapping[str, JsonValue] | None:
    """What optuna suggests; None where it gives no answer."""
    question = {
        "space": {key: encode(values) for key, values in space.items()},
        "trials": [
            {
                "settings": {key: space[key].index(one.settings[key]) for key in space},
                "score": one.score,
            }
            for one in done
        ],
        "seed": seed,
    }
    try:
        answer = subprocess.run(
            [python, "-I", str(SCRIPT)], input=json.dumps(question), capture_output=True, text=True,
            timeout=ASK_SECONDS, env=clean_environment(), check=True,
        )  # fmt: skip
        indexes = json.loads(answer.stdout)
        return {key: space[key][indexes[key]] for key in space}
    except (OSError, ValueError, KeyError, IndexError, subprocess.SubprocessError):
        return None
