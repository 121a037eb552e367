"""Records the drills of docs/drills.md.

`python -m tests.drill.record OUT.json [ROUNDS] [SCENARIO...]`.

With scenarios only those are drilled, and take the place of what OUT.json has of them.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.drill.targets import REAL, TWINS, drill, running
from tests.support.decoded import JsonDict


def main(argv: list[str]) -> int:
    """Drill every target, one after the other, and write what was measured."""
    out, rounds, chosen = Path(argv[0]), argv[1] if len(argv) > 1 else "2", argv[2:]
    before: dict[str, JsonDict] = {}
    if chosen:
        before = {one["title"]: one for one in json.loads(out.read_text())["runs"]}
    runs = []
    for target in (*TWINS, *REAL):
        sys.stderr.write(f"== {target.title}\n")
        folder = tempfile.TemporaryDirectory(prefix="drill-")
        options = [word for name in chosen for word in ("--scenario", name)]
        with folder as path, running(target, Path(path)) as (home, name):
            run = drill(home, name, "--rounds", rounds, *options)
        note = target.note
        if target.title in before:
            old = before[target.title]
            note = f"{old['note']}; {', '.join(chosen)} again at a load of {run['load']:g}"
            run = replaced(old["run"], run)
        runs.append({"title": target.title, "note": note, "run": run})
    text = json.dumps({"schema": "ernie-deploy/drills/1", "runs": runs}, indent=1)
    out.write_text(text + "\n", encoding="utf-8")
    return 0


def replaced(old: JsonDict, new: JsonDict) -> JsonDict:
    """The run `old` with the scenarios of `new`; the head is the newer one's."""
    drilled = {one["scenario"] for one in new["scenarios"]}
    kept = [one for one in old["scenarios"] if one["scenario"] not in drilled]
    return {**new, "seconds": old["seconds"], "scenarios": [*kept, *new["scenarios"]]}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
