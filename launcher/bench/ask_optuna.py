"""Run by the generator's Python: which setting to try next, by its own search library (optuna).

Reads a JSON object on stdin: `space` (key to its values), `trials` (`settings` as indexes into the
values, `score`, higher is better, None for a failure), `seed`. Prints the indexes of the next one.
"""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Answer one question."""
    import optuna  # only the generator's environment has it

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    question = json.load(sys.stdin)
    space = {
        key: optuna.distributions.IntDistribution(0, len(values) - 1)
        for key, values in question["space"].items()
    }
    sampler = optuna.samplers.TPESampler(
        seed=question["seed"] + len(question["trials"]), n_startup_trials=4
    )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    scores = [one["score"] for one in question["trials"] if one["score"] is not None]
    # TPE does not learn from trials in the state FAIL and would come back to them; it goes by the
    # order of the scores, so any that is below all others will do.
    failure = min(scores, default=0.0) - 1.0
    for trial in question["trials"]:
        study.add_trial(
            optuna.trial.create_trial(
                params=trial["settings"],
                distributions=space,
                value=failure if trial["score"] is None else trial["score"],
            )
        )
    json.dump(study.ask(space).params, sys.stdout)


if __name__ == "__main__":
    main()
