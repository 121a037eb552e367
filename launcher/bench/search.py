"""Which setting to try next: each of a small space in turn, else the generator's own search."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.bench.result import Trial
from launcher.codec import encode
from launcher.environments.commands import clean_environment
from launcher.json_values import JsonValue

Space = Mapping[str, tuple[JsonValue, ...]]
"""Key of the profile (`engine-args.continuous-batching`) to the values that may be tried."""
ASK_SECONDS = 120.0
LONGEST_REASON = 200
"""Characters of why there was no answer."""
SCRIPT = Path(__file__).with_name("ask_optuna.py")
EVERY = "every setting in turn"
OPTUNA = "optuna's TPE in the load generator's environment, which its own search uses, too"


@dataclass(frozen=True)
class Choice:
    """The setting to try next; `note` where it was not chosen as the search would have it."""

    settings: Mapping[str, JsonValue]
    note: str | None = None


def size_of(space: Space) -> int:
    """The number of different settings."""
    size = 1
    for values in space.values():
        size *= len(values)
    return size


def next_settings(
    space: Space, done: Sequence[Trial], most: int, python: str, seed: int
) -> Choice | None:
    """A setting that was not tried; None where `most` were, or all were.

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
        return Choice(left[0])
    drawn = random.Random(seed + len(tried)).choice(left)  # noqa: S311  (no secret)
    try:
        suggestion = _ask(space, done[1:], python, seed)
    except (OSError, ValueError, KeyError, IndexError, TypeError, subprocess.SubprocessError) as e:
        return Choice(drawn, f"drawn at random: the search gave no answer ({_reason(e)})")
    # It asks for what it knows already where it is sure; what is left is worth more.
    return Choice(suggestion if suggestion in left else drawn)


def _reason(error: Exception) -> str:
    """The last line of what it printed, where it printed something."""
    lines = str(getattr(error, "stderr", None) or "").strip().splitlines()
    return lines[-1][:LONGEST_REASON] if lines else str(error)[:LONGEST_REASON]


def _ask(space: Space, done: Sequence[Trial], python: str, seed: int) -> Mapping[str, JsonValue]:
    """What optuna suggests.

    Raises:
        OSError, ValueError, KeyError, IndexError, TypeError, SubprocessError: it gives no answer.
    """
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
    answer = subprocess.run(
        [python, "-I", str(SCRIPT)], input=json.dumps(question), capture_output=True, text=True,
        timeout=ASK_SECONDS, env=clean_environment(), check=True,
    )  # fmt: skip
    indexes = json.loads(answer.stdout)
    return {key: space[key][indexes[key]] for key in space}
