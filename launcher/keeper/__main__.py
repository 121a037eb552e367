"""`python -m launcher.keeper FOLDER`: the keeper's process.

What it needs comes by inherited descriptors named in its environment, which it does not pass on:
the instance's lock, the port leases, a pipe that ends with the `up` that started it, and a file
in memory with the secrets as JSON. Nothing of that is in its argv.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from pathlib import Path

from launcher.keeper.keeper import Keeper
from launcher.plan.model import read_plan

HANDOVER = "ERNIE_DEPLOY_KEEPER"
"""JSON: {"lock": fd, "leases": [fd], "parent": fd or null, "secrets": fd, "token", "forced"}."""


def main() -> int:
    """Run the keeper of the instance whose folder is the only argument."""
    folder = Path(sys.argv[1])
    handover = json.loads(os.environ.pop(HANDOVER))
    os.environ.pop("PYTHONPATH", None)
    with os.fdopen(handover["secrets"], "rb") as pipe:
        received = json.loads(pipe.read() or b"{}")
    for descriptor in (handover["lock"], handover["parent"], *handover["leases"]):
        if descriptor is not None:
            os.set_inheritable(descriptor, False)
    os.umask(0o077)
    plan = read_plan(json.loads((folder / "plan.json").read_text(encoding="utf-8")))
    keeper = Keeper(
        folder,
        plan,
        handover["token"],
        received,
        environ=dict(os.environ),
        parent=handover["parent"],
        forced=tuple(handover["forced"]),
        lock=handover["lock"],
        leases=handover["leases"],
    )
    # A thread that reads logs must not hold the loop up: each of its system calls waits that long.
    sys.setswitchinterval(0.0005)
    # Everything made so far lives as long as the process; do not visit it in every collection.
    gc.collect()
    gc.freeze()
    try:
        code = keeper.run()
    except Exception as error:
        traceback.print_exc()
        code = keeper.abandon(error)
    # Before the lock, which goes with the process: an `up` that gets the lock gets its ports too.
    for descriptor in handover["leases"]:
        os.close(descriptor)
    return code


if __name__ == "__main__":
    sys.exit(main())
