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
    for trial in question["trials"]:
        failed = trial["score"] is None
        study.add_trial(
            optuna.trial.create_trial(
                params=trial["settings"],
                distributions=space,
                values=None if failed else [trial["score"]],
                state=optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.COMPLETE,
            )
        )
    json.dump(study.ask(space).params, sys.stdout)


if __name__ == "__main__":
    main()
