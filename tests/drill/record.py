"""Records the drills of docs/drills.md: `python -m tests.drill.record OUT.json [ROUNDS]`."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.drill.targets import REAL, TWINS, drill, running


def main(argv: list[str]) -> int:
    """Drill every target, one after the other, and write what was measured."""
    out, rounds = Path(argv[0]), argv[1] if len(argv) > 1 else "2"
    runs = []
    for target in (*TWINS, *REAL):
        sys.stderr.write(f"== {target.title}\n")
        folder = tempfile.TemporaryDirectory(prefix="drill-")
        with folder as path, running(target, Path(path)) as (home, name):
            run = drill(home, name, "--rounds", rounds)
        runs.append({"title": target.title, "note": target.note, "run": run})
        text = json.dumps({"schema": "ernie-deploy/drills/1", "runs": runs}, indent=1)
        out.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
